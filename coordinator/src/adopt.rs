//! Start-up is recovery: what an earlier coordinator held is taken up where it stood, by the same
//! code that carries out a fresh job.

use std::collections::HashSet;

use crate::context::Context;
use crate::engine::{ContainerName, EngineError};
use crate::job::{Finished, Place, Running};
use crate::launch::label;
use crate::ledger::{Ledger, LedgerError, Record, Stage};
use crate::outcome::{Cause, Outcome};
use crate::output::Output;
use crate::slot::Slots;

/// What is to be done about one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Watch its container, which may run, have ended, or be gone.
    Watch(ContainerName),
    /// Tell the app how it ended.
    Report(Outcome),
}

/// The step for a record. Pure.
pub(crate) fn plan(stage: &Stage) -> Step {
    match stage {
        Stage::InContainer { container, .. } => Step::Watch(container.clone()),
        Stage::Ended { outcome } => Step::Report(outcome.clone()),
        // Its agent never got its job document, or was a child of the earlier coordinator.
        Stage::Claimed | Stage::OnHost { .. } => Step::Report(Outcome::Failed(Cause::Interrupted)),
    }
}

/// What is taken up.
#[derive(Debug)]
pub(crate) enum Adopted {
    Running(Box<Running>),
    Finished(Finished),
}

/// Reads the ledger, saying what had to be set aside.
pub(crate) fn load(ledger: &Ledger) -> Result<Vec<Record>, LedgerError> {
    let found = ledger.load()?;
    for (path, reason) in found.set_aside {
        tracing::error!(path = %path.display(), "unreadable record set aside: {reason}");
    }
    Ok(found.records)
}

/// Takes up one record. Its container keeps its slot, above the limit if need be.
pub(crate) async fn adopt(ctx: &Context, slots: &Slots, record: Record) -> Adopted {
    match plan(&record.stage) {
        Step::Watch(name) => {
            tracing::info!(job.id = %record.job.job_id, container.name = %name, "job adopted");
            let log = ctx.log_path(record.job.job_id);
            // All of it is read again, so that the file has neither a gap nor a repeat.
            let output = Output::open_anew(log, &ctx.redactor(None)).await;
            let place = Place::Container(name);
            Adopted::Running(Box::new(Running { record, slot: slots.occupy(), output, place }))
        }
        Step::Report(outcome) => {
            tracing::info!(job.id = %record.job.job_id, "job taken up to be reported: {outcome}");
            Adopted::Finished(Finished { record, outcome, tail: String::new() })
        }
    }
}

/// Removes containers of ours that no record speaks of.
pub(crate) async fn remove_orphans(ctx: &Context, known: &[Record]) -> Result<(), EngineError> {
    let known: HashSet<String> = known.iter().map(|r| r.job.job_id.to_string()).collect();
    let ours = ctx.engine.labelled(label::COORDINATOR, &ctx.id.to_string(), label::JOB).await?;
    for job in ours.into_iter().filter(|job| !known.contains(job)) {
        let Ok(job) = job.parse() else { continue };
        let name = ContainerName::of(job);
        tracing::warn!(container.name = %name, "removing a container without a record");
        ctx.engine.remove(&name).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_has_an_outcome_is_reported_with_it_and_never_run_again() {
        let outcome = Outcome::Failed(Cause::OutOfMemory);
        let stage = Stage::Ended { outcome: outcome.clone() };
        assert_eq!(plan(&stage), Step::Report(outcome));
    }

    #[test]
    fn a_container_is_watched_again() {
        let name = ContainerName::of(api_client::JobId::random());
        let stage = Stage::InContainer { container: name.clone(), image: "x".to_owned() };
        assert_eq!(plan(&stage), Step::Watch(name));
    }

    #[test]
    fn a_claim_that_was_never_started_is_not_lost() {
        for stage in [Stage::Claimed, Stage::OnHost { pid: 1 }] {
            assert_eq!(plan(&stage), Step::Report(Outcome::Failed(Cause::Interrupted)));
        }
    }
}
