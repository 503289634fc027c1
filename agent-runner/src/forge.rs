//! Forges: finding, opening and updating the pull request of a branch.
//!
//! Invariant: a pull request that [`open_or_update`] returns was read back from the forge: it is
//! open and its head is the commit that was pushed. The token is in a header and nowhere else.

mod github;

use std::time::Duration;

use crate::git::{BranchName, CommitId};

pub(crate) use self::github::GitHub;

/// Longest title of a pull request, in characters (GitHub's limit).
const TITLE_MAX_CHARS: usize = 256;
/// Longest body of a pull request, in characters; GitHub's limit is 65,536.
const BODY_MAX_CHARS: usize = 60_000;
/// How often the forge is asked whether it has seen the pushed commit, and how long between.
const READ_BACK: (usize, Duration) = (6, Duration::from_secs(2));

/// The pull request could not be found, opened, or confirmed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForgeError {
    /// There is no token, or what is set cannot be used.
    #[error("the forge cannot be used: {0}")]
    Misconfigured(String),
    /// The token was not accepted.
    #[error(
        "the forge did not accept the token while {attempted}: {message}; check GITHUB_TOKEN, \
         which must be allowed to write pull requests"
    )]
    Unauthorised {
        /// What was attempted.
        attempted: &'static str,
        /// What the forge said.
        message: String,
    },
    /// No such repository or pull request, or none that this token may see.
    #[error(
        "the forge found nothing while {attempted}: {message}; check REPO_URL and GITHUB_TOKEN"
    )]
    NotFound {
        /// What was attempted.
        attempted: &'static str,
        /// What the forge said.
        message: String,
    },
    /// The forge understood and said no.
    #[error("the forge refused while {attempted} (status {status}): {message}")]
    Refused {
        /// What was attempted.
        attempted: &'static str,
        /// The HTTP status.
        status: u16,
        /// What the forge said, the single errors included.
        message: String,
    },
    /// Too many requests; may succeed later.
    #[error("the forge limits our requests while {attempted}: {message}")]
    RateLimited {
        /// What was attempted.
        attempted: &'static str,
        /// What the forge said.
        message: String,
        /// How long the forge wants to be left alone.
        retry_after: Duration,
    },
    /// No answer, or one of a broken server; may succeed later.
    #[error("the forge could not be reached while {attempted}: {reason}")]
    Unreachable {
        /// What was attempted.
        attempted: &'static str,
        /// Why.
        reason: String,
    },
    /// An answer that is not what the forge's documentation says.
    #[error("the forge's answer while {attempted} could not be read: {reason}")]
    Malformed {
        /// What was attempted.
        attempted: &'static str,
        /// Why.
        reason: String,
    },
    /// The run is to end; what was not begun is not done any more.
    #[error("cancelled before {attempted}")]
    Cancelled {
        /// What was to be attempted.
        attempted: &'static str,
    },
    /// The pull request does not show what was pushed.
    #[error("pull request {url} should be open at {expected}, but it is {found}")]
    NotVerified {
        /// The pull request.
        url: String,
        /// Our commit.
        expected: CommitId,
        /// State and head as they are.
        found: String,
    },
}

impl ForgeError {
    /// Whether the same request may succeed a little later.
    const fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::RateLimited { .. })
    }
}

/// Whether a pull request can still be merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PullRequestState {
    /// It can.
    Open,
    /// It was closed or merged.
    Closed,
}

/// A pull request as the forge shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PullRequest {
    /// Its number in the repository.
    pub(crate) number: u64,
    /// Its page, for people.
    pub(crate) url: String,
    /// The commit at the tip of its branch, 40 hexadecimal digits.
    pub(crate) head_sha: String,
    /// Whether it is open.
    pub(crate) state: PullRequestState,
}

/// What a pull request is to say.
#[derive(Clone, Debug)]
pub(crate) struct PullRequestDraft {
    /// One line; more than 256 characters are cut.
    pub(crate) title: String,
    /// Markdown; more than 60,000 characters are cut.
    pub(crate) body: String,
    /// The branch with the work, in the same repository.
    pub(crate) head: BranchName,
    /// The branch that the work is to go to.
    pub(crate) base: BranchName,
}

impl PullRequestDraft {
    /// The title on one line, within the limit.
    fn title(&self) -> String {
        let line = self.title.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = if line.is_empty() { self.head.to_string() } else { line };
        cut(&line, TITLE_MAX_CHARS)
    }

    /// The body within the limit.
    fn body(&self) -> String {
        cut(&self.body.replace('\0', ""), BODY_MAX_CHARS)
    }
}

/// One repository on a forge, with the requests that publishing needs. Every request is repeated
/// where that may help, and is then as good as made once. A cancelled run changes nothing there any
/// more, except by a request that is under way; it may still look.
pub(crate) trait Forge {
    /// The open pull request of a branch.
    async fn find_open(&self, head: &BranchName) -> Result<Option<PullRequest>, ForgeError>;

    /// Opens a pull request; if there is one for the branch, that one is returned.
    async fn create(&self, draft: &PullRequestDraft) -> Result<PullRequest, ForgeError>;

    /// Replaces the body of a pull request.
    async fn update_body(&self, number: u64, body: &str) -> Result<PullRequest, ForgeError>;

    /// Reads a pull request.
    async fn read(&self, number: u64) -> Result<PullRequest, ForgeError>;
}

/// Finds the open pull request of the draft's branch and refreshes its body (its title may have
/// been edited by people), or opens it; then confirms that it is open and at the pushed commit.
///
/// # Errors
/// See [`ForgeError`].
pub(crate) async fn open_or_update(
    forge: &impl Forge,
    draft: &PullRequestDraft,
    pushed: CommitId,
) -> Result<PullRequest, ForgeError> {
    let request = match forge.find_open(&draft.head).await? {
        Some(found) => forge.update_body(found.number, &draft.body()).await?,
        None => forge.create(draft).await?,
    };
    confirm(forge, request, pushed).await
}

/// The same, but an open pull request keeps its body.
///
/// # Errors
/// See [`ForgeError`].
pub(crate) async fn open_or_keep(
    forge: &impl Forge,
    draft: &PullRequestDraft,
    pushed: CommitId,
) -> Result<PullRequest, ForgeError> {
    let request = match forge.find_open(&draft.head).await? {
        Some(found) => found,
        None => forge.create(draft).await?,
    };
    confirm(forge, request, pushed).await
}

/// Reads the pull request until it is at the commit: forges take a moment to see a push.
async fn confirm(
    forge: &impl Forge,
    request: PullRequest,
    pushed: CommitId,
) -> Result<PullRequest, ForgeError> {
    let (tries, pause) = READ_BACK;
    let expected = pushed.to_string();
    let mut seen = forge.read(request.number).await?;
    for _ in 1..tries {
        if seen.state == PullRequestState::Closed || seen.head_sha == expected {
            break;
        }
        tokio::time::sleep(pause).await;
        seen = forge.read(request.number).await?;
    }
    if seen.state == PullRequestState::Open && seen.head_sha == expected {
        return Ok(seen);
    }
    let state = match seen.state {
        PullRequestState::Open => "open",
        PullRequestState::Closed => "closed",
    };
    Err(ForgeError::NotVerified {
        url: seen.url,
        expected: pushed,
        found: format!("{state} at {}", seen.head_sha),
    })
}

/// The text, or its beginning with an ellipsis.
fn cut(text: &str, max_chars: usize) -> String {
    if text.chars().nth(max_chars).is_none() {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(max_chars - 1).collect();
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_one_line_within_the_limit_and_never_empty() {
        let draft = |title: &str| PullRequestDraft {
            title: title.to_owned(),
            body: String::new(),
            head: "ticket-1".parse().unwrap(),
            base: "main".parse().unwrap(),
        };
        assert_eq!(draft(" Fix\r\nthe  thing ").title(), "Fix the thing");
        assert_eq!(draft("\n").title(), "ticket-1");
        let long = draft(&"ü".repeat(300)).title();
        assert_eq!(long.chars().count(), TITLE_MAX_CHARS);
        assert!(long.ends_with('…'));
    }

    #[test]
    fn a_body_within_the_limit_is_left_as_it_is() {
        assert_eq!(cut(&"x".repeat(5), 5), "xxxxx");
        assert_eq!(cut(&"x".repeat(6), 5), "xxxx…");
    }
}
