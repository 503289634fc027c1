//! How far a run came.

use std::fmt;

use api_client::ApiError;

use super::RunError;

/// How far a run came with what others can see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Published {
    /// Not at all.
    Nothing,
    /// The branch of this name is pushed.
    Branch(String),
    /// The pull request at this address is open.
    PullRequest(String),
    /// What was changed for a review is pushed, and some of the replies may be posted.
    Replies(Box<Replies>),
}

/// Replies in a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Replies {
    /// Its page.
    pub(crate) url: String,
    /// How many replies are posted.
    pub(crate) posted: usize,
    /// How many there are to be.
    pub(crate) all: usize,
}

impl Published {
    /// What is said of a run that was cancelled here. An interrupted push may have arrived.
    pub(super) fn at_cancellation(&self) -> String {
        match self {
            Self::Nothing => "cancelled before anything was published".to_owned(),
            Self::Branch(branch) => format!(
                "cancelled while the work was published: branch {branch} may be on the remote, \
                 without a confirmed pull request"
            ),
            Self::PullRequest(_) | Self::Replies(_) => format!("cancelled; {self}"),
        }
    }
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing was published"),
            Self::Branch(branch) => {
                write!(f, "branch {branch} is pushed, no pull request was opened or updated")
            }
            Self::PullRequest(url) => write!(f, "{url} is open, the ticket was not completed"),
            Self::Replies(replies) => {
                let Replies { url, posted, all } = &**replies;
                write!(f, "{posted} of {all} replies are posted on {url}")
            }
        }
    }
}

impl RunError {
    /// Of a lease that was not renewed, so that nothing more may be published.
    pub(crate) fn of_lease(published: Published, source: ApiError) -> Self {
        match source {
            ApiError::Refused { status: 409, .. } => Self::Superseded { published, source },
            source if source.is_unknown_to_the_app() => Self::Superseded { published, source },
            source => Self::LeaseUnknown { published, source },
        }
    }

    /// What it means for a run that was cancelled: whatever failed was interrupted. That the job is
    /// another's stays what it is.
    pub(crate) fn when_cancelled(self) -> Self {
        let published = match self {
            Self::Superseded { .. } => return self,
            Self::Cancelled(published) | Self::LeaseUnknown { published, .. } => published,
            Self::Push { branch, .. }
            | Self::NotConfirmed { branch, .. }
            | Self::PullRequest { branch, .. } => Published::Branch(branch),
            Self::Completion { url, .. } | Self::ChecksFailed { proposed: Some(url), .. } => {
                Published::PullRequest(url)
            }
            Self::ReplyNotPosted { url, posted, all, .. } => {
                Published::Replies(Box::new(Replies { url, posted, all }))
            }
            _ => Published::Nothing,
        };
        Self::Cancelled(published)
    }
}
