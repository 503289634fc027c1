//! Settings of the agent's container: the table `[agent]`, and of a project's own table.

use super::{COUNT, Kind, NAME, Preset, SIZE_OR_NONE, Setting, TIME_ABOVE_ZERO, settings};

/// Of proxies.
const PROXY: &str = "`host:port`, `http://host:port` or `https://host:port`, with `user:password@` before the host \
    where the proxy wants them, in their URL-encoded form; `direct` for none";

settings! {
    IMAGE = Setting::new(
        "AGENT_IMAGE", "agent.image", Kind::Text, Preset::Value("terarchitect-agent"),
        "Image of the agent's container.",
    ).flag("image", "IMAGE").allowed("letters, digits, `.`, `_`, `-`, `/`, `:` and `@`").more(
        "An image given here wins over `project_images.json`; the default does not.",
    );

    PULL = Setting::new(
        "AGENT_PULL", "agent.pull", Kind::Text, Preset::Value("if-missing"),
        "When the image is pulled: always, if-missing or never.",
    ).allowed("`always`, `if-missing`, `never`").more(
        "With `always`, before each claim, at most once a minute; a pull that fails holds claims. \
         A job of a project with an image of its own that came without being asked for (no \
         `PROJECT_IDS`) runs with the image that is there, and the log says so. See \
         [images](runbook.md#pulls-and-registry-logins).",
    );

    PULL_PATIENCE = Setting::new(
        "AGENT_PULL_PATIENCE", "agent.pull_patience", Kind::Duration, Preset::Value("2m"),
        "A pull that makes no progress for this long is given up.",
    ).allowed(TIME_ABOVE_ZERO).more(
        "Written as `JOB_TIMEOUT`. However long it takes in all does not matter.",
    );

    DOCKER_MODE = Setting::new(
        "AGENT_DOCKER_MODE", "agent.docker_mode", Kind::Text, Preset::Value("dind"),
        "Docker for the agent: dind (its own daemon, privileged), dind-caps (the same with fewer \
         rights), dind-rootless (the same with none), dood (this host's) or none.",
    ).flag("docker-mode", "MODE")
    .allowed("`dind`, `dind-caps`, `dind-rootless`, `dood`, `none`").more(
        "See [isolation modes](runbook.md#docker-isolation-mode).",
    );

    SOCKET = Setting::new(
        "AGENT_MOUNT_DOCKER_SOCKET", "agent.mount_docker_socket", Kind::Switch, Preset::Value("1"),
        "Whether dood mounts the engine's socket; 0 when the agent is given a DOCKER_HOST instead.",
    );

    DOOD_SHARED = Setting::new(
        "AGENT_DOOD_SHARED", "agent.dood_shared", Kind::Switch, Preset::Value("0"),
        "Whether several agents at once may share the one engine of dood.",
    ).more(
        "Without it, `dood` runs one job at a time, whatever the app allows.",
    );

    RUNTIME = Setting::new(
        "AGENT_RUNTIME", "agent.runtime", Kind::Text, Preset::Unset("the engine's default"),
        "Runtime of the agent's container, such as sysbox-runc or runsc.",
    ).allowed(NAME);

    MEMORY = Setting::new(
        "AGENT_MEMORY", "agent.memory", Kind::Size, Preset::Unset("no limit"),
        "Memory of one agent: bytes, or a number with k, m or g.",
    ).flag("memory", "SIZE");

    MEMORY_SWAP = Setting::new(
        "AGENT_MEMORY_SWAP", "agent.memory_swap", Kind::Size, Preset::Value("0"),
        "Swap space beside AGENT_MEMORY.",
    ).allowed(SIZE_OR_NONE).more(
        "Written as `AGENT_MEMORY`; 0 for none. It means nothing without `AGENT_MEMORY`.",
    );

    CPUS = Setting::new(
        "AGENT_CPUS", "agent.cpus", Kind::Number, Preset::Unset("no limit"),
        "Processors of one agent, in fractions too.",
    ).flag("cpus", "N").allowed("a number from 0.01 to 10000");

    PIDS = Setting::new(
        "AGENT_PIDS", "agent.pids", Kind::Number, Preset::Value("4096"),
        "Processes and threads of one agent; 0 for no limit.",
    ).allowed("a whole number, or 0");

    SHM = Setting::new(
        "AGENT_SHM", "agent.shm", Kind::Size, Preset::Value("256m"),
        "Size of /dev/shm in the agent's container.",
    ).more("Written as `AGENT_MEMORY`. It counts as memory.");

    DISK = Setting::new(
        "AGENT_DISK", "agent.disk", Kind::Size, Preset::Unset("no limit"),
        "Disk space of one agent: a limit where the engine's storage can give one, else watched.",
    ).more(
        "Written as `AGENT_MEMORY`. See [limits](runbook.md#limits-of-an-agent).",
    );

    NOFILE = Setting::new(
        "AGENT_NOFILE", "agent.nofile", Kind::Number, Preset::Unset("the engine's default"),
        "Open files of one process of an agent.",
    ).allowed(COUNT);

    READ_ONLY = Setting::new(
        "AGENT_READ_ONLY", "agent.read_only", Kind::Switch, Preset::Value("0"),
        "Whether the root of the agent's container is read-only; /tmp, /run, /var/tmp, /root, \
         /home/agent and /etc/docker are then in memory.",
    );

    NETWORK = Setting::new(
        "DOCKER_NETWORK", "agent.network", Kind::Text, Preset::Unset("one of its own for each job"),
        "Network of the agent's container.",
    ).flag("network", "NAME").allowed(NAME).more(
        "One that is named here is neither made nor removed. With `host`, no URL is rewritten.",
    );

    EGRESS = Setting::new(
        "AGENT_EGRESS", "agent.egress", Kind::Text, Preset::Value("open"),
        "What an agent's container reaches: open (all), allowlist (the job's own hosts, package \
         registries, AGENT_EGRESS_ALLOW) or none (the job's own hosts).",
    ).flag("egress", "POLICY").allowed("`open`, `allowlist`, `none`").more("See [egress](egress.md).");

    EGRESS_ALLOW = Setting::new(
        "AGENT_EGRESS_ALLOW", "agent.egress_allow", Kind::List, Preset::Unset("no further hosts"),
        "Further hosts of the allow-list: name, name:port, or .name for all below it; with =private \
         behind it, it may have private addresses.",
    ).allowed(
        "names in ASCII (the `xn--` form of others) or addresses, each with a port from 1 or a \
         leading dot, or neither; `=private` behind one",
    ).more("In TOML an array.");

    EGRESS_LEARN = Setting::new(
        "AGENT_EGRESS_LEARN", "agent.egress_learn", Kind::Switch, Preset::Value("0"),
        "Whether nothing is refused and the job's log lists what it needed instead.",
    );

    MODEL_GATEWAY = Setting::new(
        "AGENT_MODEL_GATEWAY", "agent.model_gateway", Kind::Text, Preset::Value("inside"),
        "Where the model's key is put in: inside (the agent's container, out of the worker's reach) \
         or outside (in a container beside it).",
    ).allowed("`inside`, `outside`").more("See [what no agent may see](security.md).");

    CACHE_VOLUME = Setting::new(
        "AGENT_CACHE_VOLUME", "agent.cache_volume", Kind::Text,
        Preset::Value("terarchitect-agent-cache"),
        "Volume mounted at /cache in every agent's container; empty for none.",
    ).blank("disabled").flag("cache-volume", "NAME")
    .allowed("letters, digits, `.`, `_` and `-`, or empty for none").more(
        "With `AGENT_CACHE_SCOPE=project` the project's id is appended to its name.",
    );

    CACHE_SCOPE = Setting::new(
        "AGENT_CACHE_SCOPE", "agent.cache_scope", Kind::Text, Preset::Value("project"),
        "Who shares a cache volume: the jobs of one project, or all (shared).",
    ).allowed("`project`, `shared`").more("See [caches](runbook.md#caches).");

    CACHE_DOCKER = Setting::new(
        "AGENT_CACHE_DOCKER", "agent.cache_docker", Kind::Switch, Preset::Value("0"),
        "Whether the images of an agent's own Docker daemon are kept for the project's next job.",
    ).more(
        "At most one job at a time uses them; another begins without. See \
         [caches](runbook.md#caches).",
    );

    HTTP_PROXY = Setting::new(
        "AGENT_HTTP_PROXY", "agent.http_proxy", Kind::Text, Preset::Unset("HTTP_PROXY"),
        "Proxy of the agents for http:// URLs, where it is not the coordinator's; direct for none.",
    ).allowed(PROXY).more("See [networks](networks.md#proxies).");

    HTTPS_PROXY = Setting::new(
        "AGENT_HTTPS_PROXY", "agent.https_proxy", Kind::Text, Preset::Unset("HTTPS_PROXY"),
        "Proxy of the agents for https:// URLs, where it is not the coordinator's; direct for none.",
    ).allowed(PROXY).more("See [networks](networks.md#proxies).");

    NO_PROXY = Setting::new(
        "AGENT_NO_PROXY", "agent.no_proxy", Kind::Text, Preset::Unset("NO_PROXY"),
        "Hosts that the agents reach without a proxy, where they are not the coordinator's.",
    );

    LOG_LEVEL = Setting::new(
        "AGENT_LOG_LEVEL", "agent.log_level", Kind::Text, Preset::Unset("info"),
        "What an agent logs, as LOG_LEVEL says it of the coordinator.",
    ).allowed(
        "`error`, `warn`, `info`, `debug`, `trace`, `off`, or directives with `=`; also the \
         original's `WARNING` and `CRITICAL`",
    );

    LOG_FORMAT = Setting::new(
        "AGENT_LOG_FORMAT", "agent.log_format", Kind::Text, Preset::Unset("pretty"),
        "Form of an agent's log: pretty or json.",
    ).allowed("`pretty`, `json`");
}
