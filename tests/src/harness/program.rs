//! The real programs, as processes whose output is kept in a file.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::wait::eventually;

/// How long a program may take to end once it was told to.
const END_LIMIT: Duration = Duration::from_secs(20);

/// Names a folder whose programs are tested instead of those beside the test's own.
const PROGRAMS: &str = "TERARCHITECT_TESTS_PROGRAMS";

/// The path of one of the workspace's programs, built with the same profile as this one.
pub fn program(name: &str) -> PathBuf {
    if let Some(dir) = std::env::var_os(PROGRAMS) {
        return PathBuf::from(dir).join(name);
    }
    let own = std::env::current_exe().expect("the path of this program");
    let dir = own.parent().expect("a program is in a folder");
    // A test is in `deps`, a program of its own beside the others.
    let dirs = [Some(dir), dir.parent()];
    let found = dirs.into_iter().flatten().map(|dir| dir.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!("there is no {name} near {}: run `cargo build --workspace` first", dir.display())
    })
}

/// A running program; killed when it is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts a program with both outputs in a new file at `log`.
    pub fn start(mut command: Command, log: &Path) -> Self {
        // Appending: a test may add lines of its own.
        let file = File::options().create(true).append(true).open(log);
        let file = file.expect("a log file in the test's folder");
        let twin = file.try_clone().expect("a second handle of the log file");
        let spawned = command.stdin(Stdio::null()).stdout(twin).stderr(file).kill_on_drop(true);
        let child = spawned.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child, log: log.to_owned() }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it was not waited for yet")
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours")
    }

    /// What it printed so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits until it has printed these words, and returns all that it printed.
    pub async fn wait_for_log(&mut self, words: &str) -> String {
        let log = self.log.clone();
        let text = async || {
            let text = String::from_utf8_lossy(&std::fs::read(&log).ok()?).into_owned();
            let ended = self.child.try_wait().expect("a child of ours").is_some();
            assert!(!ended || text.contains(words), "it ended without {words:?}:\n{text}");
            text.contains(words).then_some(text)
        };
        eventually(words, text).await
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).expect("a process id");
        kill(Pid::from_raw(pid), signal).expect("it runs");
    }

    /// Waits for its end.
    pub async fn wait(&mut self) -> ExitStatus {
        self.wait_within(END_LIMIT).await
    }

    /// The same for a program that has work to do before.
    pub async fn wait_within(&mut self, limit: Duration) -> ExitStatus {
        match timeout(limit, self.child.wait()).await {
            Ok(status) => status.expect("a child of ours"),
            Err(_) => panic!("it still runs:\n{}", self.log()),
        }
    }

    /// Tells it to end, and waits until it has ended well.
    pub async fn terminate(mut self) -> String {
        self.signal(Signal::SIGTERM);
        let status = self.wait().await;
        assert!(status.success(), "{status}:\n{}", self.log());
        self.log()
    }

    /// Ends it as a crash does.
    pub async fn kill(mut self) {
        self.signal(Signal::SIGKILL);
        self.wait().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}:\n{}", self.log.display(), self.log());
        }
    }
}
