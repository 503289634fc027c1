//! Whether the work begins where an earlier run saved what it could not finish.
//!
//! Invariant: what is on the ticket's own branch is never left out, and what was merged is not done again.

use git2::{Oid, Repository};

use super::{Checkout, CheckoutError, Start};
use crate::git::CommitId;

/// Whether a checkout can stay where it is. Saved work that lacks what was published since, is from
/// before the ticket's work was merged, or has nothing in common with the base in the history that was
/// fetched, is too old to begin at.
pub(super) fn can_be_continued(checkout: &Checkout) -> Result<bool, CheckoutError> {
    if checkout.start() != Start::Rescued {
        return Ok(true);
    }
    let repository = checkout.shadow().open()?;
    let why = match base_of(&repository, checkout) {
        Err(why) => why,
        Ok(fork) if mentions_ticket(&repository, checkout, checkout.base_commit(), fork) => {
            "the ticket was merged since"
        }
        Ok(_) => return Ok(true),
    };
    let branch = checkout.branch().rescue();
    tracing::warn!("the unfinished work on branch {branch} is not continued: {why}");
    Ok(false)
}

/// Where the saved work left the base, if it is new enough for that to be known.
fn base_of(repository: &Repository, checkout: &Checkout) -> Result<Oid, &'static str> {
    let (start, base) = (checkout.start_commit().oid(), checkout.base_commit().oid());
    if let Some(published) = checkout.published().map(|commit| commit.oid())
        && published != start
        && !repository.graph_descendant_of(start, published).unwrap_or(false)
    {
        return Err("it lacks what is on the ticket's own branch");
    }
    repository.merge_base(start, base).map_err(|_| "the base has moved on too far")
}

/// Whether a commit on the base, as it is at `now`, since then names the ticket: its pull request's merge does, or
/// the trailers of the commits themselves.
pub(super) fn mentions_ticket(
    repository: &Repository,
    checkout: &Checkout,
    now: CommitId,
    since: Oid,
) -> bool {
    let branch = checkout.branch().as_str();
    let ticket = branch.strip_prefix("ticket-").unwrap_or(branch).as_bytes();
    let Ok(mut walk) = repository.revwalk() else { return false };
    if walk.push(now.oid()).is_err() || walk.hide(since).is_err() {
        return false;
    }
    // The history that was fetched may end before it.
    walk.map_while(Result::ok)
        .filter_map(|id| repository.find_commit(id).ok())
        .any(|commit| commit.message_bytes().windows(ticket.len()).any(|window| window == ticket))
}
