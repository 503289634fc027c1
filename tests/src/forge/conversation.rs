//! What is said of pull requests, and how the checks of commits came out: in memory, for as long as the
//! forge runs.
//!
//! Invariant: comments of each kind are counted by themselves, so that two kinds have the same numbers,
//! as on the real forges.

pub(super) mod gitea;
pub(super) mod github;
pub(super) mod gitlab;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{RepoName, timestamp};

/// One who works on every repository, also before they say anything.
const MEMBER: &str = "ann";

/// Something that someone says of a pull request.
#[derive(Debug, Clone)]
pub struct Remark {
    /// Where it is said.
    pub place: RemarkPlace,
    /// The login.
    pub author: String,
    /// What the author is to the repository.
    pub standing: Standing,
    /// Markdown.
    pub body: String,
}

/// Where something is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemarkPlace {
    /// Of the whole.
    Conversation,
    /// Of a line of the new file.
    Line {
        /// The file.
        path: String,
        /// From 1.
        line: u64,
    },
    /// As the text of a review.
    Review(Verdict),
}

/// What a review comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Comments,
    /// It may be merged.
    Approves,
    /// It may not.
    AsksForChanges,
}

/// What someone is to a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Of those who work on it.
    Member,
    /// Nobody.
    Outsider,
    /// A program.
    Bot,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckResult {
    /// It found nothing wrong.
    Passed,
    /// It found something wrong.
    Failed,
}

/// A remark as it was made.
#[derive(Debug, Clone)]
pub(super) struct Said {
    /// Among those of its kind, from 1.
    number: u64,
    /// Among all of the pull request, from 1.
    note: u64,
    at: String,
    /// The newest commit then.
    head: String,
    remark: Remark,
}

/// A check that is over.
#[derive(Debug, Clone)]
struct Check {
    name: String,
    result: CheckResult,
    at: String,
}

/// All that was said and reported.
#[derive(Debug, Default)]
pub(super) struct Talk(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    said: BTreeMap<(RepoName, u64), Vec<Said>>,
    checks: BTreeMap<(RepoName, String), Vec<Check>>,
}

impl Talk {
    pub(super) fn say(&self, repo: &RepoName, number: u64, head: String, remark: Remark) {
        let mut book = self.book();
        let said = book.said.entry((repo.clone(), number)).or_default();
        let same = said.iter().filter(|other| other.remark.is_of_kind(&remark)).count();
        let (number, note) = (count(same) + 1, count(said.len()) + 1);
        said.push(Said { number, note, at: timestamp::now(), head, remark });
    }

    pub(super) fn report(&self, repo: &RepoName, commit: &str, name: &str, result: CheckResult) {
        let mut book = self.book();
        let checks = book.checks.entry((repo.clone(), commit.to_owned())).or_default();
        checks.retain(|check| check.name != name);
        checks.push(Check { name: name.to_owned(), result, at: timestamp::now() });
    }

    fn said(&self, repo: &RepoName, number: u64) -> Vec<Said> {
        self.book().said.get(&(repo.clone(), number)).cloned().unwrap_or_default()
    }

    /// Those who work on the repository: a member of each, and whoever said something as one.
    fn members(&self, repo: &RepoName) -> BTreeSet<String> {
        let book = self.book();
        let said = book.said.iter().filter(|((of, _), _)| of == repo).flat_map(|(_, said)| said);
        let members = said.filter(|said| said.remark.standing == Standing::Member);
        let members = members.map(|said| said.remark.author.clone());
        members.chain([MEMBER.to_owned()]).collect()
    }

    fn checks(&self, repo: &RepoName, commit: &str) -> Vec<Check> {
        let commit = (repo.clone(), commit.to_owned());
        self.book().checks.get(&commit).cloned().unwrap_or_default()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Remark {
    fn is_of_kind(&self, other: &Self) -> bool {
        std::mem::discriminant(&self.place) == std::mem::discriminant(&other.place)
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
