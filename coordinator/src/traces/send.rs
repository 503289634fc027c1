//! Sending spans: in batches, each tried a few times; what is not taken is left out, and said once.

use std::time::Duration;

use api_client::http::Network;
use api_client::otlp::{Collector, Exporter, SetUpError};
use api_client::trace::Span;
use api_client::{delays, error_chain};
use backon::BackoffBuilder;
use tokio::sync::mpsc::Receiver;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::identity::CoordinatorId;
use crate::left_out::LeftOut;
use crate::renewed::Renewed;

/// The name of this program in traces.
const PROGRAM: &str = "terarchitect-coordinator";

/// Most spans of one batch.
const BATCH: usize = 256;

/// How long a batch waits for more.
const WINDOW: Duration = Duration::from_millis(500);

/// How often one is tried.
const TRIES: usize = 3;

/// Whether people know that spans do not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Not,
    Already,
}

/// The way to the collector.
#[derive(Debug)]
pub(super) struct Way {
    collector: Collector,
    id: CoordinatorId,
    exporter: Renewed<Exporter>,
}

impl Way {
    /// One that begins with these settings.
    pub(super) fn new(
        collector: Collector,
        network: Network,
        id: CoordinatorId,
    ) -> Result<Self, SetUpError> {
        let exporter = Renewed::new(network, |network| new_exporter(network, &collector, id))?;
        Ok(Self { collector, id, exporter })
    }

    fn by(&mut self, network: Network) -> Result<&Exporter, SetUpError> {
        let Self { collector, id, exporter } = self;
        exporter.by(network, |network| new_exporter(network, collector, *id))
    }
}

fn new_exporter(
    network: &Network,
    collector: &Collector,
    id: CoordinatorId,
) -> Result<Exporter, SetUpError> {
    let resource = [("service.instance.id", id.to_string())];
    Exporter::new(network, collector, PROGRAM, env!("CARGO_PKG_VERSION"), &resource)
}

/// Sends what comes, until `end`; then what is left, in one try.
pub(super) async fn run(
    way: &mut Way,
    network: impl Fn() -> Network,
    mut spans: Receiver<Span>,
    left_out: &LeftOut,
    end: &CancellationToken,
) {
    let mut told = Told::Not;
    loop {
        let mut batch = Vec::new();
        let more = end.run_until_cancelled(spans.recv_many(&mut batch, BATCH)).await;
        if more.is_some() {
            let _over = end.run_until_cancelled(sleep(WINDOW)).await;
        }
        while batch.len() < BATCH
            && let Ok(span) = spans.try_recv()
        {
            batch.push(span);
        }
        if batch.is_empty() {
            return;
        }
        let delivered = match way.by(network()) {
            Ok(exporter) => deliver(exporter, &batch, end).await,
            Err(error) => Err(error_chain(&error)),
        };
        told = match complaint(delivered, batch.len() as u64, left_out) {
            None => Told::Not,
            Some(text) => {
                tell(told, &text);
                Told::Already
            }
        };
    }
}

/// What is to be said after a batch of so many; nothing where all spans arrive.
fn complaint(delivered: Result<(), String>, batch: u64, left_out: &LeftOut) -> Option<String> {
    match (delivered, left_out.tell()) {
        (Ok(()), 0) => None,
        (Ok(()), lost) => Some(format!("{lost} spans are left out: they came too fast")),
        (Err(problem), lost) => {
            left_out.add_told(batch);
            Some(format!("{} spans are not sent: {problem}", lost + batch))
        }
    }
}

fn tell(told: Told, text: &str) {
    match told {
        Told::Not => tracing::warn!("{text}"),
        Told::Already => tracing::debug!("{text}"),
    }
}

async fn deliver(
    exporter: &Exporter,
    batch: &[Span],
    end: &CancellationToken,
) -> Result<(), String> {
    let mut waits = delays(TRIES).build();
    loop {
        let Err(error) = exporter.export(batch).await else { return Ok(()) };
        match waits.next() {
            Some(wait) if error.may_pass() && !end.is_cancelled() => {
                let _over = end.run_until_cancelled(sleep(wait)).await;
            }
            _ => return Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_fit_is_told_where_the_collector_takes_all_it_gets_too() {
        let left_out = LeftOut::default();
        assert_eq!(complaint(Ok(()), 5, &left_out), None);
        left_out.add(3);
        let text = complaint(Ok(()), 5, &left_out).unwrap();
        assert!(text.starts_with("3 spans are left out"), "{text}");
        assert_eq!(complaint(Ok(()), 5, &left_out), None);
        left_out.add(1);
        let text = complaint(Err("no answer".to_owned()), 5, &left_out).unwrap();
        assert_eq!(text, "6 spans are not sent: no answer");
        assert_eq!(left_out.all(), 9);
    }
}
