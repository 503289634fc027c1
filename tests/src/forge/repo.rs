//! The bare repositories: `{root}/repos/{owner}/{name}.git`.
//!
//! Invariant: the disk is the only list. A repository added by another process
//! is served at once.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::git::{self, GitError};

/// `owner/name`, checked: it is safe as a path. The owner may have several parts, as GitLab's groups.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoName {
    owner: String,
    name: String,
}

/// What a new repository holds.
#[derive(Debug, Clone, Copy)]
pub enum RepoSource<'a> {
    /// Nothing; HEAD points to `main`.
    Empty,
    /// The branches and tags of a local repository, with its HEAD as default
    /// branch. A detached HEAD becomes `main`, or stays there if that exists.
    From(&'a Path),
}

/// The repositories under one root.
#[derive(Debug, Clone)]
pub struct RepoStore {
    folder: PathBuf,
}

/// Why a repository could not be made or found.
#[derive(Debug, thiserror::Error)]
pub enum RepoError {
    /// The name is not `owner/name`.
    #[error(
        "repository name {0:?} is not owner/name of letters, digits, '.', '_' and '-', not ending in .git"
    )]
    BadName(String),
    /// There is one of that name.
    #[error("repository {0} exists already")]
    Exists(RepoName),
    /// A folder could not be made.
    #[error("cannot create {path}")]
    Folder {
        /// The folder.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Git refused.
    #[error("git could not set up the repository")]
    Git(#[from] GitError),
}

impl RepoName {
    /// Checks both parts.
    pub fn new(owner: &str, name: &str) -> Result<Self, RepoError> {
        if owner.split('/').all(is_plain) && is_plain(name) && !name.ends_with(".git") {
            Ok(Self { owner: owner.to_owned(), name: name.to_owned() })
        } else {
            Err(RepoError::BadName(format!("{owner}/{name}")))
        }
    }

    /// The account.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The repository's own name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for RepoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

impl FromStr for RepoName {
    type Err = RepoError;

    fn from_str(text: &str) -> Result<Self, RepoError> {
        let (owner, name) =
            text.rsplit_once('/').ok_or_else(|| RepoError::BadName(text.to_owned()))?;
        Self::new(owner, name)
    }
}

impl RepoStore {
    /// Makes the folder when it is absent.
    pub fn open(root: &Path) -> Result<Self, RepoError> {
        let folder = std::path::absolute(root)
            .map_err(|source| RepoError::Folder { path: root.display().to_string(), source })?
            .join("repos");
        make_folder(&folder)?;
        Ok(Self { folder })
    }

    /// Where all repositories are.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a repository is, or would be.
    pub fn path(&self, repo: &RepoName) -> PathBuf {
        self.folder.join(repo.owner()).join(format!("{}.git", repo.name()))
    }

    /// Where a file in Git LFS is, or would be: within the repository.
    pub(super) fn lfs_object(&self, repo: &RepoName, id: &str) -> PathBuf {
        self.path(repo).join("lfs").join(id)
    }

    /// Keeps a file in Git LFS, whole or not at all.
    pub(super) async fn store_lfs(
        &self,
        repo: &RepoName,
        id: &str,
        content: &[u8],
    ) -> io::Result<()> {
        let place = self.lfs_object(repo, id);
        if let Some(folder) = place.parent() {
            tokio::fs::create_dir_all(folder).await?;
        }
        let part = place.with_extension("part");
        tokio::fs::write(&part, content).await?;
        tokio::fs::rename(part, place).await
    }

    /// The repository's path, if it exists.
    pub(super) fn find(&self, repo: &RepoName) -> Option<PathBuf> {
        let path = self.path(repo);
        path.join("HEAD").is_file().then_some(path)
    }

    /// Makes a bare repository that accepts pushes, and returns its path.
    pub async fn create(
        &self,
        repo: &RepoName,
        source: RepoSource<'_>,
    ) -> Result<PathBuf, RepoError> {
        let path = self.path(repo);
        if path.exists() {
            return Err(RepoError::Exists(repo.clone()));
        }
        make_folder(&self.folder.join(repo.owner()))?;
        let target = path.display().to_string();
        match source {
            RepoSource::Empty => {
                let args = ["init", "--quiet", "--bare", "--initial-branch=main", &target];
                git::text(&self.folder, &args).await?;
            }
            RepoSource::From(origin) => {
                let origin = origin.display().to_string();
                let args = ["clone", "--quiet", "--bare", "--no-hardlinks", "--", &origin, &target];
                git::text(Path::new("."), &args).await?;
                git::text(&path, &["remote", "remove", "origin"]).await?;
                attach_head(&path).await?;
            }
        }
        for (key, value) in SETTINGS {
            git::text(&path, &["config", key, value]).await?;
        }
        Ok(path)
    }
}

/// Pushes and partial clones are allowed; nothing runs in the background.
const SETTINGS: [(&str, &str); 4] = [
    ("http.receivepack", "true"),
    ("uploadpack.allowFilter", "true"),
    ("receive.autogc", "false"),
    ("gc.auto", "0"),
];

async fn attach_head(path: &Path) -> Result<(), RepoError> {
    if git::default_branch(path).await.is_ok() {
        return Ok(());
    }
    if git::resolve(path, "refs/heads/main").await?.is_none() {
        git::text(path, &["update-ref", "refs/heads/main", "HEAD"]).await?;
    }
    git::text(path, &["symbolic-ref", "HEAD", "refs/heads/main"]).await?;
    Ok(())
}

fn make_folder(path: &Path) -> Result<(), RepoError> {
    std::fs::create_dir_all(path)
        .map_err(|source| RepoError::Folder { path: path.display().to_string(), source })
}

fn is_plain(part: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    !part.is_empty() && part.bytes().all(plain) && !part.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_the_root() {
        for bad in ["../x", "a/..", "a/../c", "a//c", "a", "/b", "a/", "a/-b", "a/b.git", "a/b c"] {
            assert!(bad.parse::<RepoName>().is_err(), "{bad}");
        }
        assert_eq!("acme/web.app".parse::<RepoName>().unwrap().to_string(), "acme/web.app");
    }

    #[tokio::test]
    async fn a_detached_source_gets_a_default_branch() {
        let dir = tempfile::tempdir().unwrap();
        let work = dir.path().join("work");
        std::fs::create_dir(&work).unwrap();
        let commit = ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "one"];
        git::text(&work, &["init", "-q", "-b", "trunk"]).await.unwrap();
        git::text(&work, &[&commit[..], &["--allow-empty"]].concat()).await.unwrap();

        let store = RepoStore::open(dir.path()).unwrap();
        let kept: RepoName = "acme/kept".parse().unwrap();
        let path = store.create(&kept, RepoSource::From(&work)).await.unwrap();
        assert_eq!(git::default_branch(&path).await.unwrap(), "trunk");

        git::text(&work, &["checkout", "-q", "--detach"]).await.unwrap();
        git::text(&work, &[&commit[..], &["--allow-empty"]].concat()).await.unwrap();
        let detached: RepoName = "acme/detached".parse().unwrap();
        let path = store.create(&detached, RepoSource::From(&work)).await.unwrap();
        assert_eq!(git::default_branch(&path).await.unwrap(), "main");
        assert!(git::resolve(&path, "refs/heads/main").await.unwrap().is_some());
        let again = store.create(&detached, RepoSource::Empty).await;
        assert!(matches!(again, Err(RepoError::Exists(_))));
    }
}
