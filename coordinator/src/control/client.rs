//! The operator's end of the control socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::{Answer, Request, socket};
use crate::check::Tell;

/// A sweep asks the engine for several lists.
const PATIENCE: Duration = Duration::from_secs(120);

/// A check starts several containers, and has each coding CLI do a task.
const CHECK_PATIENCE: Duration = Duration::from_secs(1_800);

/// The daemon was not reached, or did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    /// There is none.
    #[error(
        "no coordinator runs in {}; name another state directory with --state-dir or \
         COORDINATOR_STATE_DIR",
        dir.display()
    )]
    NotRunning { dir: PathBuf },
    /// It is there and the talk failed.
    #[error("the coordinator of {} did not answer", dir.display())]
    Broken {
        dir: PathBuf,
        #[source]
        source: io::Error,
    },
    /// It said no.
    #[error("the coordinator could not do it: {problem}")]
    Refused { problem: String },
}

/// Asks the coordinator of a state directory.
pub(crate) async fn ask(state_dir: &Path, request: Request) -> Result<Answer, ControlError> {
    ask_telling(state_dir, request, &|_step| {}).await
}

/// The same, told of each step before the answer.
pub(crate) async fn ask_telling(
    state_dir: &Path,
    request: Request,
    tell: &Tell<'_>,
) -> Result<Answer, ControlError> {
    let dir = || state_dir.to_owned();
    let stream =
        UnixStream::connect(socket(state_dir)).await.map_err(|error| match error.kind() {
            // A path that is too long is none that one could listen at.
            io::ErrorKind::NotFound
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::InvalidInput => ControlError::NotRunning { dir: dir() },
            _ => ControlError::Broken { dir: dir(), source: error },
        })?;
    let patience = match request {
        Request::Check { .. } => CHECK_PATIENCE,
        _ => PATIENCE,
    };
    let answer = timeout(patience, talk(stream, request, tell)).await.map_err(io::Error::from);
    let answer = answer.and_then(|answer| answer);
    match answer.map_err(|source| ControlError::Broken { dir: dir(), source })? {
        Answer::Refused { problem } => Err(ControlError::Refused { problem }),
        answer => Ok(answer),
    }
}

async fn talk(stream: UnixStream, request: Request, tell: &Tell<'_>) -> io::Result<Answer> {
    let (from, mut to) = stream.into_split();
    let mut text = serde_json::to_vec(&request)?;
    text.push(b'\n');
    to.write_all(&text).await?;
    let mut from = BufReader::new(from);
    loop {
        let mut line = String::new();
        from.read_line(&mut line).await?;
        match serde_json::from_str(&line)? {
            Answer::Step { told } => tell(told),
            answer => return Ok(answer),
        }
    }
}
