//! What becomes of one look at a pull request. Pure: no clock, no I/O.
//!
//! Invariants: only people of the project start a job; what a job that was completed covered starts none
//! again; of what a failed job covered, the same is tried a bounded number of times; nothing is started
//! while a job is at work.

use std::time::Duration;

use api_client::JobId;

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
    pub(crate) ended_at: Timestamp,
    /// What it was to deal with.
    pub(crate) items: Vec<Item>,
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
    /// There is something to deal with, and it was tried often enough.
    GiveUp,
    /// There is nothing to do.
    Rest,
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
    let idle = match conversation.approval {
        Approval::Given => Decision::Finish(Fate::Approved),
        Approval::Missing if items.is_empty() => Decision::Rest,
        Approval::Missing => Decision::GiveUp,
    };
    match history.active {
        Active::AtWork => return Decision::Rest,
        Active::Waiting(_) if items.is_empty() => return Decision::Rest,
        Active::Waiting(job) => return Decision::Extend(job, items),
        Active::None => {}
    }
    let Some(tries) = items.iter().map(|item| history.tries(item)).min() else {
        return idle;
    };
    if tries >= terms.max_attempts {
        return idle;
    }
    let settled = open.newest().map(|newest| pull.seen_at.until(newest.after(terms.debounce)));
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
        let checks = conversation.failing.iter();
        Self { comments, checks: checks.filter(|check| !history.settled(&item(check))).collect() }
    }

    fn items(&self) -> Vec<Item> {
        let comments = self.comments.iter().map(|comment| Item::Comment(comment.id));
        comments.chain(self.checks.iter().map(|check| item(check))).collect()
    }

    fn newest(&self) -> Option<Timestamp> {
        let comments = self.comments.iter().map(|comment| comment.written_at);
        comments.chain(self.checks.iter().map(|check| check.failed_at)).max()
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
            _ => false,
        })
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
