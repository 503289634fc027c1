//! The record of a run, kept while it goes, and what is told of it at the end: one
//! [`OutcomeDocument`] for programs, a few lines for people.
//!
//! Invariants: what is recorded stays recorded however the run ends, also where it is cut short in the
//! middle of a step; nothing leaves here without being redacted as a whole.

mod brief;
mod file;
mod so_far;
mod told;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use api_client::UtcTime;
use api_client::contract::AgentExit;
use api_client::outcome::{
    CheckFacts, Finding, OUTCOME_VERSION, OutcomeDocument, ParkedFacts, PhaseFacts, RescueFacts,
    TokenFacts, TurnFacts, Verdict,
};
use api_client::wire::FollowUp;

pub(crate) use self::brief::{Brief, code};

pub(crate) use self::told::Told;
use crate::checkpoint::Checkpoints;
use crate::git::CommitId;
use crate::model_gateway::{Totals, Usd};
use crate::redaction::Redaction;
use crate::worker::{Transcript, TurnReport};

/// Most findings that are kept: who has more of them, has a problem that this many show.
const FINDINGS_MAX: usize = 200;

/// A run as far as it has come. Copies share the record.
#[derive(Clone, Debug)]
pub(crate) struct Course(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    began: Instant,
    began_at: SystemTime,
    redaction: Redaction,
    file: Mutex<Option<PathBuf>>,
    transcript: Transcript,
    record: Mutex<OutcomeDocument>,
    /// Sentences for the reviewer.
    remarks: Mutex<Vec<String>>,
    /// What is not as it was meant, for the end of the summary.
    warnings: Mutex<Vec<String>>,
    checkpoints: Checkpoints,
    /// The calls so far, once there is a way to a model.
    calls: Mutex<Option<so_far::Calls>>,
    /// Tickets that were proposed last; absent where nobody wants any.
    follow_ups: Mutex<Option<Vec<FollowUp>>>,
}

/// A part of a run, by the name in its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Ticket and settings.
    Prepare,
    /// The repository is fetched.
    Clone,
    /// The repository's set-up command.
    Setup,
    /// A turn of the worker.
    Worker,
    /// The Director is asked.
    Director,
    /// The repository's check command.
    Check,
    /// What changed is committed.
    Commit,
    /// What changed is looked through.
    Inspect,
    /// The base is fetched again.
    Freshness,
    /// The branch is pushed, and the remote asked for it.
    Push,
    /// The pull request is found or opened, and read back.
    PullRequest,
    /// What was said of a pull request is read.
    Review,
    /// Its threads are answered.
    Reply,
    /// The app is told.
    Complete,
    /// A provider's limit is waited for.
    Waiting,
    /// Unfinished work is saved.
    Rescue,
    /// The work tree is given back.
    CleanUp,
}

impl Phase {
    const fn name(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Clone => "clone",
            Self::Setup => "setup",
            Self::Worker => "worker",
            Self::Director => "director",
            Self::Check => "check",
            Self::Commit => "commit",
            Self::Inspect => "inspect",
            Self::Freshness => "freshness",
            Self::Push => "push",
            Self::PullRequest => "pull_request",
            Self::Review => "review",
            Self::Reply => "reply",
            Self::Complete => "complete",
            Self::Waiting => "waiting",
            Self::Rescue => "rescue",
            Self::CleanUp => "clean_up",
        }
    }
}

/// A part of a run that has begun; it ends when this is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct PhaseGuard {
    course: Course,
    index: usize,
    began: Instant,
}

impl Course {
    /// A run that begins now.
    pub(crate) fn new(redaction: Redaction) -> Self {
        let record = OutcomeDocument {
            version: OUTCOME_VERSION,
            verdict: Verdict::Failed,
            cause: AgentExit::WorkerFailed,
            summary: String::new(),
            job: None,
            ticket: None,
            repository: None,
            commits: Vec::new(),
            diff: None,
            pull_request: None,
            rescue: None,
            parked: None,
            checks: Vec::new(),
            findings: Vec::new(),
            turns: Vec::new(),
            tokens: TokenFacts::default(),
            money_usd: None,
            director: None,
            threads: Vec::new(),
            resumed_at_turn: None,
            state_kept: None,
            phases: Vec::new(),
            worker: None,
            runner_version: env!("CARGO_PKG_VERSION").to_owned(),
            image: None,
        };
        Self(Arc::new(Inner {
            began: Instant::now(),
            began_at: SystemTime::now(),
            redaction,
            file: Mutex::default(),
            transcript: Transcript::default(),
            record: Mutex::new(record),
            remarks: Mutex::default(),
            warnings: Mutex::default(),
            checkpoints: Checkpoints::default(),
            calls: Mutex::default(),
            follow_ups: Mutex::default(),
        }))
    }

    /// Names the file for the outcome, where one is wanted.
    pub(crate) fn write_to(&self, file: Option<PathBuf>) {
        if file.is_some() {
            *self.0.file.lock().unwrap_or_else(PoisonError::into_inner) = file;
        }
    }

    /// Where it is taken down what the coding CLI writes.
    pub(crate) fn transcript(&self) -> &Transcript {
        &self.0.transcript
    }

    /// When the run began.
    pub(crate) fn began_at(&self) -> SystemTime {
        self.0.began_at
    }

    /// Changes the record.
    pub(crate) fn note(&self, change: impl FnOnce(&mut OutcomeDocument)) {
        change(&mut self.record());
    }

    /// Begins a part of the run.
    pub(crate) fn phase(&self, phase: Phase) -> PhaseGuard {
        let began = Instant::now();
        let mut record = self.record();
        let index = record.phases.len();
        record.phases.push(PhaseFacts {
            name: phase.name().to_owned(),
            began_millis: millis(began.duration_since(self.0.began)),
            millis: 0,
        });
        drop(record);
        PhaseGuard { course: self.clone(), index, began }
    }

    /// Notes a turn of the worker that began then.
    pub(crate) fn turn(&self, turn: &TurnReport, began: Instant) {
        let tokens = tokens_of(turn);
        let mut record = self.record();
        record.turns.push(TurnFacts {
            ending: turn.ending.name().to_owned(),
            detail: turn.ending.to_string(),
            millis: millis(began.elapsed()),
            tokens,
            unknown_events: turn.unknown,
        });
        record.tokens.input += tokens.input;
        record.tokens.cached += tokens.cached;
        record.tokens.output += tokens.output;
        if let Some(cost) = turn.calls.cost.map(Usd::dollars).or(turn.cost_usd) {
            *record.money_usd.get_or_insert(0.0) += cost;
        }
    }

    /// Notes a command of the repository.
    pub(crate) fn check(&self, check: CheckFacts) {
        self.record().checks.push(check);
    }

    /// Notes what was found in the changes, in the place of what was found before.
    pub(crate) fn findings(&self, mut findings: Vec<Finding>) {
        findings.truncate(FINDINGS_MAX);
        self.record().findings = findings;
    }

    /// Notes where the work is, should nothing more come of it.
    pub(crate) fn saved(&self, branch: &str, commit: CommitId) {
        let commit = commit.to_string();
        self.record().rescue = Some(RescueFacts { branch: branch.to_owned(), commit });
    }

    /// Notes what the run waits for, should it end with that.
    pub(crate) fn parked(&self, until: UtcTime, what: &str) {
        self.record().parked = Some(ParkedFacts { until, what: what.to_owned() });
    }

    /// Sets what all turns used, as it is known once the model's gateway is closed.
    pub(crate) fn spent(&self, all: &Totals) {
        if all.calls == 0 {
            return;
        }
        let mut record = self.record();
        record.tokens = counted(all);
        if let Some(cost) = all.cost {
            record.money_usd = Some(cost.dollars());
        }
    }

    /// Where checkpoints are told of.
    pub(crate) fn checkpoints(&self) -> &Checkpoints {
        &self.0.checkpoints
    }

    /// From now on, follow-up tickets that are proposed are wanted.
    pub(crate) fn expect_follow_ups(&self) {
        self.proposed().get_or_insert_default();
    }

    /// Whether they are wanted.
    pub(crate) fn expects_follow_ups(&self) -> bool {
        self.proposed().is_some()
    }

    /// Notes those that were proposed last, in the place of earlier ones.
    pub(crate) fn note_follow_ups(&self, proposals: Vec<FollowUp>) {
        *self.proposed() = Some(proposals);
    }

    /// Those that were proposed last.
    pub(crate) fn follow_ups(&self) -> Vec<FollowUp> {
        self.proposed().clone().unwrap_or_default()
    }

    /// Adds a sentence for the reviewer.
    pub(crate) fn remark(&self, text: String) {
        self.0.remarks.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    /// Notes what is not as it was meant.
    pub(crate) fn warn(&self, text: String) {
        tracing::warn!("{text}");
        self.0.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    /// What is said of the end of the run, and all that is not as it was meant.
    pub(crate) fn with_warnings(&self, mut summary: String) -> String {
        for warning in &*self.0.warnings.lock().unwrap_or_else(PoisonError::into_inner) {
            summary.push_str("; ");
            summary.push_str(warning);
        }
        summary
    }

    /// Where the work is.
    pub(crate) fn saved_at(&self) -> Option<RescueFacts> {
        self.record().rescue.clone()
    }

    /// What came of the run, without any known secret, and as long as may be collected. `summary` is for people.
    pub(crate) fn outcome(&self, cause: AgentExit, summary: &str) -> OutcomeDocument {
        let mut outcome = self.record().clone();
        // What is delivered needs no second place.
        if cause == AgentExit::Delivered {
            outcome.rescue = None;
        }
        // What it waited for on the way is over.
        if cause != AgentExit::Parked {
            outcome.parked = None;
        }
        outcome.verdict = verdict(cause, outcome.rescue.as_ref());
        outcome.cause = cause;
        outcome.summary = summary.to_owned();
        file::within_limit(file::redacted(outcome, &self.0.redaction))
    }

    /// Ends the run: its outcome goes to the file that was named. The outcome as text, for logs.
    pub(crate) fn end(&self, cause: AgentExit, summary: &str) -> String {
        let outcome = self.outcome(cause, summary);
        let file = self.0.file.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(file) = file
            && let Err(error) = file::write(&file, &outcome)
        {
            tracing::error!(%error, file = %file.display(), "the outcome could not be written");
        }
        file::text(&outcome)
    }

    fn proposed(&self) -> MutexGuard<'_, Option<Vec<FollowUp>>> {
        self.0.follow_ups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self) -> MutexGuard<'_, OutcomeDocument> {
        self.0.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PhaseGuard {
    fn drop(&mut self) {
        let elapsed = millis(self.began.elapsed());
        if let Some(phase) = self.course.record().phases.get_mut(self.index) {
            phase.millis = elapsed;
        }
    }
}

/// What a run came to that ended for this cause, with unfinished work saved there.
fn verdict(cause: AgentExit, saved: Option<&RescueFacts>) -> Verdict {
    Verdict::decided_by(cause).unwrap_or(match saved {
        Some(_) => Verdict::Partial,
        None => Verdict::Failed,
    })
}

/// As the gateway counted them, or as the CLI says where no call came through it.
fn tokens_of(turn: &TurnReport) -> TokenFacts {
    if turn.calls.calls > 0 {
        return counted(&turn.calls);
    }
    TokenFacts { input: turn.usage.input, cached: turn.usage.cached, output: turn.usage.output }
}

fn counted(calls: &Totals) -> TokenFacts {
    let tokens = calls.tokens;
    let input = tokens.input.saturating_sub(tokens.cached);
    TokenFacts { input, cached: tokens.cached, output: tokens.output }
}

/// Whole milliseconds.
pub(crate) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
