//! What `coordinator status` shows: the shape of its JSON, and of what the control socket answers.

use std::collections::BTreeMap;
use std::time::Instant;

use api_client::{JobId, ProjectId, TicketId};
use serde::{Deserialize, Serialize};

use super::Queue;
use super::entry::{JobEntry, JobStage, Waiting};
use crate::engine::ImageDigest;
use crate::idle::Condition;

/// Version of [`StatusView`].
pub(super) const VERSION: u32 = 1;

/// What status shows. Ages are in seconds.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct StatusView {
    pub(crate) version: u32,
    /// `open`, `paused` or `draining`: filled in by whoever knows the gate.
    #[serde(default)]
    pub(crate) gate: String,
    /// Address of its Docker Engine: filled in as the gate is.
    #[serde(default)]
    pub(crate) engine: Option<String>,
    /// Why nothing is claimed.
    pub(crate) held: Option<HeldView>,
    /// When the app was last asked for a job, and what it had.
    #[serde(default)]
    pub(crate) asked: Option<AskedView>,
    /// What waits in the app, where that is asked for and told.
    #[serde(default)]
    pub(crate) queue: Option<Queue>,
    pub(crate) slots_used: usize,
    pub(crate) slots: usize,
    pub(crate) jobs: Vec<JobView>,
    /// Outcomes that the app has not taken yet.
    pub(crate) outbox: Vec<OutboxView>,
    /// What someone has to mend.
    pub(crate) alarms: Vec<String>,
    /// Dependency and state of its circuit breaker.
    pub(crate) breakers: BTreeMap<String, String>,
}

/// What the app had when it was asked for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    NoJob,
    Job,
}

/// Why nothing is claimed.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct HeldView {
    pub(crate) text: String,
    /// For how long it is that condition.
    pub(crate) age: u64,
    #[serde(default)]
    pub(crate) condition: Condition,
}

/// What the app had when it was asked last.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AskedView {
    pub(crate) answer: Answer,
    pub(crate) age: u64,
}

/// A job that is held.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct JobView {
    pub(crate) job: JobId,
    pub(crate) ticket: Option<TicketId>,
    pub(crate) project: Option<ProjectId>,
    /// Which image its container has, once it has one.
    #[serde(default)]
    pub(crate) digest: Option<ImageDigest>,
    pub(crate) stage: JobStage,
    /// How long it is at this stage.
    pub(crate) age: u64,
    /// How long this coordinator holds it, since its last start.
    #[serde(default)]
    pub(crate) held: u64,
}

/// An outcome that waits.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct OutboxView {
    pub(crate) job: JobId,
    pub(crate) problem: String,
    pub(crate) age: u64,
}

impl JobView {
    pub(super) fn of(job: JobId, entry: &JobEntry) -> Self {
        let (ticket, project) = entry.ticket.unzip();
        let (age, held) = (age(entry.since), age(entry.begun));
        Self { job, ticket, project, digest: entry.digest.clone(), stage: entry.stage, age, held }
    }
}

impl OutboxView {
    pub(super) fn of(job: JobId, waiting: &Waiting) -> Self {
        Self { job, problem: waiting.problem.clone(), age: age(waiting.since) }
    }
}

/// In whole seconds.
pub(super) fn age(since: Instant) -> u64 {
    since.elapsed().as_secs()
}
