//! Starting an agent in a container of its own.

use api_client::wire::Job;

use super::LaunchError;
use super::document::job_document;
use super::spec::{container_spec, view};
use crate::clock::Moment;
use crate::context::Context;
use crate::engine::{ContainerName, ContainerSpec, ContainerState};
use crate::ledger::{Record, Stage};

/// Creates and starts the container of a job, and delivers the job document to it.
///
/// The input is attached before the start, so that the agent finds its document whenever it looks.
pub(crate) async fn start_container(
    ctx: &Context,
    job: &Job,
    record: &Record,
) -> Result<(Record, ContainerName), LaunchError> {
    let config = ctx.config();
    let image = ctx.images.image_for(&config.agent.image, job.project_id)?;
    let document = job_document(record, job, &config, view(&config.agent), None);
    let spec = container_spec(job, &config, ctx.id, image.clone(), &document);
    let name = ContainerName::of(job.job_id);
    create(ctx, &name, spec).await?;
    let input = ctx.engine.attach_input(&name).await?;
    ctx.engine.start(&name).await?;
    let began = Moment::now();
    let started = record.at(Stage::InContainer { image, began });
    ctx.ledger.write(&started).await?;
    input.deliver(&document.to_stdin()).await?;
    Ok((started, name))
}

/// Creates the container; one that an earlier try left behind without starting it is replaced.
async fn create(
    ctx: &Context,
    name: &ContainerName,
    spec: ContainerSpec,
) -> Result<(), LaunchError> {
    match ctx.engine.create(name, spec.clone()).await {
        Err(error) if error.is_name_taken() => match ctx.engine.state(name).await? {
            ContainerState::Created { .. } | ContainerState::Absent => {
                ctx.engine.remove(name).await?;
                Ok(ctx.engine.create(name, spec).await?)
            }
            ContainerState::Running | ContainerState::Exited(_) => Err(LaunchError::StartedBefore),
        },
        created => Ok(created?),
    }
}
