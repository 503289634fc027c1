//! Asking the app for a job: one question at a time, the projects in fair turn.

use api_client::wire::Job;
use api_client::{ApiError, Claim, JobId};

use crate::clock::now;
use crate::config::ProjectFilter;
use crate::context::Context;
use crate::job::Claimed;
use crate::ledger::{JobRef, Record, Stage};
use crate::outcome::{Cause, Outcome};
use crate::readiness::{NotReady, Readiness};
use crate::rotation::Rotation;
use crate::slot::Slot;

/// Asks for jobs.
#[derive(Debug)]
pub(crate) struct Claimer {
    rotation: Rotation,
    readiness: Readiness,
}

/// What one round over the projects brought.
#[derive(Debug)]
pub(crate) enum Round {
    /// A job, recorded.
    Job(Box<Claimed>),
    /// A job that cannot be carried out: it is only to be reported.
    Lost(Record, Outcome),
    /// Nothing waits; the slot was given back.
    Nothing,
    /// Nothing may be claimed now.
    Held(NotReady),
    /// The app did not answer as it should.
    Trouble(ApiError),
}

impl Claimer {
    /// A claimer for these projects.
    pub(crate) fn new(projects: &ProjectFilter) -> Self {
        let rotation = match projects {
            ProjectFilter::All => Rotation::new(&[]),
            ProjectFilter::Only(projects) => Rotation::new(projects),
        };
        Self { rotation, readiness: Readiness::default() }
    }

    /// Asks for a job of each project in turn until one has a job. The claim is on disk when this
    /// returns. It must not be dropped half way: the app may have given a job by then.
    pub(crate) async fn round(&mut self, ctx: &Context, slot: Slot) -> Round {
        let mut trouble = None;
        for project in self.rotation.order() {
            if let Err(reason) = self.readiness.check(ctx, project).await {
                return Round::Held(reason);
            }
            match ctx.api.claim(project).await {
                Ok(Claim::Empty) => {}
                Ok(Claim::Job(job)) => {
                    self.rotation.served(project);
                    return accept(ctx, *job, slot).await;
                }
                Err(ApiError::Malformed { job: Some(job), problem, .. }) => {
                    return reject(job, problem);
                }
                // One project that is gone does not keep the others waiting.
                Err(error @ ApiError::Gone { .. }) => trouble = Some(error),
                Err(error) => return Round::Trouble(error),
            }
        }
        trouble.map_or(Round::Nothing, Round::Trouble)
    }
}

async fn accept(ctx: &Context, job: Job, slot: Slot) -> Round {
    let record = Record::claimed(JobRef::from(&job), now());
    tracing::info!(
        job.id = %job.job_id, ticket.id = %job.ticket_id, project.id = %job.project_id,
        kind = job.kind.name(), "job claimed"
    );
    match ctx.ledger.write(&record).await {
        Ok(()) => Round::Job(Box::new(Claimed { job, record, slot })),
        Err(error) => {
            let outcome = Outcome::Failed(Cause::NotRecorded { problem: error.to_string() });
            Round::Lost(record.at(Stage::Ended { outcome: outcome.clone() }), outcome)
        }
    }
}

fn reject(job: JobId, problem: String) -> Round {
    let outcome = Outcome::Failed(Cause::Unreadable { problem });
    let record = Record::claimed(JobRef::unreadable(job), now());
    Round::Lost(record.at(Stage::Ended { outcome: outcome.clone() }), outcome)
}
