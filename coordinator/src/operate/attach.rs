//! A shell in the container of a running job. What the agent got as its job document is neither in the
//! container's environment nor in the shell's.

mod shell;

use std::convert::Infallible;
use std::future::pending;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use tokio::signal::unix::{Signal, SignalKind, signal};

use self::shell::{NotBegun, Shell};
use super::OperateError;
use crate::config::Screen;
use crate::engine::{
    ContainerRef, ContainerState, Engine, EngineError, Session, SessionCommand, SessionInput,
    SessionOutput,
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
        "no shell could be begun in {container} as {user} ({said}); another image may lack that user: --root"
    )]
    NoShell { container: ContainerRef, user: &'static str, said: String },
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
    let kind = screen.terminal.as_deref().unwrap_or("xterm");
    let shell = Shell::begin(engine, container, user, kind).await;
    let mut shell = shell.map_err(|problem| match problem {
        NotBegun::Engine(error) => error.into(),
        NotBegun::Unfit(said) => AttachError::NoShell { container: container.clone(), user, said },
    })?;
    let left = converse(&mut shell.session).await;
    shell.end().await;
    left.map_err(AttachError::Terminal)
}

/// Hands on what either side says until one of them leaves, each way by itself: a program that reads nothing hides
/// nothing that is printed, and keeps no operator from leaving.
async fn converse(session: &mut Session) -> io::Result<()> {
    // Before there is a terminal that somebody has to give back.
    let mut cut_off = CutOff::listen()?;
    let terminal = RawTerminal::take()?;
    let Session { command, output, input } = session;
    // Before anything is typed that asks for it.
    tell_size(&terminal, command).await;
    tokio::select! {
        shown = show(output) => shown,
        read = hand_on(&terminal, input) => read,
        never = follow_size(&terminal, command) => never.map(|never| match never {}),
        () = cut_off.wait() => Ok(()),
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

async fn hand_on(terminal: &RawTerminal, input: &mut SessionInput) -> io::Result<()> {
    let mut keys = [0; 4_096];
    loop {
        match terminal.read(&mut keys).await? {
            0 => return Ok(()),
            length => input.write(&keys[..length]).await?,
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
