//! What the evidence of a scene says. Pure.

use std::fmt;
use std::ops::AddAssign;
use std::path::PathBuf;

use super::evidence::{Evidence, JobEvidence};
use super::journal::Creation;
use super::scenario::{Dialect, Setting};

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Kills that happened where they were planned.
    pub points: usize,
    /// Jobs that the app handed out, or was to.
    pub jobs: usize,
    /// Jobs without the outcome that they must have.
    pub lost: usize,
    /// Jobs with more than one outcome, or whose agent ran more than once.
    pub doubled: usize,
    /// Containers, volumes, networks, processes and records that stayed.
    pub orphans: usize,
    /// Jobs that the original app has handed out in an answer that was lost.
    pub lost_replies: usize,
    /// Jobs that were reported as failed, whose agent had never begun.
    pub not_begun: usize,
    /// Objects of the engine made by a request that was under way at a kill, and was carried out
    /// after the next coordinator had looked; housekeeping has removed them.
    pub swept: usize,
    /// Volumes of state of tickets whose agent never ran, so that nobody said that nothing is in them: housekeeping
    /// removes them when their time is over.
    pub states: usize,
    /// Kills that did not happen: the event did not come, or had passed.
    pub missed: usize,
}

/// How a scene went.
#[derive(Debug)]
pub struct Verdict {
    /// Which one, in words that allow it to be repeated.
    pub course: String,
    /// What was counted.
    pub tally: Tally,
    /// What is wrong, in words; empty when nothing is.
    pub problems: Vec<String>,
    /// Where its logs are, if something is wrong.
    pub kept: Option<PathBuf>,
}

impl Tally {
    /// Whether nothing is wrong.
    pub const fn is_clean(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.orphans == 0
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.points += other.points;
        self.jobs += other.jobs;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.orphans += other.orphans;
        self.lost_replies += other.lost_replies;
        self.not_begun += other.not_begun;
        self.swept += other.swept;
        self.states += other.states;
        self.missed += other.missed;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { points, jobs, lost, doubled, orphans, .. } = self;
        write!(f, "points={points} jobs={jobs} lost={lost} doubled={doubled} orphans={orphans}")
    }
}

/// Counts what the evidence says, and tells what is wrong.
pub(super) fn judge(
    setting: Setting,
    creation: Creation,
    evidence: &Evidence,
) -> (Tally, Vec<String>) {
    let mut tally = Tally { jobs: evidence.jobs.len(), ..Tally::default() };
    let mut problems = Vec::new();
    for job in &evidence.jobs {
        match fate(setting, job) {
            Fate::Right => {}
            Fate::NotBegun => tally.not_begun += 1,
            Fate::LostReply => tally.lost_replies += 1,
            Fate::Lost(why) => {
                tally.lost += 1;
                problems.push(format!("lost: {why}: {job}"));
            }
        }
        match job.state {
            false => {}
            true if job.runs == 0 => tally.states += 1,
            true => {
                tally.orphans += 1;
                problems.push(format!("left: its agent said that nothing is in its volume: {job}"));
            }
        }
        if let Some(why) = doubled(job) {
            tally.doubled += 1;
            problems.push(format!("doubled: {why}: {job}"));
        }
    }
    let (late, orphans) = match creation {
        Creation::UnderWay => (evidence.swept.as_slice(), [].as_slice()),
        Creation::Settled => ([].as_slice(), evidence.swept.as_slice()),
    };
    tally.swept = late.len();
    tally.orphans += evidence.left.len() + orphans.len();
    problems.extend(evidence.left.iter().chain(orphans).map(|name| format!("left: {name}")));
    (tally, problems)
}

enum Fate {
    Right,
    NotBegun,
    LostReply,
    Lost(&'static str),
}

fn fate(setting: Setting, job: &JobEvidence) -> Fate {
    let well = setting.scenario.exit_code() == 0;
    match job.status.as_str() {
        "completed" | "failed" if !job.was_reported() => Fate::Lost("no one has reported it"),
        "completed" if job.runs == 0 => Fate::Lost("completed without an agent"),
        "completed" if !well => Fate::Lost("completed, but its agent failed"),
        "completed" => Fate::Right,
        "failed" if job.runs == 0 => Fate::NotBegun,
        "failed" if well => Fate::Lost("failed, but its agent ended well"),
        "failed" => Fate::Right,
        "running" if setting.dialect == Dialect::Original && job.is_unknown() => Fate::LostReply,
        _ => Fate::Lost("it has no outcome"),
    }
}

fn doubled(job: &JobEvidence) -> Option<&'static str> {
    let accepted = job.reports.iter().filter(|status| **status == Some(200)).count();
    if job.runs > 1 {
        Some("its agent ran more than once")
    } else if accepted > 1 {
        Some("more than one report was accepted")
    } else {
        None
    }
}

impl JobEvidence {
    /// Whether the app has accepted a report, or may have while no one saw its answer.
    fn was_reported(&self) -> bool {
        self.reports.iter().any(|status| matches!(status, Some(200) | None))
    }

    /// Whether it never came further than the app's answer to a claim.
    fn is_unknown(&self) -> bool {
        !self.recorded && self.reports.is_empty() && self.starts == 0 && self.runs == 0
    }
}

impl fmt::Display for JobEvidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { job, status, reason, reports, starts, runs, recorded, .. } = self;
        let reason = reason.as_deref().unwrap_or_default();
        write!(
            f,
            "job {job} is {status} ({reason}); reports {reports:?}, containers started {starts}, \
             agents {runs}, on record at a kill: {recorded}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::scenario::Scenario;

    fn job(status: &str, reports: &[Option<u16>], runs: usize) -> JobEvidence {
        let (status, reports) = (status.to_owned(), reports.to_vec());
        JobEvidence { status, reports, runs, starts: runs, ..JobEvidence::default() }
    }

    fn tally(dialect: Dialect, scenario: Scenario, job: JobEvidence) -> Tally {
        let evidence = Evidence { jobs: vec![job], ..Evidence::default() };
        judge(Setting { dialect, scenario }, Creation::Settled, &evidence).0
    }

    #[test]
    fn one_outcome_of_one_agent_is_right() {
        for reports in [vec![Some(200)], vec![None], vec![None, Some(409)]] {
            let tally = tally(Dialect::Ours, Scenario::Completes, job("completed", &reports, 1));
            assert_eq!(tally, Tally { jobs: 1, ..Tally::default() }, "{reports:?}");
        }
    }

    #[test]
    fn a_job_without_the_outcome_of_its_agent_is_lost() {
        for job in [
            job("running", &[], 0),
            job("pending", &[], 0),
            job("failed", &[], 0),
            job("completed", &[Some(409)], 1),
            job("completed", &[Some(200)], 0),
            job("failed", &[Some(200)], 1),
        ] {
            assert_eq!(tally(Dialect::Ours, Scenario::Completes, job.clone()).lost, 1, "{job}");
        }
        let job = job("completed", &[Some(200)], 1);
        assert_eq!(tally(Dialect::Ours, Scenario::Fails, job).lost, 1);
    }

    #[test]
    fn two_agents_or_two_outcomes_are_doubled() {
        for job in [job("completed", &[Some(200), Some(200)], 1), job("completed", &[Some(200)], 2)]
        {
            assert_eq!(tally(Dialect::Ours, Scenario::Completes, job.clone()).doubled, 1, "{job}");
        }
    }

    #[test]
    fn a_volume_of_state_is_an_orphan_where_an_agent_said_that_nothing_is_in_it() {
        let counted = |status, runs| {
            let job = JobEvidence { state: true, ..job(status, &[Some(200)], runs) };
            let tally = tally(Dialect::Ours, Scenario::Completes, job);
            (tally.orphans, tally.states)
        };
        assert_eq!((counted("completed", 1), counted("failed", 0)), ((1, 0), (0, 1)));
    }

    #[test]
    fn what_is_left_is_an_orphan_unless_a_request_was_under_way_and_housekeeping_found_it() {
        let setting = Setting { dialect: Dialect::Ours, scenario: Scenario::Completes };
        let found = || vec!["container".to_owned()];
        let swept = Evidence { swept: found(), ..Evidence::default() };
        let left = Evidence { left: found(), ..Evidence::default() };
        let count = |creation, evidence| {
            let tally = judge(setting, creation, evidence).0;
            (tally.orphans, tally.swept)
        };
        assert_eq!(count(Creation::UnderWay, &swept), (0, 1));
        assert_eq!(count(Creation::Settled, &swept), (1, 0));
        assert_eq!(count(Creation::UnderWay, &left), (1, 0));
    }

    #[test]
    fn a_lost_reply_is_allowed_with_the_original_app_only_and_without_a_trace() {
        let lost = job("running", &[], 0);
        let with = |dialect, job| tally(dialect, Scenario::Completes, job);
        assert_eq!(with(Dialect::Original, lost.clone()).lost_replies, 1);
        assert_eq!(with(Dialect::Ours, lost.clone()).lost_replies, 0);
        let recorded = JobEvidence { recorded: true, ..lost.clone() };
        assert_eq!(with(Dialect::Original, recorded).lost, 1);
        let started = JobEvidence { starts: 1, ..lost };
        assert_eq!(with(Dialect::Original, started).lost, 1);
    }
}
