//! Settings of the coordinator itself, and of what it depends on.

use super::{A_PATH, COUNT, Kind, MEBIBYTES, Preset, Setting, TIME_ABOVE_ZERO, settings};

/// Of files with certificates.
const PEM_FILE: &str =
    "the path of a file with PEM certificates, of at most 2 MiB, which are read at the start";

settings! {
    API_URL = Setting::new(
        "TERARCHITECT_API_URL", "app.url", Kind::Url, Preset::Required,
        "Base URL of the app, as reached from this host.",
    ).flag("api-url", "URL")
    .allowed("`http://` or `https://`, without user name, password, `?` and `#`").more(
        "Agents in containers get it with a loopback host rewritten to `host.docker.internal`; if \
         that name is given here and does not resolve on this host, the coordinator itself uses \
         `localhost`.",
    );

    API_KEY = Setting {
        toml: None,
        ..Setting::new(
            "TERARCHITECT_WORKER_API_KEY", "",
            Kind::Secret { file: "app.worker_api_key_file" },
            Preset::Unset("no key is sent"),
            "Key of the app's worker API.",
        )
    };

    EXTRA_CA = Setting::new(
        "EXTRA_CA_FILE", "network.extra_ca_file", Kind::Text,
        Preset::Unset("the system's certificates alone"),
        "File with CA certificates (PEM) that coordinator and agents trust beside the system's.",
    ).allowed(PEM_FILE).more("See [networks](networks.md#certificates-of-your-own-ca).");

    APP_CLIENT_CERT = Setting::new(
        "APP_CLIENT_CERT_FILE", "app.client_cert_file", Kind::Text,
        Preset::Unset("no certificate is shown"),
        "File with the certificate (PEM, with its chain) that coordinator and agents show to an app \
         that asks for one.",
    ).allowed(PEM_FILE).more("See [networks](networks.md#a-client-certificate-for-the-app).");

    APP_CLIENT_KEY = Setting {
        toml: None,
        ..Setting::new(
            "APP_CLIENT_KEY", "",
            Kind::Secret { file: "app.client_key_file" },
            Preset::Unset("no certificate is shown"),
            "Private key of that certificate, as PEM without a password.",
        )
    };

    PROJECTS = Setting::new(
        "PROJECT_IDS", "schedule.projects", Kind::List, Preset::Unset("every project"),
        "Ids of the projects whose jobs are claimed, separated by commas.",
    ).also("PROJECT_ID").flag("project", "ID")
    .allowed("UUIDs; the order is kept, repetitions are dropped").more(
        "Both variables are merged. In TOML an array; the flag may be repeated. Projects are \
         asked in turn, the one served longest ago first.",
    );

    MAX_CONCURRENT = Setting::new(
        "MAX_CONCURRENT_AGENTS", "schedule.max_concurrent", Kind::Number, Preset::Value("1"),
        "How many jobs may run at once (1 to 1000); the app's own setting overrides it.",
    ).flag("max-concurrent", "N").allowed("a whole number from 1 to 1000").more(
        "The app's is read every 30 s; more than 1000 count as 1000. A lower limit ends no job.",
    );

    POLL_INTERVAL = Setting::new(
        "POLL_INTERVAL_SEC", "schedule.poll_interval_sec", Kind::Number, Preset::Value("10"),
        "How often an idle coordinator asks for jobs, in seconds (0.05 to 3600).",
    ).flag("poll-interval", "SECONDS").allowed("a number from 0.05 to 3600").more(
        "Each pause is varied by a quarter up or down; while something is wrong it is three times \
         as long. A slot that becomes free is filled at once.",
    );

    ENGINE_HOST = Setting::new(
        "DOCKER_HOST", "engine.host", Kind::Text, Preset::Unset("the engine's usual socket"),
        "Address of the Docker Engine: unix:///path, tcp://host:port or http://host:port.",
    ).flag("docker-host", "ADDRESS").allowed(
        "`unix:///path`, or `tcp://` or `http://` with host and port and no path",
    ).more(
        "The usual socket is `unix:///var/run/docker.sock`. No TLS and no `ssh://` in this \
         version.",
    );

    DOCKER_CONFIG = Setting::new(
        "DOCKER_CONFIG", "engine.docker_config", Kind::Text,
        Preset::Unset(".docker in the home directory"),
        "Folder of Docker's own configuration, whose registry logins and credential helpers pulls \
         use.",
    ).allowed(A_PATH).more(
        "It need not be there. See [images](runbook.md#pulls-and-registry-logins).",
    );

    HOST_FALLBACK = Setting::new(
        "HOST_FALLBACK", "host.fallback", Kind::Text, Preset::Value("on-start-failure"),
        "When a job that is meant for a container runs on this host, without isolation: \
         on-start-failure (of its container), always or never.",
    ).flag("host-fallback", "WHEN").allowed("`on-start-failure`, `always`, `never`").more(
        "See [fallback](runbook.md#fallback-when-docker-fails).",
    );

    HOST_LOCAL = Setting::new(
        "HOST_LOCAL", "host.local", Kind::Text, Preset::Value("allow"),
        "Whether the jobs of local projects run, on this host and without isolation (allow), or fail \
         (never).",
    ).allowed("`allow`, `never`").more(
        "Where `AGENT_EGRESS` or `AGENT_MODEL_GATEWAY` guards a project, its local jobs fail in \
         any case.",
    );

    RUNNER = Setting::new(
        "AGENT_RUNNER_PATH", "host.runner", Kind::Text,
        Preset::Found("agent-runner beside the coordinator, else in PATH"),
        "Path of the agent-runner program for runs on this host.",
    ).flag("agent-runner", "PATH").allowed("the path of an executable file");

    HOST_USER = Setting::new(
        "HOST_USER", "host.user", Kind::Text, Preset::Unset("the coordinator's own"),
        "User as whom agents run on this host, where the coordinator is root.",
    ).allowed("the name of a user of this host").more(
        "See [fallback](runbook.md#fallback-when-docker-fails).",
    );

    HOST_SCOPE = Setting::new(
        "HOST_SCOPE", "host.scope", Kind::Text, Preset::Value("auto"),
        "Whether an agent on this host gets a systemd scope with the limits of a container: auto \
         (where systemd runs) or off.",
    ).allowed("`auto`, `off`");

    STATE_DIR = Setting::new(
        "COORDINATOR_STATE_DIR", "state.dir", Kind::Text,
        Preset::Found("systemd's state directory, else ~/.terarchitect/coordinator"),
        "Directory of everything that must survive a restart.",
    ).flag("state-dir", "PATH").allowed(A_PATH).more(
        "One coordinator for each; `~/` at the beginning means the home directory.",
    );

    JOB_TIMEOUT = Setting::new(
        "JOB_TIMEOUT", "limits.job_timeout", Kind::Duration, Preset::Value("4h"),
        "Longest time for one job, counted from when its agent began: seconds, or a number with \
         s, m, h or d.",
    ).flag("job-timeout", "TIME").allowed(TIME_ABOVE_ZERO).more(
        "Then the agent is asked to end and, after `STOP_GRACE`, killed. A restart of the \
         coordinator does not start the count anew.",
    );

    STALL_TIMEOUT = Setting::new(
        "STALL_TIMEOUT", "limits.stall_timeout", Kind::Duration, Preset::Value("15m"),
        "Longest time for which an agent may print nothing; 0 for no limit.",
    ).flag("stall-timeout", "TIME").more(
        "Written as `JOB_TIMEOUT`. A time in which the engine is away does not count.",
    );

    STOP_GRACE = Setting::new(
        "STOP_GRACE", "limits.stop_grace", Kind::Duration, Preset::Value("10s"),
        "Between the request to an agent to end and its kill.",
    ).more("Written as `JOB_TIMEOUT`.");

    OUTBOX_MAX = Setting::new(
        "OUTBOX_MAX", "limits.outbox_max", Kind::Number, Preset::Value("100"),
        "With more undelivered outcomes than this, nothing is claimed.",
    ).allowed(COUNT).more(
        "Outcomes are kept and delivered however many they are.",
    );

    DISK_FLOOR = Setting::new(
        "DISK_FLOOR_MIB", "limits.disk_floor_mib", Kind::Number, Preset::Value("1024"),
        "With less free disk space than this, in MiB, for the state directory or an engine on this \
         host, nothing is claimed; 0 for no limit.",
    ).allowed(MEBIBYTES);

    BREAKER_FAILURES = Setting::new(
        "BREAKER_FAILURES", "breaker.failures", Kind::Number, Preset::Value("5"),
        "After this many failures in a row the engine, the app, or the start of containers is left alone for a while.",
    ).allowed(COUNT);

    BREAKER_OPEN = Setting::new(
        "BREAKER_OPEN", "breaker.open", Kind::Duration, Preset::Value("60s"),
        "How long it is left alone before it is tried again.",
    ).more("Written as `JOB_TIMEOUT`.");

    BREAKER_SUCCESSES = Setting::new(
        "BREAKER_SUCCESSES", "breaker.successes", Kind::Number, Preset::Value("2"),
        "After this many successes in a row it counts as well again.",
    ).allowed(COUNT);

    ON_STOP = Setting::new(
        "ON_STOP", "shutdown.on_stop", Kind::Text, Preset::Value("detach"),
        "What a stop of the coordinator does to the agents: detach (they go on, and the next \
         start adopts them), drain (they are waited for) or stop (they are ended and reported).",
    ).flag("on-stop", "WHAT").allowed("`detach`, `drain`, `stop`").more(
        "See [stopping](runbook.md#stopping-draining-pausing).",
    );

    DRAIN_TIMEOUT = Setting::new(
        "DRAIN_TIMEOUT", "shutdown.drain_timeout", Kind::Duration, Preset::Value("300s"),
        "Longest wait of ON_STOP=drain; agents that still run then go on, and the next start \
         adopts them.",
    ).flag("drain-timeout", "TIME").more("Written as `JOB_TIMEOUT`.");

    ORPHAN_GRACE = Setting::new(
        "ORPHAN_GRACE", "keep.orphan_grace", Kind::Duration, Preset::Value("5m"),
        "Containers, networks and volumes of ours that belong to no job are removed after this \
         time.",
    ).more(
        "Written as `JOB_TIMEOUT`. At its start the coordinator removes containers without a \
         record at once.",
    );

    // Long enough for somebody to look at a failure after a weekend, and shorter than the logs that tell of it.
    STATE_KEEP_AGE = Setting::new(
        "STATE_KEEP_AGE", "keep.state_age", Kind::Duration, Preset::Value("7d"),
        "How long it is kept where the run of a ticket was that was killed, so that the next one goes on there; 0 \
         keeps nothing.",
    ).more(
        "Written as `JOB_TIMEOUT`. Counted from the end of the ticket's last job, as far as `LOG_KEEP_AGE` and `LOG_KEEP_MIB` \
         let that be known. It is a volume for each ticket that has something to go on with \
         ([killed jobs](runbook.md#killed-jobs)), and for agents in containers alone.",
    );

    LOG_KEEP_AGE = Setting::new(
        "LOG_KEEP_AGE", "keep.log_age", Kind::Duration, Preset::Value("14d"),
        "How long the logs of jobs are kept; 0 for ever.",
    ).more(
        "Written as `JOB_TIMEOUT`. Counted from their last line.",
    );

    LOG_KEEP_MIB = Setting::new(
        "LOG_KEEP_MIB", "keep.log_mib", Kind::Number, Preset::Value("1024"),
        "How much the logs of jobs may take together, in MiB, the oldest removed first; 0 for no \
         limit.",
    ).allowed(MEBIBYTES).more("Logs of jobs that are not settled are never removed.");

    CACHE_KEEP_MIB = Setting::new(
        "CACHE_KEEP_MIB", "keep.cache_mib", Kind::Number, Preset::Value("0"),
        "A cache volume larger than this, in MiB, is removed when no job uses it; 0 for no limit.",
    ).allowed(MEBIBYTES).more(
        "The next job starts with an empty one. It is looked at once an hour, where the engine \
         keeps it on this host and the coordinator may look into it: as root, not as the package \
         installs it ([housekeeping](runbook.md#housekeeping)).",
    );

    LOG_LEVEL = Setting::new(
        "LOG_LEVEL", "log.level", Kind::Text, Preset::Value("info"),
        "What is logged: error, warn, info, debug or trace, or directives such as \
         info,coordinator=debug.",
    ).also("RUST_LOG").flag("log-level", "LEVEL").allowed(
        "`error`, `warn`, `info`, `debug`, `trace`, `off`, or directives with `=`; also the \
         original's `WARNING` and `CRITICAL`",
    ).more("`RUST_LOG` is read first.");

    LOG_FORMAT = Setting::new(
        "LOG_FORMAT", "log.format", Kind::Text, Preset::Value("auto"),
        "Form of the log: auto, pretty, json or journald.",
    ).flag("log-format", "FORMAT").allowed("`auto`, `pretty`, `json`, `journald`").more(
        "`auto` is `journald` where systemd connected standard error to the journal, else \
         `pretty`. `pretty` and `json` go to standard error.",
    );

    LOG_JOB_OUTPUT = Setting::new(
        "LOG_JOB_OUTPUT", "log.job_output", Kind::Text, Preset::Value("file"),
        "Where the output of a job's container goes: file (the job's log file), or journal (there and \
         to the journal).",
    ).allowed("`file`, `journal`").more("See [logs](logging.md#output-of-jobs-in-the-journal).");

    OTLP_ENDPOINT = Setting::new(
        "OTEL_EXPORTER_OTLP_ENDPOINT", "traces.endpoint", Kind::Url, Preset::Unset("no traces"),
        "Base URL of the collector that traces are sent to, by OTLP over HTTP.",
    ).more("See [traces](logging.md#traces).");

    OTLP_HEADERS = Setting {
        toml: None,
        ..Setting::new(
            "OTEL_EXPORTER_OTLP_HEADERS", "",
            Kind::Secret { file: "traces.headers_file" },
            Preset::Unset("no further headers"),
            "Headers that the collector asks for: name=value, separated by commas.",
        )
    };

    NOTIFY_WEBHOOK_URL = Setting {
        toml: None,
        ..Setting::new(
            "NOTIFY_WEBHOOK_URL", "",
            Kind::Secret { file: "notify.webhook_url_file" },
            Preset::Unset("no notifications"),
            "URL of a webhook that takes messages as Slack's do.",
        )
    }.more("See [notifications](logging.md#notifications).");

    NOTIFY_ON = Setting::new(
        "NOTIFY_ON", "notify.on", Kind::List, Preset::Unset("job_failed, alarm, drain"),
        "What is told there: job_failed, job_ended, alarm, drain.",
    ).allowed("some of `job_failed`, `job_ended`, `alarm`, `drain`").more("In TOML an array.");

    NOTIFY_SECRET = Setting {
        toml: None,
        ..Setting::new(
            "NOTIFY_SECRET", "",
            Kind::Secret { file: "notify.secret_file" },
            Preset::Unset("notifications are not signed"),
            "Secret with which notifications are signed (HMAC-SHA256).",
        )
    };

    HEALTH_LISTEN = Setting::new(
        "HEALTH_LISTEN", "health.listen", Kind::Text, Preset::Unset("nobody is answered"),
        "Where health and metrics are told over HTTP: an address of this host alone, as \
         127.0.0.1:9464 or [::1]:9464, or unix:/path.",
    ).flag("health-listen", "ADDRESS")
    .allowed(
        "a loopback address with its port, or `unix:` and an absolute path; any other address is \
         refused",
    ).more("The socket has mode 0660. See [monitoring](monitoring.md).");

    GITHUB_APP_ID = Setting::new(
        "GITHUB_APP_ID", "github_app.id", Kind::Number, Preset::Unset("no GitHub App"),
        "Id of the GitHub App whose one-hour tokens the agents get in place of GITHUB_TOKEN.",
    ).allowed(COUNT);

    GITHUB_APP_INSTALLATION = Setting::new(
        "GITHUB_APP_INSTALLATION_ID", "github_app.installation", Kind::Number,
        Preset::Unset("that of each repository is looked up"),
        "Id of the installation of the GitHub App.",
    ).allowed(COUNT);

    GITHUB_APP_KEY = Setting {
        toml: None,
        ..Setting::new(
            "GITHUB_APP_PRIVATE_KEY", "",
            Kind::Secret { file: "github_app.private_key_file" },
            Preset::Unset("no GitHub App"),
            "Private key of the GitHub App, as PEM.",
        )
    };

    SECRET_COMMAND = Setting::new(
        "SECRET_COMMAND", "secrets.command", Kind::Text, Preset::Unset("no command is asked"),
        "Command that is asked for each secret that is given nowhere else: its words, and after them \
         the secret's name.",
    ).more("In TOML a string too. See [secrets](#secrets).");
}
