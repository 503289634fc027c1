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
use crate::job::Place;

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
            let handed = timeout(PATIENCE, to_socket(&socket, &line)).await;
            handed.map_err(io::Error::from).flatten().map_err(HandOverError::Host)
        }
    }
}

async fn to_socket(socket: &Path, line: &Secret) -> io::Result<()> {
    let (Some(folder), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    // By way of the open folder: the name of a socket has no room for a long path.
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let folder = open(folder, flags, Mode::empty())?;
    let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    let mut stream = BufReader::new(UnixStream::connect(short).await?);
    stream.write_all(line.expose().as_bytes()).await?;
    let mut answer = String::new();
    stream.take(ANSWER_MAX).read_line(&mut answer).await?;
    if answer.trim_end() == REFRESHED_LINE {
        return Ok(());
    }
    Err(io::Error::other("its log says why"))
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

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
        tokio::join!(to_socket(&socket, &line), take)
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
