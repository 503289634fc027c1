//! From a job and the configuration to a container. Pure.

use std::collections::BTreeMap;

use api_client::contract::{
    JobDocument, OUTCOME_FILE_IN_CONTAINER, TRANSCRIPT_FILE_IN_CONTAINER, env,
};
use api_client::wire::Job;

use super::cache::{cache_mounts, kept_layers, may_keep_git};
use super::document::{DOCUMENT_ON_STDIN, VISIBLE, View, runner_command};
use super::label;
use crate::alias::HOST_ALIAS;
use crate::config::{AgentConfig, Config, DockerMode, JobNetwork, RootFolder, SocketMount};
use crate::engine::{ContainerRef, ContainerSpec, DEFAULT_SOCKET, MountSpec, NetworkId, Rights};
use crate::identity::CoordinatorId;

/// What was made for a container before itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Surroundings {
    /// A network of the job's own.
    pub(crate) network: Option<NetworkId>,
    /// The address of the gateway on it, where that is the only way out.
    pub(crate) way_out: Option<String>,
    /// That gateway, whatever it is for.
    pub(crate) gateway: Option<ContainerRef>,
}

/// Folders that programs expect to write to, where the root is read-only. Whatever is run from them
/// must be allowed to: package managers do that. An inner daemon keeps a key in `/etc/docker`.
const WRITABLE: [(&str, &str); 6] = [
    ("/etc/docker", "mode=0700"),
    ("/home/agent", "exec,mode=0755,uid=1000,gid=1000"),
    ("/root", "exec,mode=0700"),
    ("/run", "mode=0755"),
    ("/tmp", "exec,mode=1777"),
    ("/var/tmp", "exec,mode=1777"),
];

/// How the containers of this configuration see the host.
pub(crate) fn view(agent: &AgentConfig) -> View {
    match &agent.network {
        JobNetwork::Named(name) if name == "host" => View::HostNetwork,
        JobNetwork::Named(_) | JobNetwork::Own => View::Container,
    }
}

/// The container of a job. Of the document only what identifies the job is taken.
pub(crate) fn container_spec(
    job: &Job,
    config: &Config,
    id: CoordinatorId,
    image: String,
    document: &JobDocument,
    surroundings: Surroundings,
) -> ContainerSpec {
    let agent = config.agent_for(job.project_id);
    let network = match (&agent.network, surroundings.network) {
        (JobNetwork::Named(name), _) => Some(name.clone()),
        (JobNetwork::Own, own) => own.map(|network| network.as_str().to_owned()),
    };
    let mut spec = ContainerSpec {
        image,
        command: runner_command(job),
        env: visible_env(agent, document),
        labels: label::of_job(job, id),
        user: None,
        rights: rights(agent.docker_mode),
        runtime: agent.runtime.clone(),
        limits: agent.limits.clone(),
        root: agent.root,
        in_memory: in_memory(agent.root),
        scratch_volumes: vec![outcome_folder()],
        mounts: Vec::new(),
        network,
        extra_hosts: Vec::new(),
        name_servers: surroundings.way_out.iter().cloned().collect(),
        sysctls: BTreeMap::new(),
    };
    if view(agent) == View::Container && surroundings.way_out.is_none() {
        spec.extra_hosts.push(format!("{HOST_ALIAS}:host-gateway"));
    }
    let caches = cache_mounts(agent, job.project_id, id);
    spec.mounts.extend(caches.mounts);
    spec.scratch_volumes.extend(caches.scratch);
    if kept_layers(&spec).is_some() {
        spec.env.insert(env::AGENT_CACHE_DOCKER.to_owned(), "1".to_owned());
    }
    if may_keep_git(agent) {
        spec.env.insert(env::AGENT_CACHE_GIT.to_owned(), "1".to_owned());
    }
    if agent.docker_mode == DockerMode::Dood {
        share_engine(&mut spec, agent, config);
    }
    spec
}

/// Where the agent leaves its outcome. It is a volume, since what is in memory is gone when the container
/// has ended, and a root that cannot be written has no folder for it.
fn outcome_folder() -> String {
    let (folder, _file) = OUTCOME_FILE_IN_CONTAINER.rsplit_once('/').unwrap_or_default();
    folder.to_owned()
}

/// What the container may do on the host, by what its Docker needs.
pub(crate) const fn rights(mode: DockerMode) -> Rights {
    match mode {
        DockerMode::Dind => Rights::Privileged,
        DockerMode::DindCaps => Rights::MountsAndNetworks,
        DockerMode::DindRootless => Rights::UserNamespaces,
        DockerMode::Dood | DockerMode::None => Rights::ChangeUser,
    }
}

/// What is in memory where the root cannot be written.
pub(super) fn in_memory(root: RootFolder) -> BTreeMap<String, String> {
    match root {
        RootFolder::Writable => BTreeMap::new(),
        RootFolder::ReadOnly => WRITABLE
            .into_iter()
            .map(|(path, options)| (path.to_owned(), format!("rw,nosuid,nodev,{options}")))
            .collect(),
    }
}

/// Gives the container the engine that runs it.
fn share_engine(spec: &mut ContainerSpec, agent: &AgentConfig, config: &Config) {
    let host = config.engine.host.as_deref();
    match agent.socket {
        SocketMount::Mount => {
            let socket = host.and_then(|host| host.strip_prefix("unix://"));
            spec.mounts.push(MountSpec::Bind {
                source: socket.unwrap_or(DEFAULT_SOCKET).to_owned(),
                target: DEFAULT_SOCKET.to_owned(),
            });
        }
        SocketMount::Leave => {
            spec.env.extend(host.map(|host| ("DOCKER_HOST".to_owned(), host.to_owned())));
        }
    }
}

fn visible_env(agent: &AgentConfig, document: &JobDocument) -> BTreeMap<String, String> {
    let (name, value) = DOCUMENT_ON_STDIN;
    let own = [
        (name, value),
        (env::AGENT_DOCKER_MODE, agent.docker_mode.name()),
        (env::OUTCOME_FILE, OUTCOME_FILE_IN_CONTAINER),
        (env::TRANSCRIPT_FILE, TRANSCRIPT_FILE_IN_CONTAINER),
    ];
    let of_job = VISIBLE.into_iter().filter_map(|name| Some((name, document.get(name)?.expose())));
    own.into_iter()
        .chain(agent.log.environment())
        .chain(of_job)
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::document::job_document;
    use super::super::fixture::{config, job};
    use super::*;
    use crate::ledger::{JobRef, Record, Runs};

    fn spec_in(
        fields: &str,
        variables: &[(&str, &str)],
        surroundings: Surroundings,
    ) -> ContainerSpec {
        let dir = tempfile::tempdir().unwrap();
        let id = CoordinatorId::load_or_make(dir.path()).unwrap();
        let (job, config) = (job(fields), config(variables));
        let record = Record::claimed(JobRef::of(&job, Runs::InContainer), None, 0);
        let document = job_document(&record, &job, &config, view(&config.agent), None);
        container_spec(&job, &config, id, "image:1".to_owned(), &document, surroundings)
    }

    fn spec(fields: &str, variables: &[(&str, &str)]) -> ContainerSpec {
        spec_in(fields, variables, Surroundings::default())
    }

    const TICKET: &str = r#""kind":"ticket","agent_env":{"WORKER_API_KEY":"sk-very-secret"}"#;

    #[test]
    fn nothing_that_inspect_shows_is_a_secret_or_a_setting() {
        let secrets =
            [("GITHUB_TOKEN", "ghp_very_secret"), ("TERARCHITECT_WORKER_API_KEY", "key1")];
        let spec = spec(TICKET, &secrets);
        let names: Vec<_> = spec.env.keys().map(String::as_str).collect();
        let expected = [
            "AGENT_CACHE_GIT",
            "AGENT_DOCKER_MODE",
            "AGENT_OUTCOME_FILE",
            "AGENT_TRANSCRIPT_FILE",
            "JOB_ID",
            "JOB_KIND",
            "PROJECT_ID",
            "TERARCHITECT_JOB_DOCUMENT",
            "TICKET_ID",
        ];
        assert_eq!(names, expected);
        let shown = format!("{spec:?}");
        for secret in ["ghp_very_secret", "sk-very-secret", "key1"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    #[test]
    fn each_mode_gets_the_rights_and_the_volume_that_its_docker_needs_and_no_more() {
        for (mode, rights, volume) in [
            ("dind", Rights::Privileged, Some("/var/lib/docker")),
            ("dind-caps", Rights::MountsAndNetworks, Some("/var/lib/docker")),
            ("dind-rootless", Rights::UserNamespaces, Some("/home/agent/.local")),
            ("dood", Rights::ChangeUser, None),
            ("none", Rights::ChangeUser, None),
        ] {
            let spec = spec(TICKET, &[("AGENT_DOCKER_MODE", mode)]);
            assert_eq!(spec.rights, rights, "{mode}");
            let volumes = ["/var/lib/agent-runner"].into_iter().chain(volume);
            assert_eq!(spec.scratch_volumes, Vec::from_iter(volumes), "{mode}");
            assert_eq!(spec.extra_hosts, ["host.docker.internal:host-gateway"], "{mode}");
        }
    }

    #[test]
    fn dood_shares_the_engine() {
        let mode = ("AGENT_DOCKER_MODE", "dood");
        let no_cache = ("AGENT_CACHE_VOLUME", "");
        let spec_of = |more: &[(&str, &str)]| {
            let variables: Vec<_> =
                [mode, no_cache].into_iter().chain(more.iter().copied()).collect();
            spec(TICKET, &variables)
        };
        let mounted = spec_of(&[("DOCKER_HOST", "unix:///run/other.sock")]);
        let bind = MountSpec::Bind {
            source: "/run/other.sock".to_owned(),
            target: "/var/run/docker.sock".to_owned(),
        };
        assert_eq!(mounted.mounts, [bind]);
        let sidecar =
            spec_of(&[("AGENT_MOUNT_DOCKER_SOCKET", "0"), ("DOCKER_HOST", "tcp://sidecar:2375")]);
        assert!(sidecar.mounts.is_empty());
        assert_eq!(sidecar.env["DOCKER_HOST"], "tcp://sidecar:2375");
    }

    #[test]
    fn a_container_in_the_hosts_network_needs_no_alias() {
        let spec = spec(TICKET, &[("DOCKER_NETWORK", "host")]);
        assert!(spec.extra_hosts.is_empty());
        assert_eq!(spec.network.as_deref(), Some("host"));
    }

    #[test]
    fn an_agent_behind_a_gateway_asks_it_for_names_and_knows_no_other_way_out() {
        let way_out = Some("172.30.0.2".to_owned());
        let surroundings = Surroundings { way_out, ..Surroundings::default() };
        let spec = spec_in(TICKET, &[("AGENT_EGRESS", "allowlist")], surroundings);
        assert_eq!(spec.name_servers, ["172.30.0.2"]);
        assert!(spec.extra_hosts.is_empty());
    }

    #[test]
    fn a_read_only_root_leaves_what_programs_write_to_in_memory() {
        let spec = spec(TICKET, &[("AGENT_READ_ONLY", "1")]);
        assert_eq!(spec.root, RootFolder::ReadOnly);
        assert!(spec.in_memory["/tmp"].contains("exec"));
        assert!(spec.in_memory.contains_key("/run"));
    }
}
