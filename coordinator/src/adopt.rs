//! Start-up is recovery: what an earlier coordinator held is taken up where it stood, by the same
//! code that carries out a fresh job. What is to be done follows from the records and the containers
//! alone; [`plan`] is pure.

use std::collections::{HashMap, HashSet};

use api_client::{JobId, error_chain};

use crate::context::Context;
use crate::engine::{ContainerRef, EngineError};
use crate::home_engine::{Containers, EngineSeen};
use crate::launch::label;
use crate::ledger::{Ledger, LedgerError, Record, Stage};
use crate::outcome::{Cause, Outcome};

/// What is to be done about one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Watch its agent, which may run, have ended, or be gone.
    Watch,
    /// Have the app give it again: its agent never had its job document.
    Resume,
    /// Tell the app how it ended.
    Report(Outcome),
}

/// What is to be done about everything that was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Each record, once.
    pub(crate) steps: Vec<(Record, Step)>,
    /// Jobs whose containers no record speaks of: they are removed.
    pub(crate) remove: Vec<JobId>,
}

/// The plan for these records and containers. The containers are unknown while the engine does not
/// answer: then nothing is concluded from their absence.
pub(crate) fn plan(records: Vec<Record>, containers: Option<&HashSet<JobId>>) -> Plan {
    let held = records.iter().map(|record| record.job.job_id).collect();
    let remove = containers.map(|found| orphans(found, &held)).unwrap_or_default();
    let step = |record: Record| {
        let there = containers.is_none_or(|found| found.contains(&record.job.job_id));
        let step = step(&record, there);
        (record, step)
    };
    Plan { steps: records.into_iter().map(step).collect(), remove }
}

/// Containers that no record speaks of.
pub(crate) fn orphans(containers: &HashSet<JobId>, held: &HashSet<JobId>) -> Vec<JobId> {
    let mut orphans: Vec<_> = containers.difference(held).copied().collect();
    orphans.sort_unstable();
    orphans
}

fn step(record: &Record, container_may_be_there: bool) -> Step {
    match &record.stage {
        Stage::Ended { outcome } => Step::Report(outcome.clone()),
        Stage::Claimed if record.lease.is_some() => Step::Resume,
        Stage::Claimed => Step::Report(Outcome::Failed(Cause::Interrupted)),
        Stage::OnHost { .. } => Step::Watch,
        Stage::InContainer { .. } if container_may_be_there => Step::Watch,
        Stage::InContainer { .. } => Step::Report(Outcome::Failed(Cause::AdoptedGone)),
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

/// The records, with what the labels of its container tell of a job whose own could not be read: its ticket,
/// and the claim without which its lease could not be kept, nor its outcome told as ours alone.
pub(crate) async fn identify(ctx: &Context, records: Vec<Record>) -> Vec<Record> {
    let mut known = Vec::new();
    for record in records {
        let in_container = matches!(record.stage, Stage::InContainer { .. });
        if !in_container || record.job.ticket.is_some() {
            known.push(record);
            continue;
        }
        let labels = ctx.engine.labels_of(&ContainerRef::of(record.job.job_id)).await;
        let labels = labels.unwrap_or_else(|error| {
            tracing::warn!(job.id = %record.job.job_id, error = error_chain(&error), "its claim is not known");
            HashMap::new()
        });
        known.push(label::told_by(&labels, ctx.id, record));
    }
    known
}

/// The jobs of all containers of ours; none where they are on another engine than the one that
/// answers.
pub(crate) async fn containers(
    ctx: &Context,
    records: &[Record],
) -> Result<Option<HashSet<JobId>>, EngineError> {
    let in_container = |record: &&Record| matches!(record.stage, Stage::InContainer { .. });
    let held = Containers::of(records.iter().filter(in_container).map(|_| ()));
    if let EngineSeen::Another(another) = ctx.home_engine.see(&ctx.engine, held).await? {
        tracing::error!("{another}");
        return Ok(None);
    }
    let ours = ctx.engine.labelled(label::COORDINATOR, &ctx.id.to_string(), label::JOB).await?;
    Ok(Some(ours.iter().filter_map(|job| job.parse().ok()).collect()))
}

#[cfg(test)]
mod tests {
    use api_client::ClaimId;
    use api_client::wire::Lease;
    use proptest::prelude::*;

    use super::*;
    use crate::ledger::JobRef;

    fn stage() -> impl Strategy<Value = Stage> {
        prop_oneof![
            Just(Stage::Claimed),
            Just(Stage::InContainer { image: "x".to_owned(), began: None }),
            Just(Stage::OnHost { keeper: None, notes: None, began: None }),
            Just(Stage::Ended { outcome: Outcome::Completed }),
            Just(Stage::Ended { outcome: Outcome::Failed(Cause::OutOfMemory) }),
        ]
    }

    fn record() -> impl Strategy<Value = Record> {
        (stage(), any::<bool>()).prop_map(|(stage, leased)| {
            let lease = leased.then(|| Lease { claim_id: ClaimId::random(), lease_sec: 90 });
            Record::claimed(JobRef::unreadable(JobId::random()), lease, 0).at(stage)
        })
    }

    /// Records; containers of some of them, and of jobs that no record speaks of.
    fn found() -> impl Strategy<Value = (Vec<Record>, HashSet<JobId>)> {
        (proptest::collection::vec((record(), any::<bool>()), 0..8), 0usize..4).prop_map(
            |(records, strangers)| {
                let mut containers: HashSet<_> =
                    records.iter().filter(|(_, there)| *there).map(|(r, _)| r.job.job_id).collect();
                containers.extend((0..strangers).map(|_| JobId::random()));
                (records.into_iter().map(|(record, _)| record).collect(), containers)
            },
        )
    }

    proptest! {
        #[test]
        fn every_record_gets_exactly_one_step((records, containers) in found(), known: bool) {
            let plan = plan(records.clone(), known.then_some(&containers));
            let planned: Vec<_> = plan.steps.into_iter().map(|(record, _)| record).collect();
            prop_assert_eq!(planned, records);
        }

        #[test]
        fn no_container_of_a_record_is_removed_and_every_other_is((records, containers) in found()) {
            let plan = plan(records.clone(), Some(&containers));
            let held = |job: &JobId| records.iter().any(|record| record.job.job_id == *job);
            prop_assert!(!plan.remove.iter().any(held));
            prop_assert_eq!(plan.remove.len(), containers.iter().filter(|job| !held(job)).count());
        }

        #[test]
        fn an_engine_that_does_not_answer_decides_nothing((records, _) in found()) {
            let plan = plan(records, None);
            prop_assert!(plan.remove.is_empty());
            let gone = Step::Report(Outcome::Failed(Cause::AdoptedGone));
            prop_assert!(plan.steps.iter().all(|(_, step)| *step != gone));
        }

        #[test]
        fn a_job_with_an_outcome_is_reported_with_it_and_never_run_again(
            (records, containers) in found(),
        ) {
            for (record, step) in plan(records, Some(&containers)).steps {
                if let Stage::Ended { outcome } = record.stage {
                    prop_assert_eq!(step, Step::Report(outcome));
                }
            }
        }

        #[test]
        fn only_a_job_that_no_agent_had_is_started_again((records, containers) in found()) {
            for (record, step) in plan(records, Some(&containers)).steps {
                if step == Step::Resume {
                    prop_assert_eq!(&record.stage, &Stage::Claimed);
                    prop_assert!(record.lease.is_some());
                }
            }
        }
    }
}
