//! Watching an agent until it ends, and ending it when it has to. Output is followed, never
//! trusted: how an agent ended is read from the engine or from its keeper's note alone.

mod container;
mod disk;
mod gateway;
mod host;
mod order;

use std::convert::Infallible;
use std::fmt;
use std::future::pending;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::sleep;

use crate::activity::Activity;
use crate::board::JobStage;
use crate::context::Context;
use crate::engine::ExitFacts;
use crate::home_engine::EngineSeen;
use crate::job::Place;
use crate::ledger::Record;
use crate::output::Output;

pub(crate) use disk::DiskSeen;
pub(crate) use gateway::last_words_of_gateway;
use order::Order;
pub(crate) use order::{StopReason, first_look};

/// Between two kills of an agent that goes on.
const KILL_AGAIN: Duration = Duration::from_secs(2);

/// How an agent ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AgentEnd {
    /// Its process ended.
    Exited(ExitFacts),
    /// Its process ended while the engine was away.
    ExitedUnseen(ExitFacts),
    /// It never had its job document: why.
    NeverBegan(String),
    /// Its container ended well and held no agent: why that is known.
    NoAgent(String),
    /// Nothing is left of its container that could tell.
    Gone,
    /// Its keeper on this host is gone without a word.
    KeeperGone,
}

impl fmt::Display for AgentEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(facts) => write!(f, "exit code {}", facts.code),
            Self::ExitedUnseen(facts) => {
                write!(f, "exit code {}, while the engine was away", facts.code)
            }
            Self::NeverBegan(why) | Self::NoAgent(why) => write!(f, "it never began: {why}"),
            Self::Gone => f.write_str("its container is gone"),
            Self::KeeperGone => f.write_str("its keeper on this host is gone"),
        }
    }
}

impl AgentEnd {
    /// The exit code of an agent that had its document and came to an end of its own.
    pub(crate) const fn exit(&self) -> Option<i64> {
        match self {
            Self::Exited(facts) | Self::ExitedUnseen(facts) => Some(facts.code),
            Self::NeverBegan(_) | Self::NoAgent(_) | Self::Gone | Self::KeeperGone => None,
        }
    }
}

/// How the watch ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    /// The agent ended, by itself or because it had to.
    Ended(AgentEnd, Option<StopReason>),
    /// The coordinator leaves; the agent goes on.
    Detached,
}

/// Follows an agent until it ends. `output` is where a container's output goes; that of an agent on
/// the host is kept by its keeper.
pub(crate) async fn supervise(
    ctx: &Context,
    record: &Record,
    place: &Place,
    output: &mut Output,
) -> Watched {
    let activity = output.activity();
    let ending = end_of(ctx, record, place, output, &activity);
    tokio::pin!(ending);
    let order = tokio::select! {
        biased;
        end = &mut ending => return Watched::Ended(end, None),
        order = order::next(ctx, record, place, &activity) => order,
    };
    let reason = match order {
        Order::Detach => return Watched::Detached,
        Order::Stop(reason) => reason,
    };
    tracing::info!(job.id = %record.job.job_id, "stopping the agent: {reason}");
    ctx.board.job_stage(record.job.job_id, JobStage::Stopping);
    tokio::select! {
        biased;
        end = ending => Watched::Ended(end, Some(reason)),
        () = ctx.shutdown.detach.cancelled() => Watched::Detached,
        () = out_of_reach(ctx, place) => {
            tracing::warn!(
                job.id = %record.job.job_id,
                "the engine of its container is another one by now: whether it has ended is not known"
            );
            Watched::Ended(AgentEnd::Gone, Some(reason))
        }
        never = stop(ctx, place, reason) => match never {},
    }
}

/// Returns when an agent that was asked to end is on another engine than the one that answers, from where
/// it would never be seen to end. Where that other one is back one day, the container goes as one
/// without a record.
async fn out_of_reach(ctx: &Context, place: &Place) {
    if let Place::Host(_) = place {
        return pending().await;
    }
    loop {
        sleep(ctx.config().limits.stop_grace + KILL_AGAIN).await;
        if let Ok(EngineSeen::Another(_)) = ctx.see_engine().await {
            return;
        }
    }
}

async fn end_of(
    ctx: &Context,
    record: &Record,
    place: &Place,
    output: &mut Output,
    activity: &Activity,
) -> AgentEnd {
    match place {
        Place::Container(name) => container::end_of(ctx, name, output, activity).await,
        Place::Host(keeper) => host::end_of(ctx, record.job.job_id, keeper, activity).await,
    }
}

/// Asks the agent to end and, after the grace period, kills it until it has ended. An agent whose job
/// is another's is not asked: it must not publish any more.
async fn stop(ctx: &Context, place: &Place, reason: StopReason) -> Infallible {
    if reason != StopReason::Superseded {
        signal(ctx, place, Signal::SIGTERM).await;
        sleep(ctx.config().limits.stop_grace).await;
    }
    loop {
        signal(ctx, place, Signal::SIGKILL).await;
        sleep(KILL_AGAIN).await;
    }
}

async fn signal(ctx: &Context, place: &Place, signal: Signal) {
    match place {
        Place::Container(name) => {
            if let Err(error) = ctx.engine.signal(name, signal).await {
                tracing::debug!(container.name = %name, %error, "not signalled");
            }
        }
        Place::Host(keeper) => host::signal(keeper, signal),
    }
}
