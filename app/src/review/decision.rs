//! What becomes of one look at a pull request. Pure: no clock, no I/O.
//!
//! Invariants: only people of the project start a job; what a job that was completed covered starts none
//! again; of what a failed job covered, the same is tried a bounded number of times, and no pull request
//! has more than a bounded number of jobs in a day; nothing is started while a job is at work.

use std::time::Duration;

use api_client::JobId;
use api_client::wire::REVIEW_ASKED_MAX;

use super::ReviewTerms;
use crate::clock::Timestamp;
use crate::forge::{
    Approval, Author, Comment, CommentId, Conversation, FailedCheck, Pull, PullState,
};
use crate::model::JobStatus;

/// Longest text of a comment that goes into a job, in characters; the agent reads the rest itself.
const COMMENT_MAX_CHARS: usize = 65_536;
/// Checks that are named where there is no comment.
const CHECKS_NAMED: usize = 20;
/// After so many debounces a job is started although more is being said.
const DEBOUNCES_MAX: u32 = 10;
/// In which a pull request has a bounded number of jobs.
const DAY: Duration = Duration::from_secs(86_400);

/// Something that a review job is to deal with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Item {
    Comment(CommentId),
    /// A check by its name, which failed on a commit.
    Check {
        name: String,
        commit: String,
    },
}

/// An earlier review job of the pull request, which has ended.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) status: JobStatus,
    pub(crate) blame: Blame,
    pub(crate) ended_at: Timestamp,
    /// What it was to deal with.
    pub(crate) items: Vec<Item>,
}

/// What a job's end says of the work that it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// It is an attempt at it, whatever came of it.
    Work,
    /// None: the job could not be run, or was lost.
    Surroundings,
}

/// The job that waits or runs, for the ticket or the pull request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Active {
    None,
    /// A review job that nobody has claimed yet: it can be given more.
    Waiting(JobId),
    AtWork,
}

/// What is known before a look.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) active: Active,
    pub(crate) attempts: Vec<Attempt>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The ticket is done.
    Finish(Fate),
    /// The pull request was closed without a merge: nothing more is started.
    Close,
    Start(Assignment),
    /// The job that waits is to deal with all of these.
    Extend(JobId, Vec<Item>),
    /// Look again after this time.
    Wait(Duration),
    /// There is something to deal with, and there were jobs enough.
    GiveUp(Limit),
    /// There is nothing to do.
    Rest,
}

/// A number of jobs that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Of those for the same.
    Tries,
    /// Of those of the last 24 hours.
    Day,
}

/// Why a ticket is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Merged,
    Approved,
}

/// A review job to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) items: Vec<Item>,
    /// The oldest comment, or the names of the checks.
    pub(crate) comment_body: String,
    /// Its number, if it is a comment.
    pub(crate) comment_number: Option<u64>,
}

/// What is to be dealt with and starts jobs.
struct Open<'a> {
    comments: Vec<&'a Comment>,
    checks: Vec<&'a FailedCheck>,
}

/// Decides. `now` is our own time, that of the jobs; the times of comments are held against the forge's.
pub(crate) fn decide(
    pull: &Pull,
    history: &History,
    terms: &ReviewTerms,
    now: Timestamp,
) -> Decision {
    let conversation = match &pull.state {
        PullState::Merged => return Decision::Finish(Fate::Merged),
        PullState::Closed => return Decision::Close,
        PullState::Open(conversation) => conversation,
    };
    let open = Open::of(conversation, history);
    let items = open.items();
    match history.active {
        Active::AtWork => return Decision::Rest,
        Active::Waiting(_) if items.is_empty() => return Decision::Rest,
        Active::Waiting(job) => return Decision::Extend(job, items),
        Active::None => {}
    }
    let limit = history.limit(&items, terms, now);
    if items.is_empty() || limit.is_some() {
        return match (conversation.approval, limit) {
            (Approval::Given, _) => Decision::Finish(Fate::Approved),
            (Approval::Missing, Some(limit)) => Decision::GiveUp(limit),
            (Approval::Missing, None) => Decision::Rest,
        };
    }
    let tries = items.iter().map(|item| history.tries(item)).min().unwrap_or_default();
    let settled = open.settles_at(history, terms).map(|time| pull.seen_at.until(time));
    let rested = history.last_try(&items).filter(|_| tries > 0);
    let rested = rested.map(|last| now.until(last.after(terms.pause(tries))));
    match settled.max(rested).unwrap_or_default() {
        Duration::ZERO => Decision::Start(open.assignment()),
        wait => Decision::Wait(wait),
    }
}

impl<'a> Open<'a> {
    fn of(conversation: &'a Conversation, history: &History) -> Self {
        let comments = conversation.comments.iter().filter(|comment| {
            comment.author == Author::Person && !history.settled(&Item::Comment(comment.id))
        });
        let mut comments: Vec<_> = comments.collect();
        comments.sort_by_key(|comment| (comment.written_at, comment.id));
        // What is beyond is the next job's: an agent would not deal with it.
        comments.truncate(REVIEW_ASKED_MAX);
        let checks = conversation.failing.iter();
        Self { comments, checks: checks.filter(|check| !history.settled(&item(check))).collect() }
    }

    fn items(&self) -> Vec<Item> {
        self.times().map(|(item, _)| item).collect()
    }

    /// Each item, and since when it is there.
    fn times(&self) -> impl Iterator<Item = (Item, Timestamp)> {
        let comments = self.comments.iter();
        let comments = comments.map(|comment| (Item::Comment(comment.id), comment.written_at));
        comments.chain(self.checks.iter().map(|check| (item(check), check.failed_at)))
    }

    /// When a job may be started: once nothing was said for a while, and not later than a bounded time
    /// after the oldest that was not tried yet.
    fn settles_at(&self, history: &History, terms: &ReviewTerms) -> Option<Timestamp> {
        let quiet = self.times().map(|(_, time)| time).max()?.after(terms.debounce);
        let untried = self.times().filter(|(item, _)| history.tries(item) == 0);
        let latest = untried.map(|(_, time)| time).min();
        let latest = latest.map(|oldest| oldest.after(terms.debounce * DEBOUNCES_MAX));
        Some(latest.map_or(quiet, |latest| latest.min(quiet)))
    }

    fn assignment(&self) -> Assignment {
        let items = self.items();
        match self.comments.first() {
            Some(oldest) => Assignment {
                items,
                comment_body: oldest.body.chars().take(COMMENT_MAX_CHARS).collect(),
                comment_number: Some(oldest.id.number),
            },
            None => Assignment { items, comment_body: self.failures(), comment_number: None },
        }
    }

    fn failures(&self) -> String {
        let named = self.checks.iter().take(CHECKS_NAMED).map(|check| {
            let page = check.page.as_deref().map(|page| format!(" ({page})"));
            format!("\n- {}{}", check.name, page.unwrap_or_default())
        });
        let text: String = named.collect();
        let text = format!("These checks of the newest commit failed:{text}");
        text.chars().take(COMMENT_MAX_CHARS).collect()
    }
}

impl History {
    /// Whether an item was dealt with. A job that a person cancelled is not started again for the same.
    fn settled(&self, item: &Item) -> bool {
        self.attempts.iter().any(|attempt| match attempt.status {
            JobStatus::Completed | JobStatus::Cancelled => attempt.items.contains(item),
            JobStatus::Failed | JobStatus::Pending | JobStatus::Running => false,
        })
    }

    /// The limit that forbids another job for these items.
    fn limit(&self, items: &[Item], terms: &ReviewTerms, now: Timestamp) -> Option<Limit> {
        let count = |wanted: &dyn Fn(&Attempt) -> bool| {
            let attempts = self.attempts.iter().filter(|attempt| wanted(attempt));
            u32::try_from(attempts.count()).unwrap_or(u32::MAX)
        };
        let tries = |item| count(&|one| one.blame == Blame::Work && one.tried(item));
        let today = count(&|one| now.until(one.ended_at.after(DAY)) > Duration::ZERO);
        if items.iter().map(tries).min()? >= terms.max_attempts {
            return Some(Limit::Tries);
        }
        (today >= terms.max_per_day).then_some(Limit::Day)
    }

    /// How often an item was tried in vain. A check that fails again on another commit was: otherwise an
    /// agent that cannot mend it would go on for ever.
    fn tries(&self, item: &Item) -> u32 {
        let tried = self.attempts.iter().filter(|attempt| attempt.tried(item));
        u32::try_from(tried.count()).unwrap_or(u32::MAX)
    }

    fn last_try(&self, items: &[Item]) -> Option<Timestamp> {
        let tried = self.attempts.iter().filter(|attempt| items.iter().any(|i| attempt.tried(i)));
        tried.map(|attempt| attempt.ended_at).max()
    }
}

impl Attempt {
    fn tried(&self, item: &Item) -> bool {
        match item {
            Item::Comment(_) => self.items.contains(item),
            Item::Check { name, .. } => self
                .items
                .iter()
                .any(|tried| matches!(tried, Item::Check { name: same, .. } if same == name)),
        }
    }
}

fn item(check: &FailedCheck) -> Item {
    Item::Check { name: check.name.clone(), commit: check.commit.clone() }
}

#[cfg(test)]
mod tests;
