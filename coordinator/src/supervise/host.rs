//! Watching an agent that runs on the host.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Child;
use tokio::time::timeout;

use crate::context::Context;
use crate::engine::ExitFacts;
use crate::output::Output;

/// Between the request to end and the kill.
const GRACE: Duration = Duration::from_secs(10);

/// Output that a left-over child holds open is waited for no longer than this.
const DRAIN: Duration = Duration::from_secs(2);

const PIECE: usize = 16 << 10;

/// How the watch ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HostEnd {
    /// The runner ended by itself.
    Exited(ExitFacts),
    /// The coordinator stops, and had the runner stop with it.
    Stopped,
}

/// Follows a runner until it ends. When the coordinator stops, the runner's process group is
/// asked to end and killed after a grace period.
pub(crate) async fn watch_host(
    ctx: &Context,
    mut child: Child,
    output: &mut Output,
) -> std::io::Result<HostEnd> {
    let group = Group(child.id().map(|id| Pid::from_raw(id.cast_signed())));
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let mut stopped = false;
    let status = {
        let taking = take_all(&mut stdout, &mut stderr, output);
        tokio::pin!(taking);
        let mut taken = false;
        let status = loop {
            tokio::select! {
                status = child.wait() => break status?,
                () = &mut taking, if !taken => taken = true,
                () = ctx.stop.cancelled(), if !stopped => {
                    stopped = true;
                    group.signal(Signal::SIGTERM);
                }
                () = tokio::time::sleep(GRACE), if stopped => group.signal(Signal::SIGKILL),
            }
        };
        if !taken && timeout(DRAIN, taking).await.is_err() {
            tracing::warn!("a process that the agent left behind holds its output open");
        }
        status
    };
    let facts = facts(status);
    // A runner that delivered before it heard of the stop has delivered.
    Ok(if stopped && facts.code != 0 { HostEnd::Stopped } else { HostEnd::Exited(facts) })
}

/// The runner's process group: what is left of it is killed when the watch ends, however it ends.
struct Group(Option<Pid>);

impl Group {
    /// Signals all of it; one that is gone needs no signal.
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            let _gone = killpg(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

fn facts(status: ExitStatus) -> ExitFacts {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    ExitFacts { code: code.map_or(-1, i64::from), ..ExitFacts::default() }
}

async fn take_all(
    stdout: &mut Option<impl AsyncRead + Unpin>,
    stderr: &mut Option<impl AsyncRead + Unpin>,
    output: &mut Output,
) {
    let (mut out, mut err) = (vec![0; PIECE], vec![0; PIECE]);
    while stdout.is_some() || stderr.is_some() {
        tokio::select! {
            count = read(stdout, &mut out), if stdout.is_some() => {
                take(stdout, &out, count, output).await;
            }
            count = read(stderr, &mut err), if stderr.is_some() => {
                take(stderr, &err, count, output).await;
            }
        }
    }
}

async fn read(pipe: &mut Option<impl AsyncRead + Unpin>, buffer: &mut [u8]) -> usize {
    match pipe {
        // A pipe that cannot be read is as good as closed.
        Some(pipe) => pipe.read(buffer).await.unwrap_or(0),
        None => 0,
    }
}

async fn take<P>(pipe: &mut Option<P>, buffer: &[u8], count: usize, output: &mut Output) {
    if count == 0 {
        *pipe = None;
    } else {
        output.push(&buffer[..count]).await;
    }
}
