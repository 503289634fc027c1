//! The coding CLI: a turn goes in as text, typed events and a typed ending come out.
//!
//! Invariant: nothing here knows of forges, of the app, or of their secrets. Each CLI is one file
//! behind [`Adapter`]; how a process is run, watched and ended is the same for all (`process`).

mod adapter;
mod aider;
mod cache;
mod claude_code;
mod codex;
mod command;
mod ending;
mod environment;
mod escapes;
mod event;
mod gemini;
mod hidden;
mod kept;
mod lines;
mod listener;
mod opencode;
mod process;
mod push_guard;
mod replay;
#[cfg(test)]
mod tests;
mod transcript;
mod version;
mod words;

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

pub(crate) use self::cache::FOLDER as CACHE_FOLDER;
pub(crate) use self::command::{CommandEnd, CommandReport};
pub(crate) use self::ending::Ending;
pub(crate) use self::kept::{KeptSession, SessionError};
pub(crate) use self::listener::TurnReport;
pub(crate) use self::replay::{Replayed, Session as ReplaySession};
pub(crate) use self::transcript::{RecordedTurn, Transcript, TranscriptError, turns_of};
pub(crate) use self::version::version_in;

use self::adapter::{Adapter, PromptBy, Turn};
use self::aider::Aider;
use self::claude_code::ClaudeCode;
use self::codex::Codex;
use self::environment::Ground;
use self::gemini::Gemini;
use self::hidden::Hidden;
use self::listener::{Heard, Listener, Memory};
use self::opencode::OpenCode;
use self::process::{Invocation, Limits};
use self::push_guard::PushGuard;
use self::transcript::TurnBegun;
use self::version::Question;
use crate::model_gateway::{ShutOutWatch, Totals};
use crate::redaction::Redaction;
use crate::settings::{WorkerCli, WorkerSettings};
use crate::user::ownership::give_tree;
use crate::user::{WorkerUser, find_program};

/// The prompt, for a CLI that wants it in a file; beside its home.
const PROMPT_FILE: &str = "prompt.md";

/// What the CLI wrote in its last turn, beside its home.
const RAW_FILE: &str = "last-turn.jsonl";

/// How much of one event the log shows, in bytes.
const LOGGED_MAX: usize = 500;

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
    /// The repository's settings for it could not be kept from it.
    #[error("cannot hide the repository's settings for {program}")]
    Hide {
        /// The CLI.
        program: &'static str,
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
    /// The same without what is the CLI's own, for the repository's commands.
    surroundings: Vec<(OsString, OsString)>,
    tree: PathBuf,
    user: Option<WorkerUser>,
    limits: Limits,
    redaction: Redaction,
    home: PathBuf,
    memory: Memory,
    begun: TurnBegun,
    transcript: Transcript,
    tools: Option<ToolWatch>,
    shut_out: ShutOutWatch,
}

/// Is told of each tool that the CLI says it used, in a line without any known secret. It must not wait.
pub(crate) type ToolWatch = Arc<dyn Fn(&str) + Send + Sync>;

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
        let surroundings = environment::build(&Ground {
            plain: place.plain,
            home: &home,
            temporary: &temporary,
            caches: &cache::usable(Path::new(CACHE_FOLDER), place.user),
            push_guard: &push_guard,
            docker_host: place.docker_host,
            author: place.author,
        });
        let mut environment = surroundings.clone();
        environment.extend(adapter.environment(&home));
        Ok(Self {
            adapter,
            environment,
            surroundings,
            tree: place.tree.to_owned(),
            user: place.user.cloned(),
            limits: Limits { turn: settings.turn_limit, stall: settings.stall_limit },
            redaction,
            home,
            memory: Memory::default(),
            begun: TurnBegun::of(settings),
            transcript: Transcript::default(),
            tools: None,
            shut_out: ShutOutWatch::never(),
        })
    }

    /// The same, whose turns are taken down there.
    pub(crate) fn taken_down_in(self, transcript: Transcript) -> Self {
        Self { transcript, ..self }
    }

    /// The same, whose tools are told of.
    pub(crate) fn watched_by(self, tools: ToolWatch) -> Self {
        Self { tools: Some(tools), ..self }
    }

    /// The same, whose turns end where the CLI waits out a limit of its model without a word.
    pub(crate) fn ended_when_shut_out(self, shut_out: ShutOutWatch) -> Self {
        Self { shut_out, ..self }
    }

    /// Whether its program can be found.
    pub(crate) fn is_installed(&self) -> bool {
        find_program(self.adapter.program().as_ref(), &self.environment).is_ok()
    }

    /// Its version, as it says itself within some seconds. The answer may be waited for while a turn goes on.
    pub(crate) fn version(&self) -> impl Future<Output = Option<String>> + Send + use<> {
        let program = find_program(self.adapter.program().as_ref(), &self.environment);
        let (environment, home, user) =
            (self.environment.clone(), self.home.clone(), self.user.clone());
        async move { Question { program: program.ok()?, environment, home, user }.ask().await }
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
        let failed = |source| WorkerError::Run { program, source };
        let (prompt, prompt_file) = match self.adapter.prompt_by() {
            PromptBy::StandardInput => (prompt, None),
            PromptBy::File => (String::new(), Some(self.write_prompt(&prompt)?)),
        };
        let turn = Turn {
            session: self.memory.session.as_deref(),
            home: &self.home,
            prompt_file: prompt_file.as_deref(),
        };
        let invocation = Invocation {
            program: self.adapter.executable(&self.environment).map_err(failed)?,
            arguments: self.adapter.arguments(&turn),
            environment: self.environment.clone(),
            directory: self.tree.clone(),
            user: self.user.clone(),
            prompt,
            redaction: self.redaction.clone(),
            shut_out: self.shut_out.clone(),
        };
        let mut listener =
            Listener::new(self.adapter.reader(), self.memory.clone(), self.redaction.clone());
        listener.watched_by(self.tools.clone());
        self.transcript.begin(&self.begun);
        let transcript = self.transcript.clone();
        let mut on_line = |line: &str| {
            transcript.line(line);
            listener.hear(line)
        };
        let hidden = Hidden::within(&self.tree, self.adapter.hidden());
        let _hidden = hidden.map_err(|source| WorkerError::Hide { program, source })?;
        let finished = process::run(invocation, self.limits, cancel, &mut on_line);
        let finished = finished.await.map_err(failed)?;
        tracing::debug!(?finished.stop, ?finished.counts, "worker ended");
        let Heard { report, memory, raw } = listener.report(&finished, self.limits);
        self.memory = memory;
        self.transcript.process_ended(finished);
        // For whoever looks into the folder of a job; a run does not depend on it.
        if let Err(error) = std::fs::write(self.home.with_file_name(RAW_FILE), raw) {
            tracing::warn!(%error, "what {program} wrote could not be kept in {RAW_FILE}");
        }
        Ok(report)
    }

    /// A turn that is over, with the calls of its model as its gateway counted them.
    pub(crate) fn conclude(&self, turn: TurnReport, calls: Totals) -> TurnReport {
        let turn = turn.after(calls);
        self.transcript.end(&self.begun, &turn);
        turn
    }

    /// Writes the prompt where the worker's user may read and not write.
    fn write_prompt(&self, prompt: &str) -> Result<PathBuf, WorkerError> {
        let path = self.home.with_file_name(PROMPT_FILE);
        match std::fs::write(&path, prompt) {
            Ok(()) => Ok(path),
            Err(source) => Err(WorkerError::Home { program: self.adapter.program(), path, source }),
        }
    }
}

fn adapter(settings: &WorkerSettings) -> Box<dyn Adapter> {
    let key = settings.key.clone();
    match settings.cli.clone() {
        WorkerCli::OpenCode(model) => Box::new(OpenCode::new(model, key)),
        WorkerCli::ClaudeCode(model) => Box::new(ClaudeCode::new(model, key, settings.provider)),
        WorkerCli::Codex(model) => Box::new(Codex::new(model, key)),
        WorkerCli::Gemini(model) => Box::new(Gemini::new(model, key)),
        WorkerCli::Aider(model) => Box::new(Aider::new(&model, key)),
    }
}

fn private_folder(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}
