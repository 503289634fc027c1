//! A job as it stands on disk.

use api_client::wire::Job;
use api_client::{JobId, ProjectId, TicketId};
use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;

/// Version of the record format that this program writes and reads.
pub(super) const VERSION: u32 = 1;

/// One claimed job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(super) version: u32,
    /// The job.
    pub(crate) job: JobRef,
    /// When it was claimed, in seconds since 1970.
    pub(crate) claimed_at: u64,
    /// How far it is.
    pub(crate) stage: Stage,
}

/// What identifies a job: enough to report it, nothing that is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JobRef {
    pub(crate) job_id: JobId,
    /// Absent where the app's answer, or an earlier record, could not be read.
    pub(crate) ticket: Option<TicketRef>,
    /// Where it was to run, so that no container is looked for where there was none.
    pub(crate) runs: Runs,
}

/// Where a job is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Runs {
    /// In a container, if one can be had.
    InContainer,
    /// On the host, as the project or the operator asks for it.
    OnHost,
}

/// The ticket that a job works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TicketRef {
    pub(crate) ticket_id: TicketId,
    pub(crate) project_id: ProjectId,
}

impl JobRef {
    /// A claimed job.
    pub(crate) fn of(job: &Job, runs: Runs) -> Self {
        let ticket = TicketRef { ticket_id: job.ticket_id, project_id: job.project_id };
        Self { job_id: job.job_id, ticket: Some(ticket), runs }
    }

    /// A job of which only the id could be read.
    pub(crate) fn unreadable(job_id: JobId) -> Self {
        Self { job_id, ticket: None, runs: Runs::InContainer }
    }
}

/// How far a job is. Stages follow one another and are never left out backwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub(crate) enum Stage {
    /// The app gave it to us; nothing was started.
    Claimed,
    /// Its container runs it: the job document was, or is about to be, delivered.
    InContainer { image: String },
    /// A process on this host runs it.
    OnHost { pid: u32 },
    /// It ended; the app may not know yet.
    Ended { outcome: Outcome },
}

impl Record {
    /// The record of a job that was just claimed.
    pub(crate) const fn claimed(job: JobRef, now: u64) -> Self {
        Self { version: VERSION, job, claimed_at: now, stage: Stage::Claimed }
    }

    /// Reads a record; a reason in words when it is none of ours.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let record: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if record.version == VERSION {
            Ok(record)
        } else {
            Err(format!("version {} is not {VERSION}", record.version))
        }
    }

    /// The same job at another stage.
    pub(crate) fn at(&self, stage: Stage) -> Self {
        Self { stage, ..self.clone() }
    }
}
