//! The coding CLI: a turn goes in as text, typed events and a typed ending come out.
//!
//! Invariant: nothing here knows of forges, of the app, or of their secrets. Each CLI is one file
//! behind [`Adapter`]; how a process is run, watched and ended is the same for all (`process`).

mod cache;
mod claude_code;
mod environment;
mod event;
mod lines;
mod listener;
mod opencode;
mod process;
mod push_guard;

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

pub(crate) use self::cache::FOLDER as CACHE_FOLDER;
pub(crate) use self::event::Ending;
pub(crate) use self::listener::TurnReport;

use self::claude_code::ClaudeCode;
use self::environment::Ground;
use self::event::Event;
use self::listener::Listener;
use self::opencode::OpenCode;
use self::process::{Invocation, Limits};
use self::push_guard::PushGuard;
use crate::bounded::bounded;
use crate::redaction::Redaction;
use crate::settings::{WorkerCli, WorkerSettings};
use crate::user::WorkerUser;
use crate::user::ownership::give_tree;

/// How much of one event the log shows, in bytes.
const LOGGED_MAX: usize = 500;

/// What tells one CLI from another.
///
/// The prompt always goes to standard input, and what the CLI writes to standard output is read by
/// lines; `files` is for CLIs that take their settings from files in their home alone.
trait Adapter: Send + Sync {
    /// The name of its program.
    fn program(&self) -> &'static str;
    /// Files to write below the home before the first turn, with their text.
    fn files(&self) -> Vec<(PathBuf, String)> {
        Vec::new()
    }
    /// The arguments of a turn, in a new session or an earlier one. No secret, no prompt.
    fn arguments(&self, session: Option<&str>) -> Vec<OsString>;
    /// Its own variables, its own key among them.
    fn environment(&self, home: &Path) -> Vec<(OsString, OsString)>;
    /// A reader of the output of one turn.
    fn reader(&self) -> Box<dyn Reader>;
}

/// Understands the output of one turn.
trait Reader: Send {
    /// The events of one line. A line that is not understood is an event too, never an error.
    fn line(&mut self, line: &str) -> Vec<Event>;
    /// How the turn ended, now that the process is gone without having been stopped by us (except
    /// for outliving its own end).
    fn judge(&self, exit: &Exit<'_>) -> Ending;
}

/// How a process ended, for its judge.
#[derive(Debug)]
struct Exit<'x> {
    /// Nothing when it had to be ended after it said that the turn is over.
    status: Option<ExitStatus>,
    stderr: &'x str,
}

impl Exit<'_> {
    fn success(&self) -> bool {
        self.status.is_none_or(|status| status.success())
    }

    /// The ending of a process that failed and did not say why in its events.
    fn failure(&self) -> Ending {
        let signal = self.status.and_then(|status| status.signal());
        let code = self.status.and_then(|status| status.code());
        let last = self.stderr.lines().rev().map(str::trim).find(|line| !line.is_empty());
        match (signal, code, last) {
            (Some(signal), _, _) => Ending::Crashed(format!("ended by signal {signal}")),
            (None, Some(code), Some(last)) => Ending::Failed(format!("exit code {code}: {last}")),
            (None, Some(code), None) => Ending::Failed(format!("exit code {code}")),
            (None, None, last) => Ending::Crashed(last.unwrap_or("no exit code").to_owned()),
        }
    }
}

/// The coding CLI could not be used at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkerError {
    /// Its home could not be made.
    #[error("cannot prepare the home of {program} in {}", path.display())]
    Home {
        /// The CLI.
        program: &'static str,
        /// The folder or file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// It could not be run.
    #[error("cannot run {program}; is it installed and in PATH?")]
    Run {
        /// The CLI.
        program: &'static str,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

/// What a worker is given of the world.
#[derive(Debug)]
pub(crate) struct Place<'p> {
    /// The tree that it works in.
    pub(crate) tree: &'p Path,
    /// A private folder outside the tree, for its home and temporary files.
    pub(crate) private: &'p Path,
    /// Plain names and values of our own environment.
    pub(crate) plain: &'p [(String, String)],
    /// The Docker engine it may use.
    pub(crate) docker_host: Option<&'p str>,
    /// Name and e-mail address for commits that it makes by itself.
    pub(crate) author: (&'p str, &'p str),
    /// The user that it runs as, where that is another one than ours.
    pub(crate) user: Option<&'p WorkerUser>,
}

/// One coding CLI in one tree. Its turns form one session.
pub(crate) struct Worker {
    adapter: Box<dyn Adapter>,
    environment: Vec<(OsString, OsString)>,
    tree: PathBuf,
    user: Option<WorkerUser>,
    limits: Limits,
    redaction: Redaction,
    session: Option<String>,
}

impl Worker {
    /// Makes its home and temporary folder. `redaction` hides secrets in all that it says.
    ///
    /// # Errors
    /// When those cannot be made.
    pub(crate) fn prepare(
        settings: &WorkerSettings,
        place: &Place<'_>,
        redaction: Redaction,
    ) -> Result<Self, WorkerError> {
        let adapter = adapter(settings);
        let program = adapter.program();
        let (home, temporary) = (place.private.join("home"), place.private.join("tmp"));
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| WorkerError::Home { program, path, source }
        };
        for folder in [&home, &temporary] {
            private_folder(folder).map_err(failed(folder))?;
        }
        for (name, text) in adapter.files() {
            let path = home.join(name);
            private_folder(path.parent().unwrap_or(&home)).map_err(failed(&path))?;
            std::fs::write(&path, text).map_err(failed(&path))?;
        }
        let push_guard = PushGuard::write(place.private).map_err(failed(place.private))?;
        if let Some(user) = place.user {
            user.let_into(place.private).map_err(failed(place.private))?;
            for folder in [&home, &temporary] {
                give_tree(folder, user.owner()).map_err(failed(folder))?;
            }
        }
        let mut environment = environment::build(&Ground {
            plain: place.plain,
            home: &home,
            temporary: &temporary,
            caches: &cache::usable(Path::new(CACHE_FOLDER), place.user),
            push_guard: &push_guard,
            docker_host: place.docker_host,
            author: place.author,
        });
        environment.extend(adapter.environment(&home));
        Ok(Self {
            adapter,
            environment,
            tree: place.tree.to_owned(),
            user: place.user.cloned(),
            limits: Limits { turn: settings.turn_limit, stall: settings.stall_limit },
            redaction,
            session: None,
        })
    }

    /// Gives it a prompt and waits for the end of the turn; a later turn continues the session.
    ///
    /// # Errors
    /// When the CLI cannot be run. That its work failed is an ending, not an error.
    pub(crate) async fn turn(
        &mut self,
        prompt: String,
        cancel: &CancellationToken,
    ) -> Result<TurnReport, WorkerError> {
        let program = self.adapter.program();
        let invocation = Invocation {
            program: program.into(),
            arguments: self.adapter.arguments(self.session.as_deref()),
            environment: self.environment.clone(),
            directory: self.tree.clone(),
            user: self.user.clone(),
            prompt,
            redaction: self.redaction.clone(),
        };
        let mut listener = Listener::new(self.adapter.reader());
        let mut on_line = |line: &str| listener.hear(line);
        let finished = process::run(invocation, self.limits, cancel, &mut on_line)
            .await
            .map_err(|source| WorkerError::Run { program, source })?;
        tracing::debug!(?finished.stop, ?finished.counts, listener.unknown, "worker ended");
        self.session = listener.session.take().or(self.session.take());
        Ok(listener.report(finished, self.limits))
    }
}

fn adapter(settings: &WorkerSettings) -> Box<dyn Adapter> {
    let key = settings.key.clone();
    match settings.cli.clone() {
        WorkerCli::OpenCode { endpoint, model } => Box::new(OpenCode::new(&endpoint, model, key)),
        WorkerCli::ClaudeCode { endpoint, model } => {
            Box::new(ClaudeCode::new(endpoint.as_ref(), model, key))
        }
    }
}

fn private_folder(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// A text field; empty when it is absent or something else.
fn field<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

/// What a tool was used on, from its input, for people.
fn tool_target(input: &Value) -> String {
    const NAMES: [&str; 8] =
        ["filePath", "file_path", "path", "command", "pattern", "url", "query", "description"];
    let target = NAMES.iter().find_map(|name| input[*name].as_str());
    bounded(target.unwrap_or_default(), LOGGED_MAX)
}
