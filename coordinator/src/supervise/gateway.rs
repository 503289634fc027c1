//! The end of the gateway beside an agent's container: what it refused belongs to the job's log.

use std::time::Duration;

use api_client::JobId;
use nix::sys::signal::Signal;
use tokio::time::timeout;

use super::container::take_all;
use crate::context::Context;
use crate::engine::{ContainerRef, EngineError, LogCursor, Until};
use crate::launch::{has_gateway, label};
use crate::ledger::Record;
use crate::output::Output;

/// How long a gateway may take to end, and its words to come.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Ends the gateway of a job, if there is one, and puts all that it said into the job's log. What
/// cannot be had is no reason to keep the outcome back.
pub(crate) async fn last_words_of_gateway(ctx: &Context, record: &Record, output: &mut Output) {
    let job = record.job.job_id;
    let config = ctx.config();
    let agent = record.job.ticket.map_or(&config.agent, |of| config.agent_for(of.project_id));
    if !has_gateway(agent) {
        return;
    }
    let gateway = match end_gateway(ctx, job).await {
        Ok(Some(gateway)) => gateway,
        Ok(None) => return,
        Err(error) => {
            tracing::warn!(job.id = %job, %error, "the gateway's words are not in the job's log");
            return;
        }
    };
    let mut cursor = LogCursor::default();
    let words = async {
        take_all(ctx, &gateway, Until::TheEnd, &mut cursor, output).await;
        cursor.rewind();
        take_all(ctx, &gateway, Until::Now, &mut cursor, output).await;
    };
    if timeout(LAST_WORDS, words).await.is_err() {
        tracing::warn!(job.id = %job, "the gateway goes on talking: the rest is not in the log");
    }
}

/// Tells a job's gateway to end, if it is ours.
async fn end_gateway(ctx: &Context, job: JobId) -> Result<Option<ContainerRef>, EngineError> {
    let (name, id) = (Context::gateway_of(job), ctx.id.to_string());
    let gateway = ctx.engine.with_label(&name, label::COORDINATOR, &id).await?;
    if let Some(gateway) = &gateway {
        ctx.engine.signal(gateway, Signal::SIGTERM).await?;
    }
    Ok(gateway)
}
