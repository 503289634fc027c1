//! Runs one coding CLI process for one turn, and leaves nothing of it behind.
//!
//! Invariant: when [`run`] returns, the process and everything it started are gone, in whatever
//! session or process group they were: descendants are found by parentage while it lives, and by the
//! turn's mark in their environment, or the turn's group, afterwards. Orphans are reaped by the outer
//! process.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::ending::Ending;
use super::escapes;
use super::lines::{LineCounts, Lines};
use crate::bounded::HeadTail;
use crate::model_gateway::ShutOutWatch;
use crate::processes::{ProcessTable, signal_all};
use crate::redaction::Redaction;
use crate::user::{TURN_GROUP, WorkerUser, find_program};

/// Longest line of events that is read, in bytes: a tool's whole output can be one event.
const LINE_MAX: usize = 4 << 20;

/// How much of standard error is kept, in bytes.
const STDERR_MAX: usize = 16 << 10;

/// How long the process may take to exit after it said that the turn is over.
const END_GRACE: Duration = Duration::from_secs(10);

/// The same where the CLI does not say that it is: it may be at work without a word.
const QUIET_GRACE: Duration = Duration::from_secs(120);

/// How long processes have between TERM and KILL.
const TERM_GRACE: Duration = Duration::from_secs(3);

/// The same where the run was cancelled: it has 5 s in all, and unfinished work is still to be saved.
const CANCELLED_GRACE: Duration = Duration::from_secs(1);

/// How long after KILL they are waited for.
const KILL_GRACE: Duration = Duration::from_secs(3);

const TABLE_PAUSE: Duration = Duration::from_millis(25);

/// The environment variable that marks the processes of one turn.
const TURN_MARK: &str = "AGENT_RUNNER_TURN";

/// A command with nothing inherited: no environment but this, the prompt as its standard input.
pub(crate) struct Invocation {
    /// Name or path of the program; a name is looked up in the `PATH` of `environment`.
    pub(crate) program: OsString,
    /// Its arguments. Visible to every process: never a prompt or a secret.
    pub(crate) arguments: Vec<OsString>,
    /// Its whole environment.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// Where it runs.
    pub(crate) directory: PathBuf,
    /// Who it runs as, where that is not who we are.
    pub(crate) user: Option<WorkerUser>,
    /// What it reads.
    pub(crate) prompt: String,
    /// Hides secrets in what it writes, before anything of that is cut.
    pub(crate) redaction: Redaction,
    /// Whether the provider of its model lets it in.
    pub(crate) shut_out: ShutOutWatch,
}

/// How long a turn may take, and how long it may be silent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// From start to end.
    pub(crate) turn: Duration,
    /// From one line to the next.
    pub(crate) stall: Duration,
}

/// What a line means for the process.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// More is to come.
    Continue,
    /// The turn is over unless more comes.
    PerhapsEnded,
    /// The turn is over; the process should exit now.
    Ended,
    /// It will not end by itself, or not soon; this is how it would.
    Hopeless(Ending),
}

/// Whether a turn is over, and by when the process has to exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    No,
    Perhaps(Instant),
    Yes(Instant),
}

impl Over {
    const fn exit_by(self) -> Option<Instant> {
        match self {
            Self::No => None,
            Self::Perhaps(by) | Self::Yes(by) => Some(by),
        }
    }

    /// Another line has come.
    const fn unless_more_came(self) -> Self {
        match self {
            Self::Yes(_) => self,
            Self::No | Self::Perhaps(_) => Self::No,
        }
    }
}

/// Why the process is no more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It exited.
    Exited(ExitStatus),
    /// It said that the turn is over and did not exit: ended by us.
    HungAfterEnd,
    /// It would not have ended: ended by us.
    Hopeless(Ending),
    /// The turn took too long: ended by us.
    TimedOut,
    /// It was silent for too long: ended by us.
    Stalled,
    /// It was silent after its model's provider had shut it out, and is shut out for so much longer: ended by us.
    ShutOut(Duration),
    /// The run was cancelled: ended by us.
    Cancelled,
}

/// A process that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Why.
    pub(crate) stop: Stop,
    /// Beginning and end of its standard error.
    pub(crate) stderr: String,
    /// What its standard output held.
    pub(crate) counts: LineCounts,
}

/// Runs it to its end, whatever that is; each line of standard output is handed to `on_line`.
///
/// # Errors
/// When it cannot be started, or its output cannot be read.
pub(crate) async fn run(
    invocation: Invocation,
    limits: Limits,
    cancel: &CancellationToken,
    on_line: &mut (dyn FnMut(&str) -> Next + Send),
) -> io::Result<Finished> {
    let mark = format!("{TURN_MARK}={}", Uuid::new_v4());
    let mut running = Running::start(invocation, mark)?;
    let outcome = running.watch(limits, cancel, on_line).await;
    let grace = match outcome {
        Ok(Stop::Cancelled) => CANCELLED_GRACE,
        _ => TERM_GRACE,
    };
    running.end_all(grace).await;
    if matches!(outcome, Ok(Stop::Exited(_))) {
        running.drain(on_line).await?;
    }
    let counts = running.lines.counts();
    Ok(Finished { stop: outcome?, stderr: running.stderr().await, counts })
}

struct Running {
    child: Child,
    pid: Pid,
    mark: String,
    user: Option<WorkerUser>,
    lines: Lines<BufReader<ChildStdout>>,
    redaction: Redaction,
    shut_out: ShutOutWatch,
    feed: JoinHandle<()>,
    tail: JoinHandle<String>,
}

impl Running {
    fn start(invocation: Invocation, mark: String) -> io::Result<Self> {
        let (mark_name, mark_value) = mark.split_once('=').unwrap_or((TURN_MARK, ""));
        let mut command = match &invocation.user {
            Some(user) => {
                user.turn_command(&find_program(&invocation.program, &invocation.environment)?)?
            }
            None => Command::new(&invocation.program),
        };
        let mut child = command
            .args(invocation.arguments)
            .env_clear()
            .envs(invocation.environment)
            .env(mark_name, mark_value)
            .current_dir(invocation.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let missing = || io::Error::other("the process has no pipe or id");
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = child.stdout.take().ok_or_else(missing)?;
        let stderr = child.stderr.take().ok_or_else(missing)?;
        let pid = child.id().ok_or_else(missing)?;
        Ok(Self {
            pid: Pid::from_raw(pid.cast_signed()),
            child,
            mark,
            user: invocation.user,
            lines: Lines::new(BufReader::new(stdout), LINE_MAX),
            redaction: invocation.redaction.clone(),
            shut_out: invocation.shut_out,
            feed: tokio::spawn(feed(stdin, invocation.prompt)),
            tail: tokio::spawn(keep_tail(stderr, invocation.redaction)),
        })
    }

    /// Until it exits, or there is a reason to end it.
    async fn watch(
        &mut self,
        limits: Limits,
        cancel: &CancellationToken,
        on_line: &mut (dyn FnMut(&str) -> Next + Send),
    ) -> io::Result<Stop> {
        let deadline = Instant::now() + limits.turn;
        let mut last_line = Instant::now();
        let mut over = Over::No;
        let mut open = true;
        loop {
            tokio::select! {
                line = self.lines.next(), if open => match line? {
                    None => open = false,
                    Some(line) => {
                        last_line = Instant::now();
                        match on_line(&self.redaction.redact(&escapes::resolved(&line))) {
                            Next::Continue => over = over.unless_more_came(),
                            Next::PerhapsEnded => {
                                over = Over::Perhaps(Instant::now() + QUIET_GRACE);
                            }
                            Next::Ended => over = Over::Yes(Instant::now() + END_GRACE),
                            Next::Hopeless(ending) => return Ok(Stop::Hopeless(ending)),
                        }
                    }
                },
                status = self.child.wait() => return Ok(Stop::Exited(status?)),
                () = cancel.cancelled() => return Ok(Stop::Cancelled),
                () = sleep_until(over.exit_by().unwrap_or(deadline)), if over != Over::No => {
                    return Ok(Stop::HungAfterEnd);
                }
                () = sleep_until(deadline) => return Ok(Stop::TimedOut),
                () = sleep_until(last_line + limits.stall) => {
                    return Ok(if over == Over::No { Stop::Stalled } else { Stop::HungAfterEnd });
                }
                left = self.shut_out.without_a_sign_since(last_line), if over == Over::No => {
                    return Ok(Stop::ShutOut(left));
                }
            }
        }
    }

    /// Ends the process and everything it started: TERM, a while, KILL.
    async fn end_all(&mut self, grace: Duration) {
        if self.still_there().is_empty() {
            return;
        }
        self.end_with(Signal::SIGTERM, grace).await;
        let left = self.end_with(Signal::SIGKILL, KILL_GRACE).await;
        if !left.is_empty() {
            tracing::warn!(processes = ?left, "some processes of the worker could not be ended");
        }
    }

    /// Signals what is there, and what comes to be there meanwhile, until nothing is or `grace` is
    /// over; what is left.
    async fn end_with(&mut self, signal: Signal, grace: Duration) -> Vec<Pid> {
        let give_up = Instant::now() + grace;
        let mut signalled = Vec::new();
        loop {
            let left = self.still_there();
            if left.is_empty() || Instant::now() >= give_up {
                return left;
            }
            let new: Vec<Pid> = left.into_iter().filter(|pid| !signalled.contains(pid)).collect();
            signal_all(&new, signal);
            signalled.extend(new);
            // These are not our children, so there is no event to wait for.
            sleep(TABLE_PAUSE).await;
        }
    }

    /// The process while it runs, its descendants, and every process with the turn's mark or group.
    fn still_there(&mut self) -> Vec<Pid> {
        let table = ProcessTable::read();
        let mut all = table.marked(&self.mark);
        if self.user.is_some() {
            all.extend(table.in_group(TURN_GROUP));
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            all.push(self.pid);
            all.extend(table.descendants(self.pid));
        }
        all.sort();
        all.dedup();
        all
    }

    /// Reads what the process wrote before it exited. All writers are gone, so the end is near; a
    /// writer that could not be ended must not hold us.
    async fn drain(&mut self, on_line: &mut (dyn FnMut(&str) -> Next + Send)) -> io::Result<()> {
        let reading = async {
            while let Some(line) = self.lines.next().await? {
                let _already_exited = on_line(&self.redaction.redact(&escapes::resolved(&line)));
            }
            Ok(())
        };
        timeout(KILL_GRACE, reading).await.unwrap_or(Ok(()))
    }

    /// Ends the two tasks; what standard error held.
    async fn stderr(mut self) -> String {
        self.feed.abort();
        let _aborted = self.feed.await;
        match timeout(KILL_GRACE, &mut self.tail).await {
            Ok(Ok(text)) => text,
            Ok(Err(_)) | Err(_) => {
                self.tail.abort();
                String::new()
            }
        }
    }
}

/// Writes the prompt and closes the pipe: an open one makes some CLIs wait for ever.
async fn feed(mut stdin: ChildStdin, prompt: String) {
    // A CLI that does not read its prompt says so by its exit.
    let _closed_early = stdin.write_all(prompt.as_bytes()).await;
    let _closed_early = stdin.shutdown().await;
}

async fn keep_tail(stderr: ChildStderr, redaction: Redaction) -> String {
    let mut kept = HeadTail::new(STDERR_MAX);
    let mut lines = Lines::new(BufReader::new(stderr), LINE_MAX);
    // A pipe that cannot be read has nothing more to say.
    while let Ok(Some(line)) = lines.next().await {
        kept.push(&redaction.redact(&line));
        kept.push("\n");
    }
    kept.into_text()
}

#[cfg(test)]
mod tests;
