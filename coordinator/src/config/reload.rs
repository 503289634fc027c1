//! Taking up a changed configuration while the coordinator runs.

use super::setting::{Setting, container, service};
use super::{Config, agent_env};

/// The configuration that holds from now on, and what was changed, by the names of the settings.
#[derive(Debug)]
pub(crate) struct Reloaded {
    pub(crate) config: Config,
    /// In effect from now on.
    pub(crate) taken_up: Vec<&'static str>,
    /// In effect only from the next start on.
    pub(crate) at_restart: Vec<&'static str>,
}

/// What a setting decides in a configuration, compared between two of them.
type Differs = fn(&Config, &Config) -> bool;

/// A key of the App, like its id, is looked at by itself, so that each has its name.
static APP: &[(&Setting, Differs)] = &[
    (&service::GITHUB_APP_ID, |now, new| {
        now.github_app.as_ref().map(|app| app.id) != new.github_app.as_ref().map(|app| app.id)
    }),
    (&service::GITHUB_APP_INSTALLATION, |now, new| {
        let installation = |config: &Config| config.github_app.as_ref()?.installation;
        installation(now) != installation(new)
    }),
    (&service::GITHUB_APP_KEY, |now, new| {
        now.github_app.as_ref().map(|app| &app.key) != new.github_app.as_ref().map(|app| &app.key)
    }),
];

/// The client's certificate and its key, which are of one value, in the same way.
static IDENTITY: &[(&Setting, Differs)] = &[
    (&service::APP_CLIENT_CERT, |now, new| {
        let of =
            |config: &Config| Some(config.app.network.identity.as_ref()?.certificate().to_owned());
        of(now) != of(new)
    }),
    (&service::APP_CLIENT_KEY, |now, new| {
        let of = |config: &Config| Some(config.app.network.identity.as_ref()?.key().clone());
        of(now) != of(new)
    }),
];

/// What the tables of projects are called together.
const PROJECT_TABLES: &str = "[project]";

macro_rules! differ {
    ($($table:ident::$name:ident: $($field:ident).+;)*) => {
        &[$((&$table::$name, |now, new| now.$($field).+ != new.$($field).+)),*]
    };
}

/// What is read once, at the start.
static FIXED: &[(&Setting, Differs)] = differ! {
    service::API_URL: app.url;
    service::ENGINE_HOST: engine.host;
    service::STATE_DIR: state_dir;
    service::BREAKER_FAILURES: breaker.failures;
    service::BREAKER_OPEN: breaker.open;
    service::BREAKER_SUCCESSES: breaker.successes;
    service::ON_STOP: shutdown.on_stop;
    service::DRAIN_TIMEOUT: shutdown.drain_timeout;
    service::LOG_FORMAT: log.format;
    service::HEALTH_LISTEN: health;
    service::OTLP_ENDPOINT: traces.endpoint;
    service::OTLP_HEADERS: traces.headers;
};

/// What is read whenever it is used.
static LIVE: &[(&Setting, Differs)] = differ! {
    service::API_KEY: app.key;
    service::EXTRA_CA: app.network.roots;
    service::PROJECTS: projects;
    service::MAX_CONCURRENT: schedule.max_concurrent;
    service::POLL_INTERVAL: schedule.poll_interval;
    container::IMAGE: agent.image;
    container::DOCKER_MODE: agent.docker_mode;
    container::SOCKET: agent.socket;
    container::CACHE_VOLUME: agent.cache_volume;
    container::NETWORK: agent.network;
    container::PULL: agent.pull;
    container::PULL_PATIENCE: agent.pull_patience;
    service::DOCKER_CONFIG: engine.docker_config;
    container::DOOD_SHARED: agent.dood;
    container::RUNTIME: agent.runtime;
    container::MEMORY: agent.limits.memory;
    container::MEMORY_SWAP: agent.limits.swap;
    container::CPUS: agent.limits.nano_cpus;
    container::PIDS: agent.limits.pids;
    container::SHM: agent.limits.shm;
    container::DISK: agent.limits.disk;
    container::NOFILE: agent.limits.nofile;
    container::READ_ONLY: agent.root;
    container::EGRESS: agent.egress.policy;
    container::EGRESS_ALLOW: agent.egress.allow;
    container::EGRESS_LEARN: agent.egress.others;
    container::HTTP_PROXY: agent.proxies.http;
    container::HTTPS_PROXY: agent.proxies.https;
    container::NO_PROXY: agent.proxies.except;
    container::MODEL_GATEWAY: agent.model_gateway;
    container::CACHE_SCOPE: agent.cache_scope;
    container::CACHE_DOCKER: agent.inner_layers;
    service::HOST_FALLBACK: host.fallback;
    service::HOST_LOCAL: host.local;
    service::RUNNER: host.runner;
    service::HOST_USER: host.user;
    service::HOST_SCOPE: host.scope;
    service::SECRET_COMMAND: secret_command;
    service::JOB_TIMEOUT: limits.job_timeout;
    service::STALL_TIMEOUT: limits.stall_timeout;
    service::STOP_GRACE: limits.stop_grace;
    service::OUTBOX_MAX: limits.outbox_max;
    service::DISK_FLOOR: limits.disk_floor;
    service::ORPHAN_GRACE: keep.orphan_grace;
    service::STATE_KEEP_AGE: keep.state_age;
    service::LOG_KEEP_AGE: keep.log_age;
    service::LOG_KEEP_MIB: keep.log_bytes;
    service::CACHE_KEEP_MIB: keep.cache_bytes;
    service::LOG_LEVEL: log.filter;
    service::LOG_JOB_OUTPUT: log.job_output;
    service::NOTIFY_WEBHOOK_URL: notify.webhook;
    service::NOTIFY_ON: notify.on;
    service::NOTIFY_SECRET: notify.secret;
    container::LOG_LEVEL: agent.log.filter;
    container::LOG_FORMAT: agent.log.format;
};

/// What a running coordinator does not take up.
pub(super) fn at_restart() -> impl Iterator<Item = &'static Setting> {
    FIXED.iter().map(|(setting, _)| *setting)
}

/// Puts a new configuration in the place of the present one, as far as that is possible.
pub(crate) fn reloaded(now: &Config, new: Config) -> Reloaded {
    let changed = |settings: &[(&'static Setting, Differs)]| -> Vec<&'static str> {
        let changed = settings.iter().filter(|(_, differs)| differs(now, &new));
        changed.map(|(setting, _)| setting.name).collect()
    };
    let (mut taken_up, at_restart) = (changed(LIVE), changed(FIXED));
    taken_up.extend(changed(APP));
    taken_up.extend(changed(IDENTITY));
    taken_up.extend((now.of_projects != new.of_projects).then_some(PROJECT_TABLES));
    let of_agent = agent_env::ALL.iter().map(|setting| setting.name);
    taken_up.extend(
        of_agent.filter(|name| now.agent.settings.get(name) != new.agent.settings.get(name)),
    );
    let mut config = new;
    config.app.url.clone_from(&now.app.url);
    config.engine.host.clone_from(&now.engine.host);
    config.state_dir.clone_from(&now.state_dir);
    config.breaker.clone_from(&now.breaker);
    config.shutdown.clone_from(&now.shutdown);
    config.log.format = now.log.format;
    config.health.clone_from(&now.health);
    config.traces.clone_from(&now.traces);
    Reloaded { config, taken_up, at_restart }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::{Environment, Flags, load, settings};
    use super::*;

    fn config(variables: &[(&str, &str)]) -> Config {
        let url = ("TERARCHITECT_API_URL", "http://app.example:5010");
        let environment = Environment::of([url].into_iter().chain(variables.iter().copied()));
        load(&Flags::default(), &environment).unwrap().config
    }

    #[test]
    fn every_setting_is_known_as_one_that_changes_now_or_at_a_restart() {
        let own =
            FIXED.iter().chain(LIVE).chain(APP).chain(IDENTITY).map(|(setting, _)| setting.name);
        let known: Vec<_> = own.chain(agent_env::ALL.iter().map(|setting| setting.name)).collect();
        let unique: HashSet<_> = known.iter().copied().collect();
        assert_eq!(unique.len(), known.len());
        assert_eq!(unique, settings().map(|setting| setting.name).collect());
    }

    #[test]
    fn what_cannot_change_is_named_and_kept_and_the_rest_changes() {
        let now = config(&[("COORDINATOR_STATE_DIR", "/a"), ("JOB_TIMEOUT", "1h")]);
        let new = config(&[
            ("COORDINATOR_STATE_DIR", "/b"),
            ("BREAKER_OPEN", "5s"),
            ("DRAIN_TIMEOUT", "5s"),
            ("JOB_TIMEOUT", "2h"),
            ("DOCKER_HOST", "tcp://other.example:2375"),
            ("DOCKER_CONFIG", "/etc/docker-logins"),
            ("TERARCHITECT_WORKER_API_KEY", "mended"),
            ("WORKER_MODEL", "other"),
        ]);
        let Reloaded { config, taken_up, at_restart } = reloaded(&now, new);
        let fixed = ["DOCKER_HOST", "COORDINATOR_STATE_DIR", "BREAKER_OPEN", "DRAIN_TIMEOUT"];
        assert_eq!(at_restart, fixed);
        let live = ["TERARCHITECT_WORKER_API_KEY", "DOCKER_CONFIG", "JOB_TIMEOUT", "WORKER_MODEL"];
        assert_eq!(taken_up, live);
        assert_eq!(config.engine.host, now.engine.host);
        assert_eq!(config.engine.docker_config, Some("/etc/docker-logins".into()));
        assert_eq!(config.state_dir, now.state_dir);
        assert_eq!((&config.breaker, &config.shutdown), (&now.breaker, &now.shutdown));
        assert_eq!(config.limits.job_timeout.as_secs(), 7_200);
    }

    #[test]
    fn a_restart_is_asked_for_no_more_once_the_change_is_taken_back() {
        let now = config(&[("LOG_FORMAT", "pretty")]);
        let Reloaded { config: kept, at_restart, .. } =
            reloaded(&now, config(&[("LOG_FORMAT", "json")]));
        assert_eq!(at_restart, ["LOG_FORMAT"]);
        let again = reloaded(&kept, config(&[("LOG_FORMAT", "pretty")]));
        assert!(again.at_restart.is_empty() && again.taken_up.is_empty(), "{again:?}");
    }
}
