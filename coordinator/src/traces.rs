//! A job as a trace: the spans of its way through the coordinator, and the one that the agent's own are
//! parts of.
//!
//! Invariants: the ids of a trace, of its first span and of the agent's follow from the record, so that a
//! job that is taken up after a restart goes on in the same trace. Nothing here waits: spans go to a queue
//! with an end, and what does not fit is counted and left out. No text of a job is in a span, but for
//! short words of its outcome.

mod send;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api_client::http::Network;
use api_client::otlp::SetUpError;
use api_client::outcome::OutcomeDocument;
use api_client::trace::{
    Attribute, KnownRun, Sampled, Span, SpanEnd, SpanId, TraceId, TraceParent, spans_of_run,
};
use ring::digest::{SHA256, digest};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::send::Way;
use crate::config::TraceConfig;
use crate::identity::CoordinatorId;
use crate::ledger::Record;
use crate::left_out::LeftOut;
use crate::outcome::Outcome;
use crate::supervise::AgentEnd;

/// Most spans that wait to be sent.
const QUEUE: usize = 1_000;

/// A part of a job's way that is a span of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// From the question to the record on disk.
    Claim,
    /// Token, image, network, container, up to the job document.
    Launch,
    /// The app is told the outcome.
    Report,
}

impl Step {
    const fn name(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Launch => "launch",
            Self::Report => "report",
        }
    }
}

/// Takes the spans of all jobs.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    queue: Option<mpsc::Sender<Span>>,
    /// For the one task that sends them.
    work: Mutex<Option<(Way, mpsc::Receiver<Span>)>>,
    left_out: LeftOut,
}

impl Traces {
    /// Spans go where these settings say; nowhere without a collector.
    pub(crate) fn new(
        config: &TraceConfig,
        network: Network,
        id: CoordinatorId,
    ) -> Result<Self, SetUpError> {
        let Some(collector) = config.collector() else { return Ok(Self::default()) };
        let way = Way::new(collector, network, id)?;
        let (queue, spans) = mpsc::channel(QUEUE);
        let work = Mutex::new(Some((way, spans)));
        Ok(Self { queue: Some(queue), work, left_out: LeftOut::default() })
    }

    /// Sends what comes, until `end`; then what is left, in one try. `network` tells the settings as they
    /// are now.
    pub(crate) async fn send(&self, network: impl Fn() -> Network, end: &CancellationToken) {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((mut way, spans)) = work {
            send::run(&mut way, network, spans, &self.left_out, end).await;
        }
    }

    /// A part of a job that began then, and is over.
    pub(crate) fn step(&self, record: &Record, step: Step, began: SystemTime, end: SpanEnd) {
        self.put(|| span(record, step.name(), began, end));
    }

    /// An agent that was watched, with its own account of the run where it does not send that itself.
    pub(crate) fn agent(
        &self,
        record: &Record,
        (began, ended): (SystemTime, SystemTime),
        end: &AgentEnd,
        run: Option<&OutcomeDocument>,
    ) {
        let parent = parent_of_agent(record);
        self.put(|| {
            let how = match end.exit() {
                Some(0) => SpanEnd::Well,
                Some(code) => SpanEnd::Failed(format!("exit code {code}")),
                None => SpanEnd::Failed("no exit code".to_owned()),
            };
            let mut span = Span { id: parent.span, ended, ..span(record, "agent", began, how) };
            span.attributes.extend(end.exit().map(|code| ("exit.code", code.into())));
            let container = record.container.as_ref().map(ToString::to_string);
            span.attributes.extend(container.map(|id| ("container.id", id.into())));
            span
        });
        if let (Some(run), true) = (run, self.queue.is_some()) {
            let known = KnownRun {
                trace: parent.trace,
                parent: Some(parent.span),
                began: began.min(ended),
                ended,
                ids: ids(record),
            };
            for span in spans_of_run(run, known) {
                self.put(|| span);
            }
        }
    }

    /// A job that the app was told about from then on: its report, and itself.
    pub(crate) fn job(&self, record: &Record, outcome: &Outcome, reported: SystemTime) {
        self.step(record, Step::Report, reported, SpanEnd::Well);
        self.put(|| {
            let (word, cause, end) = match outcome {
                Outcome::Completed => ("completed", None, SpanEnd::Well),
                Outcome::Parked(_) => ("parked", None, SpanEnd::Unset),
                Outcome::Superseded => ("superseded", None, SpanEnd::Unset),
                Outcome::Failed(cause) => {
                    ("failed", Some(cause.name()), SpanEnd::Failed(cause.name().to_owned()))
                }
            };
            let began = UNIX_EPOCH + Duration::from_secs(record.claimed_at);
            let mut span = span(record, "job", began, end);
            (span.id, span.parent) = (root(record), None);
            span.attributes.push(("outcome", word.into()));
            span.attributes.extend(cause.map(|cause| ("cause", cause.into())));
            let digest = record.digest.as_ref().map(ToString::to_string);
            span.attributes.extend(digest.map(|digest| ("image.digest", digest.into())));
            span
        });
    }

    /// How many spans were not sent since the start.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out.all()
    }

    fn put(&self, span: impl FnOnce() -> Span) {
        let Some(queue) = &self.queue else { return };
        if queue.try_send(span()).is_err() {
            self.left_out.add(1);
        }
    }
}

/// The span that the spans of a job's agent are parts of.
pub(crate) fn parent_of_agent(record: &Record) -> TraceParent {
    let span = SpanId::of_digest(&seed(record, "agent")).unwrap_or_else(SpanId::random);
    TraceParent { trace: trace(record), span, sampled: Sampled::Yes }
}

/// How a start ended.
pub(crate) fn end_of<T, E>(result: &Result<T, E>) -> SpanEnd {
    match result {
        Ok(_) => SpanEnd::Well,
        Err(_) => SpanEnd::Failed("not_started".to_owned()),
    }
}

/// A span below that of the job, which ends now.
fn span(record: &Record, name: &str, began: SystemTime, end: SpanEnd) -> Span {
    let ended = SystemTime::now();
    Span {
        name: name.to_owned(),
        trace: trace(record),
        id: SpanId::random(),
        parent: Some(root(record)),
        // The clock may have been set back.
        began: began.min(ended),
        ended,
        end,
        attributes: ids(record),
    }
}

fn ids(record: &Record) -> Vec<(&'static str, Attribute)> {
    let mut ids = vec![("job.id", Attribute::from(record.job.job_id.to_string()))];
    if let Some(ticket) = record.job.ticket {
        ids.push(("ticket.id", ticket.ticket_id.to_string().into()));
        ids.push(("project.id", ticket.project_id.to_string().into()));
    }
    ids
}

fn trace(record: &Record) -> TraceId {
    TraceId::of_digest(&seed(record, "job")).unwrap_or_else(TraceId::random)
}

fn root(record: &Record) -> SpanId {
    SpanId::of_digest(&seed(record, "job")).unwrap_or_else(SpanId::random)
}

/// The same for each claim of a job, and telling nothing of the claim's id, by which a job is held.
fn seed(record: &Record, what: &str) -> [u8; 32] {
    let claim = record.claim_id().map(|claim| claim.to_string());
    let text = format!("terarchitect {what} {} {}", record.job.job_id, claim.unwrap_or_default());
    let mut seed = [0; 32];
    seed.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    seed
}

#[cfg(test)]
mod tests {
    use api_client::wire::Lease;
    use api_client::{ClaimId, JobId};

    use super::*;
    use crate::ledger::JobRef;
    use crate::outcome::Cause;

    fn record(lease: Option<Lease>) -> Record {
        Record::claimed(JobRef::unreadable(JobId::random()), lease, 0)
    }

    #[test]
    fn a_job_taken_up_again_is_in_the_same_trace_and_another_claim_of_it_in_another() {
        let lease = || Some(Lease { claim_id: ClaimId::random(), lease_sec: 60 });
        let first = record(lease());
        let read_again = serde_json::to_vec(&first).unwrap();
        let read_again: Record = serde_json::from_slice(&read_again).unwrap();
        assert_eq!(parent_of_agent(&first), parent_of_agent(&read_again));
        assert_eq!(root(&first), root(&read_again));
        assert_ne!(root(&first), parent_of_agent(&first).span);
        let mut second = first.clone();
        second.lease = lease();
        assert_ne!(trace(&first), trace(&second));
        let shown = parent_of_agent(&first).to_string();
        assert!(!shown.contains(&first.claim_id().unwrap().to_string().replace('-', "")[..8]));
    }

    #[test]
    fn a_full_queue_holds_up_no_one_and_is_counted() {
        let (queue, mut spans) = mpsc::channel(1);
        let traces = Traces { queue: Some(queue), ..Traces::default() };
        let record = record(None);
        traces.job(&record, &Outcome::Failed(Cause::Stalled { limit_sec: 1 }), SystemTime::now());
        assert_eq!(traces.left_out(), 1);
        assert_eq!(spans.try_recv().unwrap().parent, Some(root(&record)));
    }
}
