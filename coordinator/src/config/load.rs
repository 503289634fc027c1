//! From the sources to a [`Config`]: each setting is read once, with its parse.

use std::path::{Path, PathBuf};

use api_client::contract::JobDocument;

use super::environment::Environment;
use super::error::ConfigErrors;
use super::file::ConfigFile;
use super::limits::{read_breaker, read_keep, read_limits, read_shutdown};
use super::read::Reader;
use super::report::Report;
use super::source::{Flags, Sources};
use super::{
    AgentConfig, AppConfig, Config, DockerMode, EngineConfig, HostConfig, ImageChoice, Loaded,
    LogConfig, LogFormat, ProjectFilter, ScheduleConfig, agent_env, parse, runner, setting,
};

/// The file that is read where none is named.
pub(crate) const USUAL_FILE: &str = "/etc/terarchitect/coordinator.toml";

/// Reads the configuration from all its sources.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub(crate) fn load(flags: &Flags, environment: &Environment) -> Result<Loaded, ConfigErrors> {
    load_from(flags, environment, Path::new(USUAL_FILE))
}

pub(super) fn load_from(
    flags: &Flags,
    environment: &Environment,
    usual_file: &Path,
) -> Result<Loaded, ConfigErrors> {
    // The other sources are checked even when the file cannot be used.
    let (file, problem) = match ConfigFile::read(flags.config.as_deref(), usual_file) {
        Ok(file) => (file, None),
        Err(problem) => (ConfigFile::default(), Some(problem)),
    };
    let mut reader = Reader::new(Sources { flags, environment, file: &file });
    let config = read_all(&mut reader, environment);
    let mut problems = reader.problems;
    if let Some(problem) = problem {
        problems.insert(0, problem);
    }
    let config = match config {
        Some(config) if problems.is_empty() => config,
        Some(_) | None => return Err(ConfigErrors(problems)),
    };
    let mut notices = reader.notices;
    notices.extend(advice(&config, environment));
    let report = Report { file: file.path().map(Path::to_owned), entries: reader.entries };
    Ok(Loaded { config, notices, report })
}

/// The state directory alone, for commands that need no more.
///
/// # Errors
/// What is wrong with it, or with the file.
pub(crate) fn load_state_dir(
    flags: &Flags,
    environment: &Environment,
) -> Result<PathBuf, ConfigErrors> {
    let file = ConfigFile::read(flags.config.as_deref(), Path::new(USUAL_FILE))
        .map_err(|problem| ConfigErrors(vec![problem]))?;
    let mut reader = Reader::new(Sources { flags, environment, file: &file });
    let dir = read_state_dir(&mut reader, environment);
    dir.ok_or(ConfigErrors(reader.problems))
}

/// Every section is read before the first `?`, so that all mistakes are found. The order is that
/// of the table of settings.
fn read_all(reader: &mut Reader<'_>, environment: &Environment) -> Option<Config> {
    let app = read_app(reader);
    let projects = reader.optional(&setting::PROJECTS, parse::projects);
    let schedule = read_schedule(reader);
    let host = reader.optional(&setting::ENGINE_HOST, parse::engine_host);
    let container = read_container(reader);
    let on_host = read_host(reader, environment);
    let state_dir = read_state_dir(reader, environment);
    let limits = read_limits(reader);
    let breaker = read_breaker(reader);
    let shutdown = read_shutdown(reader);
    let keep = read_keep(reader);
    let log = read_log(reader, environment);
    let settings = agent_env::read(reader);
    Some(Config {
        app: app?,
        projects: projects?.unwrap_or(ProjectFilter::All),
        schedule: schedule?,
        engine: EngineConfig { host: host? },
        agent: AgentConfig { settings: settings?, ..container? },
        host: on_host?,
        limits: limits?,
        breaker: breaker?,
        shutdown: shutdown?,
        keep: keep?,
        state_dir: state_dir?,
        log: log?,
    })
}

fn read_state_dir(reader: &mut Reader<'_>, environment: &Environment) -> Option<PathBuf> {
    reader.path(
        &setting::STATE_DIR,
        |text| parse::path(text, environment.home()),
        || usual_state_dir(environment),
    )
}

fn read_app(reader: &mut Reader<'_>) -> Option<AppConfig> {
    let url = reader.value(&setting::API_URL, parse::base_url);
    let key = reader.secret(&setting::API_KEY);
    Some(AppConfig { url: url?, key: key? })
}

fn read_schedule(reader: &mut Reader<'_>) -> Option<ScheduleConfig> {
    let max_concurrent = reader.value(&setting::MAX_CONCURRENT, parse::max_concurrent);
    let poll_interval = reader.value(&setting::POLL_INTERVAL, parse::poll_interval);
    Some(ScheduleConfig { max_concurrent: max_concurrent?, poll_interval: poll_interval? })
}

fn read_container(reader: &mut Reader<'_>) -> Option<AgentConfig> {
    let image = reader.optional(&setting::IMAGE, parse::image);
    let image = match image {
        Some(None) => reader.value(&setting::IMAGE, parse::image).map(ImageChoice::Default),
        given => given.flatten().map(ImageChoice::Explicit),
    };
    let docker_mode = reader.value(&setting::DOCKER_MODE, parse::docker_mode);
    let socket = reader.value(&setting::SOCKET, parse::socket_mount);
    let cache_volume = reader.value(&setting::CACHE_VOLUME, parse::volume);
    let network = reader.optional(&setting::NETWORK, parse::network);
    Some(AgentConfig {
        image: image?,
        docker_mode: docker_mode?,
        socket: socket?,
        cache_volume: cache_volume?,
        network: network?,
        settings: JobDocument::default(),
    })
}

fn read_host(reader: &mut Reader<'_>, environment: &Environment) -> Option<HostConfig> {
    let fallback = reader.value(&setting::HOST_FALLBACK, parse::host_fallback);
    let runner = reader.path(
        &setting::RUNNER,
        |text| runner::given(text, environment.home()),
        || Some(runner::find(environment)),
    );
    Some(HostConfig {
        fallback: fallback?,
        runner: runner?,
        environment: runner::environment(environment),
    })
}

fn read_log(reader: &mut Reader<'_>, environment: &Environment) -> Option<LogConfig> {
    // The service manager sets it where standard error goes to the journal.
    let automatic = match environment.get("JOURNAL_STREAM") {
        Some(_) => LogFormat::Journald,
        None => LogFormat::Pretty,
    };
    let filter = reader.value(&setting::LOG_LEVEL, parse::log_filter);
    let format = reader.value(&setting::LOG_FORMAT, |text| parse::log_format(text, automatic));
    Some(LogConfig { filter: filter?, format: format? })
}

/// systemd may name several directories; the first is the unit's own.
fn usual_state_dir(environment: &Environment) -> Option<PathBuf> {
    let given = environment
        .get("STATE_DIRECTORY")
        .and_then(|dirs| std::env::split_paths(dirs).next())
        .filter(|dir| dir.is_absolute());
    given.or_else(|| Some(environment.home()?.join(".terarchitect/coordinator")))
}

/// Combinations that are allowed and rarely meant.
fn advice(config: &Config, environment: &Environment) -> Vec<String> {
    let mut notices = Vec::new();
    let at_once = config.schedule.max_concurrent.get();
    if config.agent.docker_mode == DockerMode::Dood && at_once > 1 {
        notices.push(format!(
            "AGENT_DOCKER_MODE=dood with MAX_CONCURRENT_AGENTS={at_once}: the agents share one \
             Docker daemon and can disturb each other's containers, ports and networks"
        ));
    }
    if !runner::is_program(&config.host.runner) {
        notices.push(format!(
            "agent-runner was found neither beside the coordinator nor in PATH ({} is assumed): \
             jobs on this host cannot run until AGENT_RUNNER_PATH names it",
            config.host.runner.display()
        ));
    }
    if environment.get("COORDINATOR_REPO_ROOT").is_some_and(|root| !root.is_empty()) {
        notices.push(
            "COORDINATOR_REPO_ROOT is ignored: agents on this host are run by the agent-runner \
             program, whose path is AGENT_RUNNER_PATH"
                .to_owned(),
        );
    }
    notices
}
