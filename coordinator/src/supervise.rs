//! Watching an agent until it ends. Output is followed, never trusted: how an agent ended is read
//! from the engine or the operating system alone.

mod container;
mod host;

pub(crate) use container::{Completeness, ContainerEnd, watch_container};
pub(crate) use host::{HostEnd, watch_host};
