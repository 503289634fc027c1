//! The values that pass from stage to stage: each stage consumes the one before.

use std::path::PathBuf;

use api_client::wire::Job;

use crate::engine::ContainerRef;
use crate::ledger::{HostProcess, Record};
use crate::outcome::Outcome;
use crate::slot::Slot;

/// A job that the app gave us, recorded, with the slot that was reserved for it.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) job: Job,
    pub(crate) record: Record,
    pub(crate) slot: Slot,
}

/// A job that an earlier coordinator held.
#[derive(Debug)]
pub(crate) struct Adopted {
    pub(crate) record: Record,
    pub(crate) slot: Slot,
}

/// Where an agent runs.
#[derive(Debug)]
pub(crate) enum Place {
    Container(ContainerRef),
    Host(Keeper),
}

/// The keeper of an agent on this host.
#[derive(Debug)]
pub(crate) struct Keeper {
    /// Where it keeps its notes.
    pub(crate) dir: PathBuf,
    /// Absent where an earlier version of this program started the agent.
    pub(crate) process: Option<HostProcess>,
}

/// A job that ended; its outcome is on disk.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) record: Record,
    pub(crate) outcome: Outcome,
    /// The end of what the agent printed.
    pub(crate) tail: String,
}
