//! A runner that crashes: whether it leaves a core dump in its container.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::engine;
use super::held::Held;
use crate::harness::{Deployment, Job, eventually};

/// Where a program of the host crashes, whose core dump has to be found, or none would be. One of the
/// container could not leave any: its limit is zero.
const CANARY: &str = "opt";
const CANARY_CRASH: &str = "ulimit -c unlimited && kill -SEGV $$";

/// Lets a program crash, and then the runner; the problems that are seen. The app has to be away
/// meanwhile: so the coordinator cannot report, and leaves the container there.
pub(super) async fn crash(deployment: &Deployment, job: &Job, held: &Held) -> Vec<String> {
    let mut canary = Command::new("sh");
    canary.args(["-c", CANARY_CRASH]).current_dir(held.root().join(CANARY)).env_clear();
    // The shell complains that its folder has no name here.
    canary.stderr(Stdio::null());
    assert!(!canary.status().expect("a shell").success(), "it crashes");
    let runner = held.runners().swap_remove(0);
    let pid = runner.file_name().and_then(|name| name.to_str()?.parse().ok());
    let pid = Pid::from_raw(pid.expect("the number of a process"));
    // Once is not enough: the first is taken for the end of a stack, which happens again if it is so.
    eventually("the crash", async || kill(pid, Signal::SIGSEGV).err()).await;
    // The first process of a container cannot be made to crash from outside; it ends by itself.
    eventually("the end of the container", async || {
        let state = deployment.engine.inspect(job.job_id).await?.state?;
        (state.running == Some(false)).then_some(())
    })
    .await;
    let layer = engine::layer(&format!("terarchitect-{}", job.job_id));
    let (canaries, dumps): (Vec<_>, Vec<_>) =
        core_files(&layer).into_iter().partition(|file| file.starts_with(layer.join(CANARY)));
    let mut problems: Vec<String> =
        dumps.iter().map(|file| format!("a core dump: {}", file.display())).collect();
    if canaries.is_empty() && keeps_core_files() {
        problems.push("a program that crashed left no core dump: the hunt found none".to_owned());
    }
    problems
}

/// Whether the kernel writes core dumps where a process was, instead of handing them to a program.
fn keeps_core_files() -> bool {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    pattern.starts_with("core")
}

/// The files below a folder that are named as core dumps are.
fn core_files(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() && (name == "core" || name.starts_with("core.")) => {
                    found.push(entry.path());
                }
                Ok(_) | Err(_) => {}
            }
        }
    }
    found
}
