//! What is different, in the words of git, for a model to judge.
//!
//! Invariant: read from objects of git alone, so that no link in the work tree leads elsewhere.

use git2::{Diff, DiffFormat, DiffLine, DiffStatsFormat};

use super::{PublishError, Snapshot, on_thread};
use crate::bounded::HeadTail;
use crate::checkout::Checkout;
use crate::git::Git;

/// Width of a table of changes, in characters.
const WIDTH: usize = 100;
/// Longest table, in bytes.
const STAT_MAX: usize = 8 << 10;

/// From where changes are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// Where the branch left the default branch.
    Base,
    /// A state.
    State(Snapshot),
}

/// What is different.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// A table of the files, as `git diff --stat` has it.
    pub(crate) stat: String,
    /// The changes themselves, which may be shortened.
    pub(crate) patch: String,
}

/// What is different in a state; its patch has about `max` bytes, from its beginning and its end.
///
/// # Errors
/// When the commits cannot be read.
pub(crate) async fn changes(
    git: &Git,
    checkout: &Checkout,
    since: Since,
    now: Snapshot,
    max: usize,
) -> Result<Changes, PublishError> {
    let (base, start) = (checkout.base_commit().oid(), checkout.start_commit().oid());
    on_thread(checkout.shadow(), git.cancel(), move |repository| {
        let old = match since {
            Since::Base => {
                let from = repository.merge_base(base, start).unwrap_or(start);
                repository.find_commit(from)?.tree()?
            }
            Since::State(before) => repository.find_tree(before.0)?,
        };
        let new = repository.find_tree(now.0)?;
        let diff = repository.diff_tree_to_tree(Some(&old), Some(&new), None)?;
        Ok(Changes { stat: stat(&diff)?, patch: patch(&diff, max)? })
    })
    .await
}

fn stat(diff: &Diff<'_>) -> Result<String, git2::Error> {
    if diff.deltas().len() == 0 {
        return Ok(String::new());
    }
    let text = diff.stats()?.to_buf(DiffStatsFormat::FULL, WIDTH)?;
    let mut kept = HeadTail::new(STAT_MAX);
    kept.push(&String::from_utf8_lossy(&text));
    Ok(kept.into_text().trim_end().to_owned())
}

fn patch(diff: &Diff<'_>, max: usize) -> Result<String, git2::Error> {
    let mut kept = HeadTail::new(max);
    diff.print(DiffFormat::Patch, |_, _, line: DiffLine<'_>| {
        if matches!(line.origin(), '+' | '-' | ' ') {
            kept.push(line.origin().encode_utf8(&mut [0; 4]));
        }
        kept.push(&String::from_utf8_lossy(line.content()));
        true
    })?;
    Ok(kept.into_text())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scene, commit_message};
    use std::path::Path;

    use super::super::{Author, ByProducts, commit_all, staged};
    use super::*;
    use crate::git::testing::{Remote, run, ticket};

    const PLAN: &str = "plan/x_task_plan.md";

    #[tokio::test]
    async fn changes_are_those_of_the_branch_or_of_a_turn_and_bounded() {
        let scene = Scene::new().await;
        let state =
            async || staged(&scene.git, &scene.checkout, &ByProducts::default()).await.unwrap();
        scene.write("first", "1\n");
        let first = state().await;
        scene.write("second", &"a line of it\n".repeat(1_000));
        let second = state().await;
        let of = async |since, max| {
            changes(&scene.git, &scene.checkout, since, second, max).await.unwrap()
        };
        let all = of(Since::Base, 0).await;
        assert!(all.stat.ends_with("2 files changed, 1001 insertions(+)"), "{}", all.stat);
        let new = of(Since::State(first), 1_000).await;
        assert!(!new.stat.contains("first") && new.stat.contains("second"), "{}", new.stat);
        assert!(new.patch.contains("+++ b/second\n@@") && new.patch.contains("\n+a line of it\n"));
        assert!(new.patch.contains("bytes left out") && new.patch.len() < 1_200);
        assert_eq!(of(Since::State(second), 1_000).await, Changes::default());
        assert_eq!(scene.commit().await.map(|_| ()), Some(()), "nothing of it was committed");
    }

    #[tokio::test]
    async fn a_file_that_is_kept_out_stays_as_it_was_whoever_commits_it() {
        let origin = Remote::new("main");
        origin.commit("main", "plan/old", "of an earlier run\n");
        let scene = Scene::of(origin).await;
        let (git, checkout) = (&scene.git, &scene.checkout);
        let mut by_products = ByProducts::default();
        for path in [PLAN, "plan/old"] {
            by_products.keep_out(git, checkout, Path::new(path)).await.unwrap();
        }
        scene.write(PLAN, "new\n");
        scene.write("plan/old", "changed\n");
        run(checkout.path(), &["add", "-A"]);
        run(checkout.path(), &["commit", "-q", "-m", "by the worker"]);
        scene.write(PLAN, "changed again\n");
        scene.write("work", "done\n");
        let author = Author::new("Agent", "agent@example.org").unwrap();
        let message = commit_message("Do it");
        let commit = commit_all(git, checkout, &author, &message, &by_products).await.unwrap();
        super::super::push(git, checkout, commit.unwrap()).await.unwrap();
        let origin = scene.origin.path();
        let changed = run(&origin, &["diff", "--name-only", "main", ticket().as_str()]);
        assert_eq!(changed, "work");
    }
}
