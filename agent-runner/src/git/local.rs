//! Commands within one machine that libgit2 has not, or does not do as git does.

use std::path::{Path, PathBuf};

use super::{BranchName, Call, CommitId, Git, GitError, Operation, parse};

/// How many of a repository's branch tips a fetch tells the remote about.
const KNOWN_TIPS: usize = 50;
/// The reason with which our worktrees are locked: by it they are known again.
const LOCK_REASON: &str = "agent-runner job";

impl Git {
    /// The commit that HEAD of a work tree is at; nothing if it has none or cannot be read.
    pub(crate) async fn head(&self, work_tree: &Path) -> Result<Option<CommitId>, GitError> {
        self.commit(work_tree, "HEAD").await
    }

    /// The commit of a ref, as the work tree sees it.
    pub(crate) async fn commit(
        &self,
        work_tree: &Path,
        name: &str,
    ) -> Result<Option<CommitId>, GitError> {
        let call = Call::new(Operation::Local("rev-parse"), work_tree.display())
            .within(work_tree)
            .args(["rev-parse", "--verify", "--quiet", "--end-of-options"])
            .arg(format!("{name}^{{commit}}"));
        match self.local(&call).await {
            Ok(text) => Ok(text.trim().parse().ok()),
            Err(GitError::Failed { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a branch at HEAD of a work tree and switches to it.
    pub(crate) async fn switch_to_new(
        &self,
        work_tree: &Path,
        branch: &BranchName,
    ) -> Result<(), GitError> {
        let call = Call::new(Operation::Local("checkout"), work_tree.display())
            .within(work_tree)
            .args(["checkout", "--quiet", "-b", branch.as_str()]);
        self.local(&call).await.map(drop)
    }

    /// Brings a clone that nobody has worked in yet, with its branch, to another commit.
    pub(crate) async fn reset_to(&self, clone: &Path, commit: CommitId) -> Result<(), GitError> {
        let call = Call::new(Operation::Local("reset"), clone.display()).within(clone).args([
            "reset",
            "--quiet",
            "--hard",
            &commit.to_string(),
        ]);
        self.local(&call).await.map(drop)
    }

    /// The git directory that all worktrees of a repository share.
    pub(crate) async fn common_dir(&self, folder: &Path) -> Result<PathBuf, GitError> {
        let call = Call::new(Operation::Local("rev-parse"), folder.display())
            .within(folder)
            .args(["rev-parse", "--path-format=absolute", "--git-common-dir"]);
        let text = self.local(&call).await?;
        Ok(PathBuf::from(text.trim_end_matches('\n')))
    }

    /// The newest branch tips of a repository.
    pub(crate) async fn known_tips(&self, repository: &Path) -> Result<Vec<CommitId>, GitError> {
        let call = Call::new(Operation::Local("for-each-ref"), repository.display())
            .within(repository)
            .args(["for-each-ref", "--sort=-committerdate", "--format=%(objectname)"])
            .arg(format!("--count={KNOWN_TIPS}"))
            .args(["refs/heads", "refs/remotes"]);
        let text = self.local(&call).await?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// Adds a worktree without files to a repository: HEAD at the commit, no branch, and locked so
    /// that nobody prunes it.
    pub(crate) async fn worktree_add(
        &self,
        repository: &Path,
        commit: CommitId,
        into: &Path,
    ) -> Result<(), GitError> {
        let call = Call::new(Operation::Local("worktree add"), repository.display())
            .within(repository)
            .args(["worktree", "add", "--quiet", "--detach", "--no-checkout"])
            .args(["--lock", "--reason", LOCK_REASON, "--"])
            .arg(into)
            .arg(commit.to_string());
        self.local(&call).await.map(drop)
    }

    /// The worktrees of a repository that [`worktree_add`](Self::worktree_add) made.
    pub(crate) async fn our_worktrees(&self, repository: &Path) -> Result<Vec<PathBuf>, GitError> {
        let call = Call::new(Operation::Local("worktree list"), repository.display())
            .within(repository)
            .args(["worktree", "list", "--porcelain"]);
        let text = self.local(&call).await?;
        Ok(parse::worktrees_locked_for(&text, LOCK_REASON))
    }

    /// Removes a worktree, whatever is in it, and the repository's record of it; also
    /// when the run was cancelled.
    pub(crate) async fn worktree_remove(
        &self,
        repository: &Path,
        worktree: &Path,
    ) -> Result<(), GitError> {
        let call = Call::new(Operation::CleanUp("worktree remove"), worktree.display())
            .within(repository)
            // Once for changes in it, once for its lock.
            .args(["worktree", "remove", "--force", "--force", "--"])
            .arg(worktree);
        self.local(&call).await.map(drop)
    }

    /// Fills a work tree with the files of a commit, by a git directory of ours: without the
    /// filters that the repository's own configuration may name.
    pub(crate) async fn fill(
        &self,
        git_dir: &Path,
        commit: CommitId,
        work_tree: &Path,
    ) -> Result<(), GitError> {
        let call = Call::new(Operation::Local("reset"), work_tree.display())
            .env("GIT_DIR", git_dir)
            .env("GIT_WORK_TREE", work_tree)
            .args(["reset", "--quiet", "--hard", &commit.to_string()]);
        self.local(&call).await.map(drop)
    }

    /// The git directory of a work tree alone, which holds its HEAD and its index.
    pub(crate) async fn git_dir(&self, work_tree: &Path) -> Result<PathBuf, GitError> {
        let call = Call::new(Operation::Local("rev-parse"), work_tree.display())
            .within(work_tree)
            .args(["rev-parse", "--absolute-git-dir"]);
        let text = self.local(&call).await?;
        Ok(PathBuf::from(text.trim_end_matches('\n')))
    }

    /// Names and values of what a blob, a `.gitmodules`, says of places and addresses.
    pub(crate) async fn submodule_entries(
        &self,
        git_dir: &Path,
        blob: &str,
    ) -> Result<Vec<(String, String)>, GitError> {
        let call = Call::new(Operation::Local("config"), git_dir.display())
            .env("GIT_DIR", git_dir)
            .args(["config", "--blob", blob, "--no-includes", "--null", "--list"]);
        let text = self.local(&call).await?;
        let entries = text.split('\0').filter_map(|entry| entry.split_once('\n'));
        Ok(entries.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}
