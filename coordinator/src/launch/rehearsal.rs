//! Starting what a job would get, with a command that does nothing: whether an engine gives a
//! container of these settings is known when it has given one, and not before.

use std::time::Duration;

use api_client::wire::{AgentEnv, ExecutionMode, Job, JobKind};
use api_client::{JobId, ProjectId, Secret, TicketId};
use tokio::time::timeout;

use super::LaunchError;
use super::document::job_document;
use super::spec::{Surroundings, container_spec, view};
use super::surroundings::surround;
use crate::context::Context;
use crate::engine::{ContainerRef, ContainerState};
use crate::ledger::{JobRef, Record, Runs};

/// A program that only says its version has done so by then.
const END: Duration = Duration::from_secs(20);

/// An engine that takes longer for one container has trouble that may pass.
const PATIENCE: Duration = Duration::from_secs(45);

/// What `agent-runner` answers without a job.
const HARMLESS: &str = "--version";

/// How much is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The container alone, on the engine's default network, and no longer than until it has started.
    Container,
    /// Its network and gateway as well, and how the program ends.
    Everything,
}

/// How far it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rehearsed {
    /// The container has started; its end was not waited for, or did not come.
    Started,
    /// The program in it ended, with this exit code.
    Ended(i64),
    /// The engine took too long, or the coordinator is to end: nothing is known.
    GivenUp,
}

/// Tries it with the settings of a project, or with those of all that have none of their own. Nothing
/// is left of it, unless this is dropped half way: then it is a container with our label and no record,
/// which the next start, or housekeeping, removes.
pub(crate) async fn rehearse(
    ctx: &Context,
    project: Option<ProjectId>,
    image: &str,
    extent: Extent,
) -> Result<Rehearsed, LaunchError> {
    let job = made_up_job(project);
    let started = timeout(PATIENCE, Box::pin(start(ctx, &job, image, extent)));
    let done = ctx.shutdown.claims.run_until_cancelled(started).await;
    let removed = ctx.remove_container(job.job_id).await;
    let Some(Ok(done)) = done else { return Ok(Rehearsed::GivenUp) };
    let done = done?;
    removed?;
    Ok(done)
}

async fn start(
    ctx: &Context,
    job: &Job,
    image: &str,
    extent: Extent,
) -> Result<Rehearsed, LaunchError> {
    let config = ctx.config();
    let agent = config.agent_for(job.project_id);
    let record = Record::claimed(JobRef::of(job, Runs::InContainer), None, 0);
    let mut document = job_document(&record, job, &config, view(agent), None);
    let surroundings = match extent {
        Extent::Container => Surroundings::default(),
        Extent::Everything => surround(ctx, job, agent, image, &mut document).await?,
    };
    let mut spec = container_spec(job, &config, ctx.id, image.to_owned(), &document, surroundings);
    spec.command = vec![HARMLESS.to_owned()];
    // A cache is for jobs: none is made or written to by this.
    spec.mounts.retain(|mount| !mount.is_volume());
    let container = ctx.engine.create(&ContainerRef::of(job.job_id), spec).await?;
    if let Some(runtime) = &agent.runtime {
        ctx.engine.check_runtime(&container, runtime).await?;
    }
    let input = ctx.engine.attach_input(&container).await?;
    ctx.engine.start(&container).await?;
    if extent == Extent::Container {
        return Ok(Rehearsed::Started);
    }
    // An image that is not an agent's may wait for its input.
    input.deliver(&Secret::from("")).await?;
    let _too_long = timeout(END, ctx.engine.ended(&container)).await;
    Ok(match ctx.engine.state(&container).await? {
        ContainerState::Exited(facts) => Rehearsed::Ended(facts.code),
        ContainerState::Created { .. } | ContainerState::Running | ContainerState::Absent => {
            Rehearsed::Started
        }
    })
}

fn made_up_job(project: Option<ProjectId>) -> Job {
    Job {
        job_id: JobId::random(),
        ticket_id: TicketId::random(),
        project_id: project.unwrap_or_else(ProjectId::random),
        kind: JobKind::Ticket,
        repo_url: None,
        execution_mode: ExecutionMode::Docker,
        project_path: None,
        agent_env: AgentEnv::default(),
        lease: None,
    }
}
