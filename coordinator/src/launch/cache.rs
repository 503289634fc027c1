//! The volumes of a container that outlive its job: the cache, and the images of the agent's own
//! Docker daemon where they are kept. Pure.
//!
//! Every such volume is made with the label [`label::CACHE`]: by it, it is told from what a job leaves
//! behind.

use std::collections::BTreeMap;

use api_client::ProjectId;
use api_client::contract::env;

use super::label;
use crate::config::{AgentConfig, CacheScope, DockerMode, InnerLayers};
use crate::engine::{ContainerSpec, MountSpec};
use crate::identity::CoordinatorId;

/// Where the cache is in the container.
const CACHE: &str = "/cache";

/// What [`label::CACHE`] says of the images of an inner Docker daemon.
const OF_DOCKER: &str = "docker";

/// Where an agent's own Docker daemon keeps what it has, by its kind: neither could use what the other
/// left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InnerDocker {
    /// One that is root in the container.
    Root,
    /// One without rights, which runs as the worker's user.
    Rootless,
}

impl InnerDocker {
    /// That of a mode, if it has one.
    pub(super) const fn of(mode: DockerMode) -> Option<Self> {
        match mode {
            DockerMode::Dind | DockerMode::DindCaps => Some(Self::Root),
            DockerMode::DindRootless => Some(Self::Rootless),
            DockerMode::Dood | DockerMode::None => None,
        }
    }

    /// Its folder. A volume: overlay2 does not work on top of the container's own overlay.
    pub(super) const fn folder(self) -> &'static str {
        match self {
            Self::Root => "/var/lib/docker",
            Self::Rootless => "/home/agent/.local",
        }
    }

    const fn suffix(self) -> &'static str {
        match self {
            Self::Root => "docker",
            Self::Rootless => "docker-rootless",
        }
    }
}

/// The volumes of a container that hold what it downloads.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Caches {
    /// Those that outlive it.
    pub(super) mounts: Vec<MountSpec>,
    /// Paths of those that go with it.
    pub(super) scratch: Vec<String>,
}

/// The volumes of a project's container.
pub(super) fn cache_mounts(agent: &AgentConfig, project: ProjectId, id: CoordinatorId) -> Caches {
    let labels = |kind: &str| {
        let mut labels = BTreeMap::from([
            (label::COORDINATOR.to_owned(), id.to_string()),
            (label::CACHE.to_owned(), kind.to_owned()),
        ]);
        if kind != "shared" {
            labels.insert(label::PROJECT.to_owned(), project.to_string());
        }
        labels
    };
    let volume = |name, target: &str, kind: &str| MountSpec::Volume {
        name,
        target: target.to_owned(),
        labels: labels(kind),
    };
    let mut caches = Caches::default();
    if let Some(base) = &agent.cache_volume {
        caches.mounts.push(match agent.cache_scope {
            CacheScope::Project => volume(format!("{base}-{project}"), CACHE, "project"),
            CacheScope::Shared => volume(base.clone(), CACHE, "shared"),
        });
    }
    match (InnerDocker::of(agent.docker_mode), agent.inner_layers, &agent.cache_volume) {
        (Some(inner), InnerLayers::Kept, Some(base)) => {
            let name = format!("{base}-{project}-{}", inner.suffix());
            caches.mounts.push(volume(name, inner.folder(), OF_DOCKER));
        }
        (Some(inner), ..) => caches.scratch.push(inner.folder().to_owned()),
        (None, ..) => {}
    }
    caches
}

/// Whether the agent may keep mirrors of git repositories in its cache: they are root's, so not where a
/// worker that is root by way of its Docker engine would come to read those of other projects.
pub(super) fn may_keep_git(agent: &AgentConfig) -> bool {
    let alone = agent.cache_scope == CacheScope::Project;
    agent.cache_volume.is_some()
        && match agent.docker_mode {
            DockerMode::None | DockerMode::DindRootless => true,
            DockerMode::Dind | DockerMode::DindCaps => alone,
            DockerMode::Dood => false,
        }
}

/// The volume of a container in which the images of its own Docker daemon are kept, if they are. Two
/// daemons on one such volume would ruin it.
pub(super) fn kept_layers(spec: &ContainerSpec) -> Option<&str> {
    spec.mounts.iter().find_map(|mount| match mount {
        MountSpec::Volume { name, .. } if is_of_docker(mount) => Some(name.as_str()),
        MountSpec::Volume { .. } | MountSpec::Bind { .. } => None,
    })
}

/// The same container, with a volume of its own in the place of the kept one.
pub(super) fn with_fresh_layers(mut spec: ContainerSpec) -> ContainerSpec {
    let (kept, mounts) = spec.mounts.into_iter().partition(is_of_docker);
    let kept: Vec<MountSpec> = kept;
    spec.mounts = mounts;
    spec.scratch_volumes.extend(kept.into_iter().filter_map(|mount| match mount {
        MountSpec::Volume { target, .. } => Some(target),
        MountSpec::Bind { .. } => None,
    }));
    spec.env.remove(env::AGENT_CACHE_DOCKER);
    spec
}

fn is_of_docker(mount: &MountSpec) -> bool {
    match mount {
        MountSpec::Volume { labels, .. } => {
            labels.get(label::CACHE).is_some_and(|kind| kind == OF_DOCKER)
        }
        MountSpec::Bind { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{config, job};
    use super::*;

    fn caches(variables: &[(&str, &str)]) -> (Caches, ProjectId) {
        let dir = tempfile::tempdir().unwrap();
        let id = CoordinatorId::load_or_make(dir.path()).unwrap();
        let project = job(r#""kind":"ticket""#).project_id;
        (cache_mounts(&config(variables).agent, project, id), project)
    }

    fn names(caches: &Caches) -> Vec<(&str, &str)> {
        let mut names = Vec::new();
        for mount in &caches.mounts {
            if let MountSpec::Volume { name, target, labels } = mount {
                assert!(labels.contains_key(label::CACHE), "{labels:?}");
                names.push((name.as_str(), target.as_str()));
            }
        }
        names
    }

    const NO_DOCKER: (&str, &str) = ("AGENT_DOCKER_MODE", "none");

    #[test]
    fn a_cache_is_its_projects_alone_unless_it_is_to_be_shared() {
        let (own, project) = caches(&[NO_DOCKER]);
        let name = format!("terarchitect-agent-cache-{project}");
        assert_eq!(names(&own), [(name.as_str(), "/cache")]);
        let (shared, _) = caches(&[NO_DOCKER, ("AGENT_CACHE_SCOPE", "shared")]);
        assert_eq!(names(&shared), [("terarchitect-agent-cache", "/cache")]);
        assert_eq!(caches(&[NO_DOCKER, ("AGENT_CACHE_VOLUME", "")]).0, Caches::default());
    }

    #[test]
    fn inner_layers_are_kept_where_that_is_asked_for_and_go_with_the_container_elsewhere() {
        assert_eq!(caches(&[]).0.scratch, ["/var/lib/docker"]);
        let keep = ("AGENT_CACHE_DOCKER", "1");
        let (kept, project) = caches(&[keep, ("AGENT_CACHE_VOLUME", "mine")]);
        assert!(kept.scratch.is_empty());
        let name = format!("mine-{project}-docker");
        assert_eq!(names(&kept)[1], (name.as_str(), "/var/lib/docker"));
        assert_eq!(caches(&[keep, ("AGENT_CACHE_VOLUME", "")]).0.scratch, ["/var/lib/docker"]);
        let (none, _) = caches(&[keep, NO_DOCKER]);
        assert_eq!((names(&none).len(), none.scratch.len()), (1, 0));
    }

    #[test]
    fn mirrors_are_kept_where_no_other_project_s_worker_could_read_them() {
        let may = |mode, scope, volume| {
            let names = ["AGENT_DOCKER_MODE", "AGENT_CACHE_SCOPE", "AGENT_CACHE_VOLUME"];
            let variables = [(names[0], mode), (names[1], scope), (names[2], volume)];
            may_keep_git(&config(&variables).agent)
        };
        for mode in ["none", "dind-rootless", "dind", "dind-caps", "dood"] {
            assert_eq!(may(mode, "project", "v"), mode != "dood", "{mode}");
            let trusted = mode == "none" || mode == "dind-rootless";
            assert_eq!(may(mode, "shared", "v"), trusted, "{mode}");
            assert!(!may(mode, "project", ""), "{mode}");
        }
    }

    #[test]
    fn a_daemon_without_rights_never_meets_what_one_with_rights_left() {
        let keep = |mode| caches(&[("AGENT_CACHE_DOCKER", "1"), ("AGENT_DOCKER_MODE", mode)]).0;
        let (root, rootless) = (keep("dind-caps"), keep("dind-rootless"));
        assert_ne!(names(&root)[1].0, names(&rootless)[1].0);
        assert_eq!(names(&rootless)[1].1, "/home/agent/.local");
    }
}
