//! Starting an agent in a container of its own.

use std::path::Path;

use api_client::contract::{REFRESH_SOCKET_IN_CONTAINER, env};
use api_client::wire::{Job, Lease};

use super::LaunchError;
use super::cache::{kept_layers, with_fresh_layers};
use super::document::job_document;
use super::spec::{container_spec, view};
use super::state::give_state;
use super::surroundings::surround;
use crate::clock::Moment;
use crate::context::Context;
use crate::engine::{ContainerRef, ContainerSpec, ContainerState, Life};
use crate::forge_token::ForgeToken;
use crate::ledger::{Happened, Record, Stage};

/// Creates and starts the container of a job, and delivers the job document to it. The input is attached
/// before the start, so that the agent finds its document whenever it looks.
pub(crate) async fn start_container(
    ctx: &Context,
    job: &Job,
    record: &Record,
    token: Option<&ForgeToken>,
) -> Result<(Record, ContainerRef), LaunchError> {
    let config = ctx.config();
    let agent = config.agent_for(job.project_id);
    let image = ctx.images.image_for(&agent.image, job.project_id)?;
    let mut document = job_document(record, job, &config, view(agent), None);
    let surroundings = Box::pin(surround(ctx, job, agent, &image, &mut document)).await?;
    if let Some(token) = token {
        token.put_into(&mut document, Path::new(REFRESH_SOCKET_IN_CONTAINER));
    }
    let gateway = surroundings.gateway.clone();
    let mut spec = container_spec(job, &config, ctx.id, image.clone(), &document, surroundings);
    ctx.engine.make_volumes(&spec.mounts).await?;
    if config.keep.state_age.is_some() {
        give_state(ctx, job, &mut spec).await;
    }
    let name = ContainerRef::of(job.job_id);
    let container = create_alone(ctx, &name, spec, record.lease).await?;
    let record = record.clone().noted(Happened::Created);
    if let Some(runtime) = &agent.runtime {
        ctx.engine.check_runtime(&container, runtime).await?;
    }
    let digest = ctx.engine.image_of(&container, &image).await?;
    document.set(env::AGENT_IMAGE, digest.with_name(&image));
    let input = ctx.engine.attach_input(&container).await?;
    ctx.engine.start(&container).await?;
    let began = Moment::now();
    let mut started = record.noted(Happened::Started).at(Stage::InContainer { image, began });
    started.container = Some(container.clone());
    started.gateway = gateway;
    started.digest = Some(digest);
    ctx.ledger.write(&started).await?;
    input.deliver(&document.to_stdin()).await?;
    Ok((started.noted(Happened::Delivered), container))
}

/// Creates the container. Where it would keep the images of its Docker daemon in a volume that another
/// container has, it gets a volume of its own.
///
/// It is created first and looked at then: of two that are created at once, by whomever, each sees the
/// other or one does, so that never both keep the volume.
async fn create_alone(
    ctx: &Context,
    name: &ContainerRef,
    spec: ContainerSpec,
    lease: Option<Lease>,
) -> Result<ContainerRef, LaunchError> {
    let container = create(ctx, name, spec.clone(), lease).await?;
    let Some(volume) = kept_layers(&spec) else { return Ok(container) };
    let users = ctx.engine.users_of_volume(volume).await?;
    if users.iter().all(|user| user.container == container || user.life == Life::Ended) {
        return Ok(container);
    }
    tracing::info!(container.name = %name, volume, "used by another job: begins without its images");
    ctx.engine.remove(&container).await?;
    create(ctx, name, with_fresh_layers(spec), lease).await
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
