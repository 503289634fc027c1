//! From a job and the configuration to a container. Pure.

use std::collections::BTreeMap;

use api_client::contract::{JobDocument, env};
use api_client::wire::Job;

use super::document::{DOCUMENT_ON_STDIN, VISIBLE, View, runner_command};
use crate::alias::HOST_ALIAS;
use crate::config::{AgentConfig, Config, DockerMode, JobNetwork, SocketMount};
use crate::engine::{ContainerSpec, DEFAULT_SOCKET, MountSpec, Privilege};
use crate::identity::CoordinatorId;

/// Labels by which containers are found again.
pub(crate) mod label {
    /// Id of the coordinator.
    pub(crate) const COORDINATOR: &str = "terarchitect.coordinator";
    /// Id of the job.
    pub(crate) const JOB: &str = "terarchitect.job";
    pub(super) const TICKET: &str = "terarchitect.ticket";
    pub(super) const PROJECT: &str = "terarchitect.project";
    pub(super) const KIND: &str = "terarchitect.kind";
}

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
) -> ContainerSpec {
    let agent = config.agent_for(job.project_id);
    let mut spec = ContainerSpec {
        image,
        command: runner_command(job),
        env: visible_env(agent, document),
        labels: labels(job, id),
        network: match &agent.network {
            JobNetwork::Named(name) => Some(name.clone()),
            JobNetwork::Own => None,
        },
        ..ContainerSpec::default()
    };
    if view(agent) == View::Container {
        spec.extra_hosts.push(format!("{HOST_ALIAS}:host-gateway"));
    }
    if let Some(volume) = &agent.cache_volume {
        let target = "/cache".to_owned();
        spec.mounts.push(MountSpec::Volume { name: volume.clone(), target });
    }
    match agent.docker_mode {
        DockerMode::Dind => {
            spec.privilege = Privilege::Privileged;
            // overlay2 does not work on top of the container's own overlay.
            spec.scratch_volumes.push("/var/lib/docker".to_owned());
        }
        DockerMode::DindCaps | DockerMode::DindRootless => {}
        DockerMode::Dood => share_engine(&mut spec, agent, config),
        DockerMode::None => {}
    }
    spec
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
    let own = [(name, value), (env::AGENT_DOCKER_MODE, agent.docker_mode.name())];
    let of_job = VISIBLE.into_iter().filter_map(|name| Some((name, document.get(name)?.expose())));
    own.into_iter().chain(of_job).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn labels(job: &Job, id: CoordinatorId) -> BTreeMap<String, String> {
    BTreeMap::from([
        (label::COORDINATOR.to_owned(), id.to_string()),
        (label::JOB.to_owned(), job.job_id.to_string()),
        (label::TICKET.to_owned(), job.ticket_id.to_string()),
        (label::PROJECT.to_owned(), job.project_id.to_string()),
        (label::KIND.to_owned(), job.kind.name().to_owned()),
    ])
}

#[cfg(test)]
mod tests {
    use super::super::document::job_document;
    use super::super::fixture::{config, job};
    use super::*;
    use crate::ledger::{JobRef, Record, Runs};

    fn spec(fields: &str, variables: &[(&str, &str)]) -> ContainerSpec {
        let dir = tempfile::tempdir().unwrap();
        let id = CoordinatorId::load_or_make(dir.path()).unwrap();
        let (job, config) = (job(fields), config(variables));
        let record = Record::claimed(JobRef::of(&job, Runs::InContainer), None, 0);
        let document = job_document(&record, &job, &config, view(&config.agent), None);
        container_spec(&job, &config, id, "image:1".to_owned(), &document)
    }

    const TICKET: &str = r#""kind":"ticket","agent_env":{"WORKER_API_KEY":"sk-very-secret"}"#;

    #[test]
    fn nothing_that_inspect_shows_is_a_secret_or_a_setting() {
        let secrets =
            [("GITHUB_TOKEN", "ghp_very_secret"), ("TERARCHITECT_WORKER_API_KEY", "key1")];
        let spec = spec(TICKET, &secrets);
        let names: Vec<_> = spec.env.keys().map(String::as_str).collect();
        let expected = [
            "AGENT_DOCKER_MODE",
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
    fn dind_is_privileged_with_a_volume_of_its_own() {
        let spec = spec(TICKET, &[]);
        assert_eq!(spec.privilege, Privilege::Privileged);
        assert_eq!(spec.scratch_volumes, ["/var/lib/docker"]);
        let cache = MountSpec::Volume {
            name: "terarchitect-agent-cache".to_owned(),
            target: "/cache".to_owned(),
        };
        assert_eq!(spec.mounts, [cache]);
        assert_eq!(spec.extra_hosts, ["host.docker.internal:host-gateway"]);
    }

    #[test]
    fn dood_shares_the_engine_and_needs_no_privilege() {
        let mode = ("AGENT_DOCKER_MODE", "dood");
        let no_cache = ("AGENT_CACHE_VOLUME", "");
        let spec_of = |more: &[(&str, &str)]| {
            let variables: Vec<_> =
                [mode, no_cache].into_iter().chain(more.iter().copied()).collect();
            spec(TICKET, &variables)
        };
        let mounted = spec_of(&[("DOCKER_HOST", "unix:///run/other.sock")]);
        assert_eq!(mounted.privilege, Privilege::Default);
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
}
