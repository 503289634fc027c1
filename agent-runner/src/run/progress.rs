//! What there is of the work, also where the run ends in the middle of it.

use serde::{Deserialize, Serialize};

use super::job::Job;
use super::keeper::Keeper;
use super::stage::{Alone, Point, Stage};
use crate::checkout::Checkout;
use crate::git::CommitId;
use crate::memory::learnt_in;
use crate::outcome::RunError;
use crate::publish::{ByProducts, Snapshot};

/// What there is of the work.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// What is told of the work: the worker's last words, or what the Director makes of them.
    pub(super) answer: String,
    /// The worker's last words.
    pub(super) words: String,
    /// What it said in its last turn, which may be nothing.
    pub(super) latest: String,
    /// What it last said that it learnt.
    pub(super) learnt: String,
    /// What it asked in its last turn, if it changed nothing in it.
    pub(super) question: Option<String>,
    /// What commands left in the work tree.
    pub(super) by_products: ByProducts,
    /// The tree before a command that did not come to its end: all since then is a by-product.
    pub(super) command_since: Option<Snapshot>,
    /// The base branch, where it was fetched again.
    pub(super) base: Option<CommitId>,
    /// What is being published.
    pub(super) published: Option<CommitId>,
    /// What it means that nothing is different from where the run began.
    pub(super) unchanged: Unchanged,
    /// What is left for the next run, should this one not come to its end.
    pub(super) keeper: Keeper,
}

/// What it means for a run that it changed nothing of what it found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Unchanged {
    /// It did nothing.
    #[default]
    Nothing,
    /// The work is what it found: an earlier try did it all.
    Done,
}

impl Progress {
    /// Takes in what the worker said at the end of a turn.
    pub(super) fn hear(&mut self, words: String) {
        self.latest.clone_from(&words);
        if words.trim().is_empty() {
            return;
        }
        let learnt = learnt_in(&words);
        if !learnt.is_empty() {
            learnt.clone_into(&mut self.learnt);
        }
        self.answer.clone_from(&words);
        self.words = words;
    }

    /// The base branch, as it was fetched last.
    pub(super) fn base(&self, checkout: &Checkout) -> CommitId {
        self.base.unwrap_or(checkout.base_commit())
    }

    /// Takes up what an earlier run left, where there is anything: where this one goes on.
    ///
    /// # Errors
    /// When what is in the work tree is neither the one nor the other.
    pub(super) async fn take_up(
        &mut self,
        job: &Job,
        checkout: &Checkout,
    ) -> Result<Option<Point>, RunError> {
        let Some(point) = self.keeper.take_up(job, checkout).await? else { return Ok(None) };
        self.answer.clone_from(&point.answer);
        self.words.clone_from(&point.words);
        self.latest.clone_from(&point.latest);
        self.learnt.clone_from(&point.learnt);
        self.question.clone_from(&point.question);
        self.by_products.clone_from(&point.by_products);
        let is_newer = self.keeper.began_at() != Some(checkout.start_commit());
        self.unchanged = match point.stage {
            // What was published once the worker was done is all of it.
            Stage::Over(_) | Stage::Alone(Alone::Check { .. }) if is_newer => Unchanged::Done,
            _ => point.unchanged,
        };
        job.course().retell(point.told.clone());
        Ok(Some(point))
    }
}
