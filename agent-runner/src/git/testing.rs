//! Real repositories for tests: a bare one that stands for the remote, reached by `file:`.

use std::path::{Path, PathBuf};
use std::process::Command;

use tokio_util::sync::CancellationToken;

use super::{BranchName, Git, RepoUrl, Source};

/// A git that may also use `file:` URLs.
pub(crate) fn git() -> Git {
    git_until(CancellationToken::new())
}

/// The same, until it is cancelled.
pub(crate) fn git_until(cancel: CancellationToken) -> Git {
    git_in(&std::env::temp_dir(), cancel)
}

/// The same, with its own files in this folder for temporary ones.
pub(crate) fn git_in(temporary: &Path, cancel: CancellationToken) -> Git {
    let helper = PathBuf::from("/nonexistent/agent-runner");
    let mut git = Git::with_scratch_in(temporary, std::env::vars_os(), helper, cancel).unwrap();
    git.protocols = "http:https:file";
    git
}

/// Runs git in a folder as a person would, and gives back what it printed.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(folder)
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "Person")
        .env("GIT_AUTHOR_EMAIL", "person@example.org")
        .env("GIT_COMMITTER_NAME", "Person")
        .env("GIT_COMMITTER_EMAIL", "person@example.org")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// A remote with one commit on its default branch, and a folder for work.
pub(crate) struct Remote {
    pub(crate) folder: tempfile::TempDir,
}

impl Remote {
    /// A remote with this default branch and one file, `README`.
    pub(crate) fn new(default: &str) -> Self {
        let remote = Self::empty(default);
        remote.commit(default, "README", "hello\n");
        remote
    }

    /// A remote without a commit.
    pub(crate) fn empty(default: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), &["init", "-q", "--bare", "-b", default, "remote.git"]);
        Self { folder }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("remote.git")
    }

    /// A folder name within the test's own folder.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn source(&self) -> Source {
        Source { url: RepoUrl::of_folder(&self.path()), token: None, token_user: "x-access-token" }
    }

    /// Commits a file to a branch as another person would, from a clone; makes the branch.
    pub(crate) fn commit(&self, branch: &str, file: &str, text: &str) -> String {
        let clone = tempfile::tempdir().unwrap();
        let url = self.path();
        run(clone.path(), &["clone", "-q", url.to_str().unwrap(), "."]);
        let remote_branch = format!("origin/{branch}");
        let known = run(clone.path(), &["branch", "-r", "--list", &remote_branch]);
        if known.is_empty() {
            run(clone.path(), &["checkout", "-q", "-B", branch]);
        } else {
            run(clone.path(), &["checkout", "-q", "-B", branch, &remote_branch]);
        }
        let path = clone.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        run(clone.path(), &["add", "-A", "-f"]);
        run(clone.path(), &["commit", "-q", "-m", "by a person"]);
        run(clone.path(), &["push", "-q", "origin", &format!("HEAD:refs/heads/{branch}")]);
        run(clone.path(), &["rev-parse", "HEAD"])
    }

    /// What the remote has at `branch:file`.
    pub(crate) fn show(&self, branch: &str, file: &str) -> String {
        run(&self.path(), &["show", &format!("{branch}:{file}")])
    }

    pub(crate) fn head(&self, branch: &str) -> String {
        run(&self.path(), &["rev-parse", branch])
    }
}

/// The branch of a ticket.
pub(crate) fn ticket() -> BranchName {
    "ticket-93863a0a-985e-474b-a6b2-40a89654e6bf".parse().unwrap()
}
