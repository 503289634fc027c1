//! Programs that tests make and run at once.
//!
//! Invariant: their files are never open for writing in this process. A process that another test starts at
//! that moment would have them open too for a while, and the kernel runs no such file.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Makes a program of this text.
pub(crate) fn executable(path: &Path, text: &str) {
    let mut install = Command::new("install");
    install.args(["-m", "755", "/dev/stdin"]).arg(path).stdin(Stdio::piped());
    let mut install = install.spawn().unwrap();
    install.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(install.wait().unwrap().success());
}
