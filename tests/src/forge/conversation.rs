//! What is said of pull requests, and how the checks of commits came out: in memory, for as long as the
//! forge runs.
//!
//! Invariants: comments of each kind are counted by themselves, so that two kinds have the same numbers,
//! as on the real forges. What is said with the token is said by its owner, in a thread or of the whole.

pub(super) mod gitea;
mod gitea_actions;
pub(super) mod github;
pub(super) mod gitlab;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{PullRequest, RepoName, timestamp, token_api};

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
    /// Of a line.
    Line {
        /// The file.
        path: String,
        /// From 1.
        line: u64,
        /// In which of the two files it is.
        side: LineSide,
    },
    /// As the text of a review.
    Review(Verdict),
}

/// The file of a change that a line is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineSide {
    /// The file as it was: the line is deleted.
    Old,
    /// The file as it is to be.
    New,
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

/// What was said with the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The remark that began the thread, by its number among all of the pull request; none of the whole.
    pub thread: Option<u64>,
    /// Markdown.
    pub body: String,
}

/// A remark as it was made.
#[derive(Debug, Clone)]
pub(super) struct Said {
    /// Among those of its kind, from 1.
    number: u64,
    /// Among all of the pull request, from 1.
    note: u64,
    /// The note that began the thread, where this is another of it.
    thread: Option<u64>,
    is_resolved: bool,
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
    job: Option<Job>,
}

/// What ran a check, with a log of it.
#[derive(Debug, Clone)]
struct Job {
    /// Among all of the forge, from 1.
    number: u64,
    log: String,
}

/// All that was said and reported.
#[derive(Debug, Default)]
pub(super) struct Talk(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    said: BTreeMap<(RepoName, u64), Vec<Said>>,
    checks: BTreeMap<(RepoName, String), Vec<Check>>,
    jobs: u64,
}

impl Talk {
    /// The number of the remark among all of the pull request.
    pub(super) fn say(&self, repo: &RepoName, pull: u64, head: String, remark: Remark) -> u64 {
        let mut book = self.book();
        let said = book.said.entry((repo.clone(), pull)).or_default();
        add(said, head, remark, None).note
    }

    /// Has the token's owner say something, in the thread that a remark began or of the whole; nothing where
    /// there is no such thread.
    fn reply(
        &self,
        repo: &RepoName,
        pull: &PullRequest,
        thread: Option<u64>,
        body: String,
    ) -> Option<Said> {
        let mut book = self.book();
        let said = book.said.entry((repo.clone(), pull.number)).or_default();
        let begins = |one: &&Said| Some(one.note) == thread && one.thread.is_none();
        let place = match (thread, said.iter().find(begins).map(|first| &first.remark.place)) {
            (Some(_), None) => return None,
            (_, Some(line @ RemarkPlace::Line { .. })) => line.clone(),
            _ => RemarkPlace::Conversation,
        };
        let author = token_api::LOGIN.to_owned();
        let remark = Remark { place, author, standing: Standing::Member, body };
        Some(add(said, pull.head_sha.clone(), remark, thread))
    }

    /// What was said with the token, oldest first.
    pub(super) fn replies(&self, repo: &RepoName, pull: u64) -> Vec<Reply> {
        let ours = self.said(repo, pull).into_iter();
        let ours = ours.filter(|said| said.remark.author == token_api::LOGIN);
        ours.map(|said| Reply { thread: said.thread, body: said.remark.body }).collect()
    }

    /// Closes the thread that a remark began.
    pub(super) fn resolve(&self, repo: &RepoName, pull: u64, note: u64) {
        let mut book = self.book();
        let said = book.said.entry((repo.clone(), pull)).or_default();
        said.iter_mut().filter(|said| said.note == note).for_each(|said| said.is_resolved = true);
    }

    pub(super) fn report(
        &self,
        repo: &RepoName,
        commit: &str,
        (name, result): (&str, CheckResult),
        log: Option<&str>,
    ) {
        let mut book = self.book();
        let job = log.map(|log| {
            book.jobs += 1;
            Job { number: book.jobs, log: log.to_owned() }
        });
        let checks = book.checks.entry((repo.clone(), commit.to_owned())).or_default();
        checks.retain(|check| check.name != name);
        checks.push(Check { name: name.to_owned(), result, at: timestamp::now(), job });
    }

    /// The check that a job of the repository ran.
    fn check_of(&self, repo: &RepoName, job: u64) -> Option<Check> {
        let book = self.book();
        let checks = book.checks.iter().filter(|((of, _), _)| of == repo).flat_map(|(_, all)| all);
        let mut checks =
            checks.filter(|check| check.job.as_ref().is_some_and(|it| it.number == job));
        checks.next().cloned()
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

fn add(said: &mut Vec<Said>, head: String, remark: Remark, thread: Option<u64>) -> Said {
    let same = said.iter().filter(|other| other.remark.is_of_kind(&remark)).count();
    let (number, note, at) = (count(same) + 1, count(said.len()) + 1, timestamp::now());
    let one = Said { number, note, thread, is_resolved: false, at, head, remark };
    said.push(one.clone());
    one
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
