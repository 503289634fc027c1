//! A Docker engine within the container, started when something first connects to its socket.
//!
//! We listen in the engine's place and wait for the first connection without taking it; then
//! `dockerd` is started with the listening socket and answers it. A job that never uses Docker pays
//! nothing for it.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// The engine's usual address.
const SOCKET: &str = "/var/run/docker.sock";

/// The engine, with its own pid in `LISTEN_PID` as the protocol of socket activation wants it. When it
/// is stopped, its containers get 5 s and not 15, which are more than [`STOP_GRACE`].
const COMMAND: &str = "LISTEN_PID=$$ exec dockerd --host=fd:// --shutdown-timeout=5";

/// The descriptor at which that protocol expects the first socket.
const ACTIVATED_FD: i32 = 3;

/// How long the engine has between TERM and KILL: it stops its containers meanwhile.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Where the second version of control groups is mounted.
const CGROUP: &str = "/sys/fs/cgroup";

/// The inner engine cannot be offered.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for the inner Docker engine at {}", socket.display())]
pub(crate) struct InnerDockerError {
    socket: PathBuf,
    #[source]
    source: io::Error,
}

/// A socket behind which an engine is or will be.
#[derive(Debug)]
pub(crate) struct InnerDocker {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl InnerDocker {
    /// Listens at the engine's usual address; the engine gets this environment.
    ///
    /// # Errors
    /// When that address cannot be had. An engine that already answers there is left alone.
    pub(crate) fn offer(
        environment: &[(String, String)],
    ) -> Result<Option<Self>, InnerDockerError> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", COMMAND]).env_clear().env("LISTEN_FDS", "1");
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        Self::listen(Path::new(SOCKET), command)
    }

    fn listen(socket: &Path, command: Command) -> Result<Option<Self>, InnerDockerError> {
        let failed = |source| InnerDockerError { socket: socket.to_owned(), source };
        if UnixStream::connect(socket).is_ok() {
            tracing::info!("a Docker engine answers already");
            return Ok(None);
        }
        let listener = listener(socket).map_err(failed)?;
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(listener, command, stop.clone()));
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

/// A listening socket, waited for as what it is not: tokio's own listener can only take a connection,
/// its stream waits until there is something to take.
fn listener(socket: &Path) -> io::Result<tokio::net::UnixStream> {
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(socket)?;
    fs::set_permissions(socket, fs::Permissions::from_mode(0o660))?;
    listener.set_nonblocking(true)?;
    tokio::net::UnixStream::from_std(OwnedFd::from(listener).into())
}

/// Waits for the first connection, then runs the engine until it ends or is told to.
async fn serve(listener: tokio::net::UnixStream, command: Command, stop: CancellationToken) {
    let connected = tokio::select! {
        connected = listener.readable() => connected,
        () = stop.cancelled() => return,
    };
    let started = connected.and_then(|()| start(listener.into_std()?.into(), command));
    match started {
        Ok(engine) => run(engine, &stop).await,
        Err(error) => tracing::error!(%error, "the inner Docker engine cannot be started"),
    }
}

/// Starts the engine. Our own copy of the socket is closed with it, so that a dead engine is told by
/// refused connections.
fn start(listener: OwnedFd, mut command: Command) -> io::Result<Child> {
    tracing::info!("starting the inner Docker engine: something connected to its socket");
    if let Err(error) = delegate_cgroups(Path::new(CGROUP)) {
        tracing::warn!(%error, "control groups could not be prepared for the inner engine");
    }
    command
        .fd_mappings(vec![FdMapping { parent_fd: listener, child_fd: ACTIVATED_FD }])
        .map_err(io::Error::other)?
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

async fn run(mut engine: Child, stop: &CancellationToken) {
    let stdout = engine.stdout.take().map(|pipe| tokio::spawn(log(pipe)));
    let stderr = engine.stderr.take().map(|pipe| tokio::spawn(log(pipe)));
    let status = tokio::select! {
        status = engine.wait() => {
            tracing::warn!(?status, "the inner Docker engine ended");
            status
        }
        () = stop.cancelled() => end(&mut engine).await,
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

/// With the second version of control groups, a group can have controllers for groups below it only
/// while it holds no processes itself: all are moved one level down. Nothing to do with the first.
fn delegate_cgroups(root: &Path) -> io::Result<()> {
    let Ok(controllers) = fs::read_to_string(root.join("cgroup.controllers")) else {
        return Ok(());
    };
    let below = root.join("init");
    fs::create_dir_all(&below)?;
    for pid in fs::read_to_string(root.join("cgroup.procs"))?.lines() {
        // A process that ended meanwhile, or one of the kernel's, cannot be moved.
        let _stays = fs::write(below.join("cgroup.procs"), pid);
    }
    let wanted: Vec<String> = controllers.split_whitespace().map(|c| format!("+{c}")).collect();
    fs::write(root.join("cgroup.subtree_control"), wanted.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stand-in for the engine: says by its arguments what it was given, and answers nobody.
    fn engine(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).env("LISTEN_FDS", "1");
        command
    }

    #[tokio::test]
    async fn nothing_is_started_before_the_first_connection() {
        let folder = tempfile::tempdir().unwrap();
        let (socket, trace) = (folder.path().join("docker.sock"), folder.path().join("started"));
        let script = format!("touch '{}'", trace.display());
        let docker = InnerDocker::listen(&socket, engine(&script)).unwrap().unwrap();
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
        let docker = InnerDocker::listen(&socket, engine(&script)).unwrap().unwrap();
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
        assert!(InnerDocker::listen(&socket, engine("true")).unwrap().is_none());
        drop(theirs);
        let ours = InnerDocker::listen(&socket, engine("true")).unwrap();
        ours.unwrap().stop().await;
    }

    #[tokio::test]
    async fn a_dead_engine_is_told_by_refused_connections() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        let docker = InnerDocker::listen(&socket, engine("exit 1")).unwrap().unwrap();
        let _first = UnixStream::connect(&socket).unwrap();
        docker.task.await.unwrap();
        assert!(UnixStream::connect(&socket).is_err());
    }

    #[test]
    fn without_the_second_version_of_control_groups_nothing_is_done() {
        let root = tempfile::tempdir().unwrap();
        delegate_cgroups(root.path()).unwrap();
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }
}
