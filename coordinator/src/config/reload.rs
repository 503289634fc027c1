//! Taking up a changed configuration while the coordinator runs.

use super::setting::{self, Setting};
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

macro_rules! differ {
    ($($name:ident: $($field:ident).+;)*) => {
        &[$((&setting::$name, |now, new| now.$($field).+ != new.$($field).+)),*]
    };
}

/// What is read once, at the start.
static FIXED: &[(&Setting, Differs)] = differ! {
    API_URL: app.url;
    ENGINE_HOST: engine.host;
    STATE_DIR: state_dir;
    BREAKER_FAILURES: breaker.failures;
    BREAKER_OPEN: breaker.open;
    BREAKER_SUCCESSES: breaker.successes;
    ON_STOP: shutdown.on_stop;
    DRAIN_TIMEOUT: shutdown.drain_timeout;
    LOG_FORMAT: log.format;
};

/// What is read whenever it is used.
static LIVE: &[(&Setting, Differs)] = differ! {
    API_KEY: app.key;
    PROJECTS: projects;
    MAX_CONCURRENT: schedule.max_concurrent;
    POLL_INTERVAL: schedule.poll_interval;
    IMAGE: agent.image;
    DOCKER_MODE: agent.docker_mode;
    SOCKET: agent.socket;
    CACHE_VOLUME: agent.cache_volume;
    NETWORK: agent.network;
    HOST_FALLBACK: host.fallback;
    RUNNER: host.runner;
    JOB_TIMEOUT: limits.job_timeout;
    STALL_TIMEOUT: limits.stall_timeout;
    STOP_GRACE: limits.stop_grace;
    OUTBOX_MAX: limits.outbox_max;
    DISK_FLOOR: limits.disk_floor;
    ORPHAN_GRACE: keep.orphan_grace;
    LOG_KEEP_AGE: keep.log_age;
    LOG_KEEP_MIB: keep.log_bytes;
    CACHE_KEEP_MIB: keep.cache_bytes;
    LOG_LEVEL: log.filter;
};

/// Puts a new configuration in the place of the present one, as far as that is possible.
pub(crate) fn reloaded(now: &Config, new: Config) -> Reloaded {
    let changed = |settings: &[(&'static Setting, Differs)]| -> Vec<&'static str> {
        let changed = settings.iter().filter(|(_, differs)| differs(now, &new));
        changed.map(|(setting, _)| setting.name).collect()
    };
    let (mut taken_up, at_restart) = (changed(LIVE), changed(FIXED));
    let of_agent = agent_env::ALL.iter().map(|setting| setting.name);
    taken_up.extend(
        of_agent.filter(|name| now.agent.settings.get(name) != new.agent.settings.get(name)),
    );
    let mut config = new;
    config.app.url.clone_from(&now.app.url);
    config.engine.clone_from(&now.engine);
    config.state_dir.clone_from(&now.state_dir);
    config.breaker.clone_from(&now.breaker);
    config.shutdown.clone_from(&now.shutdown);
    config.log.format = now.log.format;
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
        let own = FIXED.iter().chain(LIVE).map(|(setting, _)| setting.name);
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
            ("TERARCHITECT_WORKER_API_KEY", "mended"),
            ("WORKER_MODEL", "other"),
        ]);
        let Reloaded { config, taken_up, at_restart } = reloaded(&now, new);
        assert_eq!(at_restart, ["COORDINATOR_STATE_DIR", "BREAKER_OPEN", "DRAIN_TIMEOUT"]);
        assert_eq!(taken_up, ["TERARCHITECT_WORKER_API_KEY", "JOB_TIMEOUT", "WORKER_MODEL"]);
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
