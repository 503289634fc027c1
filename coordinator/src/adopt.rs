//! Start-up is recovery: what an earlier coordinator held is taken up where it stood, by the same
//! code that carries out a fresh job.

use std::collections::HashSet;

use api_client::{JobId, error_chain};

use crate::context::Context;
use crate::engine::{ContainerName, EngineError};
use crate::launch::label;
use crate::ledger::{Ledger, LedgerError, Record, Stage};
use crate::outcome::{Cause, Outcome};

/// What is to be done about one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Watch its container, which may run, have ended, or be gone.
    Watch,
    /// Tell the app how it ended.
    Report(Outcome),
}

/// The step for a record. Pure.
pub(crate) fn plan(stage: &Stage) -> Step {
    match stage {
        Stage::InContainer { .. } => Step::Watch,
        Stage::Ended { outcome } => Step::Report(outcome.clone()),
        // Its agent never got its job document, or was a child of the earlier coordinator.
        Stage::Claimed | Stage::OnHost { .. } => Step::Report(Outcome::Failed(Cause::Interrupted)),
    }
}

/// Reads the ledger, saying what had to be set aside.
pub(crate) fn load(ledger: &Ledger) -> Result<Vec<Record>, LedgerError> {
    let found = ledger.load()?;
    for (path, reason) in found.set_aside {
        tracing::error!(path = %path.display(), "unreadable record set aside: {reason}");
    }
    Ok(found.records)
}

/// Removes containers of ours that no record speaks of; an error when the engine could not tell.
pub(crate) async fn remove_orphans(
    ctx: &Context,
    known: &HashSet<JobId>,
) -> Result<(), EngineError> {
    let ours = ctx.engine.labelled(label::COORDINATOR, &ctx.id.to_string(), label::JOB).await?;
    let orphans = ours.iter().filter_map(|job| job.parse().ok());
    for name in orphans.filter(|job| !known.contains(job)).map(ContainerName::of) {
        tracing::warn!(container.name = %name, "removing a container without a record");
        if let Err(error) = ctx.engine.remove(&name).await {
            let error = error_chain(&error);
            tracing::warn!(container.name = %name, error, "the container stays");
        }
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
        assert_eq!(plan(&Stage::InContainer { image: "x".to_owned() }), Step::Watch);
    }

    #[test]
    fn a_claim_that_was_never_started_is_not_lost() {
        for stage in [Stage::Claimed, Stage::OnHost { pid: 1 }] {
            assert_eq!(plan(&stage), Step::Report(Outcome::Failed(Cause::Interrupted)));
        }
    }
}
