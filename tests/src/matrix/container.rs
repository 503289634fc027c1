//! One agent's container, started as a person would by `docker run`.

use std::path::Path;
use std::time::Duration;

use api_client::contract::env;
use bollard::Docker;
use bollard::exec::StartExecResults;
use bollard::models::{ContainerCreateBody, ContainerStateStatusEnum, ExecConfig, HostConfig};
use bollard::query_parameters::{
    BuildImageOptionsBuilder, CreateContainerOptions, CreateContainerOptionsBuilder,
    InspectContainerOptions, LogsOptionsBuilder, RemoveContainerOptionsBuilder, RemoveImageOptions,
    StartContainerOptions,
};
use futures_util::{StreamExt, TryStreamExt};
use tokio::time::{Instant, sleep};

use crate::harness::{Engine, TarFile, archive, at_the_end};

/// The image of the cases.
pub(super) const IMAGE: &str = "terarchitect-test-matrix";

/// Where the outcome is written, and the folder of this host that is there.
const OUTCOME: &str = "/out/outcome.json";

/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);

/// A CLI that does not exit when it is done: the real one, and a long sleep.
const HANGING: &str = "#!/bin/sh\n\
    PATH=${PATH#/opt/matrix:}\n\
    export PATH\n\
    real=${0##*/}\n\
    [ $real != python3 ] || real=$(dirname $(readlink -f $(command -v aider)))/python3\n\
    \"$real\" \"$@\"\n\
    code=$?\n\
    sleep 1000\n\
    exit $code\n";

/// The folder with such CLIs.
const HANGING_CLIS: &str = "/opt/matrix";

/// A CLI that is not there is told by its cases.
const WARM_UP: &str = "for cli in opencode claude codex gemini aider; do $cli --version; done";

/// How long a command may take that is no run of an agent.
const COMMAND_LIMIT: Duration = Duration::from_secs(180);

/// Ends every process of the worker's user by KILL, those that begin meanwhile as well.
const KILL_WORKER: &str = "for round in 1 2 3; do pkill -KILL -U agent; sleep 0.1; done";

/// Makes the image of one with the agent and the CLIs.
pub(super) async fn build_image(engine: &Engine, base: &str) {
    // The agent runs Aider by the Python beside it.
    let names = "opencode claude codex gemini python3";
    let dockerfile = format!(
        "FROM {base}\nCOPY hanging {HANGING_CLIS}/aider\n\
         RUN cd {HANGING_CLIS} && for cli in {names}; do ln -s aider $cli; done\n"
    );
    let context = archive(&[
        TarFile { name: "Dockerfile", mode: 0o644, content: dockerfile.as_bytes() },
        TarFile { name: "hanging", mode: 0o755, content: HANGING.as_bytes() },
    ]);
    let options = BuildImageOptionsBuilder::default().t(IMAGE).rm(true).build();
    let body = bollard::body_full(context.into());
    let progress = engine.docker().build_image(options, None, Some(body));
    let built = progress.try_for_each(|_step| async { Ok(()) }).await;
    built.unwrap_or_else(|error| panic!("cannot build {IMAGE}: {error}"));
}

/// Has every CLI start once: the first start of each reads hundreds of megabytes from the disk.
pub(super) async fn warm_up(engine: &Engine) {
    Container::output_of(engine, IMAGE, &["sh", "-c", WARM_UP], None).await;
}

/// Removes it.
pub(super) async fn remove_image(engine: &Engine) {
    let _gone = engine.docker().remove_image(IMAGE, None::<RemoveImageOptions>, None).await;
}

/// Whether the CLIs are those that do not exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exits {
    Yes,
    No,
}

/// A container that is removed at the end, come what may.
pub(crate) struct Container {
    docker: Docker,
    name: String,
}

impl Container {
    /// Starts an agent of this image with these settings. `out` is where its outcome comes.
    pub(crate) async fn start(
        engine: &Engine,
        image: &str,
        name: String,
        settings: &[(&str, String)],
        exits: Exits,
        out: &Path,
    ) -> Self {
        let docker = engine.docker().clone();
        let mut variables: Vec<String> =
            settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        variables.push(format!("{}={OUTCOME}", env::OUTCOME_FILE));
        variables.push(format!("{}=none", env::AGENT_DOCKER_MODE));
        if exits == Exits::No {
            let usual = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
            variables.push(format!("PATH={HANGING_CLIS}:{usual}"));
        }
        // As the coordinator does.
        let kind = settings.iter().find(|(name, _)| *name == env::JOB_KIND);
        let kind = kind.map_or("ticket", |(_, kind)| kind.as_str());
        let host_config = HostConfig {
            binds: Some(vec![format!("{}:/out", out.display())]),
            ..HostConfig::default()
        };
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            cmd: Some(vec![kind.to_owned()]),
            env: Some(variables),
            host_config: Some(host_config),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        docker.create_container(Some(options), body).await.expect("a container");
        let container = Self { docker, name };
        let start =
            container.docker.start_container(&container.name, None::<StartContainerOptions>);
        start.await.expect("it starts");
        container
    }

    /// What a command prints in a container of its own, which may have a mount (`volume:path`).
    pub(crate) async fn output_of(
        engine: &Engine,
        image: &str,
        command: &[&str],
        mount: Option<String>,
    ) -> String {
        let docker = engine.docker().clone();
        let binds = mount.map(|mount| vec![mount]);
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            entrypoint: Some(command.iter().map(|word| (*word).to_owned()).collect()),
            host_config: Some(HostConfig { binds, ..HostConfig::default() }),
            ..ContainerCreateBody::default()
        };
        let created = docker.create_container(None::<CreateContainerOptions>, body).await;
        let container = Self { docker, name: created.expect("a container").id };
        let start =
            container.docker.start_container(&container.name, None::<StartContainerOptions>);
        start.await.expect("it starts");
        container.end(Instant::now() + COMMAND_LIMIT).await;
        let output = container.output().await;
        container.remove().await;
        output
    }

    /// Waits until it ends: its exit code, or nothing when it has not by then.
    pub(crate) async fn end(&self, until: Instant) -> Option<i64> {
        while Instant::now() < until {
            let found = self.docker.inspect_container(&self.name, None::<InspectContainerOptions>);
            let state = found.await.expect("it is there").state.unwrap_or_default();
            if state.status == Some(ContainerStateStatusEnum::EXITED) {
                return state.exit_code;
            }
            sleep(LOOK).await;
        }
        None
    }

    /// Kills the CLI and all that it has started.
    pub(super) async fn kill_worker(&self) {
        let config = ExecConfig {
            cmd: Some(["sh", "-c", KILL_WORKER].map(str::to_owned).into()),
            user: Some("0".to_owned()),
            attach_stdout: Some(true),
            ..ExecConfig::default()
        };
        // It may be over by then, which its outcome tells.
        let Ok(exec) = self.docker.create_exec(&self.name, config).await else { return };
        let started = self.docker.start_exec(&exec.id, None).await;
        if let Ok(StartExecResults::Attached { output, .. }) = started {
            let _ended = output.try_for_each(|_piece| async { Ok(()) }).await;
        }
    }

    /// Removes it; what is left of it would only be removed later.
    pub(crate) async fn remove(self) {
        remove(&self.docker, &self.name).await;
    }

    /// All that it has printed.
    pub(crate) async fn output(&self) -> String {
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).build();
        let mut pieces = self.docker.logs(&self.name, Some(options));
        let mut text = String::new();
        while let Some(Ok(piece)) = pieces.next().await {
            text.push_str(&String::from_utf8_lossy(&piece.into_bytes()));
        }
        text
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let name = self.name.clone();
        at_the_end(async move |docker| remove(&docker, &name).await);
    }
}

async fn remove(docker: &Docker, name: &str) {
    let force = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    let _gone = docker.remove_container(name, Some(force)).await;
}
