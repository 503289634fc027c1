//! Every setting, declared once: its names, its default and what it is for. Flags, look-up, the
//! printed report and the example files all follow from [`all`]; a new setting is one entry here
//! plus its parse in [`config`](super).

use super::agent_env;

/// What is fixed about one setting.
#[derive(Debug)]
pub(crate) struct Setting {
    /// The environment variable it is called by; with `_FILE` appended too, for a secret.
    pub(crate) name: &'static str,
    /// Another environment variable, which is read first.
    pub(crate) also: Option<&'static str>,
    /// Table and key in the TOML file, joined by a dot. A secret that no key may hold has none.
    pub(crate) toml: Option<&'static str>,
    /// Its flag on the command line; never for a secret.
    pub(crate) flag: Option<Flag>,
    /// What its values look like.
    pub(crate) kind: Kind,
    /// What holds when it is not given.
    pub(crate) preset: Preset,
    /// What an empty value means; without a meaning, an empty value counts as not given.
    pub(crate) blank: Option<&'static str>,
    /// One sentence for people.
    pub(crate) doc: &'static str,
}

/// A long flag.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flag {
    /// Without the dashes.
    pub(crate) name: &'static str,
    /// What stands for its value in the help.
    pub(crate) value: &'static str,
}

/// The look of a value, which decides the TOML types it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A string.
    Text,
    /// A string that is an HTTP(S) URL without credentials.
    Url,
    /// A number.
    Number,
    /// A time: a number of seconds, or a number with its unit.
    Duration,
    /// A boolean; `1` and `0` in the environment.
    Switch,
    /// Values separated by commas; an array in TOML, a repeatable flag. Two environment variables
    /// are merged.
    List,
    /// A string that is never printed.
    Secret {
        /// Table and key in the TOML file of the path of a file that holds it.
        file: &'static str,
    },
}

/// What holds when a setting is not given.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Preset {
    /// Nothing: it must be given.
    Required,
    /// This value, written as in the environment.
    Value(&'static str),
    /// A value that depends on the machine, described.
    Found(&'static str),
    /// No value, and what that means.
    Unset(&'static str),
}

impl Setting {
    const fn new(
        name: &'static str,
        toml: &'static str,
        kind: Kind,
        preset: Preset,
        doc: &'static str,
    ) -> Self {
        Self { name, also: None, toml: Some(toml), flag: None, kind, preset, blank: None, doc }
    }

    /// A setting that is handed on to the agent under its own name.
    pub(super) const fn for_agent(
        name: &'static str,
        toml: &'static str,
        kind: Kind,
        doc: &'static str,
    ) -> Self {
        Self::new(name, toml, kind, Preset::Unset(""), doc)
    }

    const fn flag(mut self, name: &'static str, value: &'static str) -> Self {
        self.flag = Some(Flag { name, value });
        self
    }

    const fn also(mut self, name: &'static str) -> Self {
        self.also = Some(name);
        self
    }

    const fn blank(mut self, meaning: &'static str) -> Self {
        self.blank = Some(meaning);
        self
    }

    /// The environment variables that hold it, the first to be read first.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &'static str> {
        self.also.into_iter().chain([self.name])
    }

    /// Whether its value is never printed.
    pub(crate) fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Secret { .. })
    }

    /// Every path in the TOML file that belongs to it.
    pub(crate) fn toml_paths(&self) -> impl Iterator<Item = &'static str> {
        let file = match self.kind {
            Kind::Secret { file } => Some(file),
            Kind::Text | Kind::Url | Kind::Number | Kind::Duration | Kind::Switch | Kind::List => {
                None
            }
        };
        self.toml.into_iter().chain(file)
    }
}

/// Every setting, in the order in which people read them.
pub(crate) fn all() -> impl Iterator<Item = &'static Setting> {
    OWN.iter().copied().chain(agent_env::ALL)
}

/// Table and key of a TOML path: `("agent.env", "WORKER_MODE")`.
pub(crate) fn table_and_key(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

macro_rules! settings {
    ($($name:ident = $setting:expr;)*) => {
        $(pub(super) static $name: Setting = $setting;)*
        static OWN: &[&Setting] = &[$(&$name),*];
    };
}

settings! {
    API_URL = Setting::new(
        "TERARCHITECT_API_URL", "app.url", Kind::Url, Preset::Required,
        "Base URL of the app, as reached from this host.",
    ).flag("api-url", "URL");

    API_KEY = Setting {
        toml: None,
        ..Setting::new(
            "TERARCHITECT_WORKER_API_KEY", "",
            Kind::Secret { file: "app.worker_api_key_file" },
            Preset::Unset("no key is sent"),
            "Key of the app's worker API.",
        )
    };

    PROJECTS = Setting::new(
        "PROJECT_IDS", "schedule.projects", Kind::List, Preset::Unset("every project"),
        "Ids of the projects whose jobs are claimed, separated by commas.",
    ).also("PROJECT_ID").flag("project", "ID");

    MAX_CONCURRENT = Setting::new(
        "MAX_CONCURRENT_AGENTS", "schedule.max_concurrent", Kind::Number, Preset::Value("1"),
        "How many jobs may run at once (1 to 1000); the app's own setting overrides it.",
    ).flag("max-concurrent", "N");

    POLL_INTERVAL = Setting::new(
        "POLL_INTERVAL_SEC", "schedule.poll_interval_sec", Kind::Number, Preset::Value("10"),
        "How often an idle coordinator asks for jobs, in seconds (0.05 to 3600).",
    ).flag("poll-interval", "SECONDS");

    ENGINE_HOST = Setting::new(
        "DOCKER_HOST", "engine.host", Kind::Text, Preset::Unset("the engine's usual socket"),
        "Address of the Docker Engine: unix:///path, tcp://host:port or http://host:port.",
    ).flag("docker-host", "ADDRESS");

    IMAGE = Setting::new(
        "AGENT_IMAGE", "agent.image", Kind::Text, Preset::Value("terarchitect-agent"),
        "Image of the agent's container.",
    ).flag("image", "IMAGE");

    DOCKER_MODE = Setting::new(
        "AGENT_DOCKER_MODE", "agent.docker_mode", Kind::Text, Preset::Value("dind"),
        "Docker for the agent: dind (its own daemon, privileged), dood (this host's) or none.",
    ).flag("docker-mode", "MODE");

    SOCKET = Setting::new(
        "AGENT_MOUNT_DOCKER_SOCKET", "agent.mount_docker_socket", Kind::Switch, Preset::Value("1"),
        "Whether dood mounts the engine's socket; 0 when the agent is given a DOCKER_HOST instead.",
    );

    CACHE_VOLUME = Setting::new(
        "AGENT_CACHE_VOLUME", "agent.cache_volume", Kind::Text,
        Preset::Value("terarchitect-agent-cache"),
        "Volume mounted at /cache in every agent's container; empty for none.",
    ).blank("disabled").flag("cache-volume", "NAME");

    NETWORK = Setting::new(
        "DOCKER_NETWORK", "agent.network", Kind::Text, Preset::Unset("the engine's default"),
        "Network of the agent's container.",
    ).flag("network", "NAME");

    HOST_FALLBACK = Setting::new(
        "HOST_FALLBACK", "host.fallback", Kind::Text, Preset::Value("on-start-failure"),
        "When a job that is meant for a container runs on this host, without isolation: \
         on-start-failure (of its container), always or never.",
    ).flag("host-fallback", "WHEN");

    RUNNER = Setting::new(
        "AGENT_RUNNER_PATH", "host.runner", Kind::Text,
        Preset::Found("agent-runner beside the coordinator, else in PATH"),
        "Path of the agent-runner program for runs on this host.",
    ).flag("agent-runner", "PATH");

    STATE_DIR = Setting::new(
        "COORDINATOR_STATE_DIR", "state.dir", Kind::Text,
        Preset::Found("systemd's state directory, else ~/.terarchitect/coordinator"),
        "Directory of everything that must survive a restart.",
    ).flag("state-dir", "PATH");

    JOB_TIMEOUT = Setting::new(
        "JOB_TIMEOUT", "limits.job_timeout", Kind::Duration, Preset::Value("4h"),
        "Longest time for one job, counted from when its agent began: seconds, or a number with \
         s, m, h or d.",
    ).flag("job-timeout", "TIME");

    STALL_TIMEOUT = Setting::new(
        "STALL_TIMEOUT", "limits.stall_timeout", Kind::Duration, Preset::Value("15m"),
        "Longest time for which an agent may print nothing; 0 for no limit.",
    ).flag("stall-timeout", "TIME");

    STOP_GRACE = Setting::new(
        "STOP_GRACE", "limits.stop_grace", Kind::Duration, Preset::Value("10s"),
        "Between the request to an agent to end and its kill.",
    );

    OUTBOX_MAX = Setting::new(
        "OUTBOX_MAX", "limits.outbox_max", Kind::Number, Preset::Value("100"),
        "With more undelivered outcomes than this, nothing is claimed.",
    );

    DISK_FLOOR = Setting::new(
        "DISK_FLOOR_MIB", "limits.disk_floor_mib", Kind::Number, Preset::Value("1024"),
        "With less free disk space than this, in MiB, for the state directory or an engine on this \
         host, nothing is claimed; 0 for no limit.",
    );

    BREAKER_FAILURES = Setting::new(
        "BREAKER_FAILURES", "breaker.failures", Kind::Number, Preset::Value("5"),
        "After this many failures in a row the engine, or the app, is left alone for a while.",
    );

    BREAKER_OPEN = Setting::new(
        "BREAKER_OPEN", "breaker.open", Kind::Duration, Preset::Value("60s"),
        "How long it is left alone before it is tried again.",
    );

    BREAKER_SUCCESSES = Setting::new(
        "BREAKER_SUCCESSES", "breaker.successes", Kind::Number, Preset::Value("2"),
        "After this many successes in a row it counts as well again.",
    );

    ON_STOP = Setting::new(
        "ON_STOP", "shutdown.on_stop", Kind::Text, Preset::Value("detach"),
        "What a stop of the coordinator does to the agents: detach (they go on, and the next \
         start adopts them), drain (they are waited for) or stop (they are ended and reported).",
    ).flag("on-stop", "WHAT");

    DRAIN_TIMEOUT = Setting::new(
        "DRAIN_TIMEOUT", "shutdown.drain_timeout", Kind::Duration, Preset::Value("300s"),
        "Longest wait of ON_STOP=drain; agents that still run then go on, and the next start \
         adopts them.",
    ).flag("drain-timeout", "TIME");

    ORPHAN_GRACE = Setting::new(
        "ORPHAN_GRACE", "keep.orphan_grace", Kind::Duration, Preset::Value("5m"),
        "Containers, networks and volumes of ours that belong to no job are removed after this \
         time.",
    );

    LOG_KEEP_AGE = Setting::new(
        "LOG_KEEP_AGE", "keep.log_age", Kind::Duration, Preset::Value("14d"),
        "How long the logs of jobs are kept; 0 for ever.",
    );

    LOG_KEEP_MIB = Setting::new(
        "LOG_KEEP_MIB", "keep.log_mib", Kind::Number, Preset::Value("1024"),
        "How much the logs of jobs may take together, in MiB, the oldest removed first; 0 for no \
         limit.",
    );

    CACHE_KEEP_MIB = Setting::new(
        "CACHE_KEEP_MIB", "keep.cache_mib", Kind::Number, Preset::Value("0"),
        "A cache volume larger than this, in MiB, is removed when no job uses it; 0 for no limit.",
    );

    LOG_LEVEL = Setting::new(
        "LOG_LEVEL", "log.level", Kind::Text, Preset::Value("info"),
        "What is logged: error, warn, info, debug or trace, or directives such as \
         info,coordinator=debug.",
    ).also("RUST_LOG").flag("log-level", "LEVEL");

    LOG_FORMAT = Setting::new(
        "LOG_FORMAT", "log.format", Kind::Text, Preset::Value("auto"),
        "Form of the log: auto, pretty, json or journald.",
    ).flag("log-format", "FORMAT");
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_name_path_or_flag_is_declared_twice() {
        let names: Vec<_> = all().flat_map(Setting::variables).collect();
        let paths: Vec<_> = all().flat_map(Setting::toml_paths).collect();
        let flags: Vec<_> = all().filter_map(|s| s.flag).map(|f| f.name).collect();
        for list in [names, paths, flags] {
            assert_eq!(list.iter().collect::<HashSet<_>>().len(), list.len());
        }
    }

    #[test]
    fn no_flag_takes_a_secret() {
        for setting in all().filter(|setting| setting.flag.is_some()) {
            assert!(!setting.is_secret(), "{}", setting.name);
        }
    }

    #[test]
    fn what_is_secret_by_name_is_declared_secret() {
        for setting in all() {
            let by_name = api_client::contract::is_secret_name(setting.name);
            assert_eq!(setting.is_secret(), by_name, "{}", setting.name);
        }
    }

    #[test]
    fn every_setting_has_a_doc_line_that_is_one_sentence() {
        for setting in all() {
            assert!(setting.doc.ends_with('.'), "{}", setting.name);
            assert!(!setting.doc.contains('\n'), "{}", setting.name);
        }
    }
}
