//! The only place that starts the git program for a job, and the types that name things in git.
//!
//! Invariant: every command is built by [`Git::command`]: null standard input, fixed message
//! locale, an environment by allow-list, no configuration but that of the repository at hand, no
//! hooks, no prompts, http(s) only, a time limit, and its own process group that ends with it. A
//! token is handed over by [`credential`] alone, while a network command runs and no longer.

pub(crate) mod credential;
mod error;
mod lfs;
mod local;
mod parse;
mod process;
mod refs;
mod remote;
mod repo_url;
mod seed;
mod shadow;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod workers_head;

use std::ffi::{OsStr, OsString};
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use api_client::Redactor;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

pub(crate) use self::error::{GitError, Operation};
pub(crate) use self::lfs::init_lfs;
pub(crate) use self::parse::{Advertised, PushAnswer};
pub(crate) use self::refs::{BranchName, CommitId, InvalidName};
pub(crate) use self::remote::FetchInto;
pub(crate) use self::repo_url::{InvalidRepoUrl, RepoUrl, Source};
pub(crate) use self::seed::NewClone;
pub(crate) use self::shadow::{Shadow, ShadowError};
pub(crate) use self::workers_head::workers_head;

use self::process::{Ended, Stopped};

/// The variables that git gets from our environment: where programs are, trust and proxies.
const INHERITED: [&str; 15] = [
    "PATH",
    "TMPDIR",
    "GIT_EXEC_PATH",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
];

/// Configuration that outranks the repository's own.
const PINNED: [&str; 18] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.askPass=",
    "core.pager=cat",
    "credential.helper=",
    "protocol.ext.allow=never",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "push.recurseSubmodules=no",
    "push.gpgSign=false",
    // A transfer below 1 byte/s for two minutes has stalled; a server that packs keeps sending.
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=120",
    "advice.detachedHead=false",
    // Shortcuts through history, which a worker may have written.
    "core.commitGraph=false",
    "core.multiPackIndex=false",
    // What a worker's repository has is not asked for: git would start another git there, which obeys its
    // configuration.
    "core.alternateRefsCommand=true",
];

/// The git program, as this runner uses it. Needs git 2.33 or newer.
#[derive(Debug)]
pub(crate) struct Git {
    environment: Vec<(OsString, OsString)>,
    /// Our own executable, which git starts as its credential helper.
    helper: PathBuf,
    cancel: CancellationToken,
    /// An empty home for git (so that no `.netrc` is read), and the folder of the token's socket.
    scratch: tempfile::TempDir,
    /// A repository of ours without anything, for commands that are about none: git would look for one
    /// in the folders above, where others may write, and obey its configuration.
    empty: PathBuf,
    protocols: &'static str,
}

impl Git {
    /// `environment` is the process's own, of which little is kept; `helper` is this executable;
    /// `cancel` ends every command that runs.
    ///
    /// # Errors
    /// When the private temporary folder cannot be made.
    pub(crate) fn new(
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        helper: PathBuf,
        cancel: CancellationToken,
    ) -> Result<Self, GitError> {
        Self::with_scratch_in(&std::env::temp_dir(), environment, helper, cancel)
    }

    fn with_scratch_in(
        parent: &Path,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        helper: PathBuf,
        cancel: CancellationToken,
    ) -> Result<Self, GitError> {
        let operation = Operation::Local("preparation");
        let start = |source| GitError::Start { operation, source };
        let scratch = private_folder("agent-git-", parent).map_err(start)?;
        // The folder for temporary files may be named relative to where we are, which git is not.
        let empty = scratch.path().canonicalize().map_err(start)?.join("empty.git");
        shadow::init_bare(&empty).map_err(|source| start(io::Error::other(source)))?;
        Ok(Self {
            environment: kept(environment),
            helper,
            cancel,
            scratch,
            empty,
            protocols: "http:https",
        })
    }

    /// Cancelled when the run is to end.
    pub(crate) const fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }

    /// A command with everything pinned, in our empty repository.
    fn command(&self, credentials: Option<&Path>) -> Command {
        let mut command = Command::new("git");
        command
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("HOME", self.scratch.path())
            .env("LC_ALL", "C")
            .env("GIT_ALLOW_PROTOCOL", self.protocols)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_DIR", &self.empty)
            // What is missing is an error, and not fetched from where a configuration says.
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_TERMINAL_PROMPT", "0")
            .current_dir(&self.empty);
        for pinned in PINNED {
            command.args(["-c", pinned]);
        }
        if let Some(socket) = credentials {
            command.env(credential::SOCKET_ENV, socket);
            let mut helper = OsString::from("credential.helper=");
            helper.push(credential::helper_command(&self.helper));
            command.arg("-c").arg(helper);
        }
        command
    }

    /// Runs one command to its end, whatever that is.
    async fn end(
        &self,
        call: &Call<'_>,
        credentials: Option<&Path>,
        redactor: &Redactor,
    ) -> Result<Ended, GitError> {
        let mut command = self.command(credentials);
        if let Some(folder) = call.folder {
            // Git must not go looking for a repository above the folder.
            let ceiling = folder.parent().unwrap_or(folder);
            command.env("GIT_CEILING_DIRECTORIES", ceiling);
            command.env_remove("GIT_DIR");
            command.current_dir(folder);
        }
        command.envs(call.environment.iter().cloned());
        command.args(&call.arguments);
        let operation = call.operation;
        let on = || call.on.clone();
        let limit = operation.limit();
        let never = CancellationToken::new();
        let cancel = if operation.outlives_the_run() { &never } else { &self.cancel };
        let mut ended =
            process::run(&mut command, limit, cancel).await.map_err(|stopped| match stopped {
                Stopped::Io(source) => GitError::Start { operation, source },
                Stopped::Cancelled => GitError::Cancelled { operation, on: on() },
                Stopped::TimedOut => GitError::TimedOut { operation, on: on(), limit },
            })?;
        ended.stderr = redactor.redact(&ended.stderr).into_owned();
        Ok(ended)
    }

    /// Runs a command that needs no network; its standard output.
    async fn local(&self, call: &Call<'_>) -> Result<String, GitError> {
        let ended = self.end(call, None, &Redactor::default()).await?;
        call.checked(ended).map(|ended| ended.stdout)
    }
}

/// One command line, with what an error says about it.
#[derive(Debug)]
struct Call<'a> {
    operation: Operation,
    on: String,
    folder: Option<&'a Path>,
    environment: Vec<(&'static str, OsString)>,
    arguments: Vec<OsString>,
}

impl<'a> Call<'a> {
    fn new(operation: Operation, on: impl std::fmt::Display) -> Self {
        Self {
            operation,
            on: on.to_string(),
            folder: None,
            environment: Vec::new(),
            arguments: Vec::new(),
        }
    }

    /// Runs in this folder, which is the root of a work tree or a git directory.
    fn within(mut self, folder: &'a Path) -> Self {
        self.folder = Some(folder);
        self
    }

    fn env(mut self, name: &'static str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name, value.as_ref().to_owned()));
        self
    }

    fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        let arguments = arguments.into_iter().map(|a| a.as_ref().to_owned());
        self.arguments.extend(arguments);
        self
    }

    /// An end with a status other than 0 as the error it stands for.
    fn checked(&self, ended: Ended) -> Result<Ended, GitError> {
        if ended.success {
            return Ok(ended);
        }
        Err(self.failure(&ended.stderr))
    }

    fn failure(&self, stderr: &str) -> GitError {
        let operation = self.operation;
        let on = self.on.clone();
        let detail = parse::detail(stderr);
        match parse::failure(stderr) {
            parse::Failure::Unauthorised => GitError::Unauthorised { operation, on, detail },
            parse::Failure::NotFound => GitError::NotFound { operation, on, detail },
            parse::Failure::Unreachable => GitError::Unreachable { operation, on, detail },
            parse::Failure::Other => GitError::Failed { operation, on, detail },
        }
    }
}

/// A new folder that only our user may enter, whatever the umask; removed when dropped.
fn private_folder(prefix: &str, parent: &Path) -> io::Result<tempfile::TempDir> {
    tempfile::Builder::new()
        .prefix(prefix)
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(parent)
}

/// The part of the environment that git gets. Git's libcurl does not read `SSL_CERT_FILE`, so that
/// is given under git's own name as well.
fn kept(environment: impl IntoIterator<Item = (OsString, OsString)>) -> Vec<(OsString, OsString)> {
    let mut kept: Vec<(OsString, OsString)> = environment
        .into_iter()
        .filter(|(name, value)| !value.is_empty() && INHERITED.iter().any(|known| name == known))
        .collect();
    let value_of = |wanted: &str| kept.iter().find(|(name, _)| name == wanted);
    if value_of("GIT_SSL_CAINFO").is_none()
        && let Some((_, bundle)) = value_of("SSL_CERT_FILE").cloned()
    {
        kept.push(("GIT_SSL_CAINFO".into(), bundle));
    }
    kept
}
