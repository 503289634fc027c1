//! A machine with systemd and a Docker Engine, as a container; removed when it is dropped.

use std::fs;
use std::path::Path;

use bollard::exec::StartExecResults;
use bollard::models::{ContainerCreateBody, ExecConfig, HostConfig, NetworkingConfig};
use bollard::query_parameters::{
    BuildImageOptionsBuilder, CreateContainerOptions, RemoveContainerOptionsBuilder,
    UploadToContainerOptionsBuilder,
};
use futures_util::{StreamExt, TryStreamExt};

use super::network::Network;
use super::terminal::Terminal;
use crate::harness::{Engine, TarFile, archive, at_the_end, eventually};

const IMAGE: &str = "terarchitect-test-machine";
const DOCKERFILE: &str = include_str!("machine.Dockerfile");
const BOOT: &str = include_str!("boot.sh");

/// The editor of people there: it writes what is in `~/typed` below what a file has.
pub(super) const EDITOR: &str = "/usr/local/bin/type-it";

/// Where files are put.
const ROOT: &str = "/root";

/// What a command came to.
#[derive(Clone, Debug)]
pub(super) struct Done {
    pub(super) code: i64,
    /// What it printed, on both outputs.
    pub(super) text: String,
}

/// A machine that runs.
#[derive(Debug)]
pub(super) struct Machine {
    engine: Engine,
    id: String,
}

impl Machine {
    /// Boots one, and waits until all its services are up.
    pub(super) async fn boot(engine: &Engine) -> Self {
        Self::boot_with(engine, "machine", None).await
    }

    /// The same with this name, on a network.
    pub(super) async fn boot_on(engine: &Engine, network: &Network, name: &str) -> Self {
        Self::boot_with(engine, name, Some(network.networking())).await
    }

    async fn boot_with(engine: &Engine, name: &str, networking: Option<NetworkingConfig>) -> Self {
        build(engine).await;
        let both = |option: &str| format!("{option}=unconfined");
        let config = ContainerCreateBody {
            image: Some(IMAGE.to_owned()),
            hostname: Some(name.to_owned()),
            networking_config: networking,
            volumes: Some(vec!["/var/lib/docker".to_owned()]),
            host_config: Some(HostConfig {
                // What systemd and an inner engine need: not --privileged, which not every engine can give.
                // The last one is for `docker exec` into a container whose first process hides its memory.
                cap_add: Some(["SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE"].map(str::to_owned).into()),
                security_opt: Some(vec![both("seccomp"), both("apparmor")]),
                tmpfs: Some(
                    [("/run", ""), ("/tmp", "exec")]
                        .map(|(path, options)| (path.to_owned(), options.to_owned()))
                        .into(),
                ),
                ..Default::default()
            }),
            ..Default::default()
        };
        let docker = engine.docker();
        let made = docker.create_container(None::<CreateContainerOptions>, config).await;
        let machine = Self { engine: engine.clone(), id: made.expect("a machine").id };
        docker.start_container(&machine.id, None).await.expect("a machine that runs");
        eventually("the machine to boot", async || {
            machine
                .run("systemctl is-system-running --wait")
                .await
                .text
                .contains("running")
                .then_some(())
        })
        .await;
        machine
    }

    /// Runs a piece of shell there.
    pub(super) async fn run(&self, script: &str) -> Done {
        let docker = self.engine.docker();
        let config = ExecConfig {
            cmd: Some(["sh", "-c", script].map(str::to_owned).into()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..Default::default()
        };
        let exec = docker.create_exec(&self.id, config).await.expect("the machine runs").id;
        let started = docker.start_exec(&exec, None).await.expect("the machine runs");
        let mut text = Vec::new();
        if let StartExecResults::Attached { mut output, .. } = started {
            while let Some(Ok(piece)) = output.next().await {
                text.extend_from_slice(&piece.into_bytes());
            }
        }
        let code = docker.inspect_exec(&exec).await.expect("a command of ours").exit_code;
        Done { code: code.unwrap_or(-1), text: String::from_utf8_lossy(&text).trim().to_owned() }
    }

    /// The same for one that has to succeed: what it printed.
    pub(super) async fn ok(&self, script: &str) -> String {
        let done = self.run(script).await;
        assert_eq!(done.code, 0, "{script}: {}", done.text);
        done.text
    }

    /// Opens a terminal there, as this user, in the home folder.
    pub(super) async fn terminal(&self, user: &str) -> Terminal {
        let docker = self.engine.docker();
        let config = ExecConfig {
            cmd: Some(["bash", "--noprofile", "--norc"].map(str::to_owned).into()),
            user: Some(user.to_owned()),
            working_dir: Some(format!("/home/{user}")),
            env: Some(vec![format!("HOME=/home/{user}"), format!("SUDO_EDITOR={EDITOR}")]),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..Default::default()
        };
        let exec = docker.create_exec(&self.id, config).await.expect("the machine runs").id;
        match docker.start_exec(&exec, None).await.expect("the machine runs") {
            StartExecResults::Attached { input, output } => Terminal::new(input, output),
            StartExecResults::Detached => panic!("a terminal that nobody sits at"),
        }
    }

    /// Puts a file of this host into the machine's `/root`, and tells its path there.
    pub(super) async fn put(&self, file: &Path) -> String {
        let name = file.file_name().expect("a file").to_string_lossy().into_owned();
        let content = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        self.write(&name, &content).await
    }

    /// Writes a program into the machine's `/root`, and tells its path there.
    pub(super) async fn write(&self, name: &str, content: &[u8]) -> String {
        let files = archive(&[TarFile { name, mode: 0o755, content }]);
        let options = UploadToContainerOptionsBuilder::default().path(ROOT).build();
        let body = bollard::body_full(files.into());
        let docker = self.engine.docker();
        docker.upload_to_container(&self.id, Some(options), body).await.expect("a file");
        format!("{ROOT}/{name}")
    }

    /// Gives the machine's engine an image of this host's.
    pub(super) async fn give_image(&self, image: &str) {
        let mut saved = Vec::new();
        let mut pieces = self.engine.docker().export_image(image);
        while let Some(piece) = pieces.try_next().await.expect("an image") {
            saved.extend_from_slice(&piece);
        }
        let path = self.write("image.tar", &saved).await;
        self.ok(&format!("docker load -q -i {path} && rm {path}")).await;
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let id = self.id.clone();
        at_the_end(async move |docker| {
            let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
            let _gone = docker.remove_container(&id, Some(options)).await;
        });
    }
}

async fn build(engine: &Engine) {
    let context = archive(&[
        TarFile { name: "Dockerfile", mode: 0o644, content: DOCKERFILE.as_bytes() },
        TarFile { name: "boot", mode: 0o755, content: BOOT.as_bytes() },
    ]);
    let options = BuildImageOptionsBuilder::default().t(IMAGE).rm(true).forcerm(true).build();
    let body = bollard::body_full(context.into());
    let built = engine.docker().build_image(options, None, Some(body));
    let built = built.try_for_each(|_step| async { Ok(()) }).await;
    built.unwrap_or_else(|error| panic!("cannot build {IMAGE}: {error}"));
}
