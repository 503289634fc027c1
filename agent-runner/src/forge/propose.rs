//! From a pushed branch to a pull request that is proved to be there.
//!
//! Invariant: what is returned was read back from the forge after the last change: it is open and
//! its head is the commit that was pushed. Labels, reviewers and the draft state that cannot be had
//! are warnings.

use std::time::Duration;

use crate::git::CommitId;

use super::pull_request::cut;
use super::{Forge, ForgeError, PullRequest, PullRequestDraft, PullRequestState, Readiness};

/// How often the forge is asked whether it has seen the pushed commit, and how long between.
const READ_BACK: (usize, Duration) = (6, Duration::from_secs(2));
/// The longest warning, in characters.
const WARNING_MAX_CHARS: usize = 400;

/// A confirmed pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proposal {
    /// As it was read back.
    pub(crate) request: PullRequest,
    /// What of the draft could not be had, one line each.
    pub(crate) warnings: Vec<String>,
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
) -> Result<Proposal, ForgeError> {
    let mut warnings = Vec::new();
    let request = match forge.find_open(&draft.head).await? {
        Some(found) => {
            let updated = forge.update_body(found.number, &draft.body()).await?;
            if let Some(readiness) = draft.readiness.change_from(found.readiness) {
                let changed = forge.set_readiness(found.number, readiness).await;
                warnings.extend(warning("the draft state was not changed", changed));
            }
            updated
        }
        None => open(forge, draft, &mut warnings).await?,
    };
    decorate(forge, draft, &request, &mut warnings).await;
    let request = confirm(forge, request, pushed).await?;
    Ok(Proposal { request, warnings })
}

/// The same, but an open pull request keeps its body and its draft state.
///
/// # Errors
/// See [`ForgeError`].
pub(crate) async fn open_or_keep(
    forge: &impl Forge,
    draft: &PullRequestDraft,
    pushed: CommitId,
) -> Result<Proposal, ForgeError> {
    let mut warnings = Vec::new();
    let request = match forge.find_open(&draft.head).await? {
        Some(found) => found,
        None => open(forge, draft, &mut warnings).await?,
    };
    decorate(forge, draft, &request, &mut warnings).await;
    let request = confirm(forge, request, pushed).await?;
    Ok(Proposal { request, warnings })
}

/// Opens it, if need be as one that is ready: drafts are not to be had everywhere.
async fn open(
    forge: &impl Forge,
    draft: &PullRequestDraft,
    warnings: &mut Vec<String>,
) -> Result<PullRequest, ForgeError> {
    let opened = forge.create(draft).await;
    match opened {
        Err(ForgeError::Refused { message, .. })
            if draft.readiness.is_draft() && message.to_ascii_lowercase().contains("draft") =>
        {
            warnings.push(line(&format!("it is no draft: {message}")));
            let ready = PullRequestDraft { readiness: Readiness::Ready, ..draft.clone() };
            forge.create(&ready).await
        }
        opened => opened,
    }
}

/// Labels and reviewers.
async fn decorate(
    forge: &impl Forge,
    draft: &PullRequestDraft,
    request: &PullRequest,
    warnings: &mut Vec<String>,
) {
    if !draft.labels.is_empty() {
        match forge.add_labels(request.number, &draft.labels).await {
            Ok(missing) => warnings.extend(missing.iter().map(|text| line(text))),
            failed => warnings.extend(warning("no labels were added", failed.map(drop))),
        }
    }
    if !draft.reviewers.is_empty() {
        match forge.request_reviews(request.number, &draft.reviewers).await {
            Ok(missing) => warnings.extend(missing.iter().map(|text| line(text))),
            failed => warnings.extend(warning("no review was asked for", failed.map(drop))),
        }
    }
}

fn warning(what: &str, done: Result<(), ForgeError>) -> Option<String> {
    done.err().map(|error| line(&format!("{what}: {error}")))
}

fn line(text: &str) -> String {
    cut(&text.split_whitespace().collect::<Vec<_>>().join(" "), WARNING_MAX_CHARS)
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
