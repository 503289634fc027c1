//! Volumes that outlive containers: where they are, and who has them.

use std::collections::HashMap;
use std::path::PathBuf;

use bollard::models::{ContainerSummaryStateEnum as State, VolumeCreateRequest};
use bollard::query_parameters::{ListContainersOptionsBuilder, ListVolumesOptionsBuilder};

use super::spec::MountSpec;
use super::{CALL_TIMEOUT, ContainerRef, Engine, EngineError, found};

/// A container that has a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VolumeUser {
    pub(crate) container: ContainerRef,
    pub(crate) life: Life,
}

/// Whether a container can still write to its volumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It runs, or may begin to.
    Ahead,
    /// Its processes have ended for good.
    Ended,
}

impl Engine {
    /// Makes the volumes with labels that are not there: Podman leaves out the labels of those that it
    /// makes for a container, and without them no clean-up would find them.
    pub(crate) async fn make_volumes(&self, mounts: &[MountSpec]) -> Result<(), EngineError> {
        for mount in mounts {
            let MountSpec::Volume { name, labels, .. } = mount else { continue };
            if labels.is_empty() {
                continue;
            }
            let request = VolumeCreateRequest {
                name: Some(name.clone()),
                labels: Some(labels.clone().into_iter().collect()),
                ..VolumeCreateRequest::default()
            };
            let docker = self.docker().await?;
            self.call(CALL_TIMEOUT, "make volume", name, docker.create_volume(request)).await?;
        }
        Ok(())
    }

    /// The containers that have a volume, in whatever state they are.
    pub(crate) async fn users_of_volume(
        &self,
        volume: &str,
    ) -> Result<Vec<VolumeUser>, EngineError> {
        let filters = HashMap::from([("volume", vec![volume.to_owned()])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let docker = self.docker().await?;
        let list = docker.list_containers(Some(options));
        let containers = self.call(CALL_TIMEOUT, "list containers with", volume, list).await?;
        let user = |container: bollard::models::ContainerSummary| {
            let life = match container.state {
                Some(State::EXITED | State::DEAD | State::REMOVING) => Life::Ended,
                _ => Life::Ahead,
            };
            Some(VolumeUser { container: ContainerRef(container.id?), life })
        };
        Ok(containers.into_iter().filter_map(user).collect())
    }

    /// The names of the volumes that carry all of these labels, each `name` or `name=value`.
    pub(crate) async fn volumes(&self, labels: &[String]) -> Result<Vec<String>, EngineError> {
        let filters = HashMap::from([("label", labels.to_vec())]);
        let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
        let docker = self.docker().await?;
        let list = docker.list_volumes(Some(options));
        let volumes = self.call(CALL_TIMEOUT, "list volumes", "by label", list).await?;
        let volumes = volumes.volumes.unwrap_or_default().into_iter();
        Ok(volumes.map(|volume| volume.name).collect())
    }

    /// Whether there is a volume of this name.
    pub(crate) async fn has_volume(&self, name: &str) -> Result<bool, EngineError> {
        let docker = self.docker().await?;
        let inspect = docker.inspect_volume(name);
        let inspect = self.call(CALL_TIMEOUT, "inspect volume", name, inspect);
        found(inspect.await).map(|volume| volume.is_some())
    }

    /// Where the engine keeps a volume, as a path of its own host; none when there is no such volume.
    pub(crate) async fn volume_path(&self, name: &str) -> Result<Option<PathBuf>, EngineError> {
        let inspect = self.docker().await?;
        let inspect = inspect.inspect_volume(name);
        let volume = found(self.call(CALL_TIMEOUT, "inspect volume", name, inspect).await)?;
        Ok(volume.map(|volume| volume.mountpoint.into()))
    }
}
