//! The real Docker Engine, seen by the tests themselves.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use api_client::JobId;
use bollard::Docker;
use bollard::errors::Error;
use bollard::exec::StartExecResults;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerSummary, ContainerUpdateBody,
    ExecConfig, VolumeCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, InspectNetworkOptions,
    KillContainerOptionsBuilder, ListContainersOptionsBuilder, ListNetworksOptionsBuilder,
    ListVolumesOptions, ListVolumesOptionsBuilder, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveImageOptions, RemoveVolumeOptions, TagImageOptionsBuilder,
};
use futures_util::StreamExt;
use tokio::runtime;

use super::deployment::LOOPBACK;
use super::stub::{self, STUB_IMAGE};
use super::wait::eventually;

/// Set to 1, tests that need the engine are skipped where it is not there.
const SKIP: &str = "TERARCHITECT_TESTS_SKIP_DOCKER";

/// How long a request may be at work whose sender is gone.
const IN_THE_MAKING: Duration = Duration::from_secs(2);

/// Label by which a coordinator's containers are known.
pub const COORDINATOR_LABEL: &str = "terarchitect.coordinator";

/// Label that names the job of a container.
const JOB_LABEL: &str = "terarchitect.job";

/// How the names of volumes with the state of tickets begin.
const STATE_VOLUMES: &str = "terarchitect-state-";

/// The engine of this machine.
#[derive(Clone, Debug)]
pub struct Engine {
    docker: Docker,
}

impl Engine {
    /// The engine, with the stub's image made; nothing where it is not there and the tests were
    /// told to do without it.
    pub async fn or_skip() -> Option<Self> {
        let docker = async {
            let docker = Docker::connect_with_unix_defaults()?;
            let docker = docker.negotiate_version().await?;
            docker.ping().await.map(|_| docker)
        };
        match docker.await {
            Ok(docker) => {
                stub::build(&docker).await;
                Some(Self { docker })
            }
            Err(error) if std::env::var(SKIP).is_ok_and(|value| value == "1") => {
                eprintln!("SKIPPED ({SKIP}=1): no Docker Engine: {error}");
                None
            }
            Err(error) => {
                panic!("this test needs a Docker Engine ({SKIP}=1 skips it): {error}")
            }
        }
    }

    /// The client of it.
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// What the engine knows of a job's container, if there is one.
    pub async fn inspect(&self, job: JobId) -> Option<ContainerInspectResponse> {
        let name = container_name(job);
        self.docker.inspect_container(&name, None::<InspectContainerOptions>).await.ok()
    }

    /// The same for the gateway beside it.
    pub async fn inspect_gateway(&self, job: JobId) -> Option<ContainerInspectResponse> {
        let name = format!("terarchitect-gateway-{job}");
        self.docker.inspect_container(&name, None::<InspectContainerOptions>).await.ok()
    }

    /// Whether a job's container is there and runs.
    pub async fn runs(&self, job: JobId) -> bool {
        let state = self.inspect(job).await.and_then(|found| found.state);
        state.and_then(|state| state.running).unwrap_or(false)
    }

    /// What a job's container has printed so far.
    pub async fn output(&self, job: JobId) -> String {
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).build();
        let mut pieces = self.docker.logs(&container_name(job), Some(options));
        let mut text = String::new();
        while let Some(Ok(piece)) = pieces.next().await {
            text.push_str(&String::from_utf8_lossy(&piece.into_bytes()));
        }
        text
    }

    /// Waits until a job's container has come to a `pause`.
    pub async fn pausing(&self, job: JobId) {
        eventually("an agent that pauses", async || {
            self.output(job).await.ends_with("pausing\n").then_some(())
        })
        .await;
    }

    /// The address of this host at which containers reach it: that of their usual bridge.
    pub async fn host_address(&self) -> IpAddr {
        self.host_address_on("bridge").await.unwrap_or(LOOPBACK)
    }

    /// The same on another bridge network of this host.
    pub async fn host_address_on(&self, network: &str) -> Option<IpAddr> {
        let found = self.docker.inspect_network(network, None::<InspectNetworkOptions>).await;
        let addresses = found.ok()?.ipam?.config?;
        let mut gateways = addresses.into_iter().filter_map(|one| {
            // An engine that was never restarted names none: it is the first of its addresses then.
            one.gateway.map_or_else(|| first_address(&one.subnet?), |gateway| gateway.parse().ok())
        });
        gateways.find(IpAddr::is_ipv4)
    }

    /// Runs a command in a job's container as this user, and returns what it printed.
    pub async fn exec(&self, job: JobId, user: &str, command: &[&str]) -> String {
        let config = ExecConfig {
            cmd: Some(command.iter().map(|word| (*word).to_owned()).collect()),
            user: Some(user.to_owned()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..Default::default()
        };
        let exec = self.docker.create_exec(&container_name(job), config).await.expect("it runs");
        let started = self.docker.start_exec(&exec.id, None).await.expect("it runs");
        let StartExecResults::Attached { mut output, .. } = started else { return String::new() };
        let mut text = String::new();
        while let Some(Ok(piece)) = output.next().await {
            text.push_str(&String::from_utf8_lossy(&piece.into_bytes()));
        }
        text
    }

    /// How many commands run in a job's container that were begun in it from outside.
    pub async fn running_commands(&self, job: JobId) -> usize {
        let ids = self.inspect(job).await.and_then(|found| found.exec_ids).unwrap_or_default();
        let mut running = 0;
        for id in ids {
            // One that has just ended may be forgotten by now.
            let command = self.docker.inspect_exec(&id).await;
            running += usize::from(command.is_ok_and(|command| command.running == Some(true)));
        }
        running
    }

    /// Removes a container and an image that a test may have left, when all is over.
    pub fn remove_left(&self, container: String, image: String) {
        at_the_end(async move |docker| {
            let force = RemoveContainerOptionsBuilder::default().force(true).build();
            let _gone = docker.remove_container(&container, Some(force)).await;
            let _gone = docker.remove_image(&image, None::<RemoveImageOptions>, None).await;
        });
    }

    /// The containers of a coordinator, running or not.
    pub async fn containers(&self, coordinator: &str) -> Vec<ContainerSummary> {
        containers(&self.docker, coordinator).await
    }

    /// Sends a signal to the first process of a job's container, unless it has ended by then.
    pub async fn signal(&self, job: JobId, signal: &str) {
        let options = KillContainerOptionsBuilder::default().signal(signal).build();
        match self.docker.kill_container(&container_name(job), Some(options)).await {
            Ok(()) | Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Bounds the memory of a job's container that runs, where this engine can: nothing is returned
    /// where it cannot.
    pub async fn bound_memory(&self, job: JobId, bytes: i64) -> Option<()> {
        let (memory, memory_swap) = (Some(bytes), Some(bytes));
        let bounds = ContainerUpdateBody { memory, memory_swap, ..Default::default() };
        match self.docker.update_container(&container_name(job), bounds).await {
            Ok(()) => Some(()),
            Err(error) => {
                eprintln!("SKIPPED: this engine bounds no memory: {error}");
                None
            }
        }
    }

    /// Makes a container and a volume that look as if this coordinator had lost them.
    pub async fn lose_objects(&self, coordinator: &str) -> [String; 2] {
        let job = JobId::random();
        let (name, volume) = (container_name(job), format!("terarchitect-lost-{job}"));
        let labels = |more: &[(&str, String)]| {
            let own = [(COORDINATOR_LABEL, coordinator.to_owned())];
            let all = own.iter().chain(more);
            Some(all.map(|(label, value)| ((*label).to_owned(), value.clone())).collect())
        };
        let body = ContainerCreateBody {
            image: Some(STUB_IMAGE.to_owned()),
            labels: labels(&[(JOB_LABEL, job.to_string())]),
            ..Default::default()
        };
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        self.docker.create_container(Some(options), body).await.expect("a container");
        let body = VolumeCreateRequest {
            name: Some(volume.clone()),
            labels: labels(&[]),
            ..Default::default()
        };
        self.docker.create_volume(body).await.expect("a volume");
        [name, volume]
    }

    /// Makes a volume that no container can have: what it stands for is not there.
    pub async fn make_useless_volume(&self) -> String {
        let name = format!("terarchitect-useless-{}", uuid::Uuid::new_v4().simple());
        let options = [("type", "none"), ("o", "bind"), ("device", "/nonexistent")];
        let body = VolumeCreateRequest {
            name: Some(name.clone()),
            driver_opts: Some(options.map(|(k, v)| (k.to_owned(), v.to_owned())).into()),
            ..Default::default()
        };
        self.docker.create_volume(body).await.expect("a volume");
        name
    }

    /// The volumes of a coordinator, but for those with the state of tickets.
    pub async fn volumes(&self, coordinator: &str) -> Vec<String> {
        let all = volumes(&self.docker, coordinator).await.into_iter();
        all.filter(|name| !name.starts_with(STATE_VOLUMES)).collect()
    }

    /// The volumes of a coordinator with the state of tickets.
    pub async fn states(&self, coordinator: &str) -> Vec<String> {
        let all = volumes(&self.docker, coordinator).await.into_iter();
        all.filter(|name| name.starts_with(STATE_VOLUMES)).collect()
    }

    /// The networks of a coordinator, by their ids.
    pub async fn networks(&self, coordinator: &str) -> Vec<String> {
        networks(&self.docker, coordinator).await
    }

    /// Removes a job's container, as someone else would.
    pub async fn remove(&self, job: JobId) {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        self.docker.remove_container(&container_name(job), Some(options)).await.expect("removed");
    }

    /// Ends the `pause` of a job's container.
    pub async fn release(&self, job: JobId) {
        self.signal(job, stub::release().as_str()).await;
    }

    /// The stub's image under a name of its own, which is not there yet.
    pub fn image(&self) -> Image {
        let name = format!("{STUB_IMAGE}-{}", uuid::Uuid::new_v4().simple());
        Image { engine: self.clone(), name }
    }
}

/// A name of the stub's image; taken away when it is dropped.
#[derive(Debug)]
pub struct Image {
    engine: Engine,
    name: String,
}

impl Image {
    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes the image be there.
    pub async fn make(&self) {
        let options = TagImageOptionsBuilder::default().repo(&self.name).tag("latest").build();
        self.engine.docker.tag_image(STUB_IMAGE, Some(options)).await.unwrap();
    }

    /// Takes it away.
    pub async fn remove(&self) {
        let removed =
            self.engine.docker.remove_image(&self.name, None::<RemoveImageOptions>, None).await;
        removed.unwrap();
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let name = self.name.clone();
        at_the_end(async move |docker| {
            // It may never have been made.
            let _gone = docker.remove_image(&name, None::<RemoveImageOptions>, None).await;
        });
    }
}

/// The first address of an IPv4 subnet, such as `172.17.0.0/16`.
fn first_address(subnet: &str) -> Option<IpAddr> {
    let network: Ipv4Addr = subnet.split('/').next()?.parse().ok()?;
    Some(IpAddr::V4(Ipv4Addr::from_bits(network.to_bits() + 1)))
}

/// The name that the coordinator gives to a job's container.
pub(super) fn container_name(job: JobId) -> String {
    format!("terarchitect-{job}")
}

/// Removes all that a coordinator left on the engine.
pub(super) fn remove_containers(coordinator: String) {
    let in_the_making = std::thread::panicking();
    at_the_end(async move |docker| {
        remove_all(&docker, &coordinator).await;
        if in_the_making {
            // The coordinator was killed where it stood: its last request may still be at work.
            tokio::time::sleep(IN_THE_MAKING).await;
            remove_all(&docker, &coordinator).await;
        }
    });
}

async fn remove_all(docker: &Docker, coordinator: &str) {
    for container in containers(docker, coordinator).await {
        let options = RemoveContainerOptionsBuilder::default().v(true).force(true).build();
        let id = container.id.unwrap_or_default();
        // One that is being removed is as good as gone.
        let _gone = docker.remove_container(&id, Some(options)).await;
    }
    for network in networks(docker, coordinator).await {
        let _gone = docker.remove_network(&network).await;
    }
    for volume in volumes(docker, coordinator).await {
        let _gone = docker.remove_volume(&volume, None::<RemoveVolumeOptions>).await;
    }
}

async fn networks(docker: &Docker, coordinator: &str) -> Vec<String> {
    let label = format!("{COORDINATOR_LABEL}={coordinator}");
    let filters = HashMap::from([("label", vec![label])]);
    let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
    let networks = docker.list_networks(Some(options)).await.unwrap_or_default();
    networks.into_iter().filter_map(|network| network.id).collect()
}

/// Removes the volumes whose names begin so.
pub(super) fn remove_volumes_named(beginning: String) {
    at_the_end(async move |docker| {
        let found = docker.list_volumes(None::<ListVolumesOptions>).await.ok();
        let volumes = found.and_then(|found| found.volumes).unwrap_or_default();
        for volume in volumes.iter().filter(|volume| volume.name.starts_with(&beginning)) {
            let _gone = docker.remove_volume(&volume.name, None::<RemoveVolumeOptions>).await;
        }
    });
}

async fn volumes(docker: &Docker, coordinator: &str) -> Vec<String> {
    let label = format!("{COORDINATOR_LABEL}={coordinator}");
    let filters = HashMap::from([("label", vec![label])]);
    let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
    let found = docker.list_volumes(Some(options)).await.ok();
    let volumes = found.and_then(|found| found.volumes).unwrap_or_default();
    volumes.into_iter().map(|volume| volume.name).collect()
}

async fn containers(docker: &Docker, coordinator: &str) -> Vec<ContainerSummary> {
    let label = format!("{COORDINATOR_LABEL}={coordinator}");
    let filters = HashMap::from([("label", vec![label])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    docker.list_containers(Some(options)).await.unwrap_or_default()
}

/// Runs clean-up from a `drop`, where nothing can be awaited, also while a test panics.
pub(crate) fn at_the_end(work: impl AsyncFnOnce(Docker) + Send + 'static) {
    let thread = std::thread::spawn(move || {
        let Ok(runtime) = runtime::Builder::new_current_thread().enable_all().build() else {
            return;
        };
        runtime.block_on(async {
            if let Ok(docker) = Docker::connect_with_unix_defaults() {
                work(docker).await;
            }
        });
    });
    if thread.join().is_err() {
        eprintln!("the engine could not be cleaned up");
    }
}
