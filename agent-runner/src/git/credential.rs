//! How git gets the token: it starts this executable as its credential helper, the helper asks the
//! parent over a Unix socket, and the parent answers for the repository's own host alone.
//!
//! Invariant: the token is in no URL, argument, environment or file. The socket is in a folder of
//! mode 0700 and exists only while a network command of ours runs: never beside a worker. It answers
//! processes below this one alone: git's helpers are, while a process that a worker left behind
//! hangs below the outer process.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api_client::Secret;
use nix::unistd::{Pid, getpid};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::{RepoUrl, Source, private_folder};
use crate::processes::ProcessTable;
use crate::token::TokenSource;

/// The environment name by which the helper finds the socket. It is not secret.
pub(crate) const SOCKET_ENV: &str = "AGENT_RUNNER_CREDENTIAL_SOCKET";

/// The longest question, in bytes; git's are below 1 KiB.
const REQUEST_MAX: u64 = 8 << 10;
/// The longest path of a socket that the kernel takes, in bytes, without the zero at its end.
const SOCKET_PATH_MAX: usize = 107;
/// Where a socket goes whose path would be longer: temporary files of an agent on the host are deep below
/// the coordinator's state directory, where the coordinator is not root.
const SHORT: &str = "/tmp";
/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_secs(10);

/// The helper's whole run: git's question on standard input, the answer on standard output. Git
/// also tells a helper to store or to erase; those get the same answer and ignore it.
///
/// # Errors
/// When git did not start us with a socket, or the socket does not answer.
pub(crate) fn answer() -> io::Result<()> {
    let socket = std::env::var_os(SOCKET_ENV).ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, "this command is for git to start, not for people")
    })?;
    ask(Path::new(&socket), io::stdin().lock(), io::stdout().lock())
}

/// Carries one question to the socket and the answer back.
fn ask(socket: &Path, question: impl Read, mut answer: impl Write) -> io::Result<()> {
    let mut stream = BlockingStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    io::copy(&mut question.take(REQUEST_MAX), &mut stream)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    io::copy(&mut stream.take(REQUEST_MAX), &mut answer)?;
    answer.flush()
}

/// The value of git's `credential.helper` that starts `program`.
pub(super) fn helper_command(program: &Path) -> OsString {
    // Git hands this to a shell, so the path is quoted for one.
    let mut command = b"!'".to_vec();
    for &byte in program.as_os_str().as_bytes() {
        match byte {
            b'\'' => command.extend_from_slice(br"'\''"),
            _ => command.push(byte),
        }
    }
    command.extend_from_slice(b"' credential");
    OsString::from_vec(command)
}

/// Answers for one repository, until it is stopped.
#[derive(Debug)]
pub(super) struct CredentialServer {
    folder: tempfile::TempDir,
    stop: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl CredentialServer {
    /// Listens in a new private folder within `scratch`; nothing to do without a token.
    pub(super) fn start(scratch: &Path, source: &Source) -> io::Result<Option<Self>> {
        let Some(token) = source.token.clone() else {
            return Ok(None);
        };
        let mut folder = private_folder("s", scratch)?;
        if socket_in(folder.path()).as_os_str().len() > SOCKET_PATH_MAX {
            folder = private_folder("agent-git-", Path::new(SHORT))?;
        }
        let listener = UnixListener::bind(socket_in(folder.path()))?;
        let stop = CancellationToken::new();
        let serving = serve(listener, source.url.clone(), source.token_user, token);
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            // Nothing is left to do when it is told to stop.
            let _stopped = stopped.run_until_cancelled_owned(serving).await;
        });
        Ok(Some(Self { folder, stop, task: AbortOnDropHandle::new(task) }))
    }

    /// What the helper must know.
    pub(super) fn socket(&self) -> PathBuf {
        socket_in(self.folder.path())
    }

    /// Ends the task and removes the socket.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "the credential server did not end well");
        }
    }
}

fn socket_in(folder: &Path) -> PathBuf {
    folder.join("socket")
}

async fn serve(listener: UnixListener, url: RepoUrl, user: &'static str, token: TokenSource) {
    loop {
        let served = async {
            let (stream, _) = listener.accept().await?;
            check(stream.peer_cred()?.pid())?;
            tokio::time::timeout(PATIENCE, converse(stream, &url, user, &token.current())).await?
        };
        if let Err(error) = served.await {
            tracing::warn!(%error, "a question of git for the token was not answered");
        }
    }
}

/// Whether the process that asks is one of ours.
fn check(asking: Option<i32>) -> io::Result<()> {
    let ours = |pid| pid == getpid() || ProcessTable::read().descendants(getpid()).contains(&pid);
    match asking.map(Pid::from_raw) {
        Some(pid) if ours(pid) => Ok(()),
        _ => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("process {asking:?} is none that this run started"),
        )),
    }
}

async fn converse(
    mut stream: UnixStream,
    url: &RepoUrl,
    user: &str,
    token: &Secret,
) -> io::Result<()> {
    let mut question = String::new();
    let (reader, mut writer) = stream.split();
    reader.take(REQUEST_MAX).read_to_string(&mut question).await?;
    let answer = reply(&question, url, user, token);
    writer.write_all(answer.expose().as_bytes()).await?;
    writer.shutdown().await
}

/// The answer to a question in git's credential format: the token for the repository's own host,
/// the end of the search for any other.
fn reply(question: &str, url: &RepoUrl, user: &str, token: &Secret) -> Secret {
    let value = |name: &str| {
        question
            .lines()
            .filter_map(|line| line.split_once('='))
            .find_map(|(key, value)| (key == name).then_some(value))
    };
    let ours = value("protocol") == Some(url.scheme()) && value("host") == Some(&url.host());
    if !ours {
        return Secret::from("quit=1\n");
    }
    Secret::from(format!("username={user}\npassword={}\n", token.expose().trim()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn source() -> Source {
        Source {
            url: "https://forge.example:8443/acme/shop".parse().unwrap(),
            token: Some(TokenSource::fixed("ghp_secret")),
            token_user: "oauth2",
        }
    }

    fn reply_to(question: &str) -> String {
        let source = source();
        reply(question, &source.url, source.token_user, &source.token.unwrap().current())
            .expose()
            .to_owned()
    }

    #[test]
    fn the_token_is_for_the_repository_s_own_host_alone() {
        let ours = "capability[]=authtype\nprotocol=https\nhost=forge.example:8443\n";
        assert_eq!(reply_to(ours), "username=oauth2\npassword=ghp_secret\n");
        for other in [
            "protocol=http\nhost=forge.example:8443\n",
            "protocol=https\nhost=forge.example\n",
            "protocol=https\nhost=evil.example:8443\n",
            "protocol=https\nhost=evil.example\nhost=forge.example:8443\n",
            "protocol=https\n",
            "",
        ] {
            assert_eq!(reply_to(other), "quit=1\n", "{other}");
        }
    }

    #[test]
    fn the_helper_s_path_is_quoted_for_the_shell() {
        let command = helper_command(Path::new("/opt/a b/it's/agent-runner"));
        assert_eq!(command, r"!'/opt/a b/it'\''s/agent-runner' credential");
    }

    #[tokio::test]
    async fn a_helper_gets_the_answer_while_the_server_lives_and_no_longer() {
        let scratch = tempfile::tempdir().unwrap();
        let server = CredentialServer::start(scratch.path(), &source()).unwrap().unwrap();
        let socket = server.socket();
        let mode = std::fs::metadata(socket.parent().unwrap()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);

        let path = socket.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let mut answer = Vec::new();
            let question = b"protocol=https\nhost=forge.example:8443\n\n";
            ask(&path, &question[..], &mut answer).map(|()| answer)
        });
        let answer = String::from_utf8(asked.await.unwrap().unwrap()).unwrap();
        assert_eq!(answer, "username=oauth2\npassword=ghp_secret\n");

        server.stop().await;
        assert!(!socket.exists());
        assert!(ask(&socket, io::empty(), io::sink()).is_err());
    }

    #[tokio::test]
    async fn a_folder_whose_path_is_too_long_for_a_socket_is_no_hindrance() {
        let scratch = tempfile::tempdir().unwrap();
        let deep = scratch.path().join("d".repeat(SOCKET_PATH_MAX));
        std::fs::create_dir(&deep).unwrap();
        let server = CredentialServer::start(&deep, &source()).unwrap().unwrap();
        let socket = server.socket();
        assert!(socket.starts_with(SHORT) && socket.exists(), "{}", socket.display());
        server.stop().await;
        assert!(!socket.exists());
    }

    #[test]
    fn only_processes_below_this_one_are_answered() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = child.id().cast_signed();
        assert!(check(Some(pid)).is_ok());
        child.kill().unwrap();
        child.wait().unwrap();
        for other in [Some(pid), Some(nix::unistd::getppid().as_raw()), Some(0), None] {
            assert!(check(other).is_err(), "{other:?}");
        }
    }

    #[tokio::test]
    async fn without_a_token_nothing_listens() {
        let scratch = tempfile::tempdir().unwrap();
        let public = Source { token: None, ..source() };
        assert!(CredentialServer::start(scratch.path(), &public).unwrap().is_none());
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    }
}
