//! The way of a new token into a running agent: in a container by `agent-runner refresh`, on this host
//! straight to the agent's socket.

use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use api_client::Secret;
use api_client::contract::{JobDocument, REFRESH_SOCKET_IN_CONTAINER, REFRESHED_LINE, env};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::socket_on_host;
use crate::context::Context;
use crate::engine::{EngineError, Executed};
use crate::job::{Keeper, Place};
use crate::keeper::read_runner;
use crate::ledger::HostProcess;
use crate::process::first_child_of;

/// How long an agent on this host may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer, in bytes.
const ANSWER_MAX: u64 = 1 << 10;

/// The agent does not have the token.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandOverError {
    /// The engine did not do its part.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The runner in the container did not take it.
    #[error("the agent's container did not take it (exit {code:?}): {said}")]
    NotTaken {
        /// The exit code of `agent-runner refresh`.
        code: Option<i64>,
        /// What it said.
        said: String,
    },
    /// The runner on this host did not take it.
    #[error("the agent on this host did not take it")]
    Host(#[source] io::Error),
}

/// Hands a token to the agent that runs at this place.
pub(super) async fn hand_over(
    ctx: &Context,
    place: &Place,
    token: &Secret,
) -> Result<(), HandOverError> {
    let mut document = JobDocument::default();
    document.set(env::GITHUB_TOKEN, token.clone());
    let line = Secret::from(format!("{}\n", document.to_stdin().expose()));
    match place {
        Place::Container(name) => {
            let command = ["agent-runner", "refresh", REFRESH_SOCKET_IN_CONTAINER];
            match ctx.engine.execute(name, &command, &line).await? {
                Executed { code: Some(0), .. } => Ok(()),
                Executed { code, said } => Err(HandOverError::NotTaken { code, said }),
            }
        }
        Place::Host(keeper) => {
            let socket = socket_on_host(&keeper.dir);
            let handed = timeout(PATIENCE, to_runner(keeper, &socket, &line)).await;
            handed.map_err(io::Error::from).flatten().map_err(HandOverError::Host)
        }
    }
}

/// To the agent, and to no other: the folder is its own, and a worker of the same user can put another
/// socket there.
async fn to_runner(keeper: &Keeper, socket: &Path, line: &Secret) -> io::Result<()> {
    let runner = read_runner(&keeper.dir).filter(HostProcess::runs);
    let runner = runner.ok_or_else(|| io::Error::other("it does not run"))?;
    to_socket(socket, runner.pid, line).await
}

async fn to_socket(socket: &Path, runner: i32, line: &Secret) -> io::Result<()> {
    let (Some(folder), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    // By way of the open folder: the name of a socket has no room for a long path.
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let folder = open(folder, flags, Mode::empty())?;
    let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    let stream = UnixStream::connect(short).await?;
    if !stream.peer_cred()?.pid().is_some_and(|pid| is_agent(pid, runner)) {
        return Err(io::Error::other("another process listens in its place"));
    }
    let mut stream = BufReader::new(stream);
    stream.write_all(line.expose().as_bytes()).await?;
    let mut answer = String::new();
    stream.take(ANSWER_MAX).read_line(&mut answer).await?;
    if answer.trim_end() == REFRESHED_LINE {
        return Ok(());
    }
    Err(io::Error::other("its log says why"))
}

/// Whether a process is the agent's own: the one that was started as it, or the first that this one
/// started, which does the job.
fn is_agent(pid: i32, runner: i32) -> bool {
    pid == runner || first_child_of(runner) == Some(pid)
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    fn own_pid() -> i32 {
        std::process::id().cast_signed()
    }

    #[tokio::test]
    async fn a_process_that_is_not_the_runner_gets_no_token() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("refresh");
        let listener = UnixListener::bind(&socket).unwrap();
        let line = Secret::from("{\"GITHUB_TOKEN\":\"ghs_new\"}\n");
        to_socket(&socket, own_pid() + 1, &line).await.unwrap_err();
        let mut taken = String::new();
        listener.accept().await.unwrap().0.read_to_string(&mut taken).await.unwrap();
        assert_eq!(taken, "");

        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path(), &link).unwrap();
        to_socket(&link.join("refresh"), own_pid(), &line).await.unwrap_err();
    }

    #[tokio::test]
    async fn a_runner_that_no_note_names_gets_no_token() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("refresh");
        let _listener = UnixListener::bind(&socket).unwrap();
        let keeper = Keeper { dir: folder.path().to_owned(), process: None };
        to_runner(&keeper, &socket, &"x".into()).await.unwrap_err();
    }

    async fn handed(answer: &'static str) -> (io::Result<()>, String) {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("refresh");
        let listener = UnixListener::bind(&socket).unwrap();
        let line = Secret::from("{\"GITHUB_TOKEN\":\"ghs_new\"}\n");
        let take = async {
            let mut stream = BufReader::new(listener.accept().await.unwrap().0);
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            line
        };
        tokio::join!(to_socket(&socket, own_pid(), &line), take)
    }

    #[tokio::test]
    async fn an_agent_on_this_host_has_a_token_when_it_says_so_and_not_before() {
        let (taken, line) = handed("taken\n").await;
        taken.unwrap();
        assert_eq!(line, "{\"GITHUB_TOKEN\":\"ghs_new\"}\n");
        handed("").await.0.unwrap_err();
        handed("what?\n").await.0.unwrap_err();
    }
}
