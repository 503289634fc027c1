//! What the ticket shows of a run: one log entry a step, and its completion.
//!
//! Invariant: a log entry that cannot be posted never fails the job; a completion that cannot be
//! posted does. Everything that leaves here is redacted and bounded.

mod stage;
mod step;

use std::time::Duration;

use api_client::http::Network;
use api_client::wire::{FollowUp, LogEntry, Proposed, TicketCompletion, WorkerContext};
use api_client::{ApiError, ClientError, WorkerApi, retry};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) use self::stage::WorkerStage;
pub(crate) use self::step::Step;

use crate::bounded::bounded;
use crate::course::Course;
use crate::memory::ProjectMemory;
use crate::redaction::Redaction;
use crate::settings::{AppTicket, Hold};

/// Longest `raw_output` of a log entry, in bytes; the app has no limit of its own.
const RAW_OUTPUT_MAX: usize = 64 << 10;

/// Longest `summary` of a log entry, in bytes.
const SUMMARY_MAX: usize = 2_000;

const CONTEXT_TRIES: usize = 5;
const LOG_TRIES: usize = 3;
/// For what decides about work that is done: four minutes of pauses, and the time that the tries
/// themselves take.
const DECISIVE_TRIES: usize = 10;

/// How long one log entry may hold up the run, tries included.
const LOG_LIMIT: Duration = Duration::from_secs(20);

/// The same for a run that was cancelled: those who stop a container do not wait long.
const CANCELLED_LOG_LIMIT: Duration = Duration::from_secs(2);

const USER_AGENT: &str = concat!("agent-runner/", env!("CARGO_PKG_VERSION"));

/// A ticket of an app, as one run reports to it.
#[derive(Debug)]
pub(crate) struct AppReporter {
    api: WorkerApi,
    at: AppTicket,
    session: Uuid,
    redaction: Redaction,
    course: Course,
    cancel: CancellationToken,
}

/// Where a run reports to.
#[derive(Debug)]
pub(crate) enum Reporter {
    /// The ticket's log.
    App(Box<AppReporter>),
    /// This process's log alone: there is no app, only the text of a task.
    LogOnly {
        /// What is to be done.
        task: String,
        /// Hides secrets.
        redaction: Redaction,
    },
}

impl AppReporter {
    /// A reporter of a new session, to which the checkpoints of `course` go as well. Once `cancel` is
    /// cancelled, it holds up the run for less long.
    ///
    /// # Errors
    /// When no HTTP client can be set up for the app's URL and key.
    pub(crate) fn new(
        at: AppTicket,
        redaction: Redaction,
        course: Course,
        cancel: CancellationToken,
    ) -> Result<Self, ClientError> {
        let network = Network { identity: at.identity.clone(), ..Network::default() };
        let api = WorkerApi::on(&network, &at.url, at.key.clone(), USER_AGENT)?;
        let session = Uuid::new_v4();
        course.checkpoints().post_to(api.clone(), &at, session.to_string());
        Ok(Self { api, at, session, redaction, course, cancel })
    }

    /// Everything about the ticket.
    ///
    /// # Errors
    /// When the app did not send it, after some tries.
    pub(crate) async fn context(&self) -> Result<WorkerContext, ApiError> {
        let AppTicket { project, ticket, .. } = self.at;
        insist(CONTEXT_TRIES, || self.api.worker_context(project, ticket)).await
    }

    /// Whether the app asks for the end of the work.
    ///
    /// # Errors
    /// When the app does not say.
    pub(crate) async fn cancel_requested(&self) -> Result<bool, ApiError> {
        self.api.cancel_requested(self.at.project, self.at.ticket).await
    }

    async fn post(&self, entry: &LogEntry) -> Result<(), ApiError> {
        let AppTicket { project, ticket, .. } = self.at;
        retry(LOG_TRIES, || self.api.post_log(project, ticket, entry)).await
    }

    async fn complete(&self, completion: &TicketCompletion) -> Result<(), ApiError> {
        let AppTicket { project, ticket, .. } = self.at;
        insist(DECISIVE_TRIES, || self.api.complete_ticket(project, ticket, completion)).await
    }

    async fn renew_lease(&self) -> Result<(), ApiError> {
        let Some(Hold { job, claim }) = self.at.hold else { return Ok(()) };
        insist(DECISIVE_TRIES, || self.api.renew_lease(job, claim)).await
    }

    /// Returns when a log entry has held up the run for long enough.
    async fn log_is_late(&self) {
        let cancelled = async {
            self.cancel.cancelled().await;
            sleep(CANCELLED_LOG_LIMIT).await;
        };
        tokio::select! {
            () = sleep(LOG_LIMIT) => {}
            () = cancelled => {}
        }
    }
}

impl Reporter {
    /// Tells of a step: one line, and what is longer than that.
    pub(crate) async fn step(&self, step: Step, summary: &str, raw_output: Option<&str>) {
        let summary = bounded(&self.redaction().redact(summary), SUMMARY_MAX);
        if step.is_failure() {
            tracing::error!(step = %step.name(), "{summary}");
        } else {
            tracing::info!(step = %step.name(), "{summary}");
        }
        let Self::App(app) = self else { return };
        if let Some((hook, turn)) = step.hook() {
            app.course.checkpoint(hook, turn, &summary);
        }
        let raw_output = raw_output.map(|raw| bounded(&app.redaction.redact(raw), RAW_OUTPUT_MAX));
        let entry = LogEntry {
            session_id: app.session.to_string(),
            step: step.name().into_owned(),
            summary,
            raw_output,
        };
        tokio::select! {
            posted = app.post(&entry) => if let Err(error) = posted {
                tracing::warn!(%error, step = %step.name(), "a log entry is lost");
            },
            () = app.log_is_late() => {
                tracing::warn!(step = %step.name(), "a log entry is lost: the app is too slow");
            }
        }
    }

    /// Whether the app hands jobs out for a term, so that it can have this one go on later.
    pub(crate) const fn holds_for_a_term(&self) -> bool {
        match self {
            Self::App(app) => app.at.hold.is_some(),
            Self::LogOnly { .. } => false,
        }
    }

    /// Makes sure that the job is still ours: called before anything that others see. Without a claim
    /// nobody else can have it.
    ///
    /// # Errors
    /// When it is another's or has ended, or the app does not say, after several tries.
    pub(crate) async fn renew_lease(&self) -> Result<(), ApiError> {
        match self {
            Self::App(app) => app.renew_lease().await,
            Self::LogOnly { .. } => Ok(()),
        }
    }

    /// Moves the ticket to review. Called when the pull request was confirmed, or its review answered, and never
    /// else. `review` is what was said to the reviewers.
    ///
    /// # Errors
    /// When the app did not take it, after several tries.
    pub(crate) async fn complete(
        &self,
        summary: &str,
        (pr_url, pr_number): (&str, u64),
        review: Option<&str>,
    ) -> Result<(), ApiError> {
        let Self::App(app) = self else { return Ok(()) };
        let review = review.map(|text| bounded(&app.redaction.redact(text), RAW_OUTPUT_MAX));
        let completion = TicketCompletion {
            summary: app.redaction.redact(summary),
            pr_url: Some(pr_url.to_owned()),
            pr_number: Some(pr_number),
            review_comment_body: review,
        };
        app.complete(&completion).await
    }

    /// Proposes follow-up tickets.
    ///
    /// # Errors
    /// When the app did not take them: it is asked once.
    pub(crate) async fn propose(&self, proposals: &[FollowUp]) -> Result<Proposed, ApiError> {
        let Self::App(app) = self else { return Ok(Proposed::default()) };
        let AppTicket { project, ticket, .. } = app.at;
        let session = app.session.to_string();
        app.api.propose(project, ticket, &session, proposals).await
    }

    /// The project's memory, as far as the app has one.
    pub(crate) fn memory(&self) -> Option<ProjectMemory> {
        match self {
            Self::App(app) => Some(ProjectMemory::new(app.api.clone(), app.at.project)),
            Self::LogOnly { .. } => None,
        }
    }

    fn redaction(&self) -> &Redaction {
        match self {
            Self::App(app) => &app.redaction,
            Self::LogOnly { redaction, .. } => redaction,
        }
    }
}

/// Calls until it succeeds, fails for good, or was tried `tries` times. Every failure is a line of
/// output: an app that asks for long pauses must not make this run look stalled.
async fn insist<T, F>(tries: usize, mut call: impl FnMut() -> F) -> Result<T, ApiError>
where
    F: Future<Output = Result<T, ApiError>>,
{
    retry(tries, || {
        let answer = call();
        async {
            answer.await.inspect_err(|error| tracing::warn!(%error, "a call of the app failed"))
        }
    })
    .await
}
