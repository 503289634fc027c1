//! Starting an agent in a container of its own.

use api_client::wire::{Job, Lease};

use super::LaunchError;
use super::document::job_document;
use super::spec::{container_spec, view};
use super::surroundings::surround;
use crate::clock::Moment;
use crate::context::Context;
use crate::engine::{ContainerRef, ContainerSpec, ContainerState};
use crate::ledger::{Record, Stage};

/// Creates and starts the container of a job, and delivers the job document to it.
///
/// The input is attached before the start, so that the agent finds its document whenever it looks.
pub(crate) async fn start_container(
    ctx: &Context,
    job: &Job,
    record: &Record,
) -> Result<(Record, ContainerRef), LaunchError> {
    let config = ctx.config();
    let agent = config.agent_for(job.project_id);
    let image = ctx.images.image_for(&agent.image, job.project_id)?;
    let mut document = job_document(record, job, &config, view(agent), None);
    let surroundings = Box::pin(surround(ctx, job, agent, &image, &mut document)).await?;
    let spec = container_spec(job, &config, ctx.id, image.clone(), &document, surroundings);
    let name = ContainerRef::of(job.job_id);
    let container = create(ctx, &name, spec, record.lease).await?;
    let input = ctx.engine.attach_input(&container).await?;
    ctx.engine.start(&container).await?;
    let began = Moment::now();
    let mut started = record.at(Stage::InContainer { image, began });
    started.container = Some(container.clone());
    ctx.ledger.write(&started).await?;
    input.deliver(&document.to_stdin()).await?;
    Ok((started, container))
}

/// Creates the container; one that an earlier try left behind without starting it is replaced. So is
/// one that runs or has run, where the app has just confirmed that the job is ours: it belongs to a
/// claim that is over, whoever made it.
async fn create(
    ctx: &Context,
    name: &ContainerRef,
    spec: ContainerSpec,
    lease: Option<Lease>,
) -> Result<ContainerRef, LaunchError> {
    match ctx.engine.create(name, spec.clone()).await {
        Err(error) if error.is_name_taken() => match ctx.engine.state(name).await? {
            ContainerState::Running | ContainerState::Exited(_) if lease.is_none() => {
                Err(LaunchError::StartedBefore)
            }
            _ => {
                ctx.engine.remove(name).await?;
                Ok(ctx.engine.create(name, spec).await?)
            }
        },
        created => Ok(created?),
    }
}
