//! The outer process: what `agent-runner` is when it is started, as pid 1 of a container or as a
//! plain process on a host.
//!
//! It first replaces itself, to be rid of the secrets in its environment. Then it starts itself once
//! more as the inner process, which does the job, and from then on only waits: it reaps every orphan
//! (as pid 1, or as a child subreaper), passes SIGTERM, SIGINT and SIGHUP on, and ends with the inner
//! one's exit code, after everything the job left behind is ended too.
//!
//! Invariants: one thread and no async runtime, since `waitpid` for any child would steal the exit
//! of theirs; after the replacement the environment holds plain names alone (see [`Handover`]).

use std::convert::Infallible;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid, getppid};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::Kind;
use crate::processes::{ProcessTable, signal_all};
use crate::settings::Handover;

const FORWARDED: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];

/// How long leftovers are pursued: a process in an uninterruptible wait cannot be ended.
const SWEEP_LIMIT: Duration = Duration::from_secs(5);
/// The same for a run that was told to stop: the inner process may have taken 7 s, and 10 s after
/// their signal engines kill.
const STOPPED_SWEEP_LIMIT: Duration = Duration::from_secs(1);
const SWEEP_PAUSE: Duration = Duration::from_millis(20);

/// The inner process could not be started or watched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InitError {
    /// Others could look into this process.
    #[error("cannot close this process to others")]
    Close(#[source] Errno),
    /// Signals could not be set up.
    #[error("cannot become the parent of the job")]
    Prepare(#[source] Errno),
    /// This executable could not be started again.
    #[error("cannot start agent-runner again as its {role} process")]
    Restart {
        /// What it was to be.
        role: &'static str,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Waiting for signals failed.
    #[error("cannot wait for the inner process")]
    Wait(#[source] Errno),
}

/// Puts signals into a known state, whatever we were started with, as the first thing of all.
///
/// SIGCHLD may be inherited as ignored, and then no child can be waited for: a handler takes its
/// place, and the replacement of this process makes that the default again. The signals that are
/// passed on wait from here until the outer process takes them; pid 1 would lose them otherwise. What
/// is returned shows those that wait, and takes what it shows.
///
/// # Errors
/// When the system does not allow it.
pub(crate) fn take_signals() -> io::Result<SignalFd> {
    waited_for().thread_block()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _context = runtime.enter();
    drop(signal(SignalKind::child())?);
    let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
    Ok(SignalFd::with_flags(&FORWARDED.into_iter().collect(), flags)?)
}

/// Hides the memory and the files of this process from others of the same user or below it: they can
/// neither trace it nor read its memory, environment and descriptors in `/proc`, and it leaves no core
/// dump. Lasts until the process is replaced, so that every role begins with it.
///
/// # Errors
/// When the system does not allow it.
pub(crate) fn close_to_others() -> Result<(), InitError> {
    nix::sys::prctl::set_dumpable(false).map_err(InitError::Close)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(InitError::Close)
}

/// Becomes the outer process: the same one, with a clean environment and the settings in memory as
/// standard input. Comes back only to say why it cannot.
///
/// # Errors
/// When this executable cannot be started again.
pub(crate) fn become_outer(
    handover: &Handover,
    kind: Option<Kind>,
) -> Result<Infallible, InitError> {
    become_again("outer", kind.map(Kind::name).as_slice(), handover)
}

/// The same for another role.
///
/// # Errors
/// When this executable cannot be started again.
pub(crate) fn become_again(
    role: &'static str,
    arguments: &[&str],
    handover: &Handover,
) -> Result<Infallible, InitError> {
    let replace = || -> io::Result<Infallible> {
        let memory = handover.to_memory()?;
        let mut command = again(role, arguments)?;
        Err(command.env_clear().envs(handover.plain()).stdin(memory).exec())
    };
    replace().map_err(|source| InitError::Restart { role, source })
}

/// Runs the inner process to its end.
///
/// # Errors
/// When it could not be started or watched; nothing of the job was done in the first case.
pub(crate) fn run(kind: Option<Kind>) -> Result<ExitCode, InitError> {
    // It inherits standard input, which holds the settings, and the clean environment.
    let inner = again("inner", kind.map(Kind::name).as_slice());
    watch_over("inner", inner)
}

/// The same with another command of [`again`].
///
/// # Errors
/// When it could not be started or watched.
pub(crate) fn watch_over(
    role: &'static str,
    inner: io::Result<Command>,
) -> Result<ExitCode, InitError> {
    nix::sys::prctl::set_child_subreaper(true).map_err(InitError::Prepare)?;
    let signals = waited_for();
    // Blocked before the child exists, so that none is lost. The child inherits this and unblocks
    // them when it is ready, see `accept_signals`.
    signals.thread_block().map_err(InitError::Prepare)?;
    let inner = inner.and_then(|mut command| command.spawn());
    let inner = inner.map_err(|source| InitError::Restart { role, source })?;
    let inner = Pid::from_raw(inner.id().cast_signed());
    let mut sweep_limit = SWEEP_LIMIT;
    let mut pass_on = |signal| {
        sweep_limit = STOPPED_SWEEP_LIMIT;
        let _gone_already = kill(inner, signal);
    };
    let code = supervise(inner, &signals, &mut pass_on).map_err(InitError::Wait)?;
    end_leftovers(sweep_limit);
    Ok(ExitCode::from(code))
}

/// Ends the inner process when the outer one dies, however that happens. Called by the inner process
/// itself, before it does anything; the outer process's id.
pub(crate) fn follow_outer() -> Result<Pid, Errno> {
    let outer = getppid();
    nix::sys::prctl::set_pdeathsig(Signal::SIGTERM)?;
    // One that died before that is not told of.
    if getppid() == outer { Ok(outer) } else { Err(Errno::ESRCH) }
}

/// Lets the signals through that were blocked when the inner process was started. Called by the inner
/// process once it handles them, and before it starts anything, which would inherit the block.
pub(crate) fn accept_signals() -> Result<(), Errno> {
    SigSet::all().thread_unblock()
}

fn waited_for() -> SigSet {
    FORWARDED.into_iter().chain([Signal::SIGCHLD]).collect()
}

/// A command that is this executable in another role.
pub(crate) fn again(role: &str, arguments: &[&str]) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg0("agent-runner").arg(role).args(arguments);
    Ok(command)
}

/// Waits until the inner process has ended; its exit code, 128 + n for signal n.
fn supervise(inner: Pid, signals: &SigSet, pass_on: &mut dyn FnMut(Signal)) -> Result<u8, Errno> {
    loop {
        match signals.wait()? {
            Signal::SIGCHLD => {
                if let Some(code) = reap(inner)? {
                    return Ok(code);
                }
            }
            signal => pass_on(signal),
        }
    }
}

/// Reaps every process that has ended; the exit code of the inner one if it is among them. Fails when
/// there is no child at all before the inner one has ended.
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
            Ok(WaitStatus::StillAlive) => return Ok(code),
            Err(Errno::ECHILD) => return code.map(Some).ok_or(Errno::ECHILD),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Kills and reaps whatever still descends from this process.
fn end_leftovers(limit: Duration) {
    let give_up = Instant::now() + limit;
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
