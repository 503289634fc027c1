//! The Docker Engine: the only module that knows bollard.
//!
//! Every call has a time limit. Nothing here decides anything about jobs.

mod archive;
mod build;
mod disk;
mod end;
mod error;
mod exec;
mod facts;
mod file;
mod image;
mod leftover;
mod logs;
mod network;
mod pull;
mod rights;
mod session;
mod spec;
mod volume;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, InspectContainerOptions,
    ListContainersOptionsBuilder, StartContainerOptions,
};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;

use api_client::{JobId, Secret};

use crate::calls::Calls;

pub(crate) use archive::ContextFile;
pub(crate) use build::{BuildError, BuildEvent, BuildSpec, Layers, Step};
pub(crate) use disk::DiskUse;
pub(crate) use error::EngineError;
pub(crate) use exec::Executed;
pub(crate) use facts::{EngineFacts, Lack};
pub(crate) use file::Fetched;
pub(crate) use image::ImageFacts;
#[cfg(test)]
pub(crate) use leftover::LeftoverKind;
pub(crate) use leftover::{Labelled, Leftover, StateVolume};
pub(crate) use logs::{LogCursor, Until};
pub(crate) use network::{NetworkId, Reach};
pub(crate) use pull::ImageDigest;
use pull::with_readable_login;
pub(crate) use rights::Rights;
pub(crate) use session::{Session, SessionCommand, SessionInput, SessionOutput, SessionSpec, Size};
pub(crate) use spec::{ContainerSpec, MountSpec};
pub(crate) use volume::Life;

const PING_TIMEOUT: Duration = Duration::from_secs(5);
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// A start may wait for other containers' network set-up: more than a second each under load.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// The default socket of an engine on this host.
pub(crate) const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// What the engine knows a container by: the name that follows from its job, so that a second create
/// is refused, or the id that it gave to one container alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct ContainerRef(String);

impl ContainerRef {
    /// The container of a job, by name. Another coordinator on the same engine uses the same name for
    /// the same job.
    pub(crate) fn of(job: JobId) -> Self {
        Self(format!("terarchitect-{job}"))
    }

    /// A container by its name.
    pub(crate) const fn named(name: String) -> Self {
        Self(name)
    }
}

impl fmt::Display for ContainerRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the engine knows of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ContainerState {
    /// Created, but its process was never started.
    Created {
        /// The engine's reason, when a start was tried.
        error: String,
    },
    /// Its process runs (or is paused or restarting).
    Running,
    /// Its process ended.
    Exited(ExitFacts),
    /// There is no such container.
    Absent,
}

/// How a container's process ended, as the engine recorded it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExitFacts {
    /// Exit code; 128 + n for signal n.
    pub(crate) code: i64,
    /// Whether the kernel ended it for want of memory.
    pub(crate) out_of_memory: bool,
    /// The engine's own words, if any.
    pub(crate) error: String,
}

/// One Docker Engine. It is looked for when it is first needed and again until it is found, so an
/// engine that comes up later than we do is no error.
#[derive(Debug)]
pub(crate) struct Engine {
    host: String,
    /// The client, once the engine was reached; never held across an await.
    docker: Mutex<Option<Docker>>,
    /// Whether its storage was seen to give containers no limit.
    no_disk_limits: AtomicBool,
    calls: Calls,
}

/// The writing end of a container's standard input.
pub(crate) struct ContainerInput(std::pin::Pin<Box<dyn tokio::io::AsyncWrite + Send>>);

impl Engine {
    /// A client of the engine at `host` (`unix://…`, `tcp://…`, `http://…`), or at the default
    /// socket.
    pub(crate) fn new(host: Option<&str>) -> Self {
        let host = host.map_or_else(|| format!("unix://{DEFAULT_SOCKET}"), str::to_owned);
        let (docker, no_disk_limits) = (Mutex::new(None), AtomicBool::new(false));
        Self { host, docker, no_disk_limits, calls: Calls::new() }
    }

    /// What the calls to it came to.
    pub(crate) const fn calls(&self) -> &Calls {
        &self.calls
    }

    /// Whether the engine answers.
    pub(crate) async fn ping(&self) -> Result<(), EngineError> {
        let docker = self.docker().await?;
        let answer = self.call(PING_TIMEOUT, "ping", "the engine", docker.ping()).await;
        self.forget_if_failed(answer).map(drop)
    }

    /// Whether the engine has an image.
    pub(crate) async fn has_image(&self, image: &str) -> Result<bool, EngineError> {
        let docker = self.docker().await?;
        let inspect = docker.inspect_image(image);
        found(self.call(CALL_TIMEOUT, "inspect image", image, inspect).await).map(|i| i.is_some())
    }

    /// Creates a container, and tells its id. One of that name from an earlier try is an error.
    pub(crate) async fn create(
        &self,
        name: &ContainerRef,
        spec: ContainerSpec,
    ) -> Result<ContainerRef, EngineError> {
        if spec.limits.disk.is_none() || self.no_disk_limits.load(Ordering::Relaxed) {
            return self.create_as_it_is(name, spec.without_disk_limit()).await;
        }
        match self.create_as_it_is(name, spec.clone()).await {
            Err(error) if error.is_about_disk_limits() => {
                tracing::info!(%error, "disk space of agents is watched, not limited");
                self.no_disk_limits.store(true, Ordering::Relaxed);
                self.create_as_it_is(name, spec.without_disk_limit()).await
            }
            created => created,
        }
    }

    async fn create_as_it_is(
        &self,
        name: &ContainerRef,
        spec: ContainerSpec,
    ) -> Result<ContainerRef, EngineError> {
        let options = CreateContainerOptionsBuilder::default().name(&name.0).build();
        let docker = self.docker().await?;
        let create = docker.create_container(Some(options), spec.into());
        let created = self.call(CALL_TIMEOUT, "create container", &name.0, create).await?;
        Ok(ContainerRef(created.id))
    }

    /// Opens the standard input of a container that is created and not yet started.
    pub(crate) async fn attach_input(
        &self,
        name: &ContainerRef,
    ) -> Result<ContainerInput, EngineError> {
        let options = AttachContainerOptionsBuilder::default().stdin(true).stream(true).build();
        let docker = self.docker().await?;
        let attach = docker.attach_container(&name.0, Some(options));
        let attached = self.call(CALL_TIMEOUT, "attach to container", &name.0, attach).await?;
        Ok(ContainerInput(attached.input))
    }

    /// Starts a created container.
    pub(crate) async fn start(&self, name: &ContainerRef) -> Result<(), EngineError> {
        let docker = self.docker().await?;
        let start = docker.start_container(&name.0, None::<StartContainerOptions>);
        self.call(START_TIMEOUT, "start container", &name.0, start).await
    }

    /// What became of a container.
    pub(crate) async fn state(&self, name: &ContainerRef) -> Result<ContainerState, EngineError> {
        let docker = self.docker().await?;
        let inspect = docker.inspect_container(&name.0, None::<InspectContainerOptions>);
        let answer = found(self.call(CALL_TIMEOUT, "inspect container", &name.0, inspect).await);
        Ok(self.forget_if_failed(answer)?.map_or(ContainerState::Absent, |found| state_of(&found)))
    }

    /// The jobs of all containers, running or not, that carry `label=value`, as told by another
    /// label.
    pub(crate) async fn labelled(
        &self,
        label: &str,
        value: &str,
        job_label: &str,
    ) -> Result<Vec<String>, EngineError> {
        let filters = HashMap::from([("label", vec![format!("{label}={value}")])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let docker = self.docker().await?;
        let list = docker.list_containers(Some(options));
        let containers = self.call(CALL_TIMEOUT, "list containers", label, list).await?;
        let labels = containers.into_iter().filter_map(|container| container.labels);
        Ok(labels.filter_map(|mut labels| labels.remove(job_label)).collect())
    }

    /// The client, speaking a version that the engine knows. It is made when it is first needed:
    /// bollard refuses a socket that is not there.
    async fn docker(&self) -> Result<Docker, EngineError> {
        if let Some(docker) = self.known() {
            return Ok(docker);
        }
        let docker = Docker::connect_with_host(&self.host)
            .map_err(|error| EngineError::new("connect", &self.host, error))
            .inspect_err(|error| self.note("connect", Duration::ZERO, Some(error)))?;
        let agreed = self.call(
            PING_TIMEOUT,
            "ask for its version",
            "the engine",
            docker.negotiate_version(),
        );
        let docker = agreed.await?.with_request_modifier(with_readable_login);
        *self.docker.lock().unwrap_or_else(PoisonError::into_inner) = Some(docker.clone());
        Ok(docker)
    }

    /// One call under a time limit, which is noted when it has ended.
    async fn call<T>(
        &self,
        limit: Duration,
        action: &'static str,
        object: &str,
        call: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<T, EngineError> {
        let begun = Instant::now();
        let answer = limited(limit, action, object, Box::pin(call)).await;
        self.note(action, begun.elapsed(), answer.as_ref().err());
        answer
    }

    fn note(&self, action: &'static str, took: Duration, error: Option<&EngineError>) {
        let unanswered = error.filter(|error| error.is_unreachable());
        self.calls.note(action, took, unanswered.map(ToString::to_string));
    }

    fn known(&self) -> Option<Docker> {
        self.docker.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// After an error, the version is settled anew: the engine may be another one by now.
    fn forget_if_failed<T>(&self, answer: Result<T, EngineError>) -> Result<T, EngineError> {
        if answer.is_err() {
            *self.docker.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        answer
    }
}

impl ContainerInput {
    /// Writes one document and closes the input. An error means that the document is not whole on
    /// the other side, so that it cannot be acted on.
    pub(crate) async fn deliver(mut self, document: &Secret) -> Result<(), EngineError> {
        let write = async {
            self.0.write_all(document.expose().as_bytes()).await?;
            self.0.flush().await.map_err(bollard::errors::Error::from)
        };
        limited(CALL_TIMEOUT, "write to standard input of", "the container", write).await?;
        // Dropping the connection closes the input as well.
        let _closed = tokio::time::timeout(CALL_TIMEOUT, self.0.shutdown()).await;
        Ok(())
    }
}

fn state_of(found: &ContainerInspectResponse) -> ContainerState {
    use bollard::models::ContainerStateStatusEnum as Status;
    let Some(state) = &found.state else { return ContainerState::Running };
    let error = state.error.clone().unwrap_or_default();
    match state.status {
        Some(Status::CREATED) => ContainerState::Created { error },
        Some(Status::EXITED | Status::DEAD) => ContainerState::Exited(ExitFacts {
            code: state.exit_code.unwrap_or(-1),
            out_of_memory: state.oom_killed.unwrap_or(false),
            error,
        }),
        _ => ContainerState::Running,
    }
}

/// Runs one engine call under a time limit.
async fn limited<T>(
    limit: Duration,
    action: &'static str,
    object: &str,
    call: impl Future<Output = Result<T, bollard::errors::Error>>,
) -> Result<T, EngineError> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer.map_err(|error| EngineError::new(action, object, error)),
        Err(_) => Err(EngineError::timed_out(action, object, limit)),
    }
}

/// A 404 is an answer, not an error.
fn found<T>(answer: Result<T, EngineError>) -> Result<Option<T>, EngineError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
