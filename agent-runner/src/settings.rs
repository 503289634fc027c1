//! Settings, in one place: their names, defaults, and what is allowed.
//!
//! They are read in two stages. [`Start`] is what it takes to speak to the app; [`Settings`] is the
//! rest, for which the app's own settings count as well, and, once it is there, the repository's project
//! file ([`Settings::heed`]). Precedence: environment, job document, the app's settings, project file,
//! default; a blank value counts as not set.

mod director;
mod document;
mod egress;
mod handover;
mod layers;
mod memory;
mod model;
mod network;
mod origin;
mod project;
mod review;
mod trace;
mod trust;
mod worker;

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use api_client::contract::{DOCKER_RUN_ERROR_MAX_CHARS, env};
use api_client::{JobId, ReviewAuthors, Secret};
use url::Url;

pub(crate) use self::director::{DirectorModel, DirectorProvider, DirectorSettings};
pub(crate) use self::document::DocumentError;
pub(crate) use self::handover::{Handover, PLAIN_NAMES};
pub(crate) use self::layers::{Layer, Layers};
pub(crate) use self::memory::MemoryUse;
pub(crate) use self::network::{gateway_proxies, identity, proxies};
pub(crate) use self::origin::{AppTicket, Hold, Origin};
pub(crate) use self::trace::{collector, secrets_of_headers, trace_parent};
pub(crate) use self::worker::{
    ChatModel, OwnModel, Provider, WORKER_STALL_SEC, WorkerCli, WorkerKind, WorkerSettings,
};

use crate::cli::Kind;
use crate::forge::ForgeKind;
use crate::git::{InvalidRepoUrl, RepoUrl};
use crate::logging::LogForm;

/// The Docker engine for the worker, where `AGENT_DOCKER_MODE` is `dood`.
pub(crate) const DOCKER_HOST: &str = "DOCKER_HOST";
/// The filter of the log, in the form of `RUST_LOG`, which wins over it.
pub(crate) const LOG_LEVEL: &str = "LOG_LEVEL";
/// The filter of the log.
pub(crate) const RUST_LOG: &str = "RUST_LOG";

/// The name of the forge's token in the app's settings.
const APP_FORGE_TOKEN: &str = "github_agent_token";

const DEFAULT_AUTHOR_NAME: &str = "Terarchitect Agent";
const DEFAULT_AUTHOR_EMAIL: &str = "agent@terarchitect.local";

/// A setting cannot be used. The message names it, where it came from, and what is allowed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// Not set anywhere.
    #[error("{name} is not set: {purpose}")]
    Missing {
        /// The setting.
        name: &'static str,
        /// What it is needed for.
        purpose: &'static str,
    },
    /// Set to something that is not allowed.
    #[error("{name} ({from}) {problem}")]
    Invalid {
        /// The setting.
        name: String,
        /// Where the value came from.
        from: Layer,
        /// What is wrong and what is allowed.
        problem: String,
    },
    /// `TERARCHITECT_JOB_DOCUMENT` names no place we know.
    #[error("TERARCHITECT_JOB_DOCUMENT (from the environment) must be \"stdin\", got {text:?}")]
    DocumentSource {
        /// The value.
        text: String,
    },
    /// The job document has no end in sight.
    #[error("the job document on standard input is longer than {max} bytes")]
    DocumentTooLong {
        /// The limit.
        max: usize,
    },
    /// The job document is something else.
    #[error(
        "the job document on standard input must be one JSON object whose values are strings \
         (wrong at line {line}, column {column})"
    )]
    Document {
        /// Where the reading stopped.
        line: usize,
        /// Where the reading stopped.
        column: usize,
    },
}

/// What can be known before the app was asked.
#[derive(Debug)]
pub(crate) struct Start {
    /// The id of the job in the app's queue, when it has one.
    pub(crate) job: Option<JobId>,
    /// The pull request that is to be answered; nothing where there is a ticket to be done.
    pub(crate) pull_request: Option<u64>,
    /// Where the work is described.
    pub(crate) origin: Origin,
    /// Which Docker the worker may use.
    pub(crate) docker: DockerMode,
    /// Why this runs on the host instead of in a container, when that is so.
    pub(crate) docker_run_error: Option<String>,
}

/// Which Docker the worker may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DockerMode {
    /// An engine within this container, started when it is first used.
    Dind,
    /// The same in a container that is not privileged and has the capabilities that the engine needs.
    DindCaps,
    /// The same as the worker's user, in a container without such capabilities.
    DindRootless,
    /// The engine that is given: a mounted socket or `DOCKER_HOST`.
    Dood,
    /// None.
    None,
}

/// What becomes of the images of an engine within this container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InnerLayers {
    /// They go with the container.
    Fresh,
    /// They are in a volume, for the project's next job.
    Kept,
}

/// Whether repositories are kept for the next job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GitMirrors {
    /// In the cache volume.
    Kept,
    /// They are not.
    None,
}

/// Everything else that a run needs.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The repository.
    pub(crate) repo_url: RepoUrl,
    /// A copy of it on this machine to work from, in a worktree.
    pub(crate) workspace: Option<PathBuf>,
    /// Token of the forge.
    pub(crate) token: Secret,
    /// What seals the notes of a review in its pull request.
    pub(crate) review_key: Secret,
    /// Where a new token may come, while the run lasts.
    pub(crate) refresh_socket: Option<PathBuf>,
    /// Which forge the repository is on, where that is said.
    pub(crate) forge: Option<ForgeKind>,
    /// Base URL of the forge's REST API, where it is not the usual one.
    pub(crate) forge_api: Option<Url>,
    /// Name of the author of commits.
    pub(crate) author_name: String,
    /// E-mail address of the author of commits.
    pub(crate) author_email: String,
    /// Whether unfinished work is saved on a branch of its own, where that was said.
    pub(crate) rescue: Option<bool>,
    /// Whether the project's memory is used.
    pub(crate) memory: MemoryUse,
    /// The coding CLI.
    pub(crate) worker: WorkerSettings,
    /// The Director, where there is one.
    pub(crate) director: Option<DirectorSettings>,
    /// Whose comments a review job answers.
    pub(crate) review_authors: ReviewAuthors,
    /// Where a run that does not come to its end leaves what the next one needs to go on.
    pub(crate) state_dir: Option<PathBuf>,
    /// How long set-up, turns and checks may take together, where that is limited.
    pub(crate) time_budget: Option<Duration>,
}

impl FromStr for DockerMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "dind" => Ok(Self::Dind),
            "dind-caps" => Ok(Self::DindCaps),
            "dind-rootless" => Ok(Self::DindRootless),
            "dood" => Ok(Self::Dood),
            "none" => Ok(Self::None),
            _ => Err(format!(
                "must be one of dind, dind-caps, dind-rootless, dood, none, got {text:?}"
            )),
        }
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|kind| kind.name() == text);
        let allowed = Self::ALL.map(Self::name).join(", ");
        known.ok_or_else(|| format!("must be one of {allowed}, got {text:?}"))
    }
}

impl Start {
    /// Reads what the app is to be asked about. `kind` is the subcommand, when there was one.
    ///
    /// # Errors
    /// Of the first setting that cannot be used.
    pub(crate) fn read(layers: &Layers, kind: Option<Kind>) -> Result<Self, SettingsError> {
        network::judge_roots(layers)?;
        let named = layers.find(env::JOB_KIND).map(|found| found.parse());
        let limit = DOCKER_RUN_ERROR_MAX_CHARS;
        let kind = kind.map(Ok).or(named).transpose()?.unwrap_or(Kind::Ticket);
        Ok(Self {
            job: layers.find(env::JOB_ID).map(|id| id.parse()).transpose()?,
            pull_request: review::pull_request(layers, kind)?,
            origin: Origin::read(layers)?,
            docker: docker_mode(layers)?,
            docker_run_error: layers
                .find(env::DOCKER_RUN_ERROR)
                .map(|error| error.text().chars().take(limit).collect()),
        })
    }
}

impl Settings {
    /// Reads the rest, after the app's settings were added to `layers`. `app_repo_url` is the
    /// repository that the app names.
    ///
    /// # Errors
    /// Of the first setting that cannot be used.
    pub(crate) fn read(layers: &Layers, app_repo_url: Option<&str>) -> Result<Self, SettingsError> {
        let or_default = |name, default: &str| {
            layers.find(name).map_or_else(|| default.to_owned(), |found| found.text())
        };
        let workspace = layers.handed_over(env::AGENT_WORKSPACE);
        let token = forge_token(layers)?;
        Ok(Self {
            repo_url: repo_url(layers, app_repo_url)?,
            workspace: workspace.map(|path| path.directory()).transpose()?,
            review_key: review::key(layers, &token)?,
            token,
            refresh_socket: layers.handed_over(env::REFRESH_SOCKET).map(|path| path.text().into()),
            forge: layers.find(env::FORGE).map(|kind| kind.parse()).transpose()?,
            forge_api: layers.find(env::FORGE_API_URL).map(|url| url.url()).transpose()?,
            author_name: or_default(env::GIT_USER_NAME, DEFAULT_AUTHOR_NAME),
            author_email: or_default(env::GIT_USER_EMAIL, DEFAULT_AUTHOR_EMAIL),
            rescue: layers.find(env::AGENT_RESCUE).map(|rescue| rescue.switch()).transpose()?,
            memory: MemoryUse::read(layers)?,
            worker: WorkerSettings::read(layers)?,
            director: DirectorSettings::read(layers)?,
            review_authors: review::authors(layers)?,
            state_dir: layers.state_dir(),
            time_budget: director::time_budget(layers)?,
        })
    }
}

/// The form of the log, from the environment alone as well; pretty where it is something else.
pub(crate) fn log_form(handover: &Handover) -> LogForm {
    match handover.environment(env::LOG_FORMAT).map(|form| form.expose().trim()) {
        Some("json") => LogForm::Json,
        Some(_) | None => LogForm::Pretty,
    }
}

/// The ids of the job, the ticket and the project, as they were given.
pub(crate) fn log_ids(layers: &Layers) -> [Option<String>; 3] {
    let text = |name| layers.find(name).map(|id| id.text());
    [text(env::JOB_ID), text(env::TICKET_ID), text(env::PROJECT_ID)]
}

/// The filter of the log; read from the environment alone, since it is wanted before all else.
pub(crate) fn log_filter(handover: &Handover) -> Option<&str> {
    [RUST_LOG, LOG_LEVEL]
        .into_iter()
        .filter_map(|name| handover.environment(name))
        .find(|value| !value.is_blank())
        .map(Secret::expose)
}

/// The file for the outcome, where the environment names one: wanted also where a job document cannot
/// be read.
pub(crate) fn outcome_file_of(handover: &Handover) -> Option<PathBuf> {
    let file = handover.environment(env::OUTCOME_FILE).filter(|file| !file.is_blank());
    file.map(|file| PathBuf::from(file.expose().trim()))
}

/// The same, where the job document may name one as well.
pub(crate) fn outcome_file(layers: &Layers) -> Option<PathBuf> {
    layers.handed_over(env::OUTCOME_FILE).map(|file| PathBuf::from(file.text()))
}

/// The file for the transcript of the coding CLI, where one is wanted.
pub(crate) fn transcript_file(layers: &Layers) -> Option<PathBuf> {
    layers.handed_over(env::TRANSCRIPT_FILE).map(|file| PathBuf::from(file.text()))
}

/// The folder for what a run leaves to the next one of its ticket, where there is one.
pub(crate) fn state_dir(layers: &Layers) -> Option<PathBuf> {
    layers.state_dir()
}

/// The image that this runs in, where that was told.
pub(crate) fn image(layers: &Layers) -> Option<String> {
    layers.handed_over(env::AGENT_IMAGE).map(|image| image.text())
}

/// The job's id as it was given, for the line that says that the runner began.
pub(crate) fn job_label(layers: &Layers) -> String {
    let id = layers.find(env::JOB_ID).and_then(|id| id.parse::<JobId>().ok());
    id.map_or_else(|| "-".to_owned(), |id| id.to_string())
}

/// The engine that is handed to the worker.
pub(crate) fn docker_host(layers: &Layers) -> Option<String> {
    layers.handed_over(DOCKER_HOST).map(|host| host.text())
}

/// Whether the images of an engine of our own are kept: the coordinator says so to the one job that has
/// them.
pub(crate) fn inner_layers(layers: &Layers) -> InnerLayers {
    match layers.handed_over(env::AGENT_CACHE_DOCKER).map(|found| found.text()).as_deref() {
        Some("1") => InnerLayers::Kept,
        Some(_) | None => InnerLayers::Fresh,
    }
}

/// Whether mirrors of repositories are kept in the cache: the coordinator says so where no other project's
/// worker could come to read them.
pub(crate) fn git_mirrors(layers: &Layers) -> GitMirrors {
    match layers.handed_over(env::AGENT_CACHE_GIT).map(|found| found.text()).as_deref() {
        Some("1") => GitMirrors::Kept,
        Some(_) | None => GitMirrors::None,
    }
}

/// Without a mode, a given `DOCKER_HOST` is used and nothing else. An engine of its own is for a
/// container alone: on a host, its socket is that of the host's engine.
fn docker_mode(layers: &Layers) -> Result<DockerMode, SettingsError> {
    let Some(found) = layers.handed_over(env::AGENT_DOCKER_MODE) else {
        let given = layers.handed_over(DOCKER_HOST).is_some();
        return Ok(if given { DockerMode::Dood } else { DockerMode::None });
    };
    match found.parse()? {
        DockerMode::Dind | DockerMode::DindCaps | DockerMode::DindRootless
            if !layers.in_container() =>
        {
            tracing::warn!(
                "AGENT_DOCKER_MODE={} is treated as none: agent-runner is not the first process of a \
                 container",
                found.text()
            );
            Ok(DockerMode::None)
        }
        mode => Ok(mode),
    }
}

fn repo_url(layers: &Layers, app: Option<&str>) -> Result<RepoUrl, SettingsError> {
    if let Some(found) = layers.find(env::REPO_URL) {
        return found.parse();
    }
    let url = app.ok_or(SettingsError::Missing {
        name: env::REPO_URL,
        purpose: "the repository to work on, as an http or https URL",
    })?;
    url.parse().map_err(|error: InvalidRepoUrl| SettingsError::Invalid {
        name: "repo_url".to_owned(),
        from: Layer::App,
        problem: error.to_string(),
    })
}

/// A folder with prompts that replace ours. One of this machine is not the app's to name.
///
/// # Errors
/// When it is none.
pub(crate) fn prompts_folder(layers: &Layers) -> Result<Option<PathBuf>, SettingsError> {
    layers.handed_over(env::AGENT_PROMPTS_DIR).map(|folder| folder.directory()).transpose()
}

fn forge_token(layers: &Layers) -> Result<Secret, SettingsError> {
    let names = [env::GITHUB_TOKEN, env::GH_TOKEN, APP_FORGE_TOKEN];
    let found = layers.find_any(&names).ok_or(SettingsError::Missing {
        name: env::GITHUB_TOKEN,
        purpose: "the forge's token, to push the branch and open the pull request",
    })?;
    Ok(found.secret())
}

#[cfg(test)]
mod tests;
