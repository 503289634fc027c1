//! From the sources to a [`Config`]: each setting is read once, with its parse.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use api_client::contract::{PROXIES, env};
use api_client::http::Network;

use super::agent::{read_agent, read_image};
use super::environment::Environment;
use super::error::{ConfigErrors, Problem};
use super::file::ConfigFile;
use super::health::health_listen;
use super::limits::{count, read_breaker, read_keep, read_limits, read_shutdown};
use super::log::read_log;
use super::network::{own_proxies, proxy_url, read_agent_proxies, read_network, read_roots};
use super::notify::read_notify;
use super::read::Reader;
use super::report::Report;
use super::secret_command::SecretCommand;
use super::setting::service;
use super::source::{Flags, Sources};
use super::traces::read_traces;
use super::{
    AgentConfig, AppConfig, Config, DockerMode, DoodUse, EgressPolicy, EngineConfig,
    GithubAppConfig, HostConfig, HostFallback, ImageConfig, ImageUsage, JobNetwork, Loaded,
    ProjectFilter, ScheduleConfig, agent_env, host_user, parse, runner,
};
use crate::github_app::AppKey;

/// The file that is read where none is named.
pub(crate) const USUAL_FILE: &str = "/etc/terarchitect/coordinator.toml";

/// The state directory of the packaged unit.
const PACKAGED_STATE_DIR: &str = "/var/lib/terarchitect";

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
    let mut problems = reader.problems;
    let mut notices = reader.notices;
    let mut entries = reader.entries;
    if let Some(config) = config.as_mut() {
        config.secret_files = reader.secret_files;
        config
            .secret_files
            .extend(file.path().filter(|_| file.holds_password()).map(Path::to_owned));
        for project in file.projects() {
            let mut reader = Reader::new(Sources { project: Some(project), ..sources });
            reader.problems.clear();
            let agent = read_agent(&mut reader);
            config.of_projects.extend(agent.map(|agent| (project, agent)));
            problems.extend(reader.problems);
            config.secret_files.extend(reader.secret_files);
            notices.extend(
                reader
                    .notices
                    .into_iter()
                    .filter(|line| !notices.contains(line))
                    .collect::<Vec<_>>(),
            );
            entries.extend(reader.entries.into_iter().filter(|entry| entry.is_of(project)));
        }
        problems.extend(contradictions(config));
    }
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
    let sources = Sources { flags, environment, file: &file, project: None, command: None };
    let mut reader = Reader::new(sources);
    let dir = read_state_dir(&mut reader, environment);
    let dir = dir.ok_or(ConfigErrors(reader.problems))?;
    Ok(asked_about(dir, usual_state_dir(environment).as_deref(), Path::new(PACKAGED_STATE_DIR)))
}

/// The directory of the packaged coordinator, for a command that names none, where its user has none that
/// was worked in: so `sudo coordinator status` finds the one that is meant.
fn asked_about(named: PathBuf, usual: Option<&Path>, packaged: &Path) -> PathBuf {
    let nothing_said = usual == Some(named.as_path());
    if nothing_said && packaged.exists() && !worked_in(&named) {
        packaged.to_owned()
    } else {
        named
    }
}

/// Whether a coordinator runs there, or jobs have. The original's file of images, and what a `check` makes, are
/// no sign of it.
fn worked_in(state_dir: &Path) -> bool {
    let has_files = |folder: &str| {
        let entries = fs::read_dir(state_dir.join(folder)).into_iter().flatten().flatten();
        entries.into_iter().any(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."))
    };
    state_dir.join("control.sock").exists() || has_files("jobs") || has_files("logs")
}

/// The address of the engine alone, with the sources that [`load`] reads.
///
/// # Errors
/// What is wrong with it, or with the file.
pub(crate) fn load_engine_host(
    flags: &Flags,
    environment: &Environment,
) -> Result<Option<String>, ConfigErrors> {
    let file = ConfigFile::read(flags.config.as_deref(), Path::new(USUAL_FILE))
        .map_err(|problem| ConfigErrors(vec![problem]))?;
    let sources = Sources { flags, environment, file: &file, project: None, command: None };
    let mut reader = Reader::new(sources);
    let host = reader.optional(&service::ENGINE_HOST, parse::engine_host);
    host.ok_or(ConfigErrors(reader.problems))
}

/// What the commands about images need: neither the app nor a secret.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub(crate) fn load_images(
    flags: &Flags,
    environment: &Environment,
) -> Result<ImageConfig, ConfigErrors> {
    let file = ConfigFile::read(flags.config.as_deref(), Path::new(USUAL_FILE))
        .map_err(|problem| ConfigErrors(vec![problem]))?;
    let sources = Sources { flags, environment, file: &file, project: None, command: None };
    let mut reader = Reader::new(sources);
    let config = read_image_config(&mut reader, environment);
    let mut problems = reader.problems;
    let mut config = config.ok_or_else(|| ConfigErrors(std::mem::take(&mut problems)))?;
    for project in file.projects() {
        let mut reader = Reader::new(Sources { project: Some(project), ..sources });
        reader.problems.clear();
        config.usage.projects.extend(read_image(&mut reader).map(|image| (project, image)));
        problems.extend(reader.problems);
    }
    if problems.is_empty() { Ok(config) } else { Err(ConfigErrors(problems)) }
}

fn read_image_config(reader: &mut Reader<'_>, environment: &Environment) -> Option<ImageConfig> {
    let engine = reader.optional(&service::ENGINE_HOST, parse::engine_host);
    let general = read_image(reader);
    let roots = read_roots(reader, environment.home());
    let (runner, state_dir) =
        (read_runner(reader, environment), read_state_dir(reader, environment));
    let proxies = agent_env::read_proxies(reader).zip(read_agent_proxies(reader));
    let proxies = proxies.map(|(mut settings, own)| {
        own.replace_in(&mut settings);
        settings
    });
    let usual = usual_state_dir(environment);
    let packaged = Path::new(PACKAGED_STATE_DIR);
    Some(ImageConfig {
        usage: ImageUsage { engine: engine?, general: general?, projects: BTreeMap::new() },
        state_dir: asked_about(state_dir?, usual.as_deref(), packaged),
        runner: runner?,
        network: Network { roots: roots?, ..Network::default() },
        proxies: proxies?,
    })
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

fn read_state_dir(reader: &mut Reader<'_>, environment: &Environment) -> Option<PathBuf> {
    reader.path(
        &service::STATE_DIR,
        |text| parse::path(text, environment.home()),
        || usual_state_dir(environment),
    )
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

fn read_runner(reader: &mut Reader<'_>, environment: &Environment) -> Option<PathBuf> {
    reader.path(
        &service::RUNNER,
        |text| runner::given(text, environment.home()),
        || Some(runner::find(environment)),
    )
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

/// Settings of which each is good and which cannot hold together.
fn contradictions(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut contradict = |names: &'static str, why: String| {
        if !problems.iter().any(|known: &Problem| known.to_string().contains(&why)) {
            problems.push(Problem::Contradiction { names, why });
        }
    };
    for agent in config.agents() {
        let at_once = config.schedule.max_concurrent.get();
        if agent.docker_mode == DockerMode::Dood && agent.dood == DoodUse::One && at_once > 1 {
            let why = format!(
                "MAX_CONCURRENT_AGENTS is {at_once}, and agents that share one Docker daemon can \
                 disturb each other's containers, ports and networks: set it to 1, or say \
                 AGENT_DOOD_SHARED=1"
            );
            contradict("AGENT_DOCKER_MODE=dood", why);
        }
        let Some(guard) = agent.guard() else { continue };
        if config.host.fallback == HostFallback::Always {
            let why =
                format!("HOST_FALLBACK=always runs jobs on this host, where {guard} means nothing");
            contradict("AGENT_EGRESS or AGENT_MODEL_GATEWAY", why);
        }
        if agent.network != JobNetwork::Own {
            let why = "the gateway needs a network of the job's own: leave DOCKER_NETWORK unset";
            contradict("AGENT_EGRESS or AGENT_MODEL_GATEWAY", why.to_owned());
        }
        let by_tls = |name: &&str| {
            let url = agent.settings.get(name).and_then(|url| proxy_url(url.expose()));
            url.is_some_and(|url| url.scheme() != "http")
        };
        let proxy = PROXIES.iter().flat_map(|(name, other)| [*name, *other]).find(by_tls);
        if let Some(name) = proxy.filter(|_| agent.egress.policy != EgressPolicy::Open) {
            let why = format!("the gateway asks a proxy by http:// alone: {name} says https://");
            contradict("AGENT_EGRESS", why);
        }
    }
    problems
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
    if config.agents().any(|agent| agent.docker_mode == DockerMode::Dood) && at_once > 1 {
        notices.push(format!(
            "AGENT_DOCKER_MODE=dood with MAX_CONCURRENT_AGENTS={at_once}: the agents share one \
             Docker daemon and can disturb each other's containers, ports and networks"
        ));
    }
    let long_lived = |agent: &AgentConfig| agent.settings.get(env::GITHUB_TOKEN).is_some();
    if config.github_app.is_some() && config.agents().any(long_lived) {
        notices.push(
            "GITHUB_TOKEN is given beside GITHUB_APP_ID: agents get it for repositories of other \
             forges alone"
                .to_owned(),
        );
    }
    if config.app.network.identity.is_some() && config.app.url.scheme() == "http" {
        notices.push(
            "APP_CLIENT_CERT_FILE is not shown to anybody: TERARCHITECT_API_URL is http://"
                .to_owned(),
        );
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_names_no_state_directory_finds_the_packages_where_its_user_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let (packaged, own) = (folder.path().join("packaged"), folder.path().join("own"));
        let asked = |named: &PathBuf| asked_about(named.clone(), Some(&own), &packaged);
        assert_eq!(asked(&own), own);
        fs::create_dir(&packaged).unwrap();
        assert_eq!(asked(&own), packaged);
        assert_eq!(asked(&"/elsewhere".into()), Path::new("/elsewhere"));
        fs::create_dir_all(own.join("jobs")).unwrap();
        fs::write(own.join("coordinator-id"), "of a check").unwrap();
        fs::write(own.join("jobs/.probe"), "{}").unwrap();
        assert_eq!(asked(&own), packaged);
        fs::write(own.join("jobs/1.json"), "{}").unwrap();
        assert_eq!(asked(&own), own);
    }
}
