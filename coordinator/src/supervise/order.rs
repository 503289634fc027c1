//! What can end the watch over an agent before the agent ends: its limits, the app, the operator.

use std::fmt;
use std::future::pending;
use std::time::Duration;

use tokio::time::sleep;

use super::{disk, gateway};
use crate::activity::Activity;
use crate::context::Context;
use crate::job::Place;
use crate::ledger::{CancelFlag, Record};

/// How often the app's cancel flag is asked for.
const CANCEL_POLL: Duration = Duration::from_secs(4);

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Leave the agent running.
    Detach,
    /// End it.
    Stop(StopReason),
}

/// Why an agent has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// It has run for as long as it may.
    Deadline(Duration),
    /// It has printed nothing for as long as it may.
    Stalled(Duration),
    /// It takes more disk space than it may: the limit, in bytes.
    DiskLimit(u64),
    /// The gateway beside it ended, and with it the way to the network and the model.
    GatewayLost,
    /// The app asked for it.
    Cancelled,
    /// The coordinator is to stop, and the agents with it.
    Interrupted,
    /// The job is another's by now.
    Superseded,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadline(limit) => write!(f, "it has run for {} s", limit.as_secs_f64()),
            Self::Stalled(limit) => {
                write!(f, "it has printed nothing for {} s", limit.as_secs_f64())
            }
            Self::DiskLimit(limit) => {
                write!(f, "it takes more than {} MiB of disk space", limit >> 20)
            }
            Self::GatewayLost => f.write_str("the gateway beside it has ended"),
            Self::Cancelled => f.write_str("the app asked for the end"),
            Self::Interrupted => f.write_str("the coordinator stops"),
            Self::Superseded => f.write_str("the app gave the job to someone else"),
        }
    }
}

/// Waits for what comes first.
pub(super) async fn next(
    ctx: &Context,
    record: &Record,
    place: &Place,
    activity: &Activity,
) -> Order {
    let superseded = ctx.leases.superseded(record.job.job_id);
    let reason = tokio::select! {
        biased;
        () = ctx.shutdown.detach.cancelled() => return Order::Detach,
        () = superseded.cancelled() => StopReason::Superseded,
        () = cancelled(ctx, record) => StopReason::Cancelled,
        () = ctx.shutdown.agents.cancelled() => StopReason::Interrupted,
        limit = deadline(ctx, record) => StopReason::Deadline(limit),
        limit = stall(ctx, activity) => StopReason::Stalled(limit),
        limit = disk::exceeded(ctx, record, place) => StopReason::DiskLimit(limit),
        () = gateway::lost(ctx, record, place) => StopReason::GatewayLost,
    };
    Order::Stop(reason)
}

/// Returns when the agent's time is up, counted from when it really began.
async fn deadline(ctx: &Context, record: &Record) -> Duration {
    let limit = ctx.config().limits.job_timeout;
    let gone = record.began().and_then(|began| began.elapsed()).unwrap_or_default();
    sleep(limit.saturating_sub(gone)).await;
    limit
}

async fn stall(ctx: &Context, activity: &Activity) -> Duration {
    let Some(limit) = ctx.config().limits.stall_timeout else { return pending().await };
    loop {
        let left = limit.saturating_sub(activity.silence());
        if left.is_zero() {
            return limit;
        }
        sleep(left).await;
    }
}

/// Returns when the app's flag says that this job is to end.
///
/// The original app has one flag for each ticket, and never clears it. A flag that was set before the
/// job began was set for an earlier job: it counts from when it was seen clear.
async fn cancelled(ctx: &Context, record: &Record) {
    let Some(ticket) = record.job.ticket else { return pending().await };
    let mut flag = record.cancel_flag;
    loop {
        match ctx.api().cancel_requested(ticket.project_id, ticket.ticket_id).await {
            Ok(true) if flag == CancelFlag::Ours => return,
            Ok(true) => {}
            Ok(false) => flag = CancelFlag::Ours,
            Err(error) => {
                tracing::debug!(job.id = %record.job.job_id, %error, "whether to cancel is not known");
            }
        }
        sleep(CANCEL_POLL).await;
    }
}

/// What the flag says before the job begins; a moment's trouble is no reason to wait.
pub(crate) async fn first_look(ctx: &Context, record: &Record) -> CancelFlag {
    const PATIENCE: Duration = Duration::from_secs(2);
    let (CancelFlag::Unclear, Some(ticket)) = (record.cancel_flag, record.job.ticket) else {
        return record.cancel_flag;
    };
    let api = ctx.api();
    let asked = api.cancel_requested(ticket.project_id, ticket.ticket_id);
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(false)) => CancelFlag::Ours,
        Ok(Ok(true)) => {
            tracing::warn!(
                job.id = %record.job.job_id,
                "the ticket's cancel flag was set before this job: ignored until it was clear"
            );
            CancelFlag::Unclear
        }
        Ok(Err(_)) | Err(_) => CancelFlag::Unclear,
    }
}
