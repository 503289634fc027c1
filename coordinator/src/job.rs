//! The values that pass from stage to stage: each stage consumes the one before.

use std::path::PathBuf;

use api_client::error_chain;
use api_client::wire::Job;

use crate::engine::ContainerRef;
use crate::ledger::{HostProcess, Ledger, Record, Stage};
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

impl Finished {
    /// Writes an outcome down, so that it will be reported whatever happens from here on. Where the disk
    /// does not take it, it is reported all the same by who lives on.
    pub(crate) async fn on_disk(
        ledger: &Ledger,
        record: &Record,
        outcome: Outcome,
        tail: String,
    ) -> Self {
        let record = record.at(Stage::Ended { outcome: outcome.clone() }).noted_ended();
        if let Err(error) = ledger.write(&record).await {
            let error = error_chain(&error);
            tracing::error!(job.id = %record.job.job_id, error, "the outcome is kept in memory only");
        }
        Self { record, outcome, tail }
    }

    /// The same of a job whose agent said nothing.
    pub(crate) async fn without_words(ledger: &Ledger, record: &Record, outcome: Outcome) -> Self {
        Self::on_disk(ledger, record, outcome, String::new()).await
    }
}
