//! From the sources to a [`Config`]: each setting is read once, with its parse.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::agent::read_agent;
use super::combinations::{advice, contradictions};
use super::environment::Environment;
use super::error::ConfigErrors;
use super::file::ConfigFile;
use super::health::health_listen;
use super::limits::{count, read_breaker, read_keep, read_limits, read_shutdown};
use super::log::read_log;
use super::network::{own_proxies, read_network};
use super::notify::read_notify;
use super::read::Reader;
use super::report::Report;
use super::runner::{self, read_runner};
use super::secret_command::SecretCommand;
use super::setting::service;
use super::source::{Flags, Sources};
use super::state_dir::read_state_dir;
use super::traces::read_traces;
use super::{
    AppConfig, Config, EngineConfig, GithubAppConfig, HostConfig, Loaded, ProjectFilter,
    ScheduleConfig, host_user, parse,
};
use crate::github_app::AppKey;

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
    let sources = Sources { flags, environment, file: &file, project: None, command: None };
    // A mistake in it is found when the setting itself is read.
    let command = sources.find(&service::SECRET_COMMAND).ok().flatten();
    let command = command.and_then(|given| SecretCommand::new(&given.text, environment));
    let sources = Sources { command: command.as_ref(), ..sources };
    let mut reader = Reader::new(sources);
    let mut config = read_all(&mut reader, environment);
    if let Some(config) = config.as_mut() {
        read_projects(config, &mut reader, sources);
        config.secret_files = std::mem::take(&mut reader.secret_files);
        let with_password = file.path().filter(|_| file.holds_password());
        config.secret_files.extend(with_password.map(Path::to_owned));
        reader.problems.extend(contradictions(config));
    }
    let Reader { mut problems, mut notices, entries, .. } = reader;
    if let Some(problem) = problem {
        problems.insert(0, problem);
    }
    let config = match config {
        Some(config) if problems.is_empty() => config,
        Some(_) | None => return Err(ConfigErrors(problems)),
    };
    notices.extend(advice(&config, environment));
    let report = Report { file: file.path().map(Path::to_owned), entries };
    Ok(Loaded { config, notices, report })
}

/// Reads the tables of projects. What is found with them joins what `whole` has found.
fn read_projects(config: &mut Config, whole: &mut Reader<'_>, sources: Sources<'_>) {
    for project in sources.file.projects() {
        let mut reader = Reader::new(Sources { project: Some(project), ..sources });
        reader.problems.clear();
        let agent = read_agent(&mut reader);
        config.of_projects.extend(agent.map(|agent| (project, agent)));
        whole.problems.extend(reader.problems);
        whole.secret_files.extend(reader.secret_files);
        reader.notices.retain(|line| !whole.notices.contains(line));
        whole.notices.extend(reader.notices);
        whole.entries.extend(reader.entries.into_iter().filter(|entry| entry.is_of(project)));
    }
}

/// Every section is read before the first `?`, so that all mistakes are found. The order is that
/// of the table of settings.
fn read_all(reader: &mut Reader<'_>, environment: &Environment) -> Option<Config> {
    let app = read_app(reader, environment.home());
    let projects = reader.optional(&service::PROJECTS, parse::projects);
    let schedule = read_schedule(reader);
    let host = reader.optional(&service::ENGINE_HOST, parse::engine_host);
    let docker_config =
        reader.optional(&service::DOCKER_CONFIG, |text| parse::path(text, environment.home()));
    let on_host = read_host(reader, environment);
    let state_dir = read_state_dir(reader, environment);
    let limits = read_limits(reader);
    let breaker = read_breaker(reader);
    let shutdown = read_shutdown(reader);
    let keep = read_keep(reader);
    let log = read_log(reader, environment);
    let traces = read_traces(reader);
    let notify = read_notify(reader);
    let health =
        reader.optional(&service::HEALTH_LISTEN, |text| health_listen(text, environment.home()));
    let github_app = read_github_app(reader);
    let secret_command =
        reader.optional(&service::SECRET_COMMAND, |text| parse::line(text).map(str::to_owned));
    let agent = read_agent(reader);
    Some(Config {
        app: app?,
        projects: projects?.unwrap_or(ProjectFilter::All),
        schedule: schedule?,
        engine: EngineConfig {
            host: host?,
            docker_config: docker_config?.or_else(|| Some(environment.home()?.join(".docker"))),
        },
        agent: agent?,
        of_projects: BTreeMap::new(),
        host: on_host?,
        limits: limits?,
        breaker: breaker?,
        shutdown: shutdown?,
        keep: keep?,
        state_dir: state_dir?,
        github_app: github_app?,
        secret_command: secret_command?,
        log: log?,
        health: health?,
        traces: traces?,
        notify: notify?,
        proxies: own_proxies(environment),
        secret_files: BTreeSet::new(),
    })
}

fn read_app(reader: &mut Reader<'_>, home: Option<&Path>) -> Option<AppConfig> {
    let url = reader.value(&service::API_URL, parse::base_url);
    let key = reader.secret(&service::API_KEY);
    let network = read_network(reader, home);
    Some(AppConfig { url: url?, key: key?, network: network? })
}

fn read_schedule(reader: &mut Reader<'_>) -> Option<ScheduleConfig> {
    let max_concurrent = reader.value(&service::MAX_CONCURRENT, parse::max_concurrent);
    let poll_interval = reader.value(&service::POLL_INTERVAL, parse::poll_interval);
    Some(ScheduleConfig { max_concurrent: max_concurrent?, poll_interval: poll_interval? })
}

fn read_host(reader: &mut Reader<'_>, environment: &Environment) -> Option<HostConfig> {
    let fallback = reader.value(&service::HOST_FALLBACK, parse::host_fallback);
    let local = reader.value(&service::HOST_LOCAL, parse::host_local);
    let runner = read_runner(reader, environment);
    let user = reader.optional(&service::HOST_USER, host_user::look_up);
    let scope = reader.value(&service::HOST_SCOPE, parse::host_scope);
    Some(HostConfig {
        fallback: fallback?,
        local: local?,
        user: user?.flatten(),
        scope: scope?,
        runner: runner?,
        environment: runner::environment(environment),
    })
}

fn read_github_app(reader: &mut Reader<'_>) -> Option<Option<GithubAppConfig>> {
    let id = reader.optional(&service::GITHUB_APP_ID, count);
    let installation = reader.optional(&service::GITHUB_APP_INSTALLATION, count);
    let key = reader.secret_of(&service::GITHUB_APP_KEY, |text| {
        AppKey::from_pem(text).map(drop).map_err(|error| error.to_string())
    });
    match (id?, key?) {
        (Some(id), Some(key)) => {
            Some(Some(GithubAppConfig { id, installation: installation?, key }))
        }
        (None, None) => Some(None),
        (Some(_), None) => {
            reader.missing(&service::GITHUB_APP_KEY);
            None
        }
        (None, Some(_)) => {
            reader.missing(&service::GITHUB_APP_ID);
            None
        }
    }
}
