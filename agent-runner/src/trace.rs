//! The run as a part of a trace: sent once, at its end, where a collector is named.
//!
//! Invariant: a collector that is away costs a run one second at most, and nothing else. The worker knows
//! of neither collector nor trace.

use std::time::{Duration, SystemTime};

use api_client::contract::AgentExit;
use api_client::error_chain;
use api_client::http::Network;
use api_client::otlp::{Collector, Exporter, SetUpError};
use api_client::trace::{Attribute, KnownRun, Sampled, Span, TraceId, spans_of_run};
use tokio::time::timeout;

use crate::course::Course;
use crate::settings::{self, Layers};

/// The name of this program in traces.
const PROGRAM: &str = "terarchitect-agent";

/// How long the end of a run waits for the collector.
const LIMIT: Duration = Duration::from_secs(1);

/// Sends the spans of a run that has ended for this cause, if anyone wants them.
pub(crate) async fn export(layers: &Layers, course: &Course, cause: AgentExit) {
    let Some(collector) = settings::collector(layers) else { return };
    let Some(spans) = spans(layers, course, cause) else { return };
    let exporter = match new_exporter(&collector) {
        Ok(exporter) => exporter,
        Err(error) => return tracing::warn!("no trace of this run: {}", error_chain(&error)),
    };
    match timeout(LIMIT, exporter.export(&spans)).await {
        Ok(Ok(())) => tracing::debug!(spans = spans.len(), "trace sent"),
        Ok(Err(error)) => tracing::warn!("no trace of this run: {error}"),
        Err(_) => tracing::warn!("no trace of this run: the collector took more than {LIMIT:?}"),
    }
}

/// With the proxies and certificates of the environment, as all of the runner's own connections.
fn new_exporter(collector: &Collector) -> Result<Exporter, SetUpError> {
    Exporter::new(&Network::default(), collector, PROGRAM, env!("CARGO_PKG_VERSION"), &[])
}

fn spans(layers: &Layers, course: &Course, cause: AgentExit) -> Option<Vec<Span>> {
    let parent = settings::trace_parent(layers);
    if parent.is_some_and(|parent| parent.sampled == Sampled::No) {
        return None;
    }
    let (trace, parent) = parent.map(|parent| (parent.trace, parent.span)).unzip();
    let trace = trace.unwrap_or_else(TraceId::random);
    let outcome = course.outcome(cause, "");
    let id = |name, id: &Option<String>| Some((name, Attribute::from(id.as_deref()?)));
    let ids = [id("job.id", &outcome.job), id("ticket.id", &outcome.ticket)];
    let known = KnownRun {
        trace,
        parent,
        began: course.began_at(),
        ended: SystemTime::now(),
        ids: ids.into_iter().flatten().collect(),
    };
    Some(spans_of_run(&outcome, known))
}
