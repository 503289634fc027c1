//! Running the git program on a bare repository, away from the host's own
//! configuration, and never without a deadline.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(60);

/// Why a git command gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The program could not be run.
    #[error("cannot run git; is it installed?")]
    Spawn(#[source] std::io::Error),
    /// It took too long and was killed.
    #[error("git {command} did not end within {}s", DEADLINE.as_secs())]
    TimedOut {
        /// The subcommand.
        command: String,
    },
    /// It ended with an error.
    #[error("git {command} failed: {message}")]
    Failed {
        /// The subcommand.
        command: String,
        /// What it wrote to standard error.
        message: String,
    },
    /// The CGI program is not part of this installation.
    #[error("{path} is missing; install the full git package")]
    NoHttpBackend {
        /// Where it should be.
        path: String,
    },
}

/// Takes the host's configuration and any enclosing repository out of a git
/// process, and lets it serve directories of other owners.
pub(super) fn isolate(command: &mut Command) -> &mut Command {
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"] {
        command.env_remove(name);
    }
    command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        .kill_on_drop(true)
}

/// The CGI program that comes with git.
pub(super) async fn http_backend() -> Result<PathBuf, GitError> {
    let folder = text(Path::new("/"), &["--exec-path"]).await?;
    let path = Path::new(&folder).join("git-http-backend");
    if path.is_file() {
        Ok(path)
    } else {
        Err(GitError::NoHttpBackend { path: path.display().to_string() })
    }
}

/// The commit of a full reference name (`refs/heads/main`), if it exists.
pub(super) async fn resolve(repo: &Path, reference: &str) -> Result<Option<String>, GitError> {
    let commit = format!("{reference}^{{commit}}");
    let args = ["rev-parse", "--verify", "--quiet", "--end-of-options", &commit];
    let output = run(repo, &args).await?;
    let sha = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(output.status.success().then_some(sha))
}

/// The branch HEAD points to, whether or not it has a commit.
pub(super) async fn default_branch(repo: &Path) -> Result<String, GitError> {
    text(repo, &["symbolic-ref", "--short", "HEAD"]).await
}

/// How many commits `head` has that `base` has not.
pub(super) async fn commits_ahead(repo: &Path, base: &str, head: &str) -> Result<u64, GitError> {
    let count = text(repo, &["rev-list", "--count", &format!("{base}..{head}")]).await?;
    count.parse().map_err(|_| GitError::Failed {
        command: "rev-list".to_owned(),
        message: format!("{count:?} is not a number"),
    })
}

/// Whether two commits have a common ancestor.
pub(super) async fn related(repo: &Path, base: &str, head: &str) -> Result<bool, GitError> {
    Ok(run(repo, &["merge-base", base, head]).await?.status.success())
}

/// What `head` changed since it left `base`, as a patch.
pub(super) async fn diff(repo: &Path, base: &str, head: &str) -> Result<String, GitError> {
    let range = format!("{base}...{head}");
    let output = checked(repo, &["diff", "--no-color", "--no-ext-diff", &range]).await?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Standard output of a command that must succeed, without its last newline.
pub(super) async fn text(repo: &Path, args: &[&str]) -> Result<String, GitError> {
    let output = checked(repo, args).await?;
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

async fn checked(repo: &Path, args: &[&str]) -> Result<Output, GitError> {
    let output = run(repo, args).await?;
    if output.status.success() {
        return Ok(output);
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(GitError::Failed { command: name_of(args), message })
}

async fn run(repo: &Path, args: &[&str]) -> Result<Output, GitError> {
    let mut command = Command::new("git");
    isolate(&mut command).current_dir(repo).args(args).stdin(Stdio::null());
    match timeout(DEADLINE, command.output()).await {
        Ok(output) => output.map_err(GitError::Spawn),
        Err(_elapsed) => Err(GitError::TimedOut { command: name_of(args) }),
    }
}

fn name_of(args: &[&str]) -> String {
    args.first().copied().unwrap_or_default().to_owned()
}
