//! The configuration: the only place that reads the environment and the configuration file.
//!
//! Sources, the strongest first: flag, environment variable, TOML file, default. What is wrong is
//! collected, so that one start names every mistake. [`setting`] declares the settings.

mod agent;
mod agent_env;
mod combinations;
mod env_file;
mod environment;
mod error;
mod file;
mod health;
mod host_user;
mod image;
mod limits;
mod load;
mod log;
mod network;
mod notify;
mod overlay;
mod parse;
mod part;
mod read;
mod reference;
mod reload;
mod report;
mod runner;
mod secret;
mod secret_command;
mod setting;
mod source;
mod state_dir;
#[cfg(test)]
mod tests;
mod traces;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::iter;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use api_client::http::{Network, ProxySettings};
use api_client::wire::ExecutionMode;
use api_client::{ProjectId, Secret};
use url::Url;

pub(crate) use agent::{
    AgentConfig, CacheScope, ContainerLimits, DockerMode, DoodUse, Egress, EgressPolicy,
    ImageChoice, InnerLayers, JobNetwork, ModelGateway, OtherHosts, PullPolicy, RootFolder,
    SocketMount,
};
pub(crate) use env_file::{EnvFile, EnvFileError};
pub(crate) use environment::{Environment, Screen};
pub(crate) use error::ConfigErrors;
pub(crate) use health::HealthListen;
pub(crate) use host_user::HostUser;
pub(crate) use image::{ImageConfig, ImageUsage};
pub(crate) use limits::{
    BreakerConfig, KeepConfig, LimitsConfig, OnStop, ShutdownConfig, parse_time, positive_time,
};
pub(crate) use load::{USUAL_FILE, load};
pub(crate) use log::{JobOutput, LogConfig, LogFormat};
pub(crate) use network::{AgentProxies, proxy_url};
pub(crate) use notify::{NotifyConfig, NotifyOn};
pub(crate) use parse::{image as image_name, log_filter};
pub(crate) use part::{load_engine_host, load_images, load_state_dir};
pub(crate) use reference::whole as reference;
pub(crate) use reload::{Reloaded, reloaded};
pub(crate) use report::{Form, Report, print};
pub(crate) use setting::{Kind, Preset, Setting, all as settings};
pub(crate) use source::Flags;
pub(crate) use traces::TraceConfig;

/// Everything that the coordinator is told.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The app.
    pub(crate) app: AppConfig,
    /// Whose jobs are claimed.
    pub(crate) projects: ProjectFilter,
    /// How many jobs, and how often they are asked for.
    pub(crate) schedule: ScheduleConfig,
    /// The Docker Engine.
    pub(crate) engine: EngineConfig,
    /// The agent's container, where the project has no table of its own.
    pub(crate) agent: AgentConfig,
    /// The same for the projects that have one.
    pub(crate) of_projects: BTreeMap<ProjectId, AgentConfig>,
    /// Runs on this host.
    pub(crate) host: HostConfig,
    /// The GitHub App, where there is one.
    pub(crate) github_app: Option<GithubAppConfig>,
    /// The command that is asked for secrets, where there is one.
    pub(crate) secret_command: Option<String>,
    /// Limits of jobs, and of what may wait.
    pub(crate) limits: LimitsConfig,
    /// When something that fails is left alone.
    pub(crate) breaker: BreakerConfig,
    /// How the coordinator stops.
    pub(crate) shutdown: ShutdownConfig,
    /// What is kept, and for how long.
    pub(crate) keep: KeepConfig,
    /// Directory of everything that must survive a restart; absolute, maybe not there yet.
    pub(crate) state_dir: PathBuf,
    /// The log.
    pub(crate) log: LogConfig,
    /// Where the coordinator is asked how it is, where it can be.
    pub(crate) health: Option<HealthListen>,
    /// Traces.
    pub(crate) traces: TraceConfig,
    /// Notifications.
    pub(crate) notify: NotifyConfig,
    /// The proxies of the coordinator itself, which its clients take from the environment.
    pub(crate) proxies: ProxySettings,
    /// The files that hold secrets among the settings.
    pub(crate) secret_files: BTreeSet<PathBuf>,
}

impl Config {
    /// The agent's container for a project's jobs.
    pub(crate) fn agent_for(&self, project: ProjectId) -> &AgentConfig {
        self.of_projects.get(&project).unwrap_or(&self.agent)
    }

    /// Whether a project's job may run on this host when its container could not be started.
    pub(crate) fn fallback_for(&self, project: ProjectId) -> HostFallback {
        match self.agent_for(project).guard() {
            None => self.host.fallback,
            Some(_) => HostFallback::Never,
        }
    }

    /// Why a job that is meant for this host may not run here.
    pub(crate) fn refuses_on_host(
        &self,
        project: ProjectId,
        mode: ExecutionMode,
    ) -> Option<String> {
        if mode == ExecutionMode::Local && self.host.local == HostLocal::Never {
            return Some("its project is local, and HOST_LOCAL=never".to_owned());
        }
        let guard = self.agent_for(project).guard()?;
        Some(format!(
            "it is to run on this host, where {guard} means nothing: let its project run in \
             containers, or take that setting back for it in [project.\"{project}\"]"
        ))
    }

    /// Whether only one agent may run at a time: it has the host's engine.
    pub(crate) fn is_for_one_agent(&self) -> bool {
        self.agents()
            .any(|agent| agent.docker_mode == DockerMode::Dood && agent.dood == DoodUse::One)
    }

    /// All that there are, the general one first.
    pub(crate) fn agents(&self) -> impl Iterator<Item = &AgentConfig> {
        iter::once(&self.agent).chain(self.of_projects.values())
    }
}

/// The app.
#[derive(Clone, Debug)]
pub(crate) struct AppConfig {
    /// Base URL: HTTP(S), without credentials, query and fragment.
    pub(crate) url: Url,
    /// Key of the worker API, where the app asks for one.
    pub(crate) key: Option<Secret>,
    /// How it is reached: certificates beside the system's, and the client's own. Others are reached in
    /// the same way, without the latter.
    pub(crate) network: Network,
}

/// Whose jobs are claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProjectFilter {
    /// Those of every project.
    All,
    /// Those of these, in the order given, each once, never empty.
    Only(Vec<ProjectId>),
}

/// How many jobs, and how often they are asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScheduleConfig {
    /// Jobs at once, until the app says otherwise.
    pub(crate) max_concurrent: NonZeroUsize,
    /// Pause between two claims while nothing waits.
    pub(crate) poll_interval: Duration,
}

/// The Docker Engine.
#[derive(Clone, Debug)]
pub(crate) struct EngineConfig {
    /// Its address, `unix://`, `tcp://` or `http://`; none for the usual socket.
    pub(crate) host: Option<String>,
    /// Folder of Docker's own configuration, with the logins to registries; it need not be there.
    pub(crate) docker_config: Option<PathBuf>,
}

/// Runs on this host.
#[derive(Clone, Debug)]
pub(crate) struct HostConfig {
    /// When a job that was meant for a container runs here.
    pub(crate) fallback: HostFallback,
    /// Whether a job runs here because its project says so.
    pub(crate) local: HostLocal,
    /// The user as whom agents run, where that is another.
    pub(crate) user: Option<HostUser>,
    /// Whether they get a systemd scope.
    pub(crate) scope: HostScope,
    /// The agent-runner program. Where it was found nowhere, the path where it is expected.
    pub(crate) runner: PathBuf,
    /// What a run on this host keeps of the coordinator's environment: where programs, home,
    /// temporary files and certificates are, and the language. Never a secret.
    pub(crate) environment: BTreeMap<OsString, OsString>,
}

/// Whether an agent on this host gets a systemd scope with the limits of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostScope {
    /// Where systemd runs.
    Auto,
    /// Never.
    Off,
}

/// Whether a job runs on this host because its project says so (execution mode *local*).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostLocal {
    /// It does.
    Allow,
    /// It fails.
    Never,
}

/// When a job that was meant for a container runs on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostFallback {
    /// When its container could not be started.
    OnStartFailure,
    /// Always: no container is started and no Docker Engine is needed.
    Always,
    /// Never: the job fails.
    Never,
}

/// The GitHub App whose tokens the agents get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GithubAppConfig {
    /// Its id.
    pub(crate) id: NonZeroU64,
    /// Its installation; looked up for each repository where it is not given.
    pub(crate) installation: Option<NonZeroU64>,
    /// Its private key, as PEM.
    pub(crate) key: Secret,
}

/// What [`load()`] brings.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The configuration.
    pub(crate) config: Config,
    /// What the operator should know though nothing is wrong, one line each.
    pub(crate) notices: Vec<String>,
    /// The same values with their sources, for printing.
    pub(crate) report: Report,
}
