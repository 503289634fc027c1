//! The gateway beside an agent's container: without it the agent has no way out, and what it refused
//! belongs to the job's log.

use std::future::pending;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::{sleep, timeout};

use super::container::take_all;
use crate::context::Context;
use crate::engine::{ContainerState, LogCursor, Until};
use crate::home_engine::EngineSeen;
use crate::job::Place;
use crate::ledger::Record;
use crate::output::Output;

/// How long a gateway may take to end, and its words to come.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Between two looks at one that goes on, or at an engine that does not answer.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// What ends both ends the agent as well within this time, and then tells more.
const BOTH: Duration = Duration::from_secs(2);

/// Returns when the gateway of a job has ended before the agent.
pub(super) async fn lost(ctx: &Context, record: &Record, place: &Place) {
    let (Some(gateway), Place::Container(_)) = (&record.gateway, place) else {
        return pending().await;
    };
    let how = loop {
        ctx.engine.ended(gateway).await;
        match ctx.engine.state(gateway).await {
            Ok(ContainerState::Running) | Err(_) => {}
            Ok(ContainerState::Absent) if !is_home(ctx).await => {}
            Ok(ended) => break ended,
        }
        sleep(LOOK_AGAIN).await;
    };
    sleep(BOTH).await;
    tracing::warn!(job.id = %record.job.job_id, ?how, "the gateway beside the agent has ended");
}

async fn is_home(ctx: &Context) -> bool {
    matches!(ctx.see_engine().await, Ok(EngineSeen::Home))
}

/// Ends the gateway of a job, if there is one, and puts all that it said into the job's log. What
/// cannot be had is no reason to keep the outcome back.
pub(crate) async fn last_words_of_gateway(ctx: &Context, record: &Record, output: &mut Output) {
    let job = record.job.job_id;
    let Some(gateway) = &record.gateway else { return };
    if let Err(error) = ctx.engine.signal(gateway, Signal::SIGTERM).await {
        tracing::warn!(job.id = %job, %error, "the gateway's words are not in the job's log");
        return;
    }
    let mut cursor = LogCursor::default();
    let words = async {
        take_all(ctx, gateway, Until::TheEnd, &mut cursor, output).await;
        cursor.rewind();
        take_all(ctx, gateway, Until::Now, &mut cursor, output).await;
    };
    if timeout(LAST_WORDS, words).await.is_err() {
        tracing::warn!(job.id = %job, "the gateway goes on talking: the rest is not in the log");
    }
}
