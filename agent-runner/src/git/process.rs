//! One child process in its own group: its output bounded, its end certain.
//!
//! Invariant: when [`run`] returns, or its future is dropped, no process of the group is left.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

/// Most of the output that is kept, in bytes. Git's answers that we read are far smaller.
const STDOUT_MAX: usize = 4 << 20;
/// Most of the messages that is kept, in bytes.
const STDERR_MAX: usize = 64 << 10;
/// How long a command may clean up after being told to end. A cancelled run has 5 s in all.
const GRACE: Duration = Duration::from_secs(3);

/// How a command ended by itself.
#[derive(Debug)]
pub(super) struct Ended {
    /// Whether its exit code was 0.
    pub(super) success: bool,
    /// What it wrote, lossy UTF-8, at most [`STDOUT_MAX`].
    pub(super) stdout: String,
    /// Its messages, lossy UTF-8, at most [`STDERR_MAX`] from their end.
    pub(super) stderr: String,
}

/// Why a command did not end by itself.
#[derive(Debug)]
pub(super) enum Stopped {
    /// It could not be started or waited for.
    Io(io::Error),
    /// The token was cancelled.
    Cancelled,
    /// The time was over.
    TimedOut,
}

/// Runs the command with null standard input.
pub(super) async fn run(
    command: &mut Command,
    limit: Duration,
    cancel: &CancellationToken,
) -> Result<Ended, Stopped> {
    if cancel.is_cancelled() {
        return Err(Stopped::Cancelled);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(Stopped::Io)?;
    let group = Group::of(&child);
    let mut finished = std::pin::pin!(finish(&mut child));
    let stopped = tokio::select! {
        // What the command started in its group and left behind ends as the group is dropped.
        ended = &mut finished => return ended.map_err(Stopped::Io),
        () = cancel.cancelled() => Stopped::Cancelled,
        () = tokio::time::sleep(limit) => Stopped::TimedOut,
    };
    group.signal(Signal::SIGTERM);
    if tokio::time::timeout(GRACE, &mut finished).await.is_err() {
        group.signal(Signal::SIGKILL);
        // After SIGKILL only a process stuck in the kernel remains; it is not waited for longer.
        let _ended_or_stuck = tokio::time::timeout(GRACE, &mut finished).await;
    }
    Err(stopped)
}

async fn finish(child: &mut Child) -> io::Result<Ended> {
    let stdout = child.stdout.take();
    let stderr = child.stderr.take();
    let (status, stdout, stderr) = tokio::join!(
        child.wait(),
        read(stdout, Keep::First(STDOUT_MAX)),
        read(stderr, Keep::Last(STDERR_MAX)),
    );
    Ok(Ended { success: status?.success(), stdout: stdout?, stderr: stderr? })
}

#[derive(Clone, Copy)]
enum Keep {
    First(usize),
    Last(usize),
}

/// Reads to the end and keeps a bounded part, so that the child never waits for us.
async fn read(pipe: Option<impl AsyncRead + Unpin>, keep: Keep) -> io::Result<String> {
    let Some(mut pipe) = pipe else {
        return Ok(String::new());
    };
    let mut kept = Vec::new();
    let mut piece = vec![0; 16 << 10];
    loop {
        let length = pipe.read(&mut piece).await?;
        if length == 0 {
            return Ok(String::from_utf8_lossy(&kept).into_owned());
        }
        kept.extend_from_slice(&piece[..length]);
        match keep {
            Keep::First(most) => kept.truncate(most),
            Keep::Last(most) => drop(kept.drain(..kept.len().saturating_sub(most))),
        }
    }
}

/// The process group of a child, killed when it is dropped.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.map(Pid::from_raw))
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // The only failure is that the group has ended meanwhile.
            let _already_gone = killpg(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn output_beyond_the_bound_is_read_and_dropped() {
        let mut command =
            shell("head -c 9000000 /dev/zero; head -c 900000 /dev/zero >&2; echo end >&2");
        let ended = run(&mut command, LONG, &CancellationToken::new()).await.unwrap();
        assert!(ended.success);
        assert_eq!(ended.stdout.len(), STDOUT_MAX);
        assert_eq!(ended.stderr.len(), STDERR_MAX);
        assert!(ended.stderr.ends_with("end\n"));
    }

    #[tokio::test]
    async fn a_timeout_ends_the_grandchildren_too() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("alive");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let script = format!("sleep 1000 > '{0}' & cat '{0}' & wait", fifo.display());
        let began = Instant::now();
        let cancel = CancellationToken::new();
        let result = run(&mut shell(&script), Duration::from_millis(300), &cancel).await;
        assert!(matches!(result, Err(Stopped::TimedOut)), "{result:?}");
        assert!(began.elapsed() < GRACE);
        // Opening for writing without waiting fails when nobody reads.
        let mut without_waiting = tokio::fs::OpenOptions::new();
        without_waiting.write(true).custom_flags(nix::libc::O_NONBLOCK);
        let error = without_waiting.open(&fifo).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(nix::libc::ENXIO), "a reader is alive");
    }

    #[tokio::test]
    async fn cancelling_ends_a_running_command() {
        let cancel = CancellationToken::new();
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("started");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let script = format!("echo up > '{}'; exec sleep 1000", fifo.display());
        let mut command = shell(&script);
        let started = async {
            tokio::fs::read(&fifo).await.unwrap();
            cancel.cancel();
        };
        let (result, ()) = tokio::join!(run(&mut command, LONG, &cancel), started);
        assert!(matches!(result, Err(Stopped::Cancelled)));
    }
}
