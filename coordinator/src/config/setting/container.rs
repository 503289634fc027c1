//! Settings of the agent's container: the table `[agent]`, and of a project's own table.

use super::{Kind, Preset, Setting, settings};

settings! {
    IMAGE = Setting::new(
        "AGENT_IMAGE", "agent.image", Kind::Text, Preset::Value("terarchitect-agent"),
        "Image of the agent's container.",
    ).flag("image", "IMAGE");

    PULL = Setting::new(
        "AGENT_PULL", "agent.pull", Kind::Text, Preset::Value("if-missing"),
        "When the image is pulled: always, if-missing or never.",
    );

    PULL_PATIENCE = Setting::new(
        "AGENT_PULL_PATIENCE", "agent.pull_patience", Kind::Duration, Preset::Value("2m"),
        "A pull that makes no progress for this long is given up.",
    );

    DOCKER_MODE = Setting::new(
        "AGENT_DOCKER_MODE", "agent.docker_mode", Kind::Text, Preset::Value("dind"),
        "Docker for the agent: dind (its own daemon, privileged), dind-caps (the same with fewer \
         rights), dind-rootless (the same with none), dood (this host's) or none.",
    ).flag("docker-mode", "MODE");

    SOCKET = Setting::new(
        "AGENT_MOUNT_DOCKER_SOCKET", "agent.mount_docker_socket", Kind::Switch, Preset::Value("1"),
        "Whether dood mounts the engine's socket; 0 when the agent is given a DOCKER_HOST instead.",
    );

    DOOD_SHARED = Setting::new(
        "AGENT_DOOD_SHARED", "agent.dood_shared", Kind::Switch, Preset::Value("0"),
        "Whether several agents at once may share the one engine of dood.",
    );

    RUNTIME = Setting::new(
        "AGENT_RUNTIME", "agent.runtime", Kind::Text, Preset::Unset("the engine's default"),
        "Runtime of the agent's container, such as sysbox-runc or runsc.",
    );

    MEMORY = Setting::new(
        "AGENT_MEMORY", "agent.memory", Kind::Size, Preset::Unset("no limit"),
        "Memory of one agent: bytes, or a number with k, m or g.",
    ).flag("memory", "SIZE");

    MEMORY_SWAP = Setting::new(
        "AGENT_MEMORY_SWAP", "agent.memory_swap", Kind::Size, Preset::Value("0"),
        "Swap space beside AGENT_MEMORY.",
    );

    CPUS = Setting::new(
        "AGENT_CPUS", "agent.cpus", Kind::Number, Preset::Unset("no limit"),
        "Processors of one agent, in fractions too.",
    ).flag("cpus", "N");

    PIDS = Setting::new(
        "AGENT_PIDS", "agent.pids", Kind::Number, Preset::Value("4096"),
        "Processes and threads of one agent; 0 for no limit.",
    );

    SHM = Setting::new(
        "AGENT_SHM", "agent.shm", Kind::Size, Preset::Value("256m"),
        "Size of /dev/shm in the agent's container.",
    );

    DISK = Setting::new(
        "AGENT_DISK", "agent.disk", Kind::Size, Preset::Unset("no limit"),
        "Disk space of one agent: a limit where the engine's storage can give one, else watched.",
    );

    NOFILE = Setting::new(
        "AGENT_NOFILE", "agent.nofile", Kind::Number, Preset::Unset("the engine's default"),
        "Open files of one process of an agent.",
    );

    READ_ONLY = Setting::new(
        "AGENT_READ_ONLY", "agent.read_only", Kind::Switch, Preset::Value("0"),
        "Whether the root of the agent's container is read-only; /tmp, /run, /var/tmp, /root, \
         /home/agent and /etc/docker are then in memory.",
    );

    NETWORK = Setting::new(
        "DOCKER_NETWORK", "agent.network", Kind::Text, Preset::Unset("one of its own for each job"),
        "Network of the agent's container.",
    ).flag("network", "NAME");

    EGRESS = Setting::new(
        "AGENT_EGRESS", "agent.egress", Kind::Text, Preset::Value("open"),
        "What an agent's container reaches: open (all), allowlist (the job's own hosts, package \
         registries, AGENT_EGRESS_ALLOW) or none (the job's own hosts).",
    ).flag("egress", "POLICY");

    EGRESS_ALLOW = Setting::new(
        "AGENT_EGRESS_ALLOW", "agent.egress_allow", Kind::List, Preset::Unset("no further hosts"),
        "Further hosts of the allow-list: name, name:port, or .name for all below it; with =private \
         behind it, it may have private addresses.",
    );

    EGRESS_LEARN = Setting::new(
        "AGENT_EGRESS_LEARN", "agent.egress_learn", Kind::Switch, Preset::Value("0"),
        "Whether nothing is refused and the job's log lists what it needed instead.",
    );

    MODEL_GATEWAY = Setting::new(
        "AGENT_MODEL_GATEWAY", "agent.model_gateway", Kind::Text, Preset::Value("inside"),
        "Where the model's key is put in: inside (the agent's container, out of the worker's reach) \
         or outside (in a container beside it).",
    );

    CACHE_VOLUME = Setting::new(
        "AGENT_CACHE_VOLUME", "agent.cache_volume", Kind::Text,
        Preset::Value("terarchitect-agent-cache"),
        "Volume mounted at /cache in every agent's container; empty for none.",
    ).blank("disabled").flag("cache-volume", "NAME");

    CACHE_SCOPE = Setting::new(
        "AGENT_CACHE_SCOPE", "agent.cache_scope", Kind::Text, Preset::Value("project"),
        "Who shares a cache volume: the jobs of one project, or all (shared).",
    );

    CACHE_DOCKER = Setting::new(
        "AGENT_CACHE_DOCKER", "agent.cache_docker", Kind::Switch, Preset::Value("0"),
        "Whether the images of an agent's own Docker daemon are kept for the project's next job.",
    );
}
