//! The end of a container: seen, asked for, forced, and cleaned up after.

use bollard::query_parameters::{
    InspectContainerOptions, KillContainerOptionsBuilder, RemoveContainerOptionsBuilder,
    WaitContainerOptions,
};
use futures_util::StreamExt;
use nix::sys::signal::Signal;

use super::{CALL_TIMEOUT, ContainerRef, ContainerState, Engine, EngineError, found};

impl Engine {
    /// Returns when a running container has ended, or when the engine can no longer tell. Either
    /// way only [`state`](Self::state) says what happened.
    pub(crate) async fn ended(&self, name: &ContainerRef) {
        let Ok(docker) = self.docker().await else { return };
        let mut wait = docker.wait_container(&name.0, None::<WaitContainerOptions>);
        while let Some(Ok(_)) = wait.next().await {}
    }

    /// Signals the first process of a container; one that does not run takes no signal.
    pub(crate) async fn signal(
        &self,
        name: &ContainerRef,
        signal: Signal,
    ) -> Result<(), EngineError> {
        let options = KillContainerOptionsBuilder::default().signal(signal.as_str()).build();
        let docker = self.docker().await?;
        let kill = docker.kill_container(&name.0, Some(options));
        match self.call(CALL_TIMEOUT, "signal container", &name.0, kill).await {
            // Docker says 409 when it does not run, Podman as well.
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            done => done,
        }
    }

    /// Removes a container with its anonymous volumes, and looks whether it is gone. An absent one
    /// is as good.
    pub(crate) async fn remove(&self, name: &ContainerRef) -> Result<(), EngineError> {
        let options = RemoveContainerOptionsBuilder::default().v(true).force(true).build();
        let docker = self.docker().await?;
        let remove = docker.remove_container(&name.0, Some(options));
        found(self.call(CALL_TIMEOUT, "remove container", &name.0, remove).await)?;
        match self.state(name).await? {
            ContainerState::Absent => Ok(()),
            _ => Err(EngineError::still_there("remove container", &name.0)),
        }
    }

    /// Removes a container by its name, if it carries `label=value`: it may be another's.
    pub(crate) async fn remove_labelled(
        &self,
        name: &ContainerRef,
        label: &str,
        value: &str,
    ) -> Result<(), EngineError> {
        match self.with_label(name, label, value).await? {
            Some(container) => self.remove(&container).await,
            None => Ok(()),
        }
    }

    /// The container of this name by its id, if it carries `label=value`.
    pub(crate) async fn with_label(
        &self,
        name: &ContainerRef,
        label: &str,
        value: &str,
    ) -> Result<Option<ContainerRef>, EngineError> {
        let docker = self.docker().await?;
        let inspect = docker.inspect_container(&name.0, None::<InspectContainerOptions>);
        let found = found(self.call(CALL_TIMEOUT, "inspect container", &name.0, inspect).await)?;
        let Some(container) = found else { return Ok(None) };
        let labels = container.config.and_then(|config| config.labels).unwrap_or_default();
        let carries = labels.get(label).is_some_and(|found| found == value);
        Ok(container.id.filter(|_| carries).map(ContainerRef))
    }
}
