//! One coding CLI and its task: write a file, and say that it is written.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use api_client::{Secret, error_chain};
use git2::{Repository, RepositoryInitOptions, Signature};
use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

use super::model::{Calls, ScriptedModel};
use super::script;
use crate::model_gateway::{Budget, ModelGateway, ModelGatewayConfig, ModelGatewayError, Spent};
use crate::redaction::Redaction;
use crate::settings::{ChatModel, OwnModel, Provider, WorkerCli, WorkerKind, WorkerSettings};
use crate::user::WorkerUser;
use crate::user::ownership::give_tree;
use crate::worker::{Ending, Place, TurnReport, Worker, WorkerError};

/// How long a CLI has for its task. It takes seconds where it works.
const TURN_LIMIT: Duration = Duration::from_secs(120);

/// How long it may be silent.
const STALL_LIMIT: Duration = Duration::from_secs(60);

/// The name of the model.
const MODEL: &str = "doctor";

/// Author of commits, of which there will be none.
const AUTHOR: (&str, &str) = ("Doctor", "doctor@localhost");

/// Where a CLI is examined.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ground<'g> {
    pub(super) user: Option<&'g WorkerUser>,
    pub(super) plain: &'g [(String, String)],
}

/// What was found of one CLI.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Diagnosis {
    /// Its name in `WORKER_MODE`.
    pub(super) worker: &'static str,
    /// Its version, as it says.
    pub(super) version: Option<String>,
    /// From its start to its first request, in milliseconds.
    pub(super) start_millis: Option<u64>,
    /// The whole task, in milliseconds.
    pub(super) total_millis: Option<u64>,
    /// Requests to its model.
    pub(super) calls: u32,
    /// What came of it.
    pub(super) result: Health,
    /// Why it is no pass.
    pub(super) reason: Option<String>,
}

/// What came of an examination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Health {
    /// It did its task.
    Pass,
    /// It did not.
    Fail,
    /// It is not there.
    NotInstalled,
}

/// A CLI could not be examined.
#[derive(Debug, thiserror::Error)]
enum ExaminationError {
    #[error("cannot make a folder to work in")]
    Folder(#[source] io::Error),
    #[error("cannot make a repository to work in")]
    Repository(#[source] git2::Error),
    #[error("the doctor's model cannot listen on this machine")]
    Model(#[source] io::Error),
    #[error("the address of the doctor's model is no URL")]
    Address(#[from] url::ParseError),
    #[error(transparent)]
    Gateway(#[from] ModelGatewayError),
    #[error(transparent)]
    Worker(#[from] WorkerError),
}

/// Examines one CLI.
pub(super) async fn examine(
    kind: WorkerKind,
    ground: &Ground<'_>,
    redaction: Redaction,
    cancel: &CancellationToken,
) -> Diagnosis {
    let mut diagnosis = Diagnosis {
        worker: kind.name(),
        version: None,
        start_millis: None,
        total_millis: None,
        calls: 0,
        result: Health::Fail,
        reason: None,
    };
    if let Err(error) = try_to(kind, ground, redaction, cancel, &mut diagnosis).await {
        diagnosis.reason = Some(error_chain(&error));
    }
    diagnosis
}

async fn try_to(
    kind: WorkerKind,
    ground: &Ground<'_>,
    redaction: Redaction,
    cancel: &CancellationToken,
    diagnosis: &mut Diagnosis,
) -> Result<(), ExaminationError> {
    let folder = tempfile::Builder::new().prefix("agent-doctor-").tempdir();
    let folder = folder.map_err(ExaminationError::Folder)?;
    let tree = folder.path().join("tree");
    make_tree(&tree, ground.user)?;
    let model = ScriptedModel::listen(&tree).await.map_err(ExaminationError::Model)?;
    let settings = settings(kind, model.url()?);
    let placeholder = Secret::from(format!("doctor-{}", Uuid::new_v4().simple()));
    let config = ModelGatewayConfig::of(&settings, placeholder.clone(), Spent::default());
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let gateway = ModelGateway::listen(address, config, cancel.clone()).await?;
    let place = Place {
        tree: &tree,
        private: folder.path(),
        plain: ground.plain,
        docker_host: None,
        author: AUTHOR,
        user: ground.user,
    };
    let settings = settings.by_way_of(gateway.base_url(), placeholder);
    let mut worker = Worker::prepare(&settings, &place, redaction)?;
    if !worker.is_installed() {
        diagnosis.result = Health::NotInstalled;
        return Ok(());
    }
    diagnosis.version = worker.version().await;
    let began = Instant::now();
    let turn = worker.turn(prompt(), cancel).await;
    diagnosis.total_millis = Some(millis(began.elapsed()));
    let _counted_by_the_model = gateway.shutdown().await;
    let calls = model.calls();
    diagnosis.calls = calls.count;
    diagnosis.start_millis = calls.first.map(|first| millis(first.duration_since(began)));
    diagnosis.reason = complaint(&turn?, calls, &tree);
    if diagnosis.reason.is_none() {
        diagnosis.result = Health::Pass;
    }
    Ok(())
}

/// What is wrong, if something is.
fn complaint(turn: &TurnReport, calls: Calls, tree: &Path) -> Option<String> {
    if turn.ending != Ending::Finished {
        return Some(turn.ending.to_string());
    }
    if calls.count == 0 {
        return Some("it ended well and never asked its model".to_owned());
    }
    match std::fs::read_to_string(tree.join(script::FILE)) {
        Ok(text) if text.trim() == script::CONTENT.trim() => None,
        Ok(_) => Some(format!("it ended well, and {} is not what was asked for", script::FILE)),
        Err(error) => Some(format!("it ended well and did not write {}: {error}", script::FILE)),
    }
}

fn prompt() -> String {
    let (file, content) = (script::FILE, script::CONTENT.trim());
    format!("Write a file {file} in the root of this repository. Its only line is: {content}\n")
}

fn settings(kind: WorkerKind, endpoint: Url) -> WorkerSettings {
    let chat = |endpoint| ChatModel { endpoint, model: MODEL.to_owned() };
    let own = |endpoint| OwnModel { endpoint, model: Some(MODEL.to_owned()) };
    let cli = match kind {
        WorkerKind::OpenCode => WorkerCli::OpenCode(chat(endpoint)),
        WorkerKind::ClaudeCode => WorkerCli::ClaudeCode(own(endpoint)),
        WorkerKind::Codex => WorkerCli::Codex(own(endpoint)),
        WorkerKind::Gemini => WorkerCli::Gemini(own(endpoint)),
        WorkerKind::Aider => WorkerCli::Aider(chat(endpoint)),
    };
    WorkerSettings {
        cli,
        provider: Provider::Other,
        key: Secret::from("no-key-is-needed"),
        fallback: None,
        models: None,
        budget: Budget::default(),
        turn_limit: TURN_LIMIT,
        stall_limit: STALL_LIMIT,
    }
}

/// A repository with one commit, which the worker may write to.
fn make_tree(tree: &Path, user: Option<&WorkerUser>) -> Result<(), ExaminationError> {
    std::fs::create_dir(tree).map_err(ExaminationError::Folder)?;
    std::fs::write(tree.join("README.md"), "# A patient\n").map_err(ExaminationError::Folder)?;
    let commit = || {
        let mut options = RepositoryInitOptions::new();
        options.external_template(false).initial_head("main");
        let repository = Repository::init_opts(tree, &options)?;
        let mut index = repository.index()?;
        index.add_path(Path::new("README.md"))?;
        index.write()?;
        let files = repository.find_tree(index.write_tree()?)?;
        let by = Signature::now(AUTHOR.0, AUTHOR.1)?;
        repository.commit(Some("HEAD"), &by, &by, "A patient", &files, &[])
    };
    commit().map_err(ExaminationError::Repository)?;
    match user {
        Some(user) => give_tree(tree, user.owner()).map(drop).map_err(ExaminationError::Folder),
        None => Ok(()),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
