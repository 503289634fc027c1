//! The values that pass from stage to stage: each stage consumes the one before.

use api_client::wire::Job;

use crate::engine::ContainerName;
use crate::ledger::Record;
use crate::outcome::Outcome;
use crate::slot::Slot;

/// A job that the app gave us, recorded, with the slot that was reserved for it.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) job: Job,
    pub(crate) record: Record,
    pub(crate) slot: Slot,
}

/// A job whose container an earlier coordinator started.
#[derive(Debug)]
pub(crate) struct Adopted {
    pub(crate) record: Record,
    pub(crate) slot: Slot,
}

/// Where an agent runs.
#[derive(Debug)]
pub(crate) enum Place {
    Container(ContainerName),
    Host(tokio::process::Child),
}

/// A job that ended; its outcome is on disk.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) record: Record,
    pub(crate) outcome: Outcome,
    /// The end of what the agent printed.
    pub(crate) tail: String,
}
