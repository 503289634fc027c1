//! Asking the app for a job: one question at a time, the projects in fair turn, each under a claim id
//! that is on disk before it is asked.

use std::collections::HashSet;

use api_client::wire::{ExecutionMode, Job};
use api_client::{ApiError, Claim, JobId, ProjectId, error_chain};

use crate::clock::now;
use crate::config::{HostFallback, ProjectFilter};
use crate::context::Context;
use crate::gate::GateState;
use crate::job::{Claimed, Finished};
use crate::ledger::{ClaimIntent, Held, JobRef, Record, Runs};
use crate::outcome::{Cause, Outcome};
use crate::readiness::{NotReady, Readiness, leases_confirmed};
use crate::rotation::Rotation;
use crate::slot::Slot;

/// Asks for jobs.
#[derive(Debug)]
pub(crate) struct Claimer {
    projects: ProjectFilter,
    rotation: Rotation,
    readiness: Readiness,
    intent: ClaimIntent,
    /// Projects that the app does not know, each of which was said once.
    unknown: HashSet<ProjectId>,
}

/// What one round over the projects brought.
#[derive(Debug)]
pub(crate) enum Round {
    /// A job, recorded.
    Job(Box<Claimed>),
    /// A job that cannot be carried out: it is only to be reported.
    Lost(Box<Finished>),
    /// Nothing waits; the slot was given back.
    Nothing,
    /// Nothing may be claimed now.
    Held(NotReady),
    /// The app did not answer as it should.
    Trouble(ApiError),
    /// The operator closed the gate meanwhile.
    Closed,
    /// The coordinator stops.
    Stopped,
}

impl Claimer {
    /// A claimer for these projects that goes on with this intent.
    pub(crate) fn new(projects: &ProjectFilter, intent: ClaimIntent) -> Self {
        Self {
            rotation: rotation(projects),
            projects: projects.clone(),
            readiness: Readiness::default(),
            intent,
            unknown: HashSet::new(),
        }
    }

    /// What an earlier process wrote down as its next claim may have brought one of these.
    pub(crate) fn forget_intent_of(&mut self, held: &[Record]) {
        self.intent.spent_by(held.iter().filter_map(Record::claim_id));
    }

    /// Asks for a job of each project in turn until one has a job. The claim is on disk when this
    /// returns. Where it is dropped half way, the app's answer is had again under the same claim id.
    pub(crate) async fn round(&mut self, ctx: &Context, slot: Slot) -> Round {
        self.follow(&ctx.config().projects);
        let stop = &ctx.shutdown.claims;
        match stop.run_until_cancelled(self.readiness.check(ctx)).await {
            None => return Round::Stopped,
            Some(Err(reason)) => return Round::Held(reason),
            Some(Ok(())) => {}
        }
        let claim = match self.intent.prepare().await {
            Ok(claim) => claim,
            Err(error) => return Round::Held(NotReady::StateDirectory(error)),
        };
        let (mut held, mut trouble) = (None, None);
        for project in self.rotation.order() {
            let container = self.readiness.check_container(ctx, project).await;
            if stop.is_cancelled() {
                return Round::Stopped;
            }
            match container {
                // The projects with another image, mode or limit are not kept waiting.
                Err(
                    reason @ (NotReady::Image(_)
                    | NotReady::Mode { .. }
                    | NotReady::Room { .. }
                    | NotReady::TooLarge { .. }),
                ) => held = Some(reason),
                Err(reason) => return Round::Held(reason),
                Ok(()) if ctx.gate.current() != GateState::Open => return Round::Closed,
                // A pull or a proof may have taken minutes.
                Ok(()) if !leases_confirmed(ctx).await => return Round::Held(NotReady::Leases),
                Ok(()) => match ctx.api().claim(project, Some(claim)).await {
                    Ok(Claim::Empty) => {}
                    Ok(Claim::Job(job)) => {
                        self.rotation.served(project);
                        let unfit = self.unfit(ctx, project, &job).await;
                        return self.accept(ctx, *job, slot, unfit).await;
                    }
                    Err(ApiError::Malformed { job: Some(job), problem, .. }) => {
                        self.rotation.served(project);
                        return self.reject(ctx, job, problem).await;
                    }
                    // What an earlier answer under this id brought has ended since.
                    Err(ApiError::Refused { status: 409, .. }) => {
                        self.intent.spent();
                        return Round::Nothing;
                    }
                    Err(ApiError::Gone { .. }) if project.is_some() => self.say_unknown(project),
                    // It may be so for this project alone.
                    Err(error @ (ApiError::Busy { .. } | ApiError::Refused { .. })) => {
                        trouble = Some(error);
                    }
                    Err(error) => return Round::Trouble(error),
                },
            }
        }
        match (trouble, held) {
            (Some(error), _) => Round::Trouble(error),
            (None, Some(reason)) => Round::Held(reason),
            (None, None) => Round::Nothing,
        }
    }

    fn follow(&mut self, projects: &ProjectFilter) {
        if self.projects != *projects {
            self.rotation = rotation(projects);
            self.projects = projects.clone();
        }
    }

    /// One project that is gone does not keep the others waiting.
    fn say_unknown(&mut self, project: Option<ProjectId>) {
        if let Some(project) = project.filter(|project| self.unknown.insert(*project)) {
            tracing::error!(project.id = %project, "the app does not know this project");
        }
    }

    /// Why the settings of a job's own project cannot be had, where it was not asked for by that.
    async fn unfit(
        &mut self,
        ctx: &Context,
        asked_for: Option<ProjectId>,
        job: &Job,
    ) -> Option<NotReady> {
        if asked_for.is_some() || job.execution_mode == ExecutionMode::Local {
            return None;
        }
        let checked = self.readiness.check_container(ctx, Some(job.project_id)).await;
        checked.err().filter(NotReady::is_of_project)
    }

    async fn accept(
        &mut self,
        ctx: &Context,
        job: Job,
        slot: Slot,
        unfit: Option<NotReady>,
    ) -> Round {
        let runs = match (job.execution_mode, ctx.config().host.fallback) {
            (ExecutionMode::Local, _) | (_, HostFallback::Always) => Runs::OnHost,
            (ExecutionMode::Docker, HostFallback::OnStartFailure | HostFallback::Never) => {
                Runs::InContainer
            }
        };
        let record = Record::claimed(JobRef::of(&job, runs), job.lease, now());
        tracing::info!(
            job.id = %job.job_id, ticket.id = %job.ticket_id, project.id = %job.project_id,
            kind = job.kind.name(), "job claimed"
        );
        let held = match ctx.ledger.claim(&record).await {
            // Nobody here carries it out: a write that failed half way has left the file.
            Ok(Held::Before) if !ctx.board.has(job.job_id) => {
                ctx.ledger.write(&record).await.map(|()| Held::Now)
            }
            held => held,
        };
        match held {
            Ok(Held::Now) if let Some(reason) = &unfit => {
                self.intent.spent();
                self.give_up(ctx, &record, reason).await
            }
            Ok(Held::Now) => {
                self.intent.spent();
                Round::Job(Box::new(Claimed { job, record, slot }))
            }
            Ok(Held::Before) => {
                tracing::warn!(job.id = %job.job_id, "the app gave a job that is held already");
                self.intent.spent();
                Round::Nothing
            }
            // The same claim brings it again, once the disk takes it.
            Err(error) if record.lease.is_some() => Round::Held(NotReady::StateDirectory(error)),
            Err(error) => {
                self.intent.spent();
                let problem = error_chain(&error);
                Self::lost(ctx, &record, Cause::NotRecorded { problem }).await
            }
        }
    }

    /// A claimed job that nobody will carry out.
    async fn lost(ctx: &Context, record: &Record, cause: Cause) -> Round {
        let outcome = Outcome::Failed(cause);
        Round::Lost(Box::new(Finished::without_words(&ctx.ledger, record, outcome).await))
    }

    /// A job whose project cannot have what its settings ask for.
    async fn give_up(&mut self, ctx: &Context, record: &Record, reason: &NotReady) -> Round {
        let problem = error_chain(reason);
        let cause = match reason {
            NotReady::Image(_) => Cause::ImageMissing { problem },
            _ => Cause::NotStarted { problem },
        };
        Self::lost(ctx, record, cause).await
    }

    /// A job of which only the id can be read.
    async fn reject(&mut self, ctx: &Context, job: JobId, problem: String) -> Round {
        let record = Record::claimed(JobRef::unreadable(job), None, now());
        let lost = Self::lost(ctx, &record, Cause::Unreadable { problem }).await;
        self.intent.spent();
        lost
    }
}

fn rotation(projects: &ProjectFilter) -> Rotation {
    match projects {
        ProjectFilter::All => Rotation::new(&[]),
        ProjectFilter::Only(projects) => Rotation::new(projects),
    }
}
