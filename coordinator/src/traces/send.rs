//! Sending spans: in batches, each tried a few times; what is not taken is left out, and said once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use api_client::delays;
use api_client::otlp::Exporter;
use api_client::trace::Span;
use backon::BackoffBuilder;
use tokio::sync::mpsc::Receiver;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

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

/// Sends what comes, until `end`; then what is left, in one try.
pub(super) async fn run(
    exporter: &Exporter,
    mut spans: Receiver<Span>,
    lost: &AtomicU64,
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
        told = match deliver(exporter, &batch, end).await {
            Ok(()) => Told::Not,
            Err(problem) => {
                let lost = lost.swap(0, Ordering::Relaxed) + batch.len() as u64;
                tell(told, &format!("{lost} spans are not sent: {problem}"));
                Told::Already
            }
        };
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
