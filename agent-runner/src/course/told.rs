//! What is told of a run so far, as the next run of its ticket takes it over.

use std::sync::PoisonError;

use api_client::outcome::{CheckFacts, DirectorFacts, TokenFacts, TurnFacts};
use api_client::wire::FollowUp;
use serde::{Deserialize, Serialize};

use super::Course;

/// What the outcome has of a run's turns so far, and what is to be said at its end.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Told {
    turns: Vec<TurnFacts>,
    checks: Vec<CheckFacts>,
    tokens: TokenFacts,
    money_usd: Option<f64>,
    director: Option<DirectorFacts>,
    remarks: Vec<String>,
    warnings: Vec<String>,
    follow_ups: Option<Vec<FollowUp>>,
}

impl Told {
    /// The same without what was done and paid for, which another outcome has.
    pub(crate) fn unpaid(self) -> Self {
        let Self { remarks, warnings, follow_ups, .. } = self;
        Self { remarks, warnings, follow_ups, ..Self::default() }
    }
}

impl Course {
    /// What is told so far.
    pub(crate) fn told(&self) -> Told {
        let record = self.record().clone();
        Told {
            turns: record.turns,
            checks: record.checks,
            tokens: record.tokens,
            money_usd: record.money_usd,
            director: record.director,
            remarks: self.0.remarks.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            warnings: self.0.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            follow_ups: self.proposed().clone(),
        }
    }

    /// Tells what an earlier run had to tell.
    pub(crate) fn retell(&self, told: Told) {
        let Told { remarks, warnings, follow_ups, .. } = told;
        self.note(|record| {
            (record.turns, record.checks) = (told.turns, told.checks);
            (record.tokens, record.money_usd) = (told.tokens, told.money_usd);
            record.director = told.director;
        });
        *self.0.remarks.lock().unwrap_or_else(PoisonError::into_inner) = remarks;
        self.0.warnings.lock().unwrap_or_else(PoisonError::into_inner).extend(warnings);
        if let Some(proposals) = follow_ups.filter(|_| self.expects_follow_ups()) {
            self.note_follow_ups(proposals);
        }
    }
}
