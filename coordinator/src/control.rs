//! The control socket: how an operator's command reaches the running daemon. One line of JSON asks,
//! one line of JSON answers; whoever may open the socket (mode 0600) may command.

mod client;

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use api_client::{JobId, error_chain};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::board::StatusView;
use crate::bundle::{self, Bundle, Part};
use crate::check::{Checker, Depth, Finding, Step, check};
use crate::config::ImageUsage;
use crate::context::Context;
use crate::explain::Live;
use crate::gate::GateState;
use crate::housekeeping::{Deed, Occasion, Swept, sweep};
use crate::notification::{self, Event, Fate};
use crate::retry::retry;

pub(crate) use client::{ControlError, ask, ask_telling};

/// Longest request, in bytes.
const REQUEST_MAX: u64 = 4 << 10;

/// Longest time for one request to arrive, and for its answer to be taken.
const PATIENCE: Duration = Duration::from_secs(5);

/// What an operator asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub(crate) enum Request {
    /// What is going on?
    Status,
    /// Claim nothing.
    Pause,
    /// Claim again.
    Resume,
    /// Claim nothing, and end when the last job has.
    Drain,
    /// Could jobs be run?
    Check {
        #[serde(default)]
        depth: Depth,
        #[serde(default)]
        steps: Steps,
    },
    /// Remove what belongs to no job.
    Gc { deed: Deed },
    /// Which images are to be there?
    Images,
    /// Have the app queue a job's ticket again.
    Retry { job: JobId },
    /// Put together what is on record of a job.
    Bundle { job: JobId, leave_out: Vec<Part> },
    /// Log by this filter: for so many seconds, or until settings are read again.
    LogLevel { filter: String, for_sec: Option<u64> },
    /// Send the webhook a trial notification.
    NotifyTest,
}

/// Whether each step of what takes long is told before the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Steps {
    /// The answer is all that comes.
    #[default]
    Kept,
    /// They are.
    Told,
}

/// What the daemon answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub(crate) enum Answer {
    Status(StatusView),
    Done,
    Swept(Swept),
    /// A step of a check; others come before the answer.
    Step {
        told: Step,
    },
    Checked {
        findings: Vec<Finding>,
    },
    Images(ImageUsage),
    /// A job waits in the app now.
    Queued {
        job: JobId,
    },
    Bundled(Bundle),
    Refused {
        problem: String,
    },
}

/// The longest path of a socket, in bytes: the kernel has 108 for it, with the NUL.
pub(crate) const LONGEST_PATH: usize = 107;

/// Where the socket is.
pub(crate) fn socket(state_dir: &Path) -> PathBuf {
    state_dir.join("control.sock")
}

/// Opens the socket. One that is there already was left by a coordinator that is gone: the lock on
/// the state directory is ours.
pub(crate) fn listen(state_dir: &Path) -> io::Result<UnixListener> {
    let path = socket(state_dir);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    // The state directory is closed to others, so no one comes before this.
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers until it is told to end.
pub(crate) async fn serve(listener: UnixListener, ctx: Arc<Context>, end: CancellationToken) {
    let clients = TaskTracker::new();
    while let Some(accepted) = end.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => {
                let (ctx, end) = (Arc::clone(&ctx), end.clone());
                clients.spawn(async move {
                    let served = end.run_until_cancelled(converse(stream, &ctx)).await;
                    if let Some(Err(error)) = served {
                        tracing::debug!(%error, "a client of the control socket went away");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the control socket takes no client");
                let _ended = end.run_until_cancelled(sleep(PATIENCE)).await;
            }
        }
    }
    clients.close();
    clients.wait().await;
    // The next start makes its own.
    let _removed = fs::remove_file(socket(&ctx.state_dir));
}

async fn converse(stream: UnixStream, ctx: &Context) -> io::Result<()> {
    let (from, mut to) = stream.into_split();
    let mut line = Vec::new();
    // One byte more than is allowed tells that there is too much.
    let mut from = BufReader::new(from.take(REQUEST_MAX + 1));
    timeout(PATIENCE, from.read_until(b'\n', &mut line)).await??;
    let answer = match parse(&line) {
        Ok(Request::Check { depth, steps: Steps::Told }) => checked(ctx, depth, &mut to).await?,
        Ok(request) => answer(ctx, request).await,
        Err(problem) => Answer::Refused { problem },
    };
    send(&mut to, &answer).await
}

async fn send(to: &mut OwnedWriteHalf, answer: &Answer) -> io::Result<()> {
    let mut text = serde_json::to_vec(answer)?;
    text.push(b'\n');
    timeout(PATIENCE, to.write_all(&text)).await?
}

/// Checks, and tells each step as it is made. A client that goes away ends it.
async fn checked(ctx: &Context, depth: Depth, to: &mut OwnedWriteHalf) -> io::Result<Answer> {
    let (sender, mut steps) = mpsc::unbounded_channel();
    // The other end is there as long as this.
    let tell = |step| drop(sender.send(step));
    let mut checking = Box::pin(check(ctx, depth, Checker::Running, &tell));
    let findings = loop {
        tokio::select! {
            biased;
            Some(told) = steps.recv() => send(to, &Answer::Step { told }).await?,
            findings = &mut checking => break findings,
        }
    };
    while let Ok(told) = steps.try_recv() {
        send(to, &Answer::Step { told }).await?;
    }
    Ok(Answer::Checked { findings })
}

fn parse(line: &[u8]) -> Result<Request, String> {
    if line.len() as u64 > REQUEST_MAX {
        return Err(format!("a request has at most {REQUEST_MAX} bytes"));
    }
    serde_json::from_slice(line).map_err(|error| format!("not a request: {error}"))
}

async fn answer(ctx: &Context, request: Request) -> Answer {
    let gate = match request {
        Request::Status => return Answer::Status(status(ctx)),
        Request::Images => return Answer::Images(ImageUsage::of(&ctx.config())),
        Request::Check { depth, .. } => {
            return Answer::Checked {
                findings: Box::pin(check(ctx, depth, Checker::Running, &|_step| {})).await,
            };
        }
        Request::Gc { deed } => {
            return match sweep(ctx, Occasion::Asked, deed).await {
                Ok(swept) => Answer::Swept(swept),
                Err(error) => Answer::Refused { problem: error_chain(&error) },
            };
        }
        Request::Retry { job } => {
            return match retry(ctx, job).await {
                Ok(job) => Answer::Queued { job },
                Err(error) => Answer::Refused { problem: error_chain(&error) },
            };
        }
        Request::Bundle { job, leave_out } => {
            let live = Live::Answered(Box::new(status(ctx)));
            return match Box::pin(bundle::make(ctx, job, &leave_out, live)).await {
                Ok(bundle) => Answer::Bundled(bundle),
                Err(error) => Answer::Refused { problem: error_chain(&error) },
            };
        }
        Request::LogLevel { filter, for_sec } => return log_level(ctx, &filter, for_sec),
        Request::NotifyTest => {
            return match notification::trial(ctx).await {
                Ok(()) => Answer::Done,
                Err(problem) => Answer::Refused { problem },
            };
        }
        Request::Pause => GateState::Paused,
        Request::Resume => GateState::Open,
        Request::Drain => GateState::Draining,
    };
    tracing::info!("the operator asks: {gate:?}");
    let before = ctx.gate.current();
    match ctx.gate.set(gate).await {
        Ok(()) => {
            if let Some(event) = drain_event(ctx, before, gate) {
                ctx.notifier.tell(&ctx.config().notify, event);
            }
            Answer::Done
        }
        Err(error) => Answer::Refused { problem: error_chain(&error) },
    }
}

/// What people are told of a change of the gate: when a drain begins, and when it is taken back.
fn drain_event(ctx: &Context, before: GateState, gate: GateState) -> Option<Event> {
    match (before, gate) {
        (GateState::Draining, GateState::Draining) => None,
        (_, GateState::Draining) => {
            let jobs = ctx.board.snapshot().jobs.len();
            Some(Event::Draining { jobs, fate: Fate::Finished })
        }
        (GateState::Draining, _) => Some(Event::DrainCancelled { gate }),
        _ => None,
    }
}

fn log_level(ctx: &Context, filter: &str, for_sec: Option<u64>) -> Answer {
    let Some(log) = ctx.log.get() else {
        return Answer::Refused { problem: "it keeps no log".to_owned() };
    };
    match log.levels.set_for(filter, for_sec.map(Duration::from_secs)) {
        Ok(()) => {
            let time = for_sec.map(|seconds| format!(" for {seconds} s")).unwrap_or_default();
            tracing::info!("the operator asks for the log by {filter}{time}");
            Answer::Done
        }
        Err(error) => Answer::Refused { problem: error_chain(&error) },
    }
}

fn status(ctx: &Context) -> StatusView {
    let gate = ctx.gate.current().name().to_owned();
    StatusView { gate, engine: ctx.config().engine.host.clone(), ..ctx.board.snapshot() }
}

#[cfg(test)]
mod tests;
