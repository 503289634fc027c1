//! One method for each endpoint of the worker API, each with a time limit and no retries: whether
//! and when to try again is the caller's decision (see [`ApiError::is_transient`] and
//! [`retry`](crate::retry())).

mod exchange;
mod probe;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use self::exchange::parse;
pub use self::probe::{AppSeen, answers_as_app};
use crate::error::{ApiError, Call, ClientError};
use crate::http::Network;
use crate::wire::{
    AppSettings, Checkpoint, ClaimRequest, FollowUp, HeldBy, Job, JobCompletion, JobFailure,
    JobPause, LogEntry, MemoryAnswer, Parked, Proposed, QueueFacts, TicketCompletion,
    WorkerContext, clean_text,
};
use crate::{ClaimId, JobId, ProjectId, Redactor, Secret, TicketId};

/// Claims may wait for locks in the app; a reply given up on is a lost job, so this is generous.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(60);
const REPORT_TIMEOUT: Duration = Duration::from_secs(30);
const POLL_TIMEOUT: Duration = Duration::from_secs(10);
const MEMORY_TIMEOUT: Duration = Duration::from_secs(60);

/// The worker API of one app.
#[derive(Clone, Debug)]
pub struct WorkerApi {
    base: Url,
    key: Option<Secret>,
    /// Of the key: an app may quote it when it refuses it.
    redactor: Redactor,
    http: reqwest::Client,
    observer: Option<Arc<dyn CallObserver>>,
}

/// Is told of each call when it has ended.
pub trait CallObserver: fmt::Debug + Send + Sync {
    /// `call` took this long, until its whole answer was there or none was to be had any more.
    fn called(&self, call: &Call, took: Duration, error: Option<&ApiError>);
}

/// What a claim brought.
#[derive(Debug)]
pub enum Claim {
    /// Nothing waits.
    Empty,
    /// A job, now ours to report.
    Job(Box<Job>),
}

impl WorkerApi {
    /// A client of the app at `base` (any path prefix is kept, a query is not). `key` may be
    /// absent: an app without a key takes any caller. White space around it is not part of it.
    /// `user_agent` names the program.
    ///
    /// # Errors
    /// When `base` is not an HTTP(S) URL without credentials (which would take the place of the
    /// key), the key cannot be sent, or no HTTP client can be set up.
    pub fn new(base: &Url, key: Option<Secret>, user_agent: &str) -> Result<Self, ClientError> {
        Self::on(&Network::default(), base, key, user_agent)
    }

    /// The same by way of a network with certificates or proxies of its own.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn on(
        network: &Network,
        base: &Url,
        key: Option<Secret>,
        user_agent: &str,
    ) -> Result<Self, ClientError> {
        let mut base = base.clone();
        let credentials = !base.username().is_empty() || base.password().is_some();
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() || credentials {
            let _no_password = base.set_password(None);
            let _no_username = base.set_username("");
            return Err(ClientError::BaseUrl { url: base.to_string() });
        }
        let key = key.map(|key| Secret::from(key.expose().trim()));
        let key = key.filter(|key| !key.is_blank());
        if let Some(key) = &key
            && HeaderValue::from_str(key.expose()).is_err()
        {
            return Err(ClientError::Key);
        }
        base.set_query(None);
        base.set_fragment(None);
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let http = network.client(user_agent).and_then(|builder| builder.build());
        let http = http.map_err(ClientError::Http)?;
        Ok(Self { base, redactor: Redactor::new(&key), key, http, observer: None })
    }

    /// The same, whose calls are told to `observer`.
    #[must_use]
    pub fn observed_by(self, observer: Arc<dyn CallObserver>) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// Asks for a job, of one project or of any. An app that knows claim ids answers the same id
    /// with the same job for as long as the claim holds it.
    ///
    /// # Errors
    /// [`ApiError::Malformed`] with a job id means that the job is claimed but cannot be
    /// understood: fail it. After [`ApiError::Unreachable`] the app may have claimed a job that no
    /// one knows of, unless it is asked again with the same claim id. [`ApiError::Refused`] with
    /// 409: the job of this claim id has ended, or is another's by now.
    pub async fn claim(
        &self,
        project: Option<ProjectId>,
        claim: Option<ClaimId>,
    ) -> Result<Claim, ApiError> {
        let request = ClaimRequest { project_id: project, claim_id: claim };
        let call = self.call("POST", "api/worker/jobs/start");
        let answer = self.send(&call, Method::POST, Some(&request), CLAIM_TIMEOUT).await?;
        if answer.status == StatusCode::NO_CONTENT {
            return Ok(Claim::Empty);
        }
        let value: Value = parse(&call, &answer.body)?;
        let job = value.get("job_id").and_then(|id| JobId::deserialize(id).ok());
        match serde_json::from_value(value) {
            Ok(parsed) => Ok(Claim::Job(Box::new(parsed))),
            Err(error) => Err(ApiError::Malformed { call, problem: error.to_string(), job }),
        }
    }

    /// Keeps the lease of a running job.
    ///
    /// # Errors
    /// [`ApiError::Refused`] with 409: the job has ended, or is another's by now, and its work must
    /// not be published any more. [`ApiError::Gone`]: there is no such job.
    pub async fn renew_lease(&self, job: JobId, claim: ClaimId) -> Result<(), ApiError> {
        let call = self.call("POST", format!("api/worker/jobs/{job}/heartbeat"));
        let body = HeldBy { claim_id: Some(claim) };
        self.tell(&call, &body, POLL_TIMEOUT).await
    }

    /// Reports a job as completed.
    ///
    /// # Errors
    /// [`ApiError::Refused`] with 409 and [`ApiError::Gone`] settle the job as well.
    pub async fn complete_job(
        &self,
        job: JobId,
        completion: impl Into<JobCompletion>,
    ) -> Result<(), ApiError> {
        let (call, body) =
            (self.call("POST", format!("api/worker/jobs/{job}/complete")), completion.into());
        self.tell(&call, &body, REPORT_TIMEOUT).await
    }

    /// Reports a job as failed.
    ///
    /// # Errors
    /// As [`complete_job`](Self::complete_job).
    pub async fn fail_job(&self, job: JobId, failure: &JobFailure) -> Result<(), ApiError> {
        let call = self.call("POST", format!("api/worker/jobs/{job}/fail"));
        let failure = failure.cleaned();
        self.tell(&call, &failure, REPORT_TIMEOUT).await
    }

    /// Reports that a job is to go on later, and tells what the app made of that. Only an app with leases
    /// knows this call, and not every one of those.
    ///
    /// # Errors
    /// As [`complete_job`](Self::complete_job); [`ApiError::Gone`] is also the answer of an app that does
    /// not know the call.
    pub async fn park_job(&self, job: JobId, pause: &JobPause) -> Result<Parked, ApiError> {
        let call = self.call("POST", format!("api/worker/jobs/{job}/park"));
        let answer = self.send(&call, Method::POST, Some(&pause.cleaned()), REPORT_TIMEOUT).await?;
        parse(&call, &answer.body)
    }

    /// Puts a job that has ended in the queue once more, as a new job with the same ticket and kind; tells
    /// its id. Only an app that adds this to the original's calls knows it.
    ///
    /// # Errors
    /// [`ApiError::Refused`] with 409: a job of that ticket waits or runs. [`ApiError::Gone`]: the app does
    /// not know the job, or not the call.
    pub async fn retry_job(&self, job: JobId) -> Result<JobId, ApiError> {
        #[derive(Deserialize)]
        struct Queued {
            job_id: JobId,
        }
        let call = self.call("POST", format!("api/worker/jobs/{job}/retry"));
        let answer = self.send(&call, Method::POST, Some(&json!({})), REPORT_TIMEOUT).await?;
        parse::<Queued>(&call, &answer.body).map(|queued| queued.job_id)
    }

    /// Everything the agent needs to know about a ticket.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn worker_context(
        &self,
        project: ProjectId,
        ticket: TicketId,
    ) -> Result<WorkerContext, ApiError> {
        let call = self.call("GET", ticket_path(project, ticket, "worker-context"));
        self.get(&call, REPORT_TIMEOUT).await
    }

    /// Adds an entry to a ticket's log.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn post_log(
        &self,
        project: ProjectId,
        ticket: TicketId,
        entry: &LogEntry,
    ) -> Result<(), ApiError> {
        let call = self.call("POST", ticket_path(project, ticket, "logs"));
        self.tell(&call, &entry.cleaned(), REPORT_TIMEOUT).await
    }

    /// Moves a ticket to review. The app does so whatever column it is in: for success alone.
    ///
    /// # Errors
    /// See [`ApiError`]. Calling it again is harmless.
    pub async fn complete_ticket(
        &self,
        project: ProjectId,
        ticket: TicketId,
        completion: &TicketCompletion,
    ) -> Result<(), ApiError> {
        let call = self.call("POST", ticket_path(project, ticket, "complete"));
        let body = completion.cleaned();
        self.tell(&call, &body, REPORT_TIMEOUT).await
    }

    /// Whether someone asked for the end of the work on a ticket. The original app never clears
    /// this flag.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn cancel_requested(
        &self,
        project: ProjectId,
        ticket: TicketId,
    ) -> Result<bool, ApiError> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            cancel_requested: bool,
        }
        let call = self.call("GET", ticket_path(project, ticket, "cancel-requested"));
        let answer: Answer = self.get(&call, POLL_TIMEOUT).await?;
        Ok(answer.cancel_requested)
    }

    /// Settings of the app that a coordinator follows.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn settings(&self) -> Result<AppSettings, ApiError> {
        let call = self.call("GET", "api/settings");
        self.get(&call, POLL_TIMEOUT).await
    }

    /// What waits in the app's queue; none where the app does not tell, as the original one.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn queue(&self) -> Result<Option<QueueFacts>, ApiError> {
        let call = self.call("GET", "api/worker/queue");
        match self.get(&call, POLL_TIMEOUT).await {
            Ok(facts) => Ok(Some(facts)),
            Err(ApiError::Gone { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Tells how a run goes, in its order. Only an app that adds this to the original's calls knows it.
    ///
    /// # Errors
    /// [`ApiError::Gone`]: the app does not take it.
    pub async fn post_checkpoints(
        &self,
        project: ProjectId,
        ticket: TicketId,
        session: &str,
        checkpoints: &[Checkpoint],
    ) -> Result<(), ApiError> {
        let call = self.call("POST", ticket_path(project, ticket, "checkpoints"));
        let checkpoints: Vec<_> = checkpoints.iter().map(Checkpoint::cleaned).collect();
        let body = json!({ "session_id": session, "checkpoints": checkpoints });
        self.tell(&call, &body, POLL_TIMEOUT).await
    }

    /// Proposes follow-up tickets, to an app that [offers](crate::wire::WorkerContext::offers) it. The same
    /// may be sent again.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn propose(
        &self,
        project: ProjectId,
        ticket: TicketId,
        session: &str,
        follow_ups: &[FollowUp],
    ) -> Result<Proposed, ApiError> {
        let call = self.call("POST", ticket_path(project, ticket, "follow-ups"));
        let follow_ups: Vec<_> = follow_ups.iter().map(FollowUp::cleaned).collect();
        let body = json!({ "session_id": session, "follow_ups": follow_ups });
        let answer = self.send(&call, Method::POST, Some(&body), REPORT_TIMEOUT).await?;
        parse(&call, &answer.body)
    }

    /// Looks up the project's memory: up to `limit` passages for each question.
    ///
    /// # Errors
    /// See [`ApiError`]. The original app answers 500 where no memory is set up.
    pub async fn retrieve_memory(
        &self,
        project: ProjectId,
        questions: &[String],
        limit: usize,
    ) -> Result<Vec<MemoryAnswer>, ApiError> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            results: Vec<MemoryAnswer>,
        }
        let call = self.call("POST", format!("api/projects/{project}/memory/retrieve"));
        let questions: Vec<String> = questions.iter().map(|text| clean_text(text)).collect();
        let body = json!({ "queries": questions, "num_to_retrieve": limit });
        let answer = self.send(&call, Method::POST, Some(&body), MEMORY_TIMEOUT).await?;
        parse::<Answer>(&call, &answer.body).map(|answer| answer.results)
    }

    /// Adds passages to the project's memory.
    ///
    /// # Errors
    /// As [`retrieve_memory`](Self::retrieve_memory).
    pub async fn index_memory(&self, project: ProjectId, docs: &[String]) -> Result<(), ApiError> {
        let call = self.call("POST", format!("api/projects/{project}/memory/index"));
        let docs: Vec<String> = docs.iter().map(|text| clean_text(text)).collect();
        let body = json!({ "docs": docs });
        self.tell(&call, &body, MEMORY_TIMEOUT).await
    }
}

fn ticket_path(project: ProjectId, ticket: TicketId, leaf: &str) -> String {
    format!("api/projects/{project}/tickets/{ticket}/{leaf}")
}
