//! A Docker engine within the container, started when something first connects to its socket.
//!
//! We listen in the engine's place and wait for the first connection without taking it; then
//! `dockerd` is started with the listening socket and answers it. A job that never uses Docker pays
//! nothing for it.

mod addresses;
mod client;
mod control_groups;
mod kept;
mod launch;
mod names;

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Child;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::kept::Kept;
use self::launch::Launch;
use crate::settings::{DockerMode, InnerLayers};
use crate::user::WorkerUser;

/// The engine's usual address.
const SOCKET: &str = "/var/run/docker.sock";

/// Where an engine that is root keeps what it has.
const DATA: &str = "/var/lib/docker";

/// How long the engine has between TERM and KILL: it stops its containers meanwhile.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// The inner engine cannot be offered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InnerDockerError {
    /// Its address cannot be had.
    #[error("cannot listen for the inner Docker engine at {}", socket.display())]
    Socket {
        /// The address.
        socket: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// There is nobody who could run it.
    #[error(
        "AGENT_DOCKER_MODE=dind-rootless needs an image with the user \"agent\", in a container that \
         starts as root"
    )]
    NoUser,
    /// What an earlier engine left cannot be removed.
    #[error("cannot take up {} from an earlier Docker engine", folder.display())]
    Kept {
        /// The engine's folder.
        folder: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// What it needs cannot be given to the user who runs it.
    #[error("cannot prepare {} for the rootless Docker engine", path.display())]
    Rootless {
        /// A file or folder.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

/// A socket behind which an engine is or will be.
#[derive(Debug)]
pub(crate) struct InnerDocker {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl InnerDocker {
    /// Listens at the engine's usual address, for the worker's user. The engine that is started then
    /// gets this environment, and may have files in `private`; what it has may be meant to outlive it.
    ///
    /// # Errors
    /// When that address cannot be had. An engine that already answers there is left alone.
    pub(crate) async fn offer(
        mode: DockerMode,
        user: Option<&WorkerUser>,
        private: &Path,
        environment: &[(String, String)],
        layers: InnerLayers,
    ) -> Result<Option<Self>, InnerDockerError> {
        let (launch, folder) = match mode {
            DockerMode::Dind | DockerMode::DindCaps => {
                (Launch::rootful(environment), Path::new(DATA).to_owned())
            }
            DockerMode::DindRootless => {
                let user = user.ok_or(InnerDockerError::NoUser)?;
                (Launch::rootless(user, private, environment)?, launch::data_folder_of(user))
            }
            DockerMode::Dood | DockerMode::None => return Ok(None),
        };
        let kept = match layers {
            InnerLayers::Kept => {
                let failed = |source| InnerDockerError::Kept { folder: folder.clone(), source };
                Some(Kept::take_up(folder.clone()).await.map_err(failed)?)
            }
            InnerLayers::Fresh => None,
        };
        Self::listen(Path::new(SOCKET), user, launch, kept)
    }

    fn listen(
        socket: &Path,
        user: Option<&WorkerUser>,
        launch: Launch,
        kept: Option<Kept>,
    ) -> Result<Option<Self>, InnerDockerError> {
        let failed = |source| InnerDockerError::Socket { socket: socket.to_owned(), source };
        if UnixStream::connect(socket).is_ok() {
            tracing::info!("a Docker engine answers already");
            return Ok(None);
        }
        let listener = listener(socket, user.map(WorkerUser::gid)).map_err(failed)?;
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(listener, launch, kept, stop.clone()));
        Ok(Some(Self { stop, task }))
    }

    /// Ends the engine if it runs.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "the inner Docker engine was not stopped in order");
        }
    }
}

/// The socket of an engine that is given to us, if it is one of this machine.
pub(crate) fn given_socket(docker_host: Option<&str>) -> Option<PathBuf> {
    match docker_host {
        None => Some(SOCKET.into()),
        Some(host) => host.strip_prefix("unix://").map(PathBuf::from),
    }
}

/// A listening socket, waited for as what it is not: tokio's own listener can only take a connection,
/// its stream waits until there is something to take.
fn listener(socket: &Path, group: Option<Gid>) -> io::Result<tokio::net::UnixStream> {
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(socket)?;
    lchown(socket, None, group.map(Gid::as_raw))?;
    fs::set_permissions(socket, fs::Permissions::from_mode(0o660))?;
    listener.set_nonblocking(true)?;
    tokio::net::UnixStream::from_std(OwnedFd::from(listener).into())
}

/// Waits for the first connection, then runs the engine until it ends or is told to.
async fn serve(
    listener: tokio::net::UnixStream,
    mut launch: Launch,
    kept: Option<Kept>,
    stop: CancellationToken,
) {
    let connected = tokio::select! {
        connected = listener.readable() => connected,
        () = stop.cancelled() => return,
    };
    let names = launch.names.take();
    let begun = || kept.as_ref().map_or(Ok(()), Kept::begin);
    let started =
        connected.and_then(|()| begun()).and_then(|()| start(listener.into_std()?.into(), launch));
    match started {
        Ok(engine) => {
            let _names = names.map(|names| AbortOnDropHandle::new(tokio::spawn(names.serve())));
            run(engine, kept, &stop).await;
        }
        Err(error) => tracing::error!(%error, "the inner Docker engine cannot be started"),
    }
}

/// Starts the engine. Our own copy of the socket is closed with it, so that a dead engine is told by
/// refused connections.
fn start(listener: OwnedFd, launch: Launch) -> io::Result<Child> {
    tracing::info!("starting the inner Docker engine: something connected to its socket");
    let Launch { mut command, listen_fd, prepare, names: _ } = launch;
    prepare();
    command
        .fd_mappings(vec![FdMapping { parent_fd: listener, child_fd: listen_fd }])
        .map_err(io::Error::other)?
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

async fn run(mut engine: Child, kept: Option<Kept>, stop: &CancellationToken) {
    let stdout = engine.stdout.take().map(|pipe| tokio::spawn(log(pipe)));
    let stderr = engine.stderr.take().map(|pipe| tokio::spawn(log(pipe)));
    let status = tokio::select! {
        status = engine.wait() => {
            tracing::warn!(?status, "the inner Docker engine ended");
            status
        }
        () = stop.cancelled() => {
            let tidied = match kept {
                Some(kept) => kept.tidy().await.then_some(kept),
                None => {
                    end_containers().await;
                    None
                }
            };
            let status = end(&mut engine).await;
            if let (Some(kept), Ok(status)) = (tidied, &status)
                && status.success()
            {
                kept.end();
            }
            status
        }
    };
    if let Err(error) = status {
        tracing::warn!(%error, "the inner Docker engine cannot be waited for");
    }
    // What the engine started may hold the pipes open; it is ended with the container.
    for task in [stdout, stderr].into_iter().flatten() {
        task.abort();
        let _aborted = task.await;
    }
}

/// Nobody will miss what they might do in the time they have when the engine ends.
async fn end_containers() {
    if let Err(problem) = client::run(client::END_CONTAINERS).await {
        tracing::warn!("the containers of the inner Docker engine were not ended: {problem}");
    }
}

async fn end(engine: &mut Child) -> io::Result<ExitStatus> {
    if let Some(pid) = engine.id() {
        let _gone_already = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGTERM);
    }
    match timeout(STOP_GRACE, engine.wait()).await {
        Ok(status) => status,
        Err(_) => {
            engine.start_kill()?;
            engine.wait().await
        }
    }
}

async fn log(pipe: impl AsyncRead + Unpin) {
    let mut lines = BufReader::new(pipe).lines();
    // A line that cannot be read is the end of what can be shown.
    while let Ok(Some(line)) = lines.next_line().await {
        tracing::info!(target: "dockerd", "{line}");
    }
}

#[cfg(test)]
mod tests {
    use tokio::process::Command;

    use super::*;

    /// A stand-in for the engine: says by its arguments what it was given, and answers nobody.
    fn engine(script: &str) -> Launch {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).env("LISTEN_FDS", "1");
        Launch { command, listen_fd: 3, prepare: || {}, names: None }
    }

    #[tokio::test]
    async fn nothing_is_started_before_the_first_connection() {
        let folder = tempfile::tempdir().unwrap();
        let (socket, trace) = (folder.path().join("docker.sock"), folder.path().join("started"));
        let script = format!("touch '{}'", trace.display());
        let docker = InnerDocker::listen(&socket, None, engine(&script), None).unwrap().unwrap();
        docker.stop().await;
        assert!(!trace.exists());
        assert!(UnixStream::connect(&socket).is_err());
    }

    #[tokio::test]
    async fn the_first_connection_starts_the_engine_with_the_socket_as_it_expects_it() {
        let folder = tempfile::tempdir().unwrap();
        let (socket, trace) = (folder.path().join("docker.sock"), folder.path().join("seen"));
        let script = format!(
            "export LISTEN_PID=$$; exec /bin/sh -c 'echo $((LISTEN_PID == $$)) $LISTEN_FDS \
             $(readlink /proc/$$/fd/3) > {}'",
            trace.display()
        );
        let docker = InnerDocker::listen(&socket, None, engine(&script), None).unwrap().unwrap();
        let _client = UnixStream::connect(&socket).unwrap();
        docker.task.await.unwrap();
        let seen = fs::read_to_string(&trace).unwrap();
        assert!(seen.starts_with("1 1 socket:["), "{seen}");
    }

    #[tokio::test]
    async fn an_engine_that_is_there_is_left_alone_and_a_stale_socket_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        let theirs = UnixListener::bind(&socket).unwrap();
        assert!(InnerDocker::listen(&socket, None, engine("true"), None).unwrap().is_none());
        drop(theirs);
        let ours = InnerDocker::listen(&socket, None, engine("true"), None).unwrap();
        ours.unwrap().stop().await;
    }

    #[tokio::test]
    async fn a_dead_engine_is_told_by_refused_connections() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        let docker = InnerDocker::listen(&socket, None, engine("exit 1"), None).unwrap().unwrap();
        let _first = UnixStream::connect(&socket).unwrap();
        docker.task.await.unwrap();
        assert!(UnixStream::connect(&socket).is_err());
    }

    #[test]
    fn a_given_engine_is_reached_by_a_socket_only_where_it_is_on_this_machine() {
        assert_eq!(given_socket(None).unwrap(), Path::new("/var/run/docker.sock"));
        assert_eq!(given_socket(Some("unix:///run/d.sock")).unwrap(), Path::new("/run/d.sock"));
        assert_eq!(given_socket(Some("tcp://docker:2375")), None);
    }
}
