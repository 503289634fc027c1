//! What the coordinator is doing, for `coordinator status` and for [`metrics`](crate::metrics): written by
//! the stages, read by the control socket and the health server. It decides nothing, but for how many
//! outcomes wait.

mod entry;
mod view;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use api_client::outcome::OutcomeDocument;
use api_client::{JobId, UtcTime};
use serde::{Deserialize, Serialize};

use self::entry::{JobEntry, Waiting};
pub(crate) use self::entry::{JobStage, Trouble};
pub(crate) use self::view::{Answer, AskedView, HeldView, JobView, OutboxView, StatusView};
use self::view::{VERSION, age};
use crate::breaker::{BreakerState, Dependency};
use crate::idle::Hold;
use crate::ledger::Record;
use crate::metrics::{Claimed, Phase, Retry, Tally};
use crate::outcome::Outcome;

/// How much is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// Nothing is claimed.
    All,
    /// Some projects are not asked for.
    Some,
}

/// Jobs that wait in the app for the projects of this coordinator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Queue {
    /// Those that could be claimed now.
    pub(crate) jobs: u64,
    /// For how long the oldest of them has waited.
    pub(crate) oldest_sec: u64,
    /// Those that wait for a provider's limit to be over, and when the first of them is due.
    pub(crate) parked: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parked_until: Option<UtcTime>,
    /// Those of projects whose budget of the day is used up.
    pub(crate) over_budget: u64,
}

/// What was measured last, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measures {
    pub(crate) caches: Option<u64>,
    pub(crate) logs: Option<u64>,
}

/// The board.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    held: Option<(Hold, Instant)>,
    holds: Option<Holds>,
    asked: Option<(Answer, Instant)>,
    jobs: BTreeMap<JobId, JobEntry>,
    outbox: BTreeMap<JobId, Waiting>,
    breakers: BTreeMap<Dependency, BreakerState>,
    slots: usize,
    tally: Tally,
    /// When the last round of questions for a job ended.
    round: Option<Instant>,
    queue: Option<Queue>,
    measures: Measures,
    /// The engine's folder, where that is on this host.
    engine_folder: Option<PathBuf>,
}

impl Board {
    /// Why nothing is claimed, if that is so.
    pub(crate) fn hold(&self, reason: Option<Hold>) {
        self.hold_back(reason, Holds::All);
    }

    /// Why some projects are not asked for.
    pub(crate) fn hold_some(&self, reason: Hold) {
        self.hold_back(Some(reason), Holds::Some);
    }

    fn hold_back(&self, reason: Option<Hold>, holds: Holds) {
        let mut inner = self.inner();
        inner.holds = reason.is_some().then_some(holds);
        let before = inner.held.take();
        inner.held = reason.map(|reason| {
            // The same condition in other words is as old as it was.
            let before = before.filter(|(before, _)| before.condition == reason.condition);
            (reason, before.map_or_else(Instant::now, |(_, since)| since))
        });
    }

    /// The app was asked for a job.
    pub(crate) fn asked(&self, answer: Answer) {
        self.inner().asked = Some((answer, Instant::now()));
    }

    /// How much is held back, if anything is.
    pub(crate) fn holds(&self) -> Option<Holds> {
        self.inner().holds
    }

    /// A round of questions for a job has ended.
    pub(crate) fn round_ended(&self, brought: Claimed) {
        let mut inner = self.inner();
        inner.round = Some(Instant::now());
        inner.tally.claimed(brought);
    }

    /// How long ago that was.
    pub(crate) fn since_round(&self) -> Option<Duration> {
        self.inner().round.map(|at| at.elapsed())
    }

    /// A job is held from now on.
    pub(crate) fn job_began(&self, record: &Record) {
        self.inner().jobs.insert(record.job.job_id, JobEntry::new(record));
    }

    /// A job's container has this image.
    pub(crate) fn job_image(&self, record: &Record) {
        if let Some(entry) = self.inner().jobs.get_mut(&record.job.job_id) {
            entry.digest.clone_from(&record.digest);
        }
    }

    /// A job has come to a stage.
    pub(crate) fn job_stage(&self, job: JobId, stage: JobStage) {
        let mut inner = self.inner();
        let Inner { jobs, tally, .. } = &mut *inner;
        if let Some(entry) = jobs.get_mut(&job) {
            entry.come_to(stage, tally);
        }
    }

    /// A job has ended so, and its agent says this about it, where that is believed.
    pub(crate) fn job_ended(&self, outcome: &Outcome, document: Option<&OutcomeDocument>) {
        self.inner().tally.ended(outcome, document);
    }

    /// Something is tried again.
    pub(crate) fn retried(&self, what: Retry) {
        self.inner().tally.retried(what);
    }

    /// For how long the agent that began first has run.
    pub(crate) fn oldest_run(&self) -> Option<Duration> {
        let inner = self.inner();
        let running = inner.jobs.values().filter(|job| job.stage != JobStage::Reporting);
        running.filter_map(|job| job.running).min().map(|begun| begun.elapsed())
    }

    /// Whether a job is held.
    pub(crate) fn has(&self, job: JobId) -> bool {
        self.inner().jobs.contains_key(&job)
    }

    /// A job is held no more.
    pub(crate) fn job_done(&self, job: JobId) {
        let mut inner = self.inner();
        if let Some(entry) = inner.jobs.remove(&job)
            && entry.stage == JobStage::Reporting
        {
            inner.tally.took(Phase::Report, entry.since.elapsed());
        }
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

    /// What waits in the app, where it tells.
    pub(crate) fn queue(&self, queue: Option<Queue>) {
        self.inner().queue = queue;
    }

    /// What was told of that last.
    pub(crate) fn queued(&self) -> Option<Queue> {
        self.inner().queue
    }

    /// The caches that no job uses take this much.
    pub(crate) fn caches_measured(&self, bytes: u64) {
        self.inner().measures.caches = Some(bytes);
    }

    /// The logs of jobs take this much.
    pub(crate) fn logs_measured(&self, bytes: u64) {
        self.inner().measures.logs = Some(bytes);
    }

    /// What was measured last.
    pub(crate) fn measures(&self) -> Measures {
        self.inner().measures
    }

    /// The engine keeps its data in this folder of this host.
    pub(crate) fn engine_in(&self, folder: &Path) {
        self.inner().engine_folder = Some(folder.to_owned());
    }

    /// Where the engine keeps its data, where that is on this host.
    pub(crate) fn engine_folder(&self) -> Option<PathBuf> {
        self.inner().engine_folder.clone()
    }

    /// What was counted since the start.
    pub(crate) fn tally(&self) -> Tally {
        self.inner().tally.clone()
    }

    /// All of it.
    pub(crate) fn snapshot(&self) -> StatusView {
        let inner = self.inner();
        let alarm = |waiting: &&Waiting| waiting.trouble == Trouble::Key;
        let mut alarms: Vec<String> =
            inner.outbox.values().filter(alarm).map(|waiting| waiting.problem.clone()).collect();
        alarms.sort_unstable();
        alarms.dedup();
        let mut breakers: BTreeMap<String, String> = Dependency::ALL
            .map(|of| (of.name().to_owned(), BreakerState::Closed.to_string()))
            .into();
        for (dependency, state) in &inner.breakers {
            breakers.insert(dependency.name().to_owned(), state.to_string());
        }
        StatusView {
            version: VERSION,
            gate: String::new(),
            engine: None,
            held: inner.held.as_ref().map(|(hold, since)| HeldView {
                text: hold.text.clone(),
                age: age(*since),
                condition: hold.condition,
            }),
            queue: inner.queue,
            asked: inner.asked.map(|(answer, since)| AskedView { answer, age: age(since) }),
            slots_used: inner.jobs.values().filter(|job| job.stage != JobStage::Reporting).count(),
            slots: inner.slots,
            jobs: inner.jobs.iter().map(|(job, entry)| JobView::of(*job, entry)).collect(),
            outbox: inner
                .outbox
                .iter()
                .map(|(job, waiting)| OutboxView::of(*job, waiting))
                .collect(),
            alarms,
            breakers,
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;
    use crate::ledger::{JobRef, Stage};

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
    fn each_phase_of_a_job_is_timed_once_and_of_an_adopted_one_only_what_is_left() {
        let board = Board::default();
        let claimed = Record::claimed(JobRef::unreadable(JobId::random()), None, 0);
        let image = "i".to_owned();
        let adopted = claimed.at(Stage::InContainer { image, began: Moment::now() });
        let stages = [JobStage::Launching, JobStage::Launching, JobStage::InContainer];
        let ends = [JobStage::Stopping, JobStage::Reporting];
        let counts = |board: &Board| {
            let page = crate::metrics::page(&crate::metrics::Sights::of(board));
            let count = |phase| {
                let begins =
                    format!("terarchitect_job_phase_duration_seconds_count{{phase=\"{phase}\"}} ");
                let line = page.lines().find_map(|line| line.strip_prefix(&begins)).unwrap();
                line.parse::<u32>().unwrap()
            };
            ["start", "launch", "run", "report"].map(count)
        };
        for (record, stages, expected) in
            [(&claimed, stages.as_slice(), [1, 1, 1, 1]), (&adopted, &stages[2..], [1, 1, 2, 2])]
        {
            board.job_began(record);
            for stage in stages.iter().chain(&ends) {
                board.job_stage(record.job.job_id, *stage);
            }
            board.job_done(record.job.job_id);
            assert_eq!(counts(&board), expected);
        }
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
