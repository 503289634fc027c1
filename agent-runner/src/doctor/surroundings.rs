//! What a job finds in this image besides its coding CLI.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::unistd::geteuid;
use serde::Serialize;
use tokio::process::Command;

use crate::user::{WorkerUser, find_program};

/// How long a program may take to say its version.
const LIMIT: Duration = Duration::from_secs(10);

/// What is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Surroundings {
    /// The version of git, without which no job can run.
    pub(super) git: Option<String>,
    /// The version of Docker's client.
    pub(super) docker: Option<String>,
    /// Where a Docker engine would come from.
    pub(super) docker_engine: DockerEngine,
    /// The user id that coding CLIs run as.
    pub(super) worker_uid: u32,
}

/// Where a Docker engine would come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DockerEngine {
    /// Its program is installed.
    Installed,
    /// A socket of another one is here.
    Socket,
    /// There is none.
    None,
}

/// Looks around.
pub(super) async fn look(user: Option<&WorkerUser>, plain: &[(String, String)]) -> Surroundings {
    let environment: Vec<(OsString, OsString)> =
        plain.iter().map(|(name, value)| (name.into(), value.into())).collect();
    let is_there = |name: &str| find_program(name.as_ref(), &environment).is_ok();
    let docker_engine = match is_there("dockerd") {
        true => DockerEngine::Installed,
        false if Path::new("/var/run/docker.sock").exists() => DockerEngine::Socket,
        false => DockerEngine::None,
    };
    Surroundings {
        git: version_of("git").await,
        docker: version_of("docker").await,
        docker_engine,
        worker_uid: user.map_or(geteuid(), |user| user.owner().uid).as_raw(),
    }
}

async fn version_of(program: &str) -> Option<String> {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, command.output()).await.ok()?.ok()?;
    crate::worker::version_in(&String::from_utf8_lossy(&output.stdout))
}
