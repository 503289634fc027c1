//! What is made for an agent's container before itself: its network, and the gateway on it.

use std::collections::BTreeMap;
use std::time::Duration;

use api_client::contract::{GATEWAY_READY_LINE, JobDocument};
use api_client::wire::{Job, Lease};
use api_client::{JobId, Secret};
use futures_util::StreamExt;
use tokio::time::timeout;
use uuid::Uuid;

use super::LaunchError;
use super::gateway::{Gateway, gateway_name, network_name};
use super::label;
use super::spec::Surroundings;
use crate::config::{AgentConfig, JobNetwork};
use crate::context::Context;
use crate::engine::{
    ContainerRef, ContainerSpec, ContainerState, EngineError, LogCursor, NetworkId, Reach, Until,
};

/// How long a gateway may take from its start until it is ready.
const READY: Duration = Duration::from_secs(30);

/// How much a gateway may say before it is ready, in bytes.
const SAID_MAX: usize = 4_096;

/// Makes them, and tells the agent's document of the gateway.
pub(super) async fn surround(
    ctx: &Context,
    job: &Job,
    agent: &AgentConfig,
    image: &str,
    document: &mut JobDocument,
) -> Result<Surroundings, LaunchError> {
    let JobNetwork::Own = agent.network else { return Ok(Surroundings::default()) };
    let gateway = Gateway::of(agent);
    // What an earlier try left would be in the way.
    ctx.remove_surroundings(job.job_id).await?;
    let labels = BTreeMap::from([
        (label::COORDINATOR.to_owned(), ctx.id.to_string()),
        (label::JOB.to_owned(), job.job_id.to_string()),
    ]);
    let reach = gateway.map_or(Reach::Out, Gateway::reach);
    let network = ctx.engine.create_network(&network_name(job.job_id), labels, reach).await?;
    let Some(gateway) = gateway else {
        return Ok(Surroundings { network: Some(network), ..Surroundings::default() });
    };
    let placeholder = Secret::from(Uuid::new_v4().simple().to_string());
    let told = gateway.document(document, &placeholder);
    let spec = gateway.spec(job, ctx.id, image.to_owned(), &network);
    let name = ContainerRef::named(gateway_name(job.job_id));
    let container = create(ctx, &name, spec, job.lease).await?;
    ctx.engine.connect_out(&container).await?;
    let input = ctx.engine.attach_input(&container).await?;
    ctx.engine.start(&container).await?;
    input.deliver(&told.to_stdin()).await?;
    let address = ready(ctx, job.job_id, &container, &network).await?;
    gateway.tell(document, &address, &placeholder);
    let way_out = (reach == Reach::Within).then_some(address);
    Ok(Surroundings { network: Some(network), way_out, gateway: Some(container) })
}

/// Creates a gateway. One of another coordinator is replaced where the app has just confirmed that the job
/// is ours, as its agent's container is.
async fn create(
    ctx: &Context,
    name: &ContainerRef,
    spec: ContainerSpec,
    lease: Option<Lease>,
) -> Result<ContainerRef, EngineError> {
    match ctx.engine.create(name, spec.clone()).await {
        Err(error) if error.is_name_taken() && lease.is_some() => {
            ctx.engine.remove(name).await?;
            ctx.engine.create(name, spec).await
        }
        created => created,
    }
}

/// The address of a gateway on the job's network, once it answers there.
async fn ready(
    ctx: &Context,
    job: JobId,
    container: &ContainerRef,
    network: &NetworkId,
) -> Result<String, LaunchError> {
    let said = match timeout(READY, first_words(ctx, container)).await {
        Ok(said) => said?,
        Err(_) => String::new(),
    };
    if !said.contains(GATEWAY_READY_LINE) {
        let ended = match ctx.engine.state(container).await? {
            ContainerState::Exited(facts) => format!("it ended with exit {}", facts.code),
            _ => format!("it was not ready within {} s", READY.as_secs()),
        };
        return Err(LaunchError::Gateway { problem: format!("{ended}: {}", said.trim_end()) });
    }
    let address = ctx.engine.address_in(container, network).await?;
    address.ok_or_else(|| {
        tracing::debug!(job.id = %job, "the gateway has no address");
        LaunchError::Gateway { problem: "it has no address on the job's network".to_owned() }
    })
}

/// What a container says until it says that it is ready, or ends.
async fn first_words(ctx: &Context, container: &ContainerRef) -> Result<String, EngineError> {
    let mut pieces = ctx.engine.output(container, Until::TheEnd).await?;
    let mut said = Vec::new();
    let mut cursor = LogCursor::default();
    while let Some(piece) = pieces.next().await {
        said.extend(cursor.advance(piece?).map(|frame| frame.0).into_iter().flatten());
        let ready = String::from_utf8_lossy(&said).contains(GATEWAY_READY_LINE);
        if ready || said.len() > SAID_MAX {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&said).into_owned())
}
