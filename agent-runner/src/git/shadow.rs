//! A git directory of ours beside a work tree: changes are staged, committed and pushed from here.
//!
//! Invariant: nothing that a worker writes into the work tree's own git directory (configuration,
//! hooks, index flags, excludes) takes part; of that directory only objects are read, and which of
//! them are shallow. The branch that this directory's HEAD names is what will be published.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use git2::{Repository, RepositoryInitOptions, RepositoryOpenFlags};

use super::{BranchName, CommitId, private_folder};

/// The longest `shallow` file that is read, in bytes; it has 41 for each commit at the border.
const SHALLOW_MAX: u64 = 4 << 20;

/// Where the border of the history is kept that was fetched into the git directory itself.
const BORDER: &str = "border";

/// Configuration of the git directory: outranks the user's, which libgit2 reads.
const CONFIG: [(&str, &str); 9] = [
    ("core.attributesFile", "/dev/null"),
    ("core.autocrlf", "false"),
    ("core.excludesFile", "/dev/null"),
    ("core.fileMode", "true"),
    ("core.fsmonitor", "false"),
    ("core.hooksPath", "/dev/null"),
    ("core.ignoreCase", "false"),
    ("core.safecrlf", "false"),
    ("core.symlinks", "true"),
];

/// Our git directory of one work tree. Removed when dropped.
#[derive(Debug)]
pub(crate) struct Shadow {
    folder: tempfile::TempDir,
    work_tree: PathBuf,
    /// The git directory whose objects the work tree's commits are in.
    common_dir: PathBuf,
}

/// The git directory of ours could not be made or used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShadowError {
    /// The file system said no.
    #[error("the git directory for {} could not be written", work_tree.display())]
    Io {
        /// The work tree it is for.
        work_tree: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// libgit2 said no.
    #[error("the git directory for {} could not be used", work_tree.display())]
    Git {
        /// The work tree it is for.
        work_tree: PathBuf,
        /// The reason of libgit2.
        #[source]
        source: git2::Error,
    },
}

impl Shadow {
    /// Makes a git directory in `parent` for a work tree whose objects are in `common_dir`.
    pub(crate) fn create(
        parent: &Path,
        work_tree: &Path,
        common_dir: &Path,
        branch: &BranchName,
    ) -> Result<Self, ShadowError> {
        let folder = private_folder(".agent-shadow-", parent)
            .map_err(|source| ShadowError::Io { work_tree: work_tree.into(), source })?;
        let shadow =
            Self { folder, work_tree: work_tree.to_owned(), common_dir: common_dir.to_owned() };
        shadow.init(branch).map_err(|source| shadow.git(source))?;
        shadow.connect().map_err(|source| shadow.io(source))?;
        Ok(shadow)
    }

    /// The git directory.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The git directory behind the work tree.
    pub(crate) fn common_dir(&self) -> &Path {
        &self.common_dir
    }

    /// The object folder of the repository behind the work tree.
    pub(crate) fn objects(&self) -> PathBuf {
        self.common_dir.join("objects")
    }

    /// Where the index is.
    pub(crate) fn index(&self) -> PathBuf {
        self.path().join("index")
    }

    /// Takes a fresh index over, so that files need not be read again to see them unchanged.
    pub(crate) fn adopt_index(&self, index: &Path) -> Result<(), ShadowError> {
        fs::copy(index, self.index()).map(drop).map_err(|source| self.io(source))
    }

    /// The repository with its work tree, for libgit2.
    pub(crate) fn open(&self) -> Result<Repository, ShadowError> {
        self.sync_shallow().map_err(|source| self.io(source))?;
        let with_tree = || {
            let repository = self.open_bare()?;
            repository.set_workdir(&self.work_tree, false)?;
            Ok(repository)
        };
        with_tree().map_err(|source| self.git(source))
    }

    /// Sets a ref to a commit.
    pub(crate) fn set_ref(&self, name: &str, commit: CommitId) -> Result<(), ShadowError> {
        let set = || self.open_bare()?.reference(name, commit.oid(), true, "").map(drop);
        set().map_err(|source| self.git(source))
    }

    /// Keeps in mind which commits' parents were not fetched, after a fetch into this git directory.
    pub(crate) fn keep_border(&self) -> Result<(), ShadowError> {
        match fs::copy(self.path().join("shallow"), self.path().join(BORDER)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.io(error)),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// The commit of a ref.
    pub(crate) fn commit_of(&self, name: &str) -> Result<CommitId, ShadowError> {
        let find = || self.open_bare()?.find_reference(name)?.peel_to_commit().map(|c| c.id());
        find().map(CommitId::from).map_err(|source| self.git(source))
    }

    /// An error of libgit2, with what it was about.
    pub(crate) fn git(&self, source: git2::Error) -> ShadowError {
        ShadowError::Git { work_tree: self.work_tree.clone(), source }
    }

    fn io(&self, source: io::Error) -> ShadowError {
        ShadowError::Io { work_tree: self.work_tree.clone(), source }
    }

    fn init(&self, branch: &BranchName) -> Result<(), git2::Error> {
        let mut options = bare();
        options.initial_head(branch.as_str());
        let repository = Repository::init_opts(self.path(), &options)?;
        let mut config = repository.config()?.open_level(git2::ConfigLevel::Local)?;
        CONFIG.iter().try_for_each(|(name, value)| config.set_str(name, value))
    }

    /// Lets our git directory see the objects, the shallow border and the excludes of the other,
    /// as they are now, before any worker.
    fn connect(&self) -> io::Result<()> {
        let info = self.path().join("info");
        fs::create_dir_all(&info)?;
        fs::create_dir_all(self.path().join("objects/info"))?;
        let objects = self.objects().into_os_string();
        let mut alternates = std::os::unix::ffi::OsStringExt::into_vec(objects);
        alternates.push(b'\n');
        fs::write(self.path().join("objects/info/alternates"), alternates)?;
        let exclude = self.common_dir.join("info/exclude");
        if exclude.is_file() {
            fs::copy(exclude, info.join("exclude"))?;
        }
        self.sync_shallow()
    }

    /// Copies the list of commits whose parents were not fetched (a worker may have fetched more), and adds
    /// those of our own fetches.
    fn sync_shallow(&self) -> io::Result<()> {
        let ours = self.path().join("shallow");
        let mut text = String::new();
        let theirs = self.common_dir.join("shallow");
        // Anything but a file, such as a pipe that never ends, is not from git.
        if theirs.symlink_metadata().is_ok_and(|data| data.is_file()) {
            fs::File::open(theirs)?.take(SHALLOW_MAX).read_to_string(&mut text)?;
        }
        if self.path().join(BORDER).exists() {
            text.push('\n');
            text.push_str(&fs::read_to_string(self.path().join(BORDER))?);
        }
        let commits: BTreeSet<&str> =
            text.lines().filter(|line| line.parse::<CommitId>().is_ok()).collect();
        if commits.is_empty() {
            return match fs::remove_file(ours) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        fs::write(ours, commits.iter().map(|commit| format!("{commit}\n")).collect::<String>())
    }

    fn open_bare(&self) -> Result<Repository, git2::Error> {
        let flags = RepositoryOpenFlags::NO_SEARCH | RepositoryOpenFlags::BARE;
        let nowhere: [&Path; 0] = [];
        Repository::open_ext(self.path(), flags, nowhere)
    }
}

/// Makes a git directory of ours without anything.
pub(super) fn init_bare(folder: &Path) -> Result<(), git2::Error> {
    Repository::init_opts(folder, &bare()).map(drop)
}

fn bare() -> RepositoryInitOptions {
    let mut options = RepositoryInitOptions::new();
    options.bare(true).external_template(false);
    options
}
