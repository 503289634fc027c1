//! What is kept of jobs that have ended: one small file for each, beside its log, and gone with it
//! ([`housekeeping`](crate::housekeeping)).
//!
//! It is for people, and for what the app is told with a failure. Nothing is decided by it but when a ticket's
//! volume goes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use api_client::contract::AgentExit;
use api_client::outcome::{OutcomeDocument, TokenFacts};
use api_client::wire::{AgentEnv, JobUsage};
use api_client::{JobId, ProjectId, TicketId, error_chain};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::collect::{Collected, on_one_line};
use crate::context::Context;
use crate::engine::ImageDigest;
use crate::ledger::{Errand, Happened, Record, Stage, Timeline, write_json};
use crate::outcome::{Cause, Outcome};
use crate::present::present;

/// Version of the format.
const VERSION: u32 = 1;

/// How the names of the files end.
const ENDING: &str = ".ended.json";

/// Longest part of what an agent says that the app is told as the reason, in characters.
const TOLD_MAX_CHARS: usize = 1_000;

/// A job that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EndedJob {
    pub(crate) version: u32,
    pub(crate) job: JobId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ticket: Option<TicketId>,
    /// What it was for.
    #[serde(default)]
    pub(crate) errand: Errand,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) project: Option<ProjectId>,
    /// In seconds since 1970, as in its record: a job may be claimed more than once.
    pub(crate) claimed_at: u64,
    /// In seconds since 1970.
    pub(crate) ended_at: u64,
    /// `completed`, `failed`, `parked` or `superseded`.
    pub(crate) result: JobResult,
    /// Why it failed, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cause: Option<String>,
    /// The same for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// The exit code, where the agent ended by itself or was killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) exit_code: Option<i64>,
    /// Where its agent ran, if one was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ran: Option<Ran>,
    /// When what happened to it; nothing in files of earlier versions.
    #[serde(default, skip_serializing_if = "Timeline::is_empty")]
    pub(crate) timeline: Timeline,
    /// What the app made of the report, once it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) report: Option<ReportEnd>,
    /// The image of its container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<ImageDigest>,
    /// Why there is no document, or why it is not to be believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) doubt: Option<String>,
    /// What the agent says it came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) document: Option<Box<OutcomeDocument>>,
}

/// What became of a job, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JobResult {
    Completed,
    Failed,
    Parked,
    Superseded,
}

/// Where an agent ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ran {
    InContainer,
    OnHost,
}

/// How the report of an outcome ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReportEnd {
    /// The app has taken it.
    Acknowledged,
    /// The app had settled the job otherwise before.
    SettledBefore,
    /// The app does not know the job any more.
    UnknownToApp,
    /// The job is another's by now: nothing was reported.
    NotOurs,
    /// What a later version knows.
    #[serde(other)]
    Other,
}

impl EndedJob {
    /// A job of this record, which ended now. `redact` is for what the reason quotes.
    fn of(
        record: &Record,
        outcome: &Outcome,
        collected: Collected,
        redact: impl Fn(&str) -> String,
    ) -> Self {
        let Collected { document, doubt } = collected;
        let (result, cause) = match outcome {
            Outcome::Completed => (JobResult::Completed, None),
            Outcome::Failed(cause) => (JobResult::Failed, Some(cause)),
            Outcome::Parked(_) => (JobResult::Parked, None),
            Outcome::Superseded => (JobResult::Superseded, None),
        };
        Self {
            version: VERSION,
            job: record.job.job_id,
            ticket: record.job.ticket.map(|of| of.ticket_id),
            errand: record.job.errand,
            project: record.job.ticket.map(|of| of.project_id),
            claimed_at: record.claimed_at,
            ended_at: clock::now(),
            result,
            cause: cause.map(|cause| cause.name().to_owned()),
            reason: cause.map(|cause| redact(&cause.to_string())),
            exit_code: exit_code(outcome),
            ran: Ran::of(record),
            timeline: record.clone().noted_ended().timeline,
            report: None,
            image: record.digest.clone(),
            doubt,
            document,
        }
    }

    /// The document, where it says the same as the exit code.
    pub(crate) fn believed(&self) -> Option<&OutcomeDocument> {
        self.document.as_deref().filter(|_| self.doubt.is_none())
    }
}

impl Ran {
    /// Where the agent of a job with this record runs or ran.
    pub(crate) fn of(record: &Record) -> Option<Self> {
        match &record.stage {
            Stage::InContainer { .. } => Some(Self::InContainer),
            Stage::OnHost { .. } => Some(Self::OnHost),
            Stage::Ended { .. } if record.container.is_some() => Some(Self::InContainer),
            Stage::Claimed | Stage::Ended { .. } => None,
        }
    }
}

const fn exit_code(outcome: &Outcome) -> Option<i64> {
    match outcome {
        Outcome::Completed => Some(0),
        Outcome::Failed(Cause::Agent { exit }) => Some(exit.code() as i64),
        Outcome::Failed(Cause::AgentCrashed { code } | Cause::EngineLost { code }) => Some(*code),
        Outcome::Failed(Cause::AgentKilled { signal }) => Some(128 + *signal),
        Outcome::Parked(_) => Some(AgentExit::Parked.code() as i64),
        Outcome::Failed(_) | Outcome::Superseded => None,
    }
}

/// What is to be kept of a job that ended now.
pub(crate) fn ended_job(
    ctx: &Context,
    record: &Record,
    outcome: &Outcome,
    collected: Collected,
) -> EndedJob {
    let redactor = ctx.redactor(&AgentEnv::default());
    EndedJob::of(record, outcome, collected, |text| redactor.redact(text).into_owned())
}

/// What people should know of an outcome beside its cause: in the agent's words, and where the work is.
/// Nothing, where the agent tells nothing.
pub(crate) fn told(document: &OutcomeDocument) -> String {
    let mut parts = vec![on_one_line(&document.summary, TOLD_MAX_CHARS)];
    if let Some(turn) = document.resumed_at_turn {
        parts.push(format!("it went on at turn {turn}, where an earlier run was ended"));
    }
    let rescue = document.rescue.as_ref();
    if let Some(rescue) = rescue.filter(|rescue| !parts[0].contains(&rescue.branch)) {
        let branch = on_one_line(&rescue.branch, 250);
        parts.push(format!("the work so far is saved on the branch {branch}"));
    }
    if let Some(pull) = &document.pull_request {
        parts.push(format!("pull request: {}", on_one_line(&pull.url, 500)));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("; ")
}

/// What a run used, Director and worker together, as far as its agent says.
pub(crate) fn usage(document: &OutcomeDocument) -> JobUsage {
    let director = document.director.as_ref();
    let and = |of: fn(&TokenFacts) -> u64| {
        of(&document.tokens).saturating_add(director.map_or(0, |facts| of(&facts.tokens)))
    };
    let money = [document.money_usd, director.and_then(|facts| facts.money_usd)];
    JobUsage {
        input: and(|tokens| tokens.input),
        cached: and(|tokens| tokens.cached),
        output: and(|tokens| tokens.output),
        money_usd: money.into_iter().flatten().reduce(|all, one| all + one),
    }
}

/// Keeps it, in place of what is there of an earlier run of the job. A disk that does not take it costs no
/// job.
pub(crate) async fn keep(ctx: &Context, ended: EndedJob) {
    let (path, job) = (path(&ctx.state_dir, ended.job), ended.job);
    let written = tokio::task::spawn_blocking(move || write_json(&path, &ended)).await;
    let problem = match written {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error_chain(&error),
        Err(panicked) => panicked.to_string(),
    };
    tracing::warn!(job.id = %job, "what the job came to is not kept: {problem}");
}

/// Notes what a job came to in the end, where the app made another of its outcome.
pub(crate) async fn came_to(ctx: &Context, record: &Record, outcome: &Outcome) {
    if let Some(kept) = kept(ctx, record).await {
        let EndedJob { result, cause, reason, .. } =
            ended_job(ctx, record, outcome, Collected::default());
        keep(ctx, EndedJob { result, cause, reason, ..kept }).await;
    }
}

/// Notes that the report of a job is over, and how. What was noted of it before stays: an app that has taken
/// an outcome knows the job as settled when it is told once more, after a crash.
pub(crate) async fn reported(ctx: &Context, record: &Record, end: ReportEnd) {
    if let Some(ended) = kept(ctx, record).await
        && ended.report.is_none()
    {
        let timeline = match end {
            ReportEnd::NotOurs => record.timeline.clone(),
            _ => record.clone().noted(Happened::Reported).timeline,
        };
        keep(ctx, EndedJob { timeline, report: Some(end), ..ended }).await;
    }
}

/// What is kept of this claim of a job.
pub(crate) async fn kept(ctx: &Context, record: &Record) -> Option<EndedJob> {
    let path = path(&ctx.state_dir, record.job.job_id);
    let ended = tokio::task::spawn_blocking(move || read(&path).ok()).await.ok().flatten();
    ended.filter(|ended: &EndedJob| ended.claimed_at == record.claimed_at)
}

/// All of them, the latest first. What cannot be read is left out.
pub(crate) fn all(state_dir: &Path) -> io::Result<Vec<EndedJob>> {
    let mut all: Vec<EndedJob> = parts_of_all(state_dir)?;
    all.sort_by_key(|ended| (std::cmp::Reverse(ended.ended_at), ended.job));
    Ok(all)
}

/// What `T` takes of each of them, in no order. What cannot be read is left out.
pub(crate) fn parts_of_all<T: DeserializeOwned>(state_dir: &Path) -> io::Result<Vec<T>> {
    // Where there is none, no coordinator has run yet.
    let Some(entries) = present(fs::read_dir(state_dir.join("logs")))? else {
        return Ok(Vec::new());
    };
    let mut all = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let ours = path.file_name().and_then(|name| name.to_str());
        if ours.is_some_and(|name| name.ends_with(ENDING))
            && let Ok(ended) = read(&path)
        {
            all.push(ended);
        }
    }
    Ok(all)
}

/// What is kept of a job, if it can be read.
pub(crate) fn of(state_dir: &Path, job: JobId) -> Option<EndedJob> {
    read(&path(state_dir, job)).ok()
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

fn path(state_dir: &Path, job: JobId) -> PathBuf {
    state_dir.join("logs").join(format!("{job}{ENDING}"))
}

#[cfg(test)]
mod tests {
    use api_client::outcome::Verdict;

    use super::*;
    use crate::config::{self, Environment, Flags};
    use crate::context::Mode;
    use crate::daemon::Daemon;
    use crate::ledger::{JobRef, make_private_dir};

    fn ended(claimed_at: u64) -> EndedJob {
        let record = Record::claimed(JobRef::unreadable(JobId::random()), None, claimed_at);
        let problem = "no ghp_secret_token".to_owned();
        let outcome = Outcome::Failed(Cause::NotStarted { problem });
        let redact = |text: &str| text.replace("ghp_secret_token", "[redacted]");
        EndedJob::of(&record, &outcome, Collected::default(), redact)
    }

    #[test]
    fn ended_jobs_are_found_again_the_latest_first_and_others_files_are_let_be() {
        let dir = tempfile::tempdir().unwrap();
        assert!(all(dir.path()).unwrap().is_empty());
        make_private_dir(&dir.path().join("logs")).unwrap();
        let jobs: Vec<_> = [3, 9, 5]
            .into_iter()
            .map(|at| EndedJob { ended_at: at, ..ended(1) })
            .inspect(|job| write_json(&path(dir.path(), job.job), job).unwrap())
            .collect();
        fs::write(dir.path().join("logs").join(format!("x{ENDING}")), "{}").unwrap();
        fs::write(dir.path().join("logs/some.log"), "text").unwrap();
        let found: Vec<_> = all(dir.path()).unwrap();
        assert_eq!(found, [jobs[1].clone(), jobs[2].clone(), jobs[0].clone()]);
    }

    #[test]
    fn what_is_kept_holds_no_secret() {
        assert_eq!(ended(1).reason.as_deref(), Some("could not be started: no [redacted]"));
    }

    #[test]
    fn a_file_of_an_earlier_version_is_read() {
        let text = r#"{"version":1,"job":"93863a0a-985e-474b-a6b2-40a89654e6bf","claimed_at":1,
            "ended_at":9,"result":"completed"}"#;
        let ended: EndedJob = serde_json::from_str(text).unwrap();
        assert!(ended.timeline.is_empty() && ended.report.is_none() && ended.exit_code.is_none());
    }

    #[test]
    fn a_word_of_a_later_version_makes_no_file_unreadable() {
        let text = r#"{"version":1,"job":"93863a0a-985e-474b-a6b2-40a89654e6bf","claimed_at":1,
            "ended_at":9,"result":"completed","report":"put_off"}"#;
        let ended: EndedJob = serde_json::from_str(text).unwrap();
        assert_eq!(ended.report, Some(ReportEnd::Other));
    }

    #[tokio::test]
    async fn what_the_app_said_first_of_a_report_stays() {
        let dir = tempfile::tempdir().unwrap();
        let environment = Environment::of([
            ("TERARCHITECT_API_URL", "http://localhost:9"),
            ("COORDINATOR_STATE_DIR", dir.path().to_str().unwrap()),
        ]);
        let config = config::load(&Flags::default(), &environment).unwrap().config;
        let ctx = Daemon::new(config, Mode::Forever).unwrap().context();
        let record = Record::claimed(JobRef::unreadable(JobId::random()), None, 1);
        keep(&ctx, ended_job(&ctx, &record, &Outcome::Completed, Collected::default())).await;
        reported(&ctx, &record, ReportEnd::Acknowledged).await;
        reported(&ctx, &record, ReportEnd::SettledBefore).await;
        let ended = kept(&ctx, &record).await.unwrap();
        assert_eq!(ended.report, Some(ReportEnd::Acknowledged));
    }

    #[test]
    fn the_app_is_told_where_the_work_is() {
        let document: OutcomeDocument = serde_json::from_str(&format!(
            r#"{{"version":1,"verdict":"partial","cause":"worker_failed",
                "summary":"the model\n  was away","runner_version":"1",
                "rescue":{{"branch":"ticket-1-rescue","commit":"{}"}}}}"#,
            "a".repeat(40)
        ))
        .unwrap();
        assert_eq!((document.verdict, document.cause), (Verdict::Partial, AgentExit::WorkerFailed));
        assert_eq!(
            told(&document),
            "the model was away; the work so far is saved on the branch ticket-1-rescue"
        );
        let summary = "the model was away; the work so far is on branch ticket-1-rescue".to_owned();
        assert_eq!(told(&OutcomeDocument { summary: summary.clone(), ..document }), summary);
    }
}
