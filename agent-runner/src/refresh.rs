//! How the coordinator hands a new token of the forge to a run: over a Unix socket, as one line with
//! a job document that holds `GITHUB_TOKEN`. In a container `agent-runner refresh` carries it there,
//! from its standard input; on a host the coordinator connects by itself.
//!
//! Invariants: the socket is in a folder of mode 0700 that belongs to this user. It answers this user
//! and root alone, and no process below the outer one: what a worker started may run as the same user
//! and must not choose the token.

use std::fs::{self, DirBuilder};
use std::io::{self, BufRead, BufReader as BlockingReader, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api_client::Secret;
use api_client::contract::{JobDocument, REFRESHED_LINE, env};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, geteuid};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream, unix::UCred};
use tokio_util::task::AbortOnDropHandle;

use crate::processes::ProcessTable;
use crate::token::TokenSink;

/// The longest line, in bytes. Tokens are below 1 KiB.
const LINE_MAX: u64 = 64 << 10;
/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_secs(10);

/// Carries one line of standard input to the socket; the whole run of `agent-runner refresh`.
///
/// # Errors
/// When no run listens there, or it did not take the token.
pub(crate) fn carry(socket: &Path) -> io::Result<()> {
    hand_over(socket, io::stdin().lock())
}

fn hand_over(socket: &Path, line: impl BufRead) -> io::Result<()> {
    let mut text = String::new();
    line.take(LINE_MAX).read_line(&mut text)?;
    let text = Secret::from(text);
    let mut stream = BlockingStream::connect(Handle::of(socket)?.path())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(text.expose().trim_end().as_bytes())?;
    stream.write_all(b"\n")?;
    let mut answer = String::new();
    BlockingReader::new(stream.take(LINE_MAX)).read_line(&mut answer)?;
    match answer.trim_end() {
        REFRESHED_LINE => Ok(()),
        _ => Err(io::Error::other("the run did not take the token; its log says why")),
    }
}

/// Takes new tokens until it is dropped.
#[derive(Debug)]
pub(crate) struct RefreshServer {
    socket: PathBuf,
    _task: AbortOnDropHandle<()>,
}

impl RefreshServer {
    /// Listens at `socket`, whose folder is made where it is absent. `outer` is the process below
    /// which everything hangs that the job starts.
    ///
    /// # Errors
    /// When the folder is not ours alone, or the socket cannot be made.
    pub(crate) fn start(socket: PathBuf, sink: TokenSink, outer: Pid) -> io::Result<Self> {
        let folder = socket.parent().ok_or(io::ErrorKind::InvalidInput)?;
        private(folder)?;
        // One that an earlier run left behind; anything else is not ours to remove.
        if fs::symlink_metadata(&socket).is_ok_and(|about| about.file_type().is_socket()) {
            fs::remove_file(&socket)?;
        }
        let listener = UnixListener::bind(Handle::of(&socket)?.path())?;
        let task = AbortOnDropHandle::new(tokio::spawn(serve(listener, sink, outer)));
        Ok(Self { socket, _task: task })
    }
}

impl Drop for RefreshServer {
    fn drop(&mut self) {
        let _already_gone = fs::remove_file(&self.socket);
    }
}

/// A socket by way of its open folder: the name of a socket has no room for a long path.
struct Handle {
    folder: OwnedFd,
    name: PathBuf,
}

impl Handle {
    fn of(socket: &Path) -> io::Result<Self> {
        let (Some(folder), Some(name)) = (socket.parent(), socket.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Self { folder: open(folder, flags, Mode::empty())?, name: name.into() })
    }

    fn path(&self) -> PathBuf {
        Path::new("/proc/self/fd").join(self.folder.as_raw_fd().to_string()).join(&self.name)
    }
}

/// Makes a folder that nobody else can look into, or makes sure that it is one.
fn private(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => return made,
    }
    let about = fs::symlink_metadata(folder)?;
    if about.is_dir() && about.uid() == geteuid().as_raw() && about.mode() & 0o077 == 0 {
        return Ok(());
    }
    let why = format!("{} is not a folder of this user alone (mode 0700)", folder.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
}

async fn serve(listener: UnixListener, sink: TokenSink, outer: Pid) {
    loop {
        let served = async {
            let (stream, _) = listener.accept().await?;
            tokio::time::timeout(PATIENCE, take(stream, &sink, outer)).await?
        };
        match served.await {
            Ok(()) => tracing::info!("the forge's token was renewed"),
            Err(error) => tracing::warn!(%error, "a new token for the forge was not taken"),
        }
    }
}

/// Whether that process may hand over a token.
fn check(peer: UCred, outer: Pid) -> io::Result<()> {
    let denied = |why: String| Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    if peer.uid() != geteuid().as_raw() && peer.uid() != 0 {
        return denied(format!("user {} is another one", peer.uid()));
    }
    // The number is that of the process which connected. Where that is gone, nobody can tell who has
    // the other end.
    match peer.pid().map(Pid::from_raw) {
        Some(pid) if ProcessTable::read().runs_apart_from(pid, outer) => Ok(()),
        pid => denied(format!("process {pid:?} is gone, or belongs to the job itself")),
    }
}

async fn take(stream: UnixStream, sink: &TokenSink, outer: Pid) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    check(peer, outer)?;
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    (&mut stream).take(LINE_MAX).read_line(&mut line).await?;
    let line = Secret::from(line);
    // It waits for the answer; one that has gone meanwhile may have left this end to somebody else.
    check(peer, outer)?;
    // The parser's message may quote the document.
    let document: JobDocument = serde_json::from_str(line.expose())
        .map_err(|_| io::Error::other("what came is no job document"))?;
    let token = document.get(env::GITHUB_TOKEN).filter(|token| !token.is_blank());
    let token = token.ok_or_else(|| io::Error::other("what came has no GITHUB_TOKEN"))?;
    sink.replace(Secret::from(token.expose().trim()));
    stream.write_all(format!("{REFRESHED_LINE}\n").as_bytes()).await
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use nix::unistd::getpid;
    use tokio::task::spawn_blocking;

    use super::*;
    use crate::redaction::Redaction;
    use crate::token::TokenSource;

    /// A process that none of the tests is below.
    const NOBODY: Pid = Pid::from_raw(i32::MAX);

    fn source() -> (TokenSource, TokenSink) {
        TokenSource::new("old-token".into(), Redaction::default())
    }

    async fn hand(socket: &Path, text: &'static str) -> io::Result<()> {
        let socket = socket.to_owned();
        spawn_blocking(move || hand_over(&socket, text.as_bytes())).await.unwrap()
    }

    #[tokio::test]
    async fn a_token_that_is_handed_over_is_the_token_from_then_on() {
        let folder = tempfile::tempdir().unwrap();
        // Longer than the name of a socket may be.
        let socket = folder.path().join("x".repeat(120)).join("refresh");
        let (token, sink) = source();
        let server = RefreshServer::start(socket.clone(), sink, NOBODY).unwrap();
        let mode = fs::metadata(socket.parent().unwrap()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        hand(&socket, "{\"GITHUB_TOKEN\":\"new-token\"}\n").await.unwrap();
        assert_eq!(token.current().expose(), "new-token");
        drop(server);
        assert!(!socket.exists());
    }

    #[tokio::test]
    async fn what_is_no_token_is_refused_and_the_old_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("run/refresh");
        let (token, sink) = source();
        let _server = RefreshServer::start(socket.clone(), sink, NOBODY).unwrap();
        for text in ["", "{}", "{\"GITHUB_TOKEN\":\" \"}", "new-token\n"] {
            hand(&socket, text).await.unwrap_err();
        }
        assert_eq!(token.current().expose(), "old-token");
    }

    #[tokio::test]
    async fn a_process_of_the_job_itself_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("run/refresh");
        let (token, sink) = source();
        let above = nix::unistd::getppid();
        assert_ne!(above, getpid());
        let _server = RefreshServer::start(socket.clone(), sink, above).unwrap();
        hand(&socket, "{\"GITHUB_TOKEN\":\"of-the-worker\"}\n").await.unwrap_err();
        assert_eq!(token.current().expose(), "old-token");
    }

    #[tokio::test]
    async fn a_process_that_is_gone_hands_over_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let script =
            "import os, socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])";
        let mut child = std::process::Command::new("/usr/bin/python3");
        let ended = child.args(["-c", script]).arg(&socket).status().unwrap();
        assert!(ended.success());
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let stream = UnixStream::from_std(stream).unwrap();
        let error = take(stream, &source().1, NOBODY).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
    }

    #[tokio::test]
    async fn what_is_no_socket_is_not_removed_for_one() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700)).unwrap();
        let key = folder.path().join("id_ed25519");
        fs::write(&key, "key").unwrap();
        RefreshServer::start(key.clone(), source().1, NOBODY).unwrap_err();
        assert_eq!(fs::read_to_string(key).unwrap(), "key");
    }

    #[tokio::test]
    async fn a_folder_that_others_can_look_into_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let error = RefreshServer::start(folder.path().join("refresh"), source().1, NOBODY);
        assert!(error.unwrap_err().to_string().contains("0700"));
    }
}
