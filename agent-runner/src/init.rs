//! The outer process: what `agent-runner` is when it is started, as pid 1 of a container or as a
//! plain process on a host.
//!
//! It starts itself once more as the inner process, which does the job, and from then on only waits:
//! it reaps every orphan (as pid 1, or as a child subreaper), passes SIGTERM, SIGINT and SIGHUP on,
//! and ends with the inner one's exit code, after everything the job left behind is ended too.
//!
//! Invariants: one thread and no async runtime, since `waitpid` for any child would steal the exit
//! of theirs; the inner process starts with plain environment names alone (see
//! [`Handover`]).

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid};

use crate::cli::Kind;
use crate::processes::{ProcessTable, signal_all};
use crate::settings::Handover;

const FORWARDED: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];

/// How long leftovers are pursued: a process in an uninterruptible wait cannot be ended.
const SWEEP_LIMIT: Duration = Duration::from_secs(5);
const SWEEP_PAUSE: Duration = Duration::from_millis(20);

/// The inner process could not be started or watched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InitError {
    /// Signals could not be set up.
    #[error("cannot become the parent of the job")]
    Prepare(#[source] Errno),
    /// This executable could not be started again.
    #[error("cannot start agent-runner again as the inner process")]
    Spawn(#[source] io::Error),
    /// The settings could not be handed over.
    #[error("cannot hand the settings to the inner process")]
    HandOver(#[source] io::Error),
    /// Waiting for signals failed.
    #[error("cannot wait for the inner process")]
    Wait(#[source] Errno),
}

/// Runs the inner process to its end.
///
/// # Errors
/// When it could not be started or watched; nothing of the job was done in the first case.
pub(crate) fn run(handover: &Handover, kind: Option<Kind>) -> Result<ExitCode, InitError> {
    nix::sys::prctl::set_child_subreaper(true).map_err(InitError::Prepare)?;
    let signals = waited_for();
    // Blocked before the child exists, so that none is lost. The child inherits this and unblocks
    // them when it is ready, see `accept_signals`.
    signals.thread_block().map_err(InitError::Prepare)?;
    let mut inner = spawn(handover, kind).map_err(InitError::Spawn)?;
    hand_over(&mut inner, handover).map_err(InitError::HandOver)?;
    let pid = Pid::from_raw(inner.id().cast_signed());
    let code = supervise(pid, &signals).map_err(InitError::Wait)?;
    end_leftovers();
    Ok(ExitCode::from(code))
}

/// Ends this process's inner half when its outer half dies, however that happens. Called by the
/// inner process itself, before it does anything.
pub(crate) fn follow_outer() -> Result<(), Errno> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGTERM)
}

/// Lets the signals through that were blocked when the inner process was started. Called by the inner
/// process once it handles them, and before it starts anything, which would inherit the block.
pub(crate) fn accept_signals() -> Result<(), Errno> {
    SigSet::all().thread_unblock()
}

fn waited_for() -> SigSet {
    FORWARDED.into_iter().chain([Signal::SIGCHLD]).collect()
}

fn spawn(handover: &Handover, kind: Option<Kind>) -> io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg0("agent-runner")
        .arg("inner")
        .args(kind.map(Kind::name))
        .env_clear()
        .envs(handover.plain())
        .stdin(Stdio::piped());
    command.spawn()
}

fn hand_over(inner: &mut Child, handover: &Handover) -> io::Result<()> {
    let text = handover.to_inner()?;
    let Some(mut pipe) = inner.stdin.take() else {
        return Err(io::Error::other("the inner process has no standard input"));
    };
    match pipe.write_all(text.expose().as_bytes()) {
        // It ended before it read: its exit code tells why.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Waits until the inner process has ended; its exit code, 128 + n for signal n.
fn supervise(inner: Pid, signals: &SigSet) -> Result<u8, Errno> {
    loop {
        match signals.wait()? {
            Signal::SIGCHLD => {
                if let Some(code) = reap(inner)? {
                    return Ok(code);
                }
            }
            signal => {
                let _gone_already = kill(inner, signal);
            }
        }
    }
}

/// Reaps every process that has ended; the exit code of the inner one if it is among them.
fn reap(inner: Pid) -> Result<Option<u8>, Errno> {
    let mut code = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == inner => {
                code = Some(u8::try_from(status).unwrap_or(u8::MAX));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == inner => {
                code = Some(u8::try_from(128 + signal as i32).unwrap_or(u8::MAX));
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(code),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Kills and reaps whatever still descends from this process.
fn end_leftovers() {
    let give_up = Instant::now() + SWEEP_LIMIT;
    loop {
        let left = ProcessTable::read().descendants(getpid());
        signal_all(&left, Signal::SIGKILL);
        let _no_inner_process = reap(Pid::from_raw(0));
        if left.is_empty() {
            return;
        }
        if Instant::now() >= give_up {
            tracing::warn!(processes = ?left, "some processes of the job could not be ended");
            return;
        }
        thread::sleep(SWEEP_PAUSE);
    }
}
