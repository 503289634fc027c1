//! One page about one job: what it is, its course, why it ended so and what that means, the lines that
//! matter, what is kept and where, what to do next. Of a running job as of one of last month: everything
//! comes from files, and a coordinator that runs adds what it knows.

pub(crate) mod find;
mod kept;
pub(crate) mod lines;
mod meaning;
mod page;
mod timeline;

use api_client::{JobId, ProjectId, TicketId};
use serde::Serialize;

use crate::board::{JobStage, JobView, OutboxView, StatusView};
use crate::collect::on_one_line;
use crate::engine::{ContainerRef, ImageDigest};
use crate::history::{EndedJob, JobResult, Ran, ReportEnd, told};
use crate::ledger::{Record, Runs, Stage};

use self::find::Found;
use self::kept::Kept;
use self::meaning::Ending;
use self::timeline::Row;

pub(crate) use self::kept::{JobFiles, log_path};
pub(crate) use self::page::text;

/// Version of [`Explained`].
const VERSION: u32 = 1;

/// Longest text of an agent that is shown, in characters.
const SAID_MAX_CHARS: usize = 600;

/// What the running coordinator says.
#[derive(Debug)]
pub(crate) enum Live {
    /// None runs.
    NotRunning,
    /// One runs, and did not answer: why.
    NoAnswer(String),
    /// One runs.
    Answered(Box<StatusView>),
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// Its agent has not ended, as far as anyone knows.
    Open,
    /// It ended, and the app does not know yet.
    Unreported,
    /// It ended, and that is settled.
    Settled,
}

/// The page.
#[derive(Debug, Serialize)]
pub(crate) struct Explained {
    pub(crate) version: u32,
    pub(crate) job: JobId,
    pub(crate) ticket: Option<TicketId>,
    pub(crate) project: Option<ProjectId>,
    pub(crate) state: State,
    /// `running`, `not_running` or `no_answer`.
    pub(crate) coordinator: &'static str,
    /// Where the running coordinator has it.
    pub(crate) stage: Option<JobStage>,
    pub(crate) ran: Option<Ran>,
    pub(crate) image: Option<ImageDigest>,
    /// The name of its container, while there may be one.
    pub(crate) container: Option<String>,
    pub(crate) result: Option<JobResult>,
    pub(crate) cause: Option<String>,
    pub(crate) exit_code: Option<i64>,
    pub(crate) report: Option<ReportEnd>,
    /// The cause in one line.
    pub(crate) headline: String,
    /// What that means, in plain words.
    pub(crate) means: String,
    /// What the agent says itself, where that is believed.
    pub(crate) said: Option<String>,
    /// Why it is not believed, or not there.
    pub(crate) doubt: Option<String>,
    pub(crate) timeline: Vec<Row>,
    pub(crate) last_lines: Vec<String>,
    pub(crate) kept: Vec<Kept>,
    pub(crate) next: Vec<String>,
}

/// Everything there is to say about a job at an instant, in milliseconds since 1970. Pure.
pub(crate) fn explain(found: &Found, files: &JobFiles, live: &Live, now_millis: u64) -> Explained {
    let Found { job, record, ended } = found;
    let (record, ended) = (record.as_ref(), ended.as_ref());
    let state = state(record, ended);
    let (view, waiting) = live.about(*job);
    let words = match ended {
        Some(ended) => of_end(ended),
        None => of_open(record, live, view),
    };
    let of = record.and_then(|record| record.job.ticket);
    let container = record.filter(|record| may_have_container(record));
    Explained {
        version: VERSION,
        job: *job,
        ticket: found.ticket(),
        project: of.map(|of| of.project_id).or(ended.and_then(|ended| ended.project)),
        state,
        coordinator: live.word(),
        stage: view.map(|view| view.stage),
        ran: record.and_then(Ran::of).or(ended.and_then(|ended| ended.ran)),
        image: record.and_then(|r| r.digest.clone()).or(ended.and_then(|e| e.image.clone())),
        container: container.map(|_| ContainerRef::of(*job).to_string()),
        result: ended.map(|ended| ended.result),
        cause: ended.and_then(|ended| ended.cause.clone()),
        exit_code: ended.and_then(|ended| ended.exit_code),
        report: ended.and_then(|ended| ended.report),
        headline: words.headline,
        means: words.means,
        said: ended.and_then(EndedJob::believed).map(said).filter(|said| !said.is_empty()),
        doubt: ended.and_then(|ended| ended.doubt.clone()),
        timeline: timeline::rows(record, ended, now_millis),
        last_lines: lines::that_matter(&files.tail),
        kept: kept::kept(record, ended, files),
        next: next(*job, words.next, state, live, waiting, ended),
    }
}

/// What a job came to, or how it stands, in one line.
pub(crate) fn headline(found: &Found) -> String {
    match &found.ended {
        Some(ended) => of_end(ended).headline,
        None => of_open(found.record.as_ref(), &Live::NotRunning, None).headline,
    }
}

/// For programs: one JSON object.
pub(crate) fn json(explained: &Explained) -> String {
    // Strings, numbers and lists of them always serialise.
    serde_json::to_string_pretty(explained).unwrap_or_default()
}

impl Live {
    const fn word(&self) -> &'static str {
        match self {
            Self::NotRunning => "not_running",
            Self::NoAnswer(_) => "no_answer",
            Self::Answered(_) => "running",
        }
    }

    /// What it says about a job.
    fn about(&self, job: JobId) -> (Option<&JobView>, Option<&OutboxView>) {
        let Self::Answered(status) = self else { return (None, None) };
        let view = status.jobs.iter().find(|view| view.job == job);
        (view, status.outbox.iter().find(|waiting| waiting.job == job))
    }
}

struct Words {
    headline: String,
    means: String,
    next: Vec<String>,
}

fn said(document: &api_client::outcome::OutcomeDocument) -> String {
    on_one_line(&told(document), SAID_MAX_CHARS)
}

fn state(record: Option<&Record>, ended: Option<&EndedJob>) -> State {
    match (record, ended) {
        (None, _) => State::Settled,
        (Some(record), ended) => match (&record.stage, ended) {
            (Stage::Ended { .. }, _) | (_, Some(_)) => State::Unreported,
            _ => State::Open,
        },
    }
}

fn may_have_container(record: &Record) -> bool {
    record.job.runs == Runs::InContainer && !matches!(record.stage, Stage::OnHost { .. })
}

fn of_end(ended: &EndedJob) -> Words {
    let meaning = Ending::of(ended).meaning();
    let result = match ended.result {
        JobResult::Completed => "delivered",
        JobResult::Failed => "failed",
        JobResult::Parked => "parked",
        JobResult::Superseded => "superseded",
    };
    let headline = match &ended.reason {
        Some(reason) => format!("{result}: {}", on_one_line(reason, SAID_MAX_CHARS)),
        None => result.to_owned(),
    };
    Words {
        headline,
        means: meaning.means.to_owned(),
        next: meaning.next.iter().map(|&line| line.to_owned()).collect(),
    }
}

/// Of a job that has not ended as far as the files tell.
fn of_open(record: Option<&Record>, live: &Live, view: Option<&JobView>) -> Words {
    let stage = record.map(|record| &record.stage);
    let (headline, means) = match stage {
        Some(Stage::Claimed) => (
            "held, not yet started",
            "The app gave the job to this coordinator, and no agent has it yet.",
        ),
        Some(Stage::InContainer { .. }) => ("running in a container", "Its agent has the job."),
        Some(Stage::OnHost { .. }) => {
            ("running on this host", "Its agent has the job, and runs here without a container.")
        }
        Some(Stage::Ended { .. }) => ("ended", "It ended; what it came to was not kept."),
        None => ("gone", "Its log is all that is left of it."),
    };
    let mut next = match (stage, live, view) {
        (None | Some(Stage::Ended { .. }), ..) => Vec::new(),
        (_, Live::Answered(_), None) => {
            vec![
                "The coordinator does not speak of it: it was just settled, or ask again."
                    .to_owned(),
            ]
        }
        (_, Live::Answered(_), Some(_)) => vec![
            "Follow what it prints: coordinator logs -f JOB".to_owned(),
            "Look inside: coordinator attach JOB".to_owned(),
        ],
        _ => Vec::new(),
    };
    next.extend(match live {
        Live::NotRunning if stage.is_some() => {
            Some("No coordinator runs: start it, and it takes the job up as it stands.".to_owned())
        }
        Live::NoAnswer(why) => Some(format!("The coordinator did not answer: {why}")),
        Live::NotRunning | Live::Answered(_) => None,
    });
    let stopping = view.is_some_and(|view| view.stage == JobStage::Stopping);
    let headline = if stopping { "being stopped" } else { headline };
    Words { headline: headline.to_owned(), means: means.to_owned(), next }
}

fn next(
    job: JobId,
    words: Vec<String>,
    state: State,
    live: &Live,
    waiting: Option<&OutboxView>,
    ended: Option<&EndedJob>,
) -> Vec<String> {
    let mut next = Vec::new();
    if state == State::Unreported {
        next.push(match (live, waiting) {
            (_, Some(waiting)) => {
                format!("The app has not taken the outcome yet: {}", waiting.problem)
            }
            (Live::Answered(_), None) => "The app is being told.".to_owned(),
            _ => "The app does not know yet: start the coordinator, which tells it.".to_owned(),
        });
    }
    if let Some(rescue) = ended.and_then(EndedJob::believed).and_then(|it| it.rescue.as_ref()) {
        let branch = on_one_line(&rescue.branch, 250);
        next.push(format!(
            "The work so far is on the branch {branch}; the ticket's next run continues from it."
        ));
    }
    next.extend(words);
    next.iter().map(|line| line.replace("JOB", &job.to_string())).collect()
}

#[cfg(test)]
mod tests;
