//! From what an engine says when it does not give a container to what an operator can do. Pure.

use crate::config::{AgentConfig, DockerMode, JobNetwork};
use crate::engine::EngineError;
use crate::launch::LaunchError;

/// What mends it, where it is known that these settings ask for what this engine cannot give. Nothing
/// for everything else: trouble that may pass, and what has never been seen.
pub(crate) fn cure(error: &LaunchError, agent: &AgentConfig) -> Option<String> {
    let LaunchError::Engine(error) = error else { return None };
    let message = match error {
        EngineError::Refused { message, .. } => message.to_ascii_lowercase(),
        EngineError::NoAddresses { .. } => return Some(MORE_NETWORKS.to_owned()),
        EngineError::RuntimeIgnored { asked, .. } => return Some(own_default(asked)),
        EngineError::Unreachable { .. } | EngineError::Stalled { .. } => return None,
    };
    // An entry point that is not there, or not to be executed, is the image's.
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&["exec: \"", "executable"]) {
        return None;
    }
    if let Some(runtime) = &agent.runtime
        && says(&["unknown runtime", "invalid runtime", "runtime name"])
    {
        return Some(add_runtime(runtime));
    }
    if let JobNetwork::Named(network) = &agent.network
        && message.contains("network")
        && says(&["not found", "no such network"])
    {
        return Some(format!("docker network create {network}, or leave DOCKER_NETWORK unset"));
    }
    if says(&["failed to mount local volume", "error while mounting volume", "volumedriver"]) {
        return Some(OTHER_VOLUME.to_owned());
    }
    if says(&["minimum memory", "memory limit"]) {
        return Some("give AGENT_MEMORY more".to_owned());
    }
    if says(&["range of cpus", "nanocpus"]) {
        return Some("set AGENT_CPUS to no more than the engine's host has".to_owned());
    }
    of_mode(agent.docker_mode, says)
}

const OTHER_VOLUME: &str = "see what it is (docker volume inspect), remove it, or name another by \
    AGENT_CACHE_VOLUME; an empty one means no cache";

/// What mends the address pools.
pub(super) const MORE_NETWORKS: &str = "remove networks that nobody needs (docker network prune), \
    or give the engine more by \"default-address-pools\" in its daemon.json";

/// What mends a runtime that the engine does not know.
pub(super) fn add_runtime(runtime: &str) -> String {
    format!(
        "add \"{runtime}\" under \"runtimes\" in the engine's daemon.json and restart it, or leave \
         AGENT_RUNTIME unset"
    )
}

fn own_default(runtime: &str) -> String {
    format!(
        "make {runtime} the engine's own default (Podman: `runtime` under [engine] in \
         containers.conf), and leave AGENT_RUNTIME unset"
    )
}

fn of_mode(mode: DockerMode, says: impl Fn(&[&str]) -> bool) -> Option<String> {
    let denied = ["operation not permitted", "permission denied", "privileged", "not allowed"];
    let confinement = ["seccomp", "apparmor", "selinux"];
    let text = match mode {
        DockerMode::Dind if says(&denied) => {
            "this engine starts no privileged containers: allow them, or set AGENT_DOCKER_MODE to \
             dind-caps, dind-rootless or none"
        }
        DockerMode::DindCaps if says(&denied) || says(&confinement) => {
            "this engine does not give SYS_ADMIN and NET_ADMIN without seccomp's profile: allow \
             that, or set AGENT_DOCKER_MODE to dind-rootless or none"
        }
        DockerMode::DindRootless if says(&["/dev/net/tun", "device information"]) => {
            "the engine's host has no /dev/net/tun: `modprobe tun` there, and name it in \
             /etc/modules-load.d/tun.conf"
        }
        DockerMode::DindRootless if says(&denied) || says(&confinement) => {
            "this engine does not start containers without seccomp's profile: allow that, or set \
             AGENT_DOCKER_MODE to none"
        }
        DockerMode::Dood if says(&["bind source path", "statfs", ".sock", "not a directory"]) => {
            "the engine's host has no such socket: set AGENT_MOUNT_DOCKER_SOCKET=0 and a \
             DOCKER_HOST that containers reach"
        }
        DockerMode::Dind
        | DockerMode::DindCaps
        | DockerMode::DindRootless
        | DockerMode::Dood
        | DockerMode::None => return None,
    };
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::fixture::agent;
    use super::*;

    fn refused(message: &str) -> LaunchError {
        LaunchError::Engine(EngineError::Refused {
            action: "start container",
            object: "terarchitect-1".to_owned(),
            status: 500,
            message: message.to_owned(),
        })
    }

    #[test]
    fn the_words_of_an_engine_lead_to_what_mends_it() {
        for (mode, message, setting) in [
            ("dind", "runc create failed: apply caps: operation not permitted", "dind-caps"),
            ("dind-caps", "OCI runtime error: operation not permitted", "dind-rootless"),
            (
                "dind-rootless",
                "error gathering device information while adding custom device \"/dev/net/tun\": no \
                 such file or directory",
                "modprobe tun",
            ),
            (
                "dood",
                "invalid mount config for type \"bind\": bind source path does not exist: /x.sock",
                "AGENT_MOUNT_DOCKER_SOCKET=0",
            ),
            ("none", "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs", "AGENT_CPUS"),
            ("none", "Minimum memory limit allowed is 6MB", "AGENT_MEMORY"),
        ] {
            let agent = agent(&[("AGENT_DOCKER_MODE", mode)]);
            let cure = cure(&refused(message), &agent).unwrap_or_default();
            assert!(cure.contains(setting), "{mode}: {cure}");
        }
    }

    #[test]
    fn a_network_that_is_not_there_is_named() {
        let agent = agent(&[("AGENT_DOCKER_MODE", "none"), ("DOCKER_NETWORK", "build-net")]);
        let cure = cure(&refused("network build-net not found"), &agent).unwrap();
        assert!(cure.contains("docker network create build-net"), "{cure}");
    }

    #[test]
    fn a_runtime_that_is_not_known_is_named() {
        let agent = agent(&[("AGENT_RUNTIME", "runsc")]);
        let message = "Unknown runtime specified runsc";
        assert!(cure(&refused(message), &agent).unwrap().contains("\"runsc\""));
    }

    #[test]
    fn trouble_that_may_pass_holds_up_nothing() {
        let agent = agent(&[("AGENT_DOCKER_MODE", "dind")]);
        assert_eq!(cure(&refused("no space left on device"), &agent), None);
    }

    #[test]
    fn an_entry_point_that_is_of_no_use_is_not_taken_for_a_mode_that_is_refused() {
        for (mode, message) in [
            ("dind", "unable to start container process: exec: \"/agent\": permission denied"),
            (
                "dood",
                "unable to start container process: exec: \"/agent\": stat /agent: no such file",
            ),
            ("dind", "crun: open executable: Permission denied: OCI permission denied"),
        ] {
            let agent = agent(&[("AGENT_DOCKER_MODE", mode)]);
            assert_eq!(cure(&refused(message), &agent), None, "{message}");
        }
    }

    #[test]
    fn an_engine_that_is_away_has_no_cure_here() {
        let agent = agent(&[("AGENT_DOCKER_MODE", "dind")]);
        let away = EngineError::Unreachable {
            action: "start container",
            object: "x".to_owned(),
            problem: "permission denied".to_owned(),
        };
        assert_eq!(cure(&LaunchError::Engine(away), &agent), None);
    }
}
