//! A fresh clone that begins where an earlier run of the ticket began, though the default branch has moved on
//! since.
//!
//! Invariant: what was merged is not done again. Whether it was, the default branch of today is asked for before
//! anything is changed.

use super::{Checkout, CheckoutError, Start, fetch_base, saved};
use crate::git::{CommitId, Git};

/// Whether a checkout begins at an earlier commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pinned {
    /// It does.
    Yes,
    /// It is as it was, for this reason.
    No(&'static str),
}

/// Has a clone of the default branch begin at an earlier commit of that, as if the work had gone on all the time:
/// what is new there is for publication to see.
///
/// # Errors
/// When the clone is neither at the one nor at the other commit, or the remote does not send what is new.
pub(crate) async fn begin_at(
    git: &Git,
    checkout: &mut Checkout,
    commit: CommitId,
) -> Result<Pinned, CheckoutError> {
    if checkout.start != Start::Fresh {
        return Ok(Pinned::No("the ticket has a branch by now"));
    }
    if !checkout.is_clone() {
        return Ok(Pinned::No("the default branch has moved on"));
    }
    let path = checkout.path.clone();
    let now = fetch_base(git, &checkout.source, &path, &checkout.base_branch).await?;
    if let Some(why) = outdated(checkout, commit, now)? {
        return Ok(Pinned::No(why));
    }
    git.reset_to(&path, commit).await?;
    checkout.shadow.adopt_index(&checkout.git_dir.join("index"))?;
    checkout.shadow.set_ref(&checkout.branch.to_ref(), commit)?;
    (checkout.start_commit, checkout.base_commit) = (commit, commit);
    Ok(Pinned::Yes)
}

/// Why work that began at a commit is not to be gone on with, where the default branch is at `now`.
fn outdated(
    checkout: &Checkout,
    commit: CommitId,
    now: CommitId,
) -> Result<Option<&'static str>, CheckoutError> {
    let repository = checkout.shadow.open()?;
    Ok(match repository.graph_descendant_of(now.oid(), commit.oid()) {
        Ok(true) if saved::mentions_ticket(&repository, checkout, now, commit.oid()) => {
            Some("the ticket was merged since")
        }
        Ok(true) => None,
        // A history that was cut off leads nowhere.
        Ok(false) | Err(_) => Some("the default branch was rewritten, or has moved on too far"),
    })
}

#[cfg(test)]
mod tests {
    use super::super::clone_ticket_branch;
    use super::*;
    use crate::git::testing::{Remote, git, run, ticket};

    /// A fresh clone of a default branch that has moved on, and where that was before.
    async fn moved_on(origin: &Remote, file: &str) -> (Checkout, CommitId) {
        let before = origin.head("main").parse().unwrap();
        origin.commit("main", file, "of others\n");
        let into = origin.place("tree");
        let (git, source, ticket) = (git(), origin.source(), ticket());
        let clone = clone_ticket_branch(&git, &source, &into, &ticket, None).await;
        (clone.unwrap(), before)
    }

    #[tokio::test]
    async fn work_begins_where_it_began_and_what_both_have_in_common_is_known() {
        let origin = Remote::new("main");
        let (mut checkout, before) = moved_on(&origin, "OTHERS").await;
        let now = checkout.base_commit();
        assert_eq!(begin_at(&git(), &mut checkout, before).await.unwrap(), Pinned::Yes);
        assert_eq!((checkout.start_commit(), checkout.base_commit()), (before, before));
        assert!(!checkout.path().join("OTHERS").exists());
        assert_eq!(run(checkout.path(), &["status", "--porcelain"]), "");
        let repository = checkout.shadow().open().unwrap();
        assert_eq!(repository.merge_base(now.oid(), before.oid()).unwrap(), before.oid());
    }

    #[tokio::test]
    async fn what_was_merged_or_rewritten_since_changes_nothing() {
        let merged = Remote::new("main");
        let (mut checkout, before) = moved_on(&merged, "OTHERS").await;
        let message = format!("Merge pull request #7 from acme/{}", ticket());
        let tree = run(&merged.path(), &["rev-parse", "main^{tree}"]);
        let by = ["-c", "user.name=P", "-c", "user.email=p@x", "commit-tree", "-p", "main", "-m"];
        let merge = run(&merged.path(), &[&by[..], &[&message, &tree]].concat());
        run(&merged.path(), &["update-ref", "refs/heads/main", &merge]);
        let now = checkout.start_commit();
        let pinned = begin_at(&git(), &mut checkout, before).await.unwrap();
        assert_eq!(pinned, Pinned::No("the ticket was merged since"));
        assert_eq!(checkout.start_commit(), now);
        assert!(checkout.path().join("OTHERS").exists());
        let rewritten = Remote::new("main");
        let (mut checkout, _) = moved_on(&rewritten, "OTHERS").await;
        let unknown = "1111111111111111111111111111111111111111".parse().unwrap();
        let pinned = begin_at(&git(), &mut checkout, unknown).await.unwrap();
        assert!(matches!(pinned, Pinned::No(why) if why.contains("rewritten")), "{pinned:?}");
    }
}
