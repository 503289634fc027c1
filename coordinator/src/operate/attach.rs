//! A shell in the container of a running job. What the agent got as its job document is neither in the
//! container's environment nor in the shell's.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::pending;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{sleep, timeout};

use super::OperateError;
use crate::config::Screen;
use crate::engine::{
    ContainerRef, ContainerState, Engine, EngineError, Session, SessionCommand, SessionInput,
    SessionOutput, SessionSpec,
};
use crate::explain::find::{FindError, Found, find};
use crate::keeper::{read_keeper, read_runner, unit_of};
use crate::ledger::{Record, Stage};
use crate::terminal::RawTerminal;

/// Whose shell it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// That of the user as whom the coding CLI runs.
    Worker,
    Root,
}

/// The user of the agent's image as whom the coding CLI runs.
const WORKER: &str = "agent";

/// The best shell that an image has.
const SHELL: [&str; 3] = ["sh", "-c", "command -v bash >/dev/null 2>&1 && exec bash; exec sh"];

/// What a shell says that could not be begun, for want of its user or of itself.
const NOT_BEGUN: [i64; 2] = [126, 127];

/// What an engine says of a user that an image does not have.
const NO_USER: &str = "unable to find user";

/// What ends a shell that reads, whatever was typed before: an interrupt, and the end of the input.
/// Closing the connection ends no command that has a terminal of its own.
const FAREWELL: &[u8] = b"\x03\x04";

/// How long a shell is told to end, and how often: one that is just beginning, or that an interrupt has just
/// reached, may throw away what it was sent.
const FAREWELL_PATIENCE: Duration = Duration::from_secs(3);
const FAREWELL_AGAIN: Duration = Duration::from_millis(200);

/// Whether the operator has typed anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Typed {
    Nothing,
    Something,
}

/// Who left first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Shell,
    Operator,
}

/// Where a job can be looked into.
#[derive(Debug)]
pub(crate) enum Attachable {
    Container(ContainerRef),
    /// On this host there is nothing to enter: what to look at.
    Host(String),
}

/// No shell was had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttachError {
    #[error(transparent)]
    Find(#[from] FindError),
    #[error("job {job} has ended, and its container with it: coordinator explain {job}")]
    Ended { job: api_client::JobId },
    #[error("the agent of job {job} is not started yet: try again")]
    NotStarted { job: api_client::JobId },
    #[error(
        "standard input is no terminal; at one, run this command, or: docker exec -it --user {user} \
         {container} sh"
    )]
    NoTerminal { user: &'static str, container: ContainerRef },
    #[error("the terminal cannot be used")]
    Terminal(#[source] io::Error),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(
        "no shell could be begun in {container} as {user} (exit {code}); another image may lack that \
         user: --root"
    )]
    NoShell { container: ContainerRef, user: &'static str, code: i64 },
}

impl Whose {
    const fn user(self) -> &'static str {
        match self {
            Self::Worker => WORKER,
            Self::Root => "root",
        }
    }
}

/// Where the running job with this name is.
pub(crate) fn attachable(state_dir: &Path, name: &str) -> Result<Attachable, AttachError> {
    let Found { job, record, .. } = find(state_dir, name)?;
    let Some(Record { stage, container, .. }) = record else {
        return Err(AttachError::Ended { job });
    };
    match stage {
        Stage::InContainer { .. } => {
            Ok(Attachable::Container(container.unwrap_or_else(|| ContainerRef::of(job))))
        }
        Stage::OnHost { notes: Some(notes), .. } => Ok(Attachable::Host(on_host(&notes))),
        Stage::OnHost { notes: None, .. } | Stage::Claimed => Err(AttachError::NotStarted { job }),
        Stage::Ended { .. } => Err(AttachError::Ended { job }),
    }
}

/// What to look at of an agent on this host.
fn on_host(notes: &Path) -> String {
    let pid = |process: Option<crate::ledger::HostProcess>| {
        process.map_or_else(|| "not known".to_owned(), |process| process.pid.to_string())
    };
    format!(
        "it runs on this host, without a container\n\
         keeper     pid {}\n\
         agent      pid {} (ls -l /proc/PID/cwd shows where it works)\n\
         scope      {}.scope, where systemd gives scopes (systemctl status)\n\
         folder     {}",
        pid(read_keeper(notes)),
        pid(read_runner(notes)),
        unit_of(notes),
        notes.display()
    )
}

/// Gives the operator a shell in a container, until it ends or the operator's side does.
pub(crate) async fn attach(
    engine: &Engine,
    container: &ContainerRef,
    whose: Whose,
    screen: &Screen,
) -> Result<(), AttachError> {
    let user = whose.user();
    if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        return Err(AttachError::NoTerminal { user, container: container.clone() });
    }
    // What is wrong with the container is better said before the terminal is taken.
    if engine.state(container).await? != ContainerState::Running {
        let problem = io::Error::other("its container does not run any more");
        return Err(AttachError::Terminal(problem));
    }
    // Before there is a shell that somebody has to end.
    let cut_off = CutOff::listen().map_err(AttachError::Terminal)?;
    let terminal = screen.terminal.as_deref().unwrap_or("xterm");
    let spec = SessionSpec { command: &SHELL, user, terminal };
    let no_shell = |code| AttachError::NoShell { container: container.clone(), user, code };
    let session = engine.session(container, spec).await;
    let mut session = session.map_err(|error| {
        // Later engines say so at once, earlier ones by the exit code.
        if error.to_string().contains(NO_USER) { no_shell(NOT_BEGUN[0]) } else { error.into() }
    })?;
    let typed = converse(&mut session, cut_off).await.map_err(AttachError::Terminal)?;
    match session.command.code().await {
        // Of a shell that was used it is the end of the last command.
        Some(code) if NOT_BEGUN.contains(&code) && typed == Typed::Nothing => Err(no_shell(code)),
        _ => Ok(()),
    }
}

/// Hands on what either side says, each way by itself: a program that reads nothing hides nothing that is
/// printed, and keeps no operator from leaving.
async fn converse(session: &mut Session, mut cut_off: CutOff) -> io::Result<Typed> {
    let terminal = RawTerminal::take()?;
    let typed = Cell::new(Typed::Nothing);
    let Session { command, output, input } = session;
    // Before anything is typed that asks for it.
    tell_size(&terminal, command).await;
    let left = tokio::select! {
        shown = show(output) => shown.map(|()| Left::Shell),
        read = hand_on(&terminal, input, &typed) => read.map(|()| Left::Operator),
        never = follow_size(&terminal, command) => never.map(|never| match never {}),
        () = cut_off.wait() => Ok(Left::Operator),
    };
    // Also where the terminal is gone before anybody says so.
    if !matches!(left, Ok(Left::Shell)) {
        // An engine that does not take it leaves the shell to the end of the container.
        let _ended = timeout(FAREWELL_PATIENCE, end_shell(output, input)).await;
    }
    left.map(|_| typed.get())
}

/// Tells the shell to end until it has.
async fn end_shell(output: &mut SessionOutput, input: &mut SessionInput) {
    let tell = async {
        while input.write(FAREWELL).await.is_ok() {
            sleep(FAREWELL_AGAIN).await;
        }
    };
    let ended = async { while output.next().await.is_some() {} };
    tokio::select! {
        () = tell => {}
        () = ended => {}
    }
}

/// The signals by which an operator is cut off.
struct CutOff(Signal, Signal);

impl CutOff {
    fn listen() -> io::Result<Self> {
        Ok(Self(signal(SignalKind::terminate())?, signal(SignalKind::hangup())?))
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}

async fn show(output: &mut SessionOutput) -> io::Result<()> {
    while let Some(piece) = output.next().await {
        let mut stdout = io::stdout().lock();
        stdout.write_all(&piece)?;
        stdout.flush()?;
    }
    Ok(())
}

async fn hand_on(
    terminal: &RawTerminal,
    input: &mut SessionInput,
    typed: &Cell<Typed>,
) -> io::Result<()> {
    let mut keys = [0; 4_096];
    loop {
        match terminal.read(&mut keys).await? {
            0 => return Ok(()),
            length => {
                typed.set(Typed::Something);
                input.write(&keys[..length]).await?;
            }
        }
    }
}

async fn follow_size(terminal: &RawTerminal, command: &SessionCommand) -> io::Result<Infallible> {
    let mut resized = signal(SignalKind::window_change())?;
    while resized.recv().await.is_some() {
        tell_size(terminal, command).await;
    }
    pending().await
}

async fn tell_size(terminal: &RawTerminal, command: &SessionCommand) {
    if let Some(size) = terminal.size() {
        command.resize(size).await;
    }
}

impl From<AttachError> for OperateError {
    fn from(error: AttachError) -> Self {
        Self::Attach(error)
    }
}
