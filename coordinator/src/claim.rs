//! Asking the app for a job: one question at a time, the projects in fair turn, each under a claim id
//! that is on disk before it is asked.

use std::collections::{BTreeSet, HashSet};
use std::time::SystemTime;

use api_client::trace::SpanEnd;
use api_client::wire::{ExecutionMode, Job, Lease};
use api_client::{ApiError, Claim, ClaimId, JobId, ProjectId, error_chain};

use crate::clock::now;
use crate::config::{HostFallback, ProjectFilter};
use crate::context::Context;
use crate::gate::GateState;
use crate::job::{Claimed, Finished};
use crate::ledger::{ClaimIntent, Happened, Held, JobRef, Record, Runs};
use crate::outcome::{Cause, Outcome};
use crate::readiness::{NotReady, Readiness, leases_confirmed};
use crate::rotation::Rotation;
use crate::slot::Slot;
use crate::traces::Step;

/// A lease of unknown term is renewed as if it were as short as this.
const SHORT_LEASE_SEC: u64 = 30;

/// Asks for jobs.
#[derive(Debug)]
pub(crate) struct Claimer {
    projects: ProjectFilter,
    rotation: Rotation,
    readiness: Readiness,
    intent: ClaimIntent,
    /// Projects that the app does not know, each of which was said once.
    unknown: HashSet<ProjectId>,
    /// Projects whose jobs came unasked: the next question for any project may bring one more of each.
    met: BTreeSet<ProjectId>,
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
    /// Nothing waits of the projects that could be asked for; others could not, for this reason.
    Partly(NotReady),
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
            met: BTreeSet::new(),
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
        let (mut held, mut trouble, mut asked) = (None, None, false);
        for project in self.rotation.order() {
            ctx.pulse.beats();
            let container = self.check_container(ctx, project).await;
            if stop.is_cancelled() {
                return Round::Stopped;
            }
            let asked_at = SystemTime::now();
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
                    Ok(Claim::Empty) => asked = true,
                    Ok(Claim::Job(job)) => {
                        self.rotation.served(project);
                        return self.accept(ctx, *job, slot, asked_at).await;
                    }
                    Err(ApiError::Malformed { job: Some(job), problem, .. }) => {
                        self.rotation.served(project);
                        return self.reject(ctx, job, claim, problem).await;
                    }
                    // What an earlier answer under this id brought has ended since.
                    Err(ApiError::Refused { status: 409, .. }) => {
                        self.intent.spent();
                        return Round::Nothing;
                    }
                    Err(error) if project.is_some() && error.is_unknown_to_the_app() => {
                        self.say_unknown(project);
                    }
                    // It may be so for this project alone.
                    Err(
                        error @ (ApiError::Busy { .. }
                        | ApiError::Refused { .. }
                        | ApiError::Gone { .. }),
                    ) => {
                        trouble = Some(error);
                    }
                    Err(error) => return Round::Trouble(error),
                },
            }
        }
        match (trouble, held) {
            (Some(error), _) => Round::Trouble(error),
            (None, Some(reason)) if asked => Round::Partly(reason),
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

    /// Whether there can be a container for whatever the app may give. Asked for any project, it may give
    /// one more job of a project whose own image or mode is not to be had.
    async fn check_container(
        &mut self,
        ctx: &Context,
        project: Option<ProjectId>,
    ) -> Result<(), NotReady> {
        self.readiness.check_container(ctx, project).await?;
        if project.is_some() {
            return Ok(());
        }
        for met in &self.met {
            match self.readiness.check_container(ctx, Some(*met)).await {
                Err(reason) if reason.fails_jobs() => {
                    let (project, reason) = (*met, Box::new(reason));
                    return Err(NotReady::OfProject { project, reason });
                }
                // Its jobs can be run, or what is in the way passes.
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    async fn accept(&mut self, ctx: &Context, job: Job, slot: Slot, asked_at: SystemTime) -> Round {
        let runs = match (job.execution_mode, ctx.config().host.fallback) {
            (ExecutionMode::Local, _) | (_, HostFallback::Always) => Runs::OnHost,
            (ExecutionMode::Docker, HostFallback::OnStartFailure | HostFallback::Never) => {
                Runs::InContainer
            }
        };
        if runs == Runs::InContainer {
            self.met.insert(job.project_id);
        }
        let record = Record::claimed(JobRef::of(&job, runs), job.lease, now());
        let record = record.noted(Happened::Claimed);
        tracing::info!(
            job.id = %job.job_id, ticket.id = %job.ticket_id, project.id = %job.project_id,
            kind = job.kind.name(),
            "job claimed: ticket {} of project {}", job.ticket_id, job.project_id
        );
        let held = match ctx.ledger.claim(&record).await {
            // Its earlier life is about to end, and would take this one's place on the board with it.
            Ok(Held::Now) if record.lease.is_some() && ctx.board.has(job.job_id) => {
                Ok(Held::Before)
            }
            // Nobody here carries it out: a write that failed half way has left the file.
            Ok(Held::Before) if !ctx.board.has(job.job_id) => {
                ctx.ledger.write(&record).await.map(|()| Held::Now)
            }
            held => held,
        };
        match held {
            Ok(Held::Now) => {
                self.intent.spent();
                ctx.traces.step(&record, Step::Claim, asked_at, SpanEnd::Well);
                Round::Job(Box::new(Claimed { job, record, slot }))
            }
            // Its earlier life ends; until then the same question keeps the claim.
            Ok(Held::Before) if record.lease.is_some() => {
                Round::Held(NotReady::HeldStill { job: job.job_id })
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

    /// A job of which only the id can be read. Whether it has a lease is not known either: an app without
    /// leases does not look at the claim.
    async fn reject(
        &mut self,
        ctx: &Context,
        job: JobId,
        claim_id: ClaimId,
        problem: String,
    ) -> Round {
        if ctx.board.has(job) {
            return Round::Held(NotReady::HeldStill { job });
        }
        let lease = Some(Lease { claim_id, lease_sec: SHORT_LEASE_SEC });
        let record = Record::claimed(JobRef::unreadable(job), lease, now());
        let record = record.noted(Happened::Claimed);
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
