//! Pull requests: in memory, and in `{root}/pulls.json` after every change.
//!
//! Invariant: a repository has at most one open pull request for a pair of
//! head and base; a change that cannot be written to disk did not happen.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::{RepoName, timestamp};

/// One pull request, within one repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    /// Counts from 1 in each repository.
    pub number: u64,
    /// One line.
    pub title: String,
    /// Markdown, if any.
    pub body: Option<String>,
    /// Open or closed.
    pub state: PullState,
    /// Whether it was closed by a merge.
    #[serde(default)]
    pub merged: bool,
    /// Not yet meant for review.
    pub draft: bool,
    /// Its labels, in the order in which they were added.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Who was asked for a review.
    #[serde(default)]
    pub reviewers: Vec<String>,
    /// The branch with the changes.
    pub head: String,
    /// Its commit when it was last seen.
    pub head_sha: String,
    /// The branch it is to go into.
    pub base: String,
    /// UTC, as `2026-01-31T23:59:59Z`.
    pub created_at: String,
    /// The last change of any field.
    pub updated_at: String,
    /// Present while it is closed.
    pub closed_at: Option<String>,
}

/// Whether a pull request can still be merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PullState {
    /// It waits for review.
    Open,
    /// It was closed.
    Closed,
}

/// Why pull requests could not be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum PullStoreError {
    /// The file could not be read or written.
    #[error("cannot access {path}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is not ours or was damaged.
    #[error("{path} does not hold pull requests; move it away to start afresh")]
    Malformed {
        /// The file.
        path: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// There is an open one for the same branches.
    #[error("a pull request for {head} into {base} is open already")]
    AlreadyOpen {
        /// The branch with the changes.
        head: String,
        /// The branch it is to go into.
        base: String,
    },
    /// No such number.
    #[error("there is no pull request of that number")]
    Absent,
}

/// What a client decides about a new pull request.
#[derive(Debug)]
pub(super) struct NewPull {
    pub(super) title: String,
    pub(super) body: Option<String>,
    pub(super) draft: bool,
    pub(super) head: String,
    pub(super) head_sha: String,
    pub(super) base: String,
}

/// What a client changes; `None` leaves a field as it is.
#[derive(Debug, Default)]
pub(super) struct PullChange {
    pub(super) title: Option<String>,
    pub(super) body: Option<Option<String>>,
    pub(super) state: Option<PullState>,
    pub(super) base: Option<String>,
    pub(super) head_sha: Option<String>,
    pub(super) draft: Option<bool>,
    pub(super) reviewers: Option<Vec<String>>,
}

/// All pull requests, by `owner/name`.
#[derive(Debug)]
pub(super) struct PullStore {
    file: PathBuf,
    book: Mutex<Book>,
}

type Book = BTreeMap<String, Vec<PullRequest>>;

impl PullStore {
    /// Reads what an earlier run left under `root`.
    pub(super) fn load(root: &Path) -> Result<Self, PullStoreError> {
        let file = root.join("pulls.json");
        let path = file.display().to_string();
        let book = match std::fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|source| PullStoreError::Malformed { path, source })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Book::default(),
            Err(source) => return Err(PullStoreError::File { path, source }),
        };
        Ok(Self { file, book: Mutex::new(book) })
    }

    /// All of one repository, oldest first.
    pub(super) fn list(&self, repo: &RepoName) -> Vec<PullRequest> {
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.get(&repo.to_string()).cloned().unwrap_or_default()
    }

    /// One by its number.
    pub(super) fn get(&self, repo: &RepoName, number: u64) -> Result<PullRequest, PullStoreError> {
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let found = book.get(&repo.to_string()).and_then(|all| find(all, number));
        found.cloned().ok_or(PullStoreError::Absent)
    }

    /// Opens a new one.
    pub(super) fn create(
        &self,
        repo: &RepoName,
        new: NewPull,
    ) -> Result<PullRequest, PullStoreError> {
        self.create_as_of(repo, new, &timestamp::now())
    }

    /// Opens a new one at this time.
    pub(super) fn create_as_of(
        &self,
        repo: &RepoName,
        new: NewPull,
        now: &str,
    ) -> Result<PullRequest, PullStoreError> {
        self.change(repo, |all| {
            refuse_second_open(all, 0, &new.head, &new.base)?;
            let pull = PullRequest {
                number: all.last().map_or(1, |last| last.number + 1),
                title: new.title,
                body: new.body,
                state: PullState::Open,
                merged: false,
                draft: new.draft,
                labels: Vec::new(),
                reviewers: Vec::new(),
                head: new.head,
                head_sha: new.head_sha,
                base: new.base,
                created_at: now.to_owned(),
                updated_at: now.to_owned(),
                closed_at: None,
            };
            all.push(pull.clone());
            Ok(pull)
        })
    }

    /// Changes one in place.
    pub(super) fn update(
        &self,
        repo: &RepoName,
        number: u64,
        change: PullChange,
    ) -> Result<PullRequest, PullStoreError> {
        self.change(repo, |all| {
            let mut pull = find(all, number).cloned().ok_or(PullStoreError::Absent)?;
            change.apply(&mut pull);
            if pull.state == PullState::Open {
                refuse_second_open(all, number, &pull.head, &pull.base)?;
            }
            if let Some(place) = all.iter_mut().find(|p| p.number == number) {
                place.clone_from(&pull);
            }
            Ok(pull)
        })
    }

    /// Closes one that was merged; no branch is touched.
    pub(super) fn merge(
        &self,
        repo: &RepoName,
        number: u64,
    ) -> Result<PullRequest, PullStoreError> {
        self.edit(repo, number, |pull| {
            PullChange { state: Some(PullState::Closed), ..PullChange::default() }.apply(pull);
            pull.merged = true;
        })
    }

    /// Adds the labels that are not there yet.
    pub(super) fn add_labels(
        &self,
        repo: &RepoName,
        number: u64,
        labels: &[impl AsRef<str>],
    ) -> Result<PullRequest, PullStoreError> {
        self.edit(repo, number, |pull| add(&mut pull.labels, labels))
    }

    /// Adds the reviewers that are not there yet.
    pub(super) fn add_reviewers(
        &self,
        repo: &RepoName,
        number: u64,
        reviewers: &[impl AsRef<str>],
    ) -> Result<PullRequest, PullStoreError> {
        self.edit(repo, number, |pull| add(&mut pull.reviewers, reviewers))
    }

    fn edit(
        &self,
        repo: &RepoName,
        number: u64,
        edit: impl FnOnce(&mut PullRequest),
    ) -> Result<PullRequest, PullStoreError> {
        self.change(repo, |all| {
            let pull = all.iter_mut().find(|pull| pull.number == number);
            let pull = pull.ok_or(PullStoreError::Absent)?;
            edit(pull);
            Ok(pull.clone())
        })
    }

    fn change<T>(
        &self,
        repo: &RepoName,
        edit: impl FnOnce(&mut Vec<PullRequest>) -> Result<T, PullStoreError>,
    ) -> Result<T, PullStoreError> {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = book.clone();
        let result = edit(next.entry(repo.to_string()).or_default())?;
        self.save(&next)?;
        *book = next;
        Ok(result)
    }

    fn save(&self, book: &Book) -> Result<(), PullStoreError> {
        let failed =
            |source| PullStoreError::File { path: self.file.display().to_string(), source };
        let text = serde_json::to_vec_pretty(book).map_err(|error| failed(error.into()))?;
        let partial = self.file.with_extension("json.partial");
        std::fs::write(&partial, text).map_err(failed)?;
        std::fs::rename(&partial, &self.file).map_err(failed)
    }
}

impl PullChange {
    fn apply(self, pull: &mut PullRequest) {
        let now = timestamp::now();
        if let Some(title) = self.title {
            pull.title = title;
        }
        if let Some(body) = self.body {
            pull.body = body;
        }
        if let Some(base) = self.base {
            pull.base = base;
        }
        if let Some(sha) = self.head_sha {
            pull.head_sha = sha;
        }
        if let Some(draft) = self.draft {
            pull.draft = draft;
        }
        if let Some(reviewers) = self.reviewers {
            pull.reviewers = reviewers;
        }
        if let Some(state) = self.state {
            pull.state = state;
            pull.closed_at = (state == PullState::Closed).then(|| now.clone());
        }
        pull.updated_at = now;
    }
}

fn add(all: &mut Vec<String>, more: &[impl AsRef<str>]) {
    for one in more.iter().map(AsRef::as_ref) {
        if !all.iter().any(|known| known == one) {
            all.push(one.to_owned());
        }
    }
}

fn find(all: &[PullRequest], number: u64) -> Option<&PullRequest> {
    all.iter().find(|pull| pull.number == number)
}

fn refuse_second_open(
    all: &[PullRequest],
    except: u64,
    head: &str,
    base: &str,
) -> Result<(), PullStoreError> {
    let taken = all.iter().any(|pull| {
        pull.number != except
            && pull.state == PullState::Open
            && pull.head == head
            && pull.base == base
    });
    if taken {
        return Err(PullStoreError::AlreadyOpen { head: head.to_owned(), base: base.to_owned() });
    }
    Ok(())
}
