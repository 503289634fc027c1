//! Removing what belongs to no job: objects of the engine that carry our label and no record, logs
//! beyond their bounds, notes of keepers whose job is settled. [`plan`] is pure.

mod cache;
mod files;
mod state;

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use api_client::{JobId, error_chain};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::config::{HostFallback, KeepConfig};
use crate::context::Context;
use crate::engine::{EngineError, Labelled, Leftover};
use crate::ledger::LedgerError;
pub(crate) use cache::Measured;
use files::{JobFile, job_files};

/// Between two rounds.
const PERIOD: Duration = Duration::from_secs(60);

/// Why it is looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// It is time again.
    Round,
    /// The operator asks the coordinator.
    Asked,
    /// The operator asks and no coordinator runs, so none could be about to make a record: objects
    /// of the engine without one need no grace.
    AskedAlone,
}

/// What is done about garbage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Deed {
    Remove,
    Show,
}

/// What is there that may have to go.
#[derive(Clone, Debug, Default)]
pub(crate) struct Survey {
    /// Objects of the engine with our label, and for how long each was seen without a record.
    leftovers: Vec<(Leftover, Duration)>,
    /// Logs and notes of jobs.
    files: Vec<JobFile>,
}

/// What was removed, or would be.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Swept {
    /// One line each.
    pub(crate) removed: Vec<String>,
    /// What could not be removed, and why.
    pub(crate) failed: Vec<String>,
    /// Of files, in bytes.
    pub(crate) bytes: u64,
}

/// When each object of the engine was first seen without a record.
#[derive(Debug, Default)]
pub(crate) struct FirstSeen(Mutex<HashMap<String, Instant>>);

/// What is to go.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    leftovers: Vec<Leftover>,
    files: Vec<JobFile>,
}

/// Goes round until it is told to end. What cannot be removed is said when it changes.
pub(crate) async fn run(ctx: &Context, end: &CancellationToken) {
    let mut failed = Vec::new();
    while end.run_until_cancelled(sleep(PERIOD)).await.is_some() {
        let round = end.run_until_cancelled(sweep(ctx, Occasion::Round, Deed::Remove)).await;
        match round {
            Some(Ok(swept)) => {
                for line in swept.removed {
                    tracing::info!("removed: {line}");
                }
                for line in swept.failed.iter().filter(|line| !failed.contains(*line)) {
                    tracing::warn!("not removed: {line}");
                }
                failed = swept.failed;
            }
            Some(Err(error)) => {
                let error = error_chain(&error);
                tracing::debug!(error, "no housekeeping this time");
            }
            None => return,
        }
    }
}

/// One look, and what follows from it. Files are cleaned up where there is no engine, too.
///
/// # Errors
/// It is not known which jobs are held, so nothing was removed.
pub(crate) async fn sweep(
    ctx: &Context,
    occasion: Occasion,
    deed: Deed,
) -> Result<Swept, LedgerError> {
    let mut keep = ctx.config().keep.clone();
    if occasion == Occasion::AskedAlone {
        keep.orphan_grace = Duration::ZERO;
    }
    // In this order: a job that is claimed meanwhile has no container in the list.
    let labelled = ctx.engine.all_labelled(ctx.id).await;
    let cache = cache::too_large(ctx, keep.cache_bytes, occasion).await;
    let held = ctx.ledger.held()?;
    let mut swept = Swept::default();
    let Labelled { leftovers, states } = labelled.unwrap_or_else(|error| {
        swept.not_looked_at("containers, networks and volumes", ctx, &error)
    });
    let survey = Survey {
        leftovers: ctx.first_seen.ages(leftovers, &held),
        files: job_files(&ctx.state_dir),
    };
    let states = state::disused(ctx, states, keep.state_age).await;
    ctx.board.logs_measured(survey.files.iter().map(|file| file.bytes).sum());
    let mut plan = plan(&survey, &held, &keep, SystemTime::now());
    match states {
        // First: what was read of ended jobs is old soon.
        Ok(states) => drop(plan.leftovers.splice(..0, states)),
        Err(error) => swept.not_looked_at("state of tickets", ctx, &error),
    }
    match cache {
        Ok(cache) => plan.leftovers.extend(cache),
        Err(error) => swept.not_looked_at("cache", ctx, &error),
    }
    carry_out(ctx, plan, deed, &mut swept).await?;
    Ok(swept)
}

/// What is to go: never anything of a job that is held; of files the oldest first.
fn plan(survey: &Survey, held: &HashSet<JobId>, keep: &KeepConfig, now: SystemTime) -> Plan {
    let orphan = |(leftover, age): &&(Leftover, Duration)| {
        leftover.job.is_none_or(|job| !held.contains(&job)) && *age >= keep.orphan_grace
    };
    let leftovers =
        survey.leftovers.iter().filter(orphan).map(|(leftover, _)| leftover.clone()).collect();
    let mut files: Vec<_> =
        survey.files.iter().filter(|file| !held.contains(&file.job)).cloned().collect();
    files.sort_by_key(|file| file.modified);
    let mut bytes: u64 = files.iter().map(|file| file.bytes).sum();
    files.retain(|file| {
        let old = keep
            .log_age
            .is_some_and(|limit| now.duration_since(file.modified).is_ok_and(|age| age > limit));
        let much = keep.log_bytes > 0 && bytes > keep.log_bytes;
        let goes = file.is_note() || old || much;
        if goes {
            bytes -= file.bytes;
        }
        goes
    });
    Plan { leftovers, files }
}

/// A job may have been claimed, again perhaps, while something else was removed: what is held is asked
/// anew before each thing that goes.
async fn carry_out(
    ctx: &Context,
    plan: Plan,
    deed: Deed,
    swept: &mut Swept,
) -> Result<(), LedgerError> {
    for leftover in plan.leftovers {
        let held = ctx.ledger.held()?;
        if leftover.job.is_some_and(|job| held.contains(&job))
            || state::is_held(ctx, leftover.ticket).await
        {
            continue;
        }
        let done =
            if deed == Deed::Show { Ok(()) } else { ctx.engine.remove_leftover(&leftover).await };
        swept.note(leftover.to_string(), done.map_err(|error| error_chain(&error)));
    }
    let held = ctx.ledger.held()?;
    for file in plan.files.into_iter().filter(|file| !held.contains(&file.job)) {
        let done = if deed == Deed::Show { Ok(()) } else { removed(&file).await };
        swept.bytes += if done.is_ok() { file.bytes } else { 0 };
        swept.note(file.to_string(), done.map_err(|error| error.to_string()));
    }
    Ok(())
}

/// Removes a file of a job. What an agent has left can be much, and leases are to be renewed meanwhile.
async fn removed(file: &JobFile) -> io::Result<()> {
    let file = file.clone();
    let removal = tokio::task::spawn_blocking(move || file.remove());
    removal.await.unwrap_or_else(|failed| Err(io::Error::other(failed)))
}

impl Swept {
    fn note(&mut self, what: String, done: Result<(), String>) {
        match done {
            Ok(()) => self.removed.push(what),
            Err(problem) => self.failed.push(format!("{what}: {problem}")),
        }
    }

    /// The engine did not tell. Where every job runs on this host there need not be one.
    fn not_looked_at<T: Default>(&mut self, what: &str, ctx: &Context, error: &EngineError) -> T {
        if ctx.config().host.fallback != HostFallback::Always {
            self.failed.push(format!("{what}: {}", error_chain(error)));
        }
        T::default()
    }
}

impl FirstSeen {
    /// How long each was seen without a record; what is gone, or has a record, is forgotten.
    fn ages(&self, found: Vec<Leftover>, held: &HashSet<JobId>) -> Vec<(Leftover, Duration)> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let orphans: Vec<_> = found
            .into_iter()
            .filter(|leftover| leftover.job.is_none_or(|job| !held.contains(&job)))
            .collect();
        seen.retain(|id, _| orphans.iter().any(|leftover| leftover.id == *id));
        let age = |leftover: Leftover| {
            let since = *seen.entry(leftover.id.clone()).or_insert_with(Instant::now);
            (leftover, since.elapsed())
        };
        orphans.into_iter().map(age).collect()
    }
}

#[cfg(test)]
mod tests;
