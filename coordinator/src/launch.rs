//! Starting an agent: in a container, or on the host.
//!
//! The job document is what makes an agent act: until it is delivered, starting somewhere else is
//! safe; once it is, the job is never started again.

mod cache;
mod container;
mod document;
#[cfg(test)]
mod fixture;
mod gateway;
mod host;
pub(crate) mod label;
mod rehearsal;
mod spec;
mod state;
mod surroundings;
mod way_out;

use crate::engine::EngineError;
use crate::images::ImagesError;
use crate::ledger::LedgerError;

pub(crate) use container::start_container;
pub(crate) use gateway::{gateway_name, has_gateway};
pub(crate) use host::{not_bounded, scope, start_on_host};
pub(crate) use rehearsal::{Part, Rehearsed, rehearse};
pub(crate) use way_out::of_builds;

/// An agent that did not get its job document.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    /// The engine did not do its part.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The image is not known.
    #[error(transparent)]
    Images(#[from] ImagesError),
    /// There is a container of this job that was started before: its agent may have acted.
    #[error("a container of this job was started before")]
    StartedBefore,
    /// The gateway beside the agent's container did not come up.
    #[error("the gateway beside the agent's container is of no use: {problem}")]
    Gateway { problem: String },
    /// The agent's keeper could not be started.
    #[error("cannot start a keeper for an agent on the host")]
    Keeper {
        #[source]
        source: std::io::Error,
    },
    /// The agent's keeper ended at once.
    #[error("the keeper of the agent ended at once; its reason is in keeper.err beside its notes")]
    KeeperGone,
    /// The project does not say where its repository is.
    #[error("the project's execution_mode is local, and its project_path is not set")]
    NoProjectPath,
    /// The state directory did not take the record.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl LaunchError {
    /// Whether the engine has no free range of addresses for one more network.
    pub(crate) const fn is_want_of_addresses(&self) -> bool {
        matches!(self, Self::Engine(EngineError::NoAddresses { .. }))
    }

    /// Whether the image went since it was looked for.
    pub(crate) fn is_no_such_image(&self) -> bool {
        matches!(self, Self::Engine(error) if error.is_no_such_image())
    }
}
