//! The keeper of one agent on this host: a process of its own that outlives the coordinator, keeps
//! the agent's log and writes down how it ended.
//!
//! Its order: its own number on disk → document read → agent started → agent's number on disk → document
//! delivered → what the agent came to, and its end, on disk. It acts for one job and ends with it.

mod note;
mod scope;

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use api_client::contract::{JobDocument, TRANSCRIPT_MAX_BYTES};
use api_client::outcome::OUTCOME_MAX_BYTES;
use api_client::{Redactor, Secret, error_chain};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

use crate::collect::{Unusable, of_host};
use crate::confine::{NOT_CONFINED, OUTCOME, TRANSCRIPT};
use crate::engine::ExitFacts;
use crate::ledger::HostProcess;
use crate::output::Output;
use crate::process::children_of;

pub(crate) use note::{
    HostNote, folders, latest, outcome_file, read_end, read_keeper, read_runner, remove_notes,
    transcript_file,
};
pub(crate) use scope::{SLICE, kill_scope, unit_of};

/// The folder, among the notes, for what the agent keeps for a while; removed when it has ended.
pub(crate) const TEMPORARY: &str = "tmp";

/// What was put into the environment for the start in a scope: no business of the agent's.
const OF_SCOPE: [&str; 2] = ["INVOCATION_ID", "XDG_RUNTIME_DIR"];

/// How often, and how long apart, processes that the agent left are pursued: one in an
/// uninterruptible wait cannot be ended.
const PURSUITS: (u32, Duration) = (100, Duration::from_millis(20));

/// Output that a left-over child holds open is waited for no longer than this.
const DRAIN: Duration = Duration::from_secs(2);

/// The runner reads its document at once; one that does not has other trouble.
const DELIVERY: Duration = Duration::from_secs(60);

/// Between two tries to write down the end, which a full disk refuses.
const NOTE_RETRY: Duration = Duration::from_secs(1);

const PIECE: usize = 16 << 10;

/// What a keeper is told, on its command line; the job document comes by standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keep {
    /// Where it keeps its notes.
    pub(crate) dir: PathBuf,
    /// The log of the job.
    pub(crate) log: PathBuf,
    /// Between the request to end and the kill.
    pub(crate) grace: Duration,
    /// The agent: program and arguments.
    pub(crate) command: Vec<OsString>,
}

/// Starts the agent and stays with it to its end, which is on disk when this returns.
///
/// # Errors
/// When it cannot do its part, and no agent was started.
pub(crate) async fn keep(order: &Keep) -> io::Result<()> {
    // A session of its own: neither the terminal nor a signal to the coordinator's group ends it.
    nix::unistd::setsid()?;
    // What it holds of the job is for no other process, its own user's included.
    nix::sys::prctl::set_dumpable(false)?;
    // What the agent leaves becomes a child of this process.
    nix::sys::prctl::set_child_subreaper(true)?;
    // Not that of the link by which it was started.
    nix::sys::prctl::set_name(c"agent-keeper")?;
    note::write_keeper(&order.dir).map_err(io::Error::other)?;
    let mut text = String::new();
    // There is nothing else to do until it is there.
    io::stdin().read_to_string(&mut text)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let end = match begin(order, &text).await {
        Ok((child, redactor)) => {
            let requested = async || {
                terminate.recv().await;
            };
            stay(order, child, &redactor, requested).await
        }
        Err(problem) => HostNote::NeverBegan { problem },
    };
    if let Err(error) = remove_notes(&order.dir.join(TEMPORARY)) {
        complain(&format!("the agent's temporary files are left: {error}"));
    }
    loop {
        match note::write_end(&order.dir, &end) {
            Ok(()) => return Ok(()),
            // Its folder is gone, and with it the job.
            Err(error) if !order.dir.exists() => return Err(io::Error::other(error)),
            Err(_) => {
                tokio::select! {
                    () = sleep(NOTE_RETRY) => {}
                    _ = terminate.recv() => return Err(io::ErrorKind::Interrupted.into()),
                }
            }
        }
    }
}

/// Starts the agent and delivers its document.
async fn begin(order: &Keep, text: &str) -> Result<(Child, Redactor), String> {
    let document: JobDocument = serde_json::from_str(text)
        .map_err(|_| "the job document did not arrive whole".to_owned())?;
    let redactor = Redactor::new(document.secrets());
    let (program, arguments) = order.command.split_first().ok_or("no program was named")?;
    let mut command = Command::new(program);
    for name in OF_SCOPE {
        command.env_remove(name);
    }
    let spawned = command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn();
    let shown = Path::new(program).display();
    let mut child = spawned.map_err(|error| {
        format!("cannot run {shown} on the host; set AGENT_RUNNER_PATH: {error}")
    })?;
    let runner = child.id().and_then(|pid| HostProcess::of(pid.cast_signed()));
    if let Some(runner) = runner
        && let Err(error) = note::write_runner(&order.dir, &runner)
    {
        // Without its document the agent does nothing, and ends by itself.
        return Err(error_chain(&error));
    }
    deliver(&mut child, &Secret::from(text)).await;
    Ok((child, redactor))
}

async fn deliver(child: &mut Child, document: &Secret) {
    if let Some(mut input) = child.stdin.take() {
        // One that ended already, or takes no document, says why by its exit code.
        let _written = timeout(DELIVERY, input.write_all(document.expose().as_bytes())).await;
    }
}

/// Takes what the agent prints until it ends; tells how it did.
async fn stay(
    order: &Keep,
    mut child: Child,
    redactor: &Redactor,
    mut requested: impl AsyncFnMut(),
) -> HostNote {
    let group = Group(child.id().map(|pid| Pid::from_raw(pid.cast_signed())));
    let mut output = Output::open(order.log.clone(), redactor).await;
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let mut asked = false;
    let status = {
        let taking = take_all(&mut stdout, &mut stderr, &mut output);
        tokio::pin!(taking);
        let mut taken = false;
        let status = loop {
            tokio::select! {
                status = child.wait() => break status,
                () = &mut taking, if !taken => taken = true,
                () = requested(), if !asked => {
                    asked = true;
                    group.signal(Signal::SIGTERM);
                }
                () = sleep(order.grace), if asked => group.signal(Signal::SIGKILL),
            }
        };
        if !taken {
            let _held_open = timeout(DRAIN, taking).await;
        }
        status
    };
    drop(group);
    let out_of_memory = scope::ran_out_of_memory(&order.dir);
    end_leftovers(order).await;
    output.finish().await;
    keep_outcome(order, redactor);
    let code = status.map_or(-1, code);
    if code == i64::from(NOT_CONFINED) && !output.runner_may_have_begun() {
        let tail = output.tail();
        let last = tail.trim_end().lines().next_back().unwrap_or_default();
        return HostNote::NeverBegan {
            problem: last.trim_start_matches("coordinator: ").to_owned(),
        };
    }
    HostNote::Ended { code, out_of_memory }
}

/// Takes the agent's outcome, and what it took down of its CLI, out of its temporary files, which are
/// removed. No one else writes there any more; without them the job goes on.
fn keep_outcome(order: &Keep, redactor: &Redactor) {
    let left = order.dir.join(TEMPORARY);
    let outcome = of_host(&left.join(OUTCOME), OUTCOME_MAX_BYTES);
    let transcript = of_host(&left.join(TRANSCRIPT), TRANSCRIPT_MAX_BYTES);
    for (what, file, content) in [
        ("outcome", outcome_file(&order.dir), outcome),
        ("transcript", transcript_file(&order.dir), transcript),
    ] {
        let kept = match content {
            Ok(bytes) => {
                let text = redactor.redact(&String::from_utf8_lossy(&bytes)).into_owned();
                note::write_text(&order.dir, &file, &text).map_err(|error| error_chain(&error))
            }
            Err(Unusable::Missing) => Ok(()),
            Err(unusable) => Err(unusable.why()),
        };
        if let Err(problem) = kept {
            complain(&format!("the agent's {what} is not kept: {problem}"));
        }
    }
}

/// Ends what the agent has left, wherever it went: the rest of its scope, and every process that has
/// no other parent any more.
async fn end_leftovers(order: &Keep) {
    let (tries, pause) = PURSUITS;
    for _ in 0..tries {
        kill_scope(&order.dir);
        let left = children_of(std::process::id().cast_signed());
        if left.is_empty() {
            return;
        }
        for child in left.into_iter().map(Pid::from_raw) {
            let _gone = kill(child, Signal::SIGKILL);
            let _not_yet = waitpid(child, Some(WaitPidFlag::WNOHANG));
        }
        sleep(pause).await;
    }
    complain("processes of the agent are left that do not end");
}

/// Standard error is a file beside the notes.
#[expect(clippy::print_stderr, reason = "there is no other log")]
fn complain(text: &str) {
    eprintln!("{text}");
}

/// The agent's process group: what is left of it is killed at the end, however that comes.
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

fn code(status: ExitStatus) -> i64 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.map_or(-1, i64::from)
}

impl HostNote {
    /// The end as the engine would tell that of a container.
    pub(crate) fn facts(code: i64, out_of_memory: bool) -> ExitFacts {
        ExitFacts { code, out_of_memory, error: String::new() }
    }
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
