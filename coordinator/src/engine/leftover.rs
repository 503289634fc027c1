//! Objects of the engine that carry our label.

use std::collections::HashMap;
use std::fmt;

use api_client::{JobId, TicketId};
use bollard::models::{Volume, VolumeListResponse};
use bollard::query_parameters::{
    InspectContainerOptions, ListContainersOptionsBuilder, ListNetworksOptionsBuilder,
    ListVolumesOptionsBuilder, RemoveVolumeOptions,
};

use super::{CALL_TIMEOUT, ContainerRef, Engine, EngineError, found};
use crate::identity::CoordinatorId;
use crate::launch::label;

/// One such object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leftover {
    pub(crate) kind: LeftoverKind,
    /// The engine's id of it, or its name.
    pub(crate) id: String,
    /// What people know it by.
    pub(crate) name: String,
    /// The job that it was made for, where its label says so.
    pub(crate) job: Option<JobId>,
    /// The ticket of whose jobs none may be held when it goes.
    pub(crate) ticket: Option<TicketId>,
}

/// A volume with what runs of a ticket left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StateVolume {
    pub(crate) name: String,
    pub(crate) ticket: Option<TicketId>,
    /// When it was made, in seconds since 1970; 0 where that cannot be told.
    pub(crate) made: u64,
}

/// Everything that carries the label of a coordinator, but for caches.
#[derive(Clone, Debug, Default)]
pub(crate) struct Labelled {
    /// What goes with its job.
    pub(crate) leftovers: Vec<Leftover>,
    /// What outlives jobs.
    pub(crate) states: Vec<StateVolume>,
}

/// What it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeftoverKind {
    Container,
    Network,
    Volume,
}

impl Leftover {
    /// A volume that is no single job's.
    pub(crate) fn volume(name: String) -> Self {
        Self { kind: LeftoverKind::Volume, id: name.clone(), name, job: None, ticket: None }
    }
}

impl From<StateVolume> for Leftover {
    fn from(StateVolume { name, ticket, .. }: StateVolume) -> Self {
        Self { ticket, ..Self::volume(name) }
    }
}

impl From<Volume> for StateVolume {
    fn from(volume: Volume) -> Self {
        let of = |name: &str| volume.labels.get(name);
        Self {
            ticket: of(label::TICKET).and_then(|id| id.parse().ok()),
            made: of(label::STATE).and_then(|made| made.parse().ok()).unwrap_or_default(),
            name: volume.name,
        }
    }
}

impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            LeftoverKind::Container => "container",
            LeftoverKind::Network => "network",
            LeftoverKind::Volume => "volume",
        };
        write!(f, "{kind} {}", self.name)
    }
}

impl Engine {
    /// What carries the label of a coordinator.
    pub(crate) async fn all_labelled(
        &self,
        coordinator: CoordinatorId,
    ) -> Result<Labelled, EngineError> {
        let filter = format!("{}={coordinator}", label::COORDINATOR);
        let filters = HashMap::from([("label", vec![filter])]);
        let docker = self.docker().await?;
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let list = docker.list_containers(Some(options));
        let containers =
            self.call(CALL_TIMEOUT, "list containers", label::COORDINATOR, list).await?;
        let containers = containers.into_iter().filter_map(|container| {
            let job = job_of(&container.labels.unwrap_or_default())?;
            let id = container.id?;
            let name = container.names.unwrap_or_default().into_iter().next();
            let name = name.map_or_else(|| id.clone(), |name| name.trim_matches('/').to_owned());
            Some(Leftover { kind: LeftoverKind::Container, id, name, job: Some(job), ticket: None })
        });
        let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
        let list = docker.list_networks(Some(options));
        let networks = self.call(CALL_TIMEOUT, "list networks", label::COORDINATOR, list).await?;
        let networks = networks.into_iter().filter_map(|network| {
            let (id, job) = (network.id?, job_of(&network.labels.unwrap_or_default()));
            let name = network.name.unwrap_or_else(|| id.clone());
            Some(Leftover { kind: LeftoverKind::Network, id, name, job, ticket: None })
        });
        let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
        let list = docker.list_volumes(Some(options));
        let volumes: VolumeListResponse =
            self.call(CALL_TIMEOUT, "list volumes", label::COORDINATOR, list).await?;
        let volumes = volumes.volumes.unwrap_or_default().into_iter();
        let volumes = volumes.filter(|volume| !volume.labels.contains_key(label::CACHE));
        let (states, volumes): (Vec<_>, Vec<_>) =
            volumes.partition(|volume| volume.labels.contains_key(label::STATE));
        let volumes = volumes.into_iter().map(|volume| {
            let job = job_of(&volume.labels);
            Leftover { job, ..Leftover::volume(volume.name) }
        });
        Ok(Labelled {
            leftovers: containers.chain(networks).chain(volumes).collect(),
            states: states.into_iter().map(StateVolume::from).collect(),
        })
    }

    /// The labels of a container; none of one that is not there.
    pub(crate) async fn labels_of(
        &self,
        name: &ContainerRef,
    ) -> Result<HashMap<String, String>, EngineError> {
        let docker = self.docker().await?;
        let inspect = docker.inspect_container(&name.0, None::<InspectContainerOptions>);
        let about = found(self.call(CALL_TIMEOUT, "inspect container", &name.0, inspect).await)?;
        Ok(about.and_then(|about| about.config?.labels).unwrap_or_default())
    }

    /// Removes one; an absent one is as good.
    pub(crate) async fn remove_leftover(&self, leftover: &Leftover) -> Result<(), EngineError> {
        let docker = self.docker().await?;
        let id = &leftover.id;
        let removed = match leftover.kind {
            LeftoverKind::Container => return self.remove(&ContainerRef(id.clone())).await,
            LeftoverKind::Network => {
                self.call(CALL_TIMEOUT, "remove network", id, docker.remove_network(id)).await
            }
            LeftoverKind::Volume => {
                let remove = docker.remove_volume(id, None::<RemoveVolumeOptions>);
                self.call(CALL_TIMEOUT, "remove volume", id, remove).await
            }
        };
        found(removed).map(drop)
    }
}

fn job_of(labels: &HashMap<String, String>) -> Option<JobId> {
    labels.get(label::JOB).or_else(|| labels.get(label::GATEWAY))?.parse().ok()
}
