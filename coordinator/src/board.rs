//! What the coordinator is doing, for `coordinator status`: written by the stages, read by the
//! control socket. It decides nothing, but for how many outcomes wait.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use api_client::{JobId, ProjectId, TicketId};
use serde::{Deserialize, Serialize};

use crate::breaker::{BreakerState, Dependency};
use crate::engine::ImageDigest;
use crate::ledger::Record;

/// Version of [`StatusView`].
const VERSION: u32 = 1;

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JobStage {
    /// Claimed or adopted.
    Held,
    /// Its agent is being started.
    Launching,
    /// Its agent runs in a container.
    InContainer,
    /// Its agent runs on this host.
    OnHost,
    /// Its agent is being ended.
    Stopping,
    /// The app is being told.
    Reporting,
}

/// Why an outcome waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It may pass by itself.
    Passing,
    /// Someone has to mend something, most often the key.
    Key,
}

/// The board.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    held: Option<(String, Instant)>,
    jobs: BTreeMap<JobId, JobEntry>,
    outbox: BTreeMap<JobId, Waiting>,
    breakers: BTreeMap<Dependency, BreakerState>,
    slots: usize,
}

#[derive(Debug)]
struct JobEntry {
    ticket: Option<(TicketId, ProjectId)>,
    digest: Option<ImageDigest>,
    stage: JobStage,
    since: Instant,
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    problem: String,
    trouble: Trouble,
}

/// What status shows. Ages are in seconds.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct StatusView {
    pub(crate) version: u32,
    /// `open`, `paused` or `draining`: filled in by whoever knows the gate.
    #[serde(default)]
    pub(crate) gate: String,
    /// Why nothing is claimed.
    pub(crate) held: Option<Aged>,
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

/// A text that has been true for some time.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Aged {
    pub(crate) text: String,
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
}

/// An outcome that waits.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct OutboxView {
    pub(crate) job: JobId,
    pub(crate) problem: String,
    pub(crate) age: u64,
}

impl Board {
    /// Why nothing is claimed, if that is so.
    pub(crate) fn hold(&self, reason: Option<String>) {
        let held = &mut self.inner().held;
        match reason {
            None => *held = None,
            Some(reason) => {
                let since = held.take().map_or_else(Instant::now, |(_, since)| since);
                *held = Some((reason, since));
            }
        }
    }

    /// A job is held from now on.
    pub(crate) fn job_began(&self, record: &Record) {
        let Record { job, digest, .. } = record;
        let ticket = job.ticket.map(|ticket| (ticket.ticket_id, ticket.project_id));
        let (digest, stage) = (digest.clone(), JobStage::Held);
        let entry = JobEntry { ticket, digest, stage, since: Instant::now() };
        self.inner().jobs.insert(job.job_id, entry);
    }

    /// A job's container has this image.
    pub(crate) fn job_image(&self, record: &Record) {
        if let Some(entry) = self.inner().jobs.get_mut(&record.job.job_id) {
            entry.digest.clone_from(&record.digest);
        }
    }

    /// A job has come to a stage.
    pub(crate) fn job_stage(&self, job: JobId, stage: JobStage) {
        if let Some(entry) = self.inner().jobs.get_mut(&job) {
            (entry.stage, entry.since) = (stage, Instant::now());
        }
    }

    /// Whether a job is held.
    pub(crate) fn has(&self, job: JobId) -> bool {
        self.inner().jobs.contains_key(&job)
    }

    /// A job is held no more.
    pub(crate) fn job_done(&self, job: JobId) {
        let mut inner = self.inner();
        inner.jobs.remove(&job);
        inner.outbox.remove(&job);
    }

    /// The app has not taken an outcome.
    pub(crate) fn outcome_waits(&self, job: JobId, problem: &str, trouble: Trouble) {
        let mut inner = self.inner();
        let since = inner.outbox.get(&job).map_or_else(Instant::now, |waiting| waiting.since);
        inner.outbox.insert(job, Waiting { since, problem: problem.to_owned(), trouble });
    }

    /// The app knows the outcome.
    pub(crate) fn outcome_settled(&self, job: JobId) {
        self.inner().outbox.remove(&job);
    }

    /// How many outcomes the app has refused or not answered to.
    pub(crate) fn outcomes_waiting(&self) -> usize {
        self.inner().outbox.len()
    }

    /// A circuit breaker stands so.
    pub(crate) fn breaker(&self, dependency: Dependency, state: BreakerState) {
        self.inner().breakers.insert(dependency, state);
    }

    /// How many slots there are.
    pub(crate) fn slots(&self, limit: usize) {
        self.inner().slots = limit;
    }

    /// All of it.
    pub(crate) fn snapshot(&self) -> StatusView {
        let inner = self.inner();
        let alarm = |waiting: &&Waiting| waiting.trouble == Trouble::Key;
        let mut alarms: Vec<String> =
            inner.outbox.values().filter(alarm).map(|waiting| waiting.problem.clone()).collect();
        alarms.sort_unstable();
        alarms.dedup();
        let mut breakers: BTreeMap<String, String> =
            [("app", "closed"), ("engine", "closed"), ("launch", "closed")]
                .map(|(a, b)| (a.into(), b.into()))
                .into();
        for (dependency, state) in &inner.breakers {
            let name = match dependency {
                Dependency::Engine => "engine",
                Dependency::App => "app",
                Dependency::Launch => "launch",
            };
            breakers.insert(name.to_owned(), state.to_string());
        }
        StatusView {
            version: VERSION,
            gate: String::new(),
            held: inner
                .held
                .as_ref()
                .map(|(text, since)| Aged { text: text.clone(), age: age(*since) }),
            slots_used: inner.jobs.values().filter(|job| job.stage != JobStage::Reporting).count(),
            slots: inner.slots,
            jobs: inner.jobs.iter().map(|(job, entry)| entry.view(*job)).collect(),
            outbox: inner.outbox.iter().map(|(job, waiting)| waiting.view(*job)).collect(),
            alarms,
            breakers,
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl JobEntry {
    fn view(&self, job: JobId) -> JobView {
        let (ticket, project) = self.ticket.unzip();
        let digest = self.digest.clone();
        JobView { job, ticket, project, digest, stage: self.stage, age: age(self.since) }
    }
}

impl Waiting {
    fn view(&self, job: JobId) -> OutboxView {
        OutboxView { job, problem: self.problem.clone(), age: age(self.since) }
    }
}

fn age(since: Instant) -> u64 {
    since.elapsed().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_key_is_an_alarm_and_an_outage_is_not() {
        let board = Board::default();
        board.outcome_waits(JobId::random(), "no answer", Trouble::Passing);
        assert!(board.snapshot().alarms.is_empty());
        let job = JobId::random();
        board.outcome_waits(job, "401: check the key", Trouble::Key);
        assert_eq!(board.snapshot().alarms, ["401: check the key"]);
        assert_eq!(board.outcomes_waiting(), 2);
        board.outcome_settled(job);
        assert!(board.snapshot().alarms.is_empty());
    }

    #[test]
    fn an_alarm_is_raised_once_however_many_outcomes_have_it() {
        let board = Board::default();
        for problem in ["401", "403"].into_iter().cycle().take(20) {
            board.outcome_waits(JobId::random(), problem, Trouble::Key);
        }
        assert_eq!(board.snapshot().alarms, ["401", "403"]);
    }
}
