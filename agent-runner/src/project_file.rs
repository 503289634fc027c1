//! `.terarchitect.toml`: what a repository's owners ask of every run on it. `docs/project-file.md` lists
//! the keys.
//!
//! Invariant: it is read from the commit of the default branch, as an object of git and never from the
//! work tree, so that neither a ticket's branch nor a worker can change the rules that hold for it. It can
//! lower the operator's limits and not raise them.

mod error;
mod parse;
mod paths;

use std::str::FromStr;
use std::time::Duration;

use git2::{ObjectType, Repository};

pub(crate) use self::error::ProjectFileError;
pub(crate) use self::paths::PathPatterns;

use crate::checkout::Checkout;
use crate::git::CommitId;
use crate::model_gateway::Usd;

/// Its name, in the root of the repository.
pub(crate) const NAME: &str = ".terarchitect.toml";

/// The longest file that is read, in bytes.
const SIZE_MAX: usize = 64 << 10;

/// The file's content; what it does not say has its default.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProjectFile {
    /// `[worker]`
    pub(crate) worker: WorkerWishes,
    /// `[setup]`: what makes the work tree ready, before the worker.
    pub(crate) setup: Option<ProjectCommand>,
    /// `[check]`: what shows that the work is good, after the worker.
    pub(crate) check: Option<Check>,
    /// `[paths] forbidden`: what the agent may not touch.
    pub(crate) forbidden: PathPatterns,
    /// `[paths] examples`: what may hold text that looks like a key.
    pub(crate) examples: PathPatterns,
    /// `[pull_request]`
    pub(crate) pull_request: PullRequestRules,
    /// `[publish]`
    pub(crate) publish: PublishRules,
    /// `[clone]`
    pub(crate) clone: CloneOptions,
}

/// What is wished of the coding CLI, where operator and app do not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WorkerWishes {
    /// A name in `WORKER_MODE`; judged as that setting is.
    pub(crate) mode: Option<String>,
    /// The model.
    pub(crate) model: Option<String>,
    /// Longest time for one turn; counts where it is shorter than the operator's.
    pub(crate) turn_limit: Option<Duration>,
    /// Longest time without an event; counts where it is shorter than the operator's.
    pub(crate) stall_limit: Option<Duration>,
    /// Tokens of a run; counts where it is less than the operator's.
    pub(crate) tokens: Option<u64>,
    /// What a run may cost; counts where it is less than the operator's.
    pub(crate) money: Option<Usd>,
}

/// A command of the repository, for `sh -c` in the root of the work tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProjectCommand {
    /// The text for the shell, never blank.
    pub(crate) command: String,
    /// How long it may take.
    pub(crate) limit: Duration,
}

/// How the work is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    /// Exit code 0 of it is success.
    pub(crate) command: ProjectCommand,
    /// How many further turns the worker gets with the failure, 0 to 3.
    pub(crate) turns: u32,
    /// What becomes of work that fails it in the end.
    pub(crate) on_failure: OnCheckFailure,
}

/// What becomes of work that fails the repository's check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnCheckFailure {
    /// It is proposed as a draft.
    #[default]
    Draft,
    /// It is not proposed.
    None,
}

/// How a pull request is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PullRequestRules {
    /// Whether it is a draft.
    pub(crate) draft: bool,
    /// Labels that it gets.
    pub(crate) labels: Vec<String>,
    /// Names of users who are asked to review it.
    pub(crate) reviewers: Vec<String>,
    /// Whether the repository's own template is the form of its text.
    pub(crate) template: bool,
}

/// How the branch is published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PublishRules {
    /// What is done when the base has moved on.
    pub(crate) base_update: BaseUpdate,
    /// Whether unfinished work is saved on a branch of its own, where the file says so.
    pub(crate) rescue: Option<bool>,
}

/// What is done when the base has moved on since the work began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BaseUpdate {
    /// It is said in the pull request.
    #[default]
    None,
    /// It is merged into the branch.
    Merge,
    /// The work is put on top of it.
    Rebase,
}

/// What belongs to a clone besides the repository's own files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CloneOptions {
    /// Whether submodules are fetched.
    pub(crate) submodules: bool,
    /// Whether files in Git LFS are fetched, and published as such.
    pub(crate) lfs: bool,
}

impl Default for PullRequestRules {
    fn default() -> Self {
        Self { draft: false, labels: Vec::new(), reviewers: Vec::new(), template: true }
    }
}

impl FromStr for ProjectFile {
    type Err = ProjectFileError;

    fn from_str(text: &str) -> Result<Self, ProjectFileError> {
        parse::parse(text)
    }
}

impl ProjectFile {
    /// The file of the default branch of a checkout; all defaults where there is none.
    ///
    /// # Errors
    /// When the file cannot be read, or something in it is wrong.
    pub(crate) fn of(checkout: &Checkout) -> Result<Self, ProjectFileError> {
        let repository = checkout.shadow().open()?;
        Self::at(&repository, checkout.base_commit())
    }

    fn at(repository: &Repository, commit: CommitId) -> Result<Self, ProjectFileError> {
        let unreadable = |source| ProjectFileError::Commit { commit, source };
        let tree = repository.find_commit(commit.oid()).and_then(|commit| commit.tree());
        let tree = tree.map_err(unreadable)?;
        let Some(entry) = tree.get_name(NAME) else { return Ok(Self::default()) };
        let regular = matches!(entry.filemode(), 0o100_644 | 0o100_755 | 0o100_664);
        if entry.kind() != Some(ObjectType::Blob) || !regular {
            return Err(ProjectFileError::NoFile { mode: entry.filemode() });
        }
        // The size is asked for first: what is too long is not read into memory.
        let (size, _) =
            repository.odb().and_then(|odb| odb.read_header(entry.id())).map_err(unreadable)?;
        if size > SIZE_MAX {
            return Err(ProjectFileError::TooLong { size, max: SIZE_MAX });
        }
        let blob = repository.find_blob(entry.id()).map_err(unreadable)?;
        let text = std::str::from_utf8(blob.content()).map_err(ProjectFileError::NoText)?;
        text.parse()
    }
}

#[cfg(test)]
mod tests;
