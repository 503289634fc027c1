//! From a pushed branch to a pull request that is proved to be there.
//!
//! Invariants: what is returned was read back from the forge after the last change: it is open to the
//! base branch and its head is the commit that was pushed. Labels, reviewers and the draft state that
//! cannot be had are warnings. A pull request that a run made a draft has the mark of that in its body
//! for as long as it may be one, wherever the run is killed: without it, it is a person's.

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

/// What becomes of a pull request that is open already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// Its body is refreshed, and its draft state where that is a run's doing. Its title may have
    /// been edited by people.
    Update,
    /// It keeps its body and its draft state.
    Keep,
}

/// Finds the open pull request of the draft's branch, or opens it; then confirms that it is open and at
/// the pushed commit.
///
/// # Errors
/// See [`ForgeError`].
pub(crate) async fn open_pull_request(
    forge: &impl Forge,
    draft: &PullRequestDraft,
    existing: Existing,
    pushed: CommitId,
) -> Result<Proposal, ForgeError> {
    let mut warnings = Vec::new();
    let request = match forge.find_open(&draft.head, &draft.base).await? {
        Some(found) if existing == Existing::Keep => found,
        Some(found) => update(forge, draft, found, &mut warnings).await?,
        None => open(forge, draft, &mut warnings).await?,
    };
    decorate(forge, draft, &request, &mut warnings).await;
    let request = confirm(forge, draft, request, pushed).await?;
    warnings.extend(difference(draft.readiness, request.readiness));
    Ok(Proposal { request, warnings })
}

/// Refreshes the body of one that is open, and its draft state where that is a run's doing.
async fn update(
    forge: &impl Forge,
    draft: &PullRequestDraft,
    found: PullRequest,
    warnings: &mut Vec<String>,
) -> Result<PullRequest, ForgeError> {
    let mut body = draft.body();
    let change = draft.readiness.change_from(found.readiness);
    if change == Some(Readiness::Ready)
        && let Err(error) = forge.set_readiness(found.number, Readiness::Ready).await
    {
        // A later run is to know that it may try again.
        body = draft.with(Readiness::DraftUntilChecksPass).body();
        warnings.push(line(&format!("the draft state was not changed: {error}")));
    }
    let updated = forge.update_body(found.number, &body).await?;
    if let Some(readiness) = change.filter(|readiness| readiness.is_draft()) {
        let changed = forge.set_readiness(found.number, readiness).await;
        warnings.extend(warning("the draft state was not changed", changed));
    }
    Ok(updated)
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
            forge.create(&draft.with(Readiness::Ready)).await
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

/// What is to be said where a pull request is not shown as it was meant.
fn difference(wanted: Readiness, shown: Readiness) -> Option<String> {
    let text = match (wanted.is_draft(), shown) {
        (true, Readiness::Ready) => "the pull request is shown as ready for review, not as a draft",
        (false, Readiness::DraftUntilChecksPass) => "the pull request is still shown as a draft",
        (false, Readiness::Draft) => "the pull request is a draft, which only a person changes",
        (true, Readiness::Draft | Readiness::DraftUntilChecksPass) | (false, Readiness::Ready) => {
            return None;
        }
    };
    Some(text.to_owned())
}

/// Reads the pull request until it is at the commit: forges take a moment to see a push.
async fn confirm(
    forge: &impl Forge,
    draft: &PullRequestDraft,
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
    let is_open = seen.state == PullRequestState::Open;
    if is_open && seen.head_sha == expected && seen.base == draft.base.as_str() {
        return Ok(seen);
    }
    let state = match seen.state {
        PullRequestState::Open => "open",
        PullRequestState::Closed => "closed",
    };
    Err(ForgeError::NotVerified {
        url: seen.url,
        base: draft.base.clone(),
        expected: pushed,
        found: format!("{state} to {} at {}", seen.base, seen.head_sha),
    })
}
