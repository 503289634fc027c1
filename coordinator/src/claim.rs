//! Asking the app for a job: one question at a time, the projects in fair turn.

use std::collections::HashSet;

use api_client::wire::{ExecutionMode, Job};
use api_client::{ApiError, Claim, JobId, ProjectId, error_chain};

use crate::clock::now;
use crate::config::{HostFallback, ProjectFilter};
use crate::context::Context;
use crate::job::{Claimed, Finished};
use crate::ledger::{Held, JobRef, Record, Runs, Stage};
use crate::outcome::{Cause, Outcome};
use crate::readiness::{NotReady, Readiness};
use crate::rotation::Rotation;
use crate::slot::Slot;

/// Asks for jobs.
#[derive(Debug)]
pub(crate) struct Claimer {
    rotation: Rotation,
    readiness: Readiness,
    /// Projects that the app does not know, each of which was said once.
    unknown: HashSet<ProjectId>,
}

/// What one round over the projects brought.
#[derive(Debug)]
pub(crate) enum Round {
    /// A job, recorded.
    Job(Box<Claimed>),
    /// A job that cannot be carried out: it is only to be reported.
    Lost(Finished),
    /// Nothing waits; the slot was given back.
    Nothing,
    /// Nothing may be claimed now.
    Held(NotReady),
    /// The app did not answer as it should.
    Trouble(ApiError),
    /// The coordinator stops.
    Stopped,
}

impl Claimer {
    /// A claimer for these projects.
    pub(crate) fn new(projects: &ProjectFilter) -> Self {
        let rotation = match projects {
            ProjectFilter::All => Rotation::new(&[]),
            ProjectFilter::Only(projects) => Rotation::new(projects),
        };
        Self { rotation, readiness: Readiness::default(), unknown: HashSet::new() }
    }

    /// Asks for a job of each project in turn until one has a job. The claim is on disk when this
    /// returns. It must not be dropped half way: the app may have given a job by then.
    pub(crate) async fn round(&mut self, ctx: &Context, slot: Slot) -> Round {
        match ctx.stop.run_until_cancelled(self.readiness.check(ctx)).await {
            None => return Round::Stopped,
            Some(Err(reason)) => return Round::Held(reason),
            Some(Ok(())) => {}
        }
        let mut held = None;
        for project in self.rotation.order() {
            let images = self.readiness.check_images(ctx, project);
            match ctx.stop.run_until_cancelled(images).await {
                None => return Round::Stopped,
                // The projects with another image are not kept waiting.
                Some(Err(reason @ NotReady::Image { .. })) => held = Some(reason),
                Some(Err(reason)) => return Round::Held(reason),
                Some(Ok(())) => match ctx.api.claim(project).await {
                    Ok(Claim::Empty) => {}
                    Ok(Claim::Job(job)) => {
                        self.rotation.served(project);
                        return accept(ctx, *job, slot).await;
                    }
                    Err(ApiError::Malformed { job: Some(job), problem, .. }) => {
                        self.rotation.served(project);
                        return reject(ctx, job, problem).await;
                    }
                    Err(ApiError::Gone { .. }) if project.is_some() => self.say_unknown(project),
                    Err(error) => return Round::Trouble(error),
                },
            }
        }
        held.map_or(Round::Nothing, Round::Held)
    }

    /// One project that is gone does not keep the others waiting.
    fn say_unknown(&mut self, project: Option<ProjectId>) {
        if let Some(project) = project.filter(|project| self.unknown.insert(*project)) {
            tracing::error!(project.id = %project, "the app does not know this project");
        }
    }
}

async fn accept(ctx: &Context, job: Job, slot: Slot) -> Round {
    let runs = match (job.execution_mode, ctx.config.host.fallback) {
        (ExecutionMode::Local, _) | (_, HostFallback::Always) => Runs::OnHost,
        (ExecutionMode::Docker, HostFallback::OnStartFailure | HostFallback::Never) => {
            Runs::InContainer
        }
    };
    let record = Record::claimed(JobRef::of(&job, runs), now());
    tracing::info!(
        job.id = %job.job_id, ticket.id = %job.ticket_id, project.id = %job.project_id,
        kind = job.kind.name(), "job claimed"
    );
    match ctx.ledger.claim(&record).await {
        Ok(Held::Now) => Round::Job(Box::new(Claimed { job, record, slot })),
        Ok(Held::Before) => {
            tracing::warn!(job.id = %job.job_id, "the app gave a job that is held already");
            Round::Nothing
        }
        Err(error) => {
            let problem = error_chain(&error);
            Round::Lost(ended(&record, Cause::NotRecorded { problem }))
        }
    }
}

/// A job of which only the id can be read.
async fn reject(ctx: &Context, job: JobId, problem: String) -> Round {
    let record = Record::claimed(JobRef::unreadable(job), now());
    let finished = ended(&record, Cause::Unreadable { problem });
    if let Err(error) = ctx.ledger.write(&finished.record).await {
        let error = error_chain(&error);
        tracing::error!(job.id = %job, error, "the outcome is kept in memory only");
    }
    Round::Lost(finished)
}

fn ended(record: &Record, cause: Cause) -> Finished {
    let outcome = Outcome::Failed(cause);
    let record = record.at(Stage::Ended { outcome: outcome.clone() });
    Finished { record, outcome, tail: String::new() }
}
