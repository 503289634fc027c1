//! Where a session is: what comes next, in a form that outlives the process.

use serde::{Deserialize, Serialize};

use super::directed;
use super::progress::Unchanged;
use super::session::Checked;
use crate::course::Told;
use crate::publish::ByProducts;

/// What comes next.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    /// In a session without a Director.
    Alone(Alone),
    /// In one with a Director.
    Directed(Box<directed::Kept>),
    /// The work is done, and is to be published.
    Over(Checked),
}

impl Stage {
    /// The plan that the work follows, where there is one.
    pub(super) fn plan(&self) -> &str {
        match self {
            Self::Directed(kept) => kept.plan(),
            Self::Alone(_) | Self::Over(_) => "",
        }
    }
}

/// What comes next where check and proof of delivery decide.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Alone {
    /// The worker gets a prompt.
    Work {
        /// What it is told.
        prompt: String,
        /// Further turns that it has while the check fails.
        turns_left: u32,
    },
    /// The check runs.
    Check {
        /// The same.
        turns_left: u32,
    },
}

/// A moment between two calls of a model, with all that a session needs to go on from there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Point {
    pub(super) stage: Stage,
    /// All turns of the worker so far.
    pub(super) begun: u32,
    /// Those of this job that did work.
    pub(super) turns: u32,
    pub(super) answer: String,
    pub(super) words: String,
    #[serde(default)]
    pub(super) latest: String,
    #[serde(default)]
    pub(super) learnt: String,
    pub(super) question: Option<String>,
    pub(super) unchanged: Unchanged,
    pub(super) by_products: ByProducts,
    pub(super) told: Told,
}

impl Point {
    /// The same once an outcome told what was done and paid for.
    pub(super) fn once_told(self) -> Self {
        Self { told: self.told.unpaid(), ..self }
    }

    /// The same for a job that did and paid for nothing of it.
    pub(super) fn of_another_job(self) -> Self {
        Self { turns: 0, ..self.once_told() }
    }
}
