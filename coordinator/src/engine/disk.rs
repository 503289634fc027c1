//! How much of the engine's disk a container takes.

use std::path::PathBuf;
use std::time::Duration;

use bollard::query_parameters::InspectContainerOptionsBuilder;

use super::{ContainerRef, Engine, EngineError};

/// The engine counts the files of the container, which can be very many.
const COUNT_TIMEOUT: Duration = Duration::from_secs(300);

/// What a container takes of the engine's disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DiskUse {
    /// The container's own layer, in bytes.
    pub(crate) layer: u64,
    /// The folders of volumes that are the container's alone, on the engine's host.
    pub(crate) own: Vec<PathBuf>,
    /// Those of volumes that others have as well, or had before.
    pub(crate) shared: Vec<PathBuf>,
}

impl Engine {
    /// What a container takes of the engine's disk.
    pub(crate) async fn disk_use(&self, name: &ContainerRef) -> Result<DiskUse, EngineError> {
        let docker = self.docker().await?;
        let options = InspectContainerOptionsBuilder::default().size(true).build();
        let inspect = docker.inspect_container(&name.0, Some(options));
        let found = self.call(COUNT_TIMEOUT, "measure container", &name.0, inspect).await?;
        let mounts = found.mounts.unwrap_or_default().into_iter();
        let (mut own, mut shared) = (Vec::new(), Vec::new());
        for volume in mounts.filter(|mount| mount.typ.as_deref() == Some("volume")) {
            let folders = if volume.name.is_some_and(|name| is_anonymous(&name)) {
                &mut own
            } else {
                &mut shared
            };
            folders.extend(volume.source.map(PathBuf::from));
        }
        Ok(DiskUse {
            layer: found.size_rw.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
            own,
            shared,
        })
    }
}

/// Whether a volume has a name that the engine made up: it was made for one container.
fn is_anonymous(volume: &str) -> bool {
    volume.len() == 64 && volume.bytes().all(|byte| byte.is_ascii_hexdigit())
}
