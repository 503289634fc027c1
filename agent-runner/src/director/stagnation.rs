//! Whether a run still moves: the same three times running is no progress.

use serde::{Deserialize, Serialize};

/// How often the same may come running.
const SAME_MAX: u32 = 3;

/// What one turn was, as far as it can be the same as the one before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Movement {
    /// What the worker was told.
    pub(crate) prompt: String,
    /// What it changed, empty where it changed nothing; in a review that may be words alone.
    pub(crate) diff: String,
    /// How the check failed, where it did.
    pub(crate) error: Option<String>,
}

/// What does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stagnant {
    /// The prompts.
    Prompt,
    /// The changes, of which there may be none.
    Diff,
    /// The way in which the check fails.
    Error,
}

impl Stagnant {
    /// In words.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Prompt => "the same prompt was given",
            Self::Diff => "the same was changed, or nothing",
            Self::Error => "the check failed in the same way",
        }
    }
}

/// The turns so far, as far as they count.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Stagnation {
    last: Movement,
    /// How often each has been the same running, the first time included.
    prompts: u32,
    diffs: u32,
    errors: u32,
}

impl Stagnation {
    /// Takes in a turn; what stagnates with it. The count begins anew then.
    pub(crate) fn observe(&mut self, now: Movement) -> Option<Stagnant> {
        let last = std::mem::take(&mut self.last);
        let count = |same: bool, before: u32| if same { before + 1 } else { 1 };
        self.prompts = count(last.prompt == now.prompt, self.prompts);
        self.diffs = count(last.diff == now.diff, self.diffs);
        self.errors = match &now.error {
            Some(_) => count(last.error == now.error, self.errors),
            None => 0,
        };
        self.last = now;
        let reached = |count: u32| count >= SAME_MAX;
        let found = [
            (Stagnant::Error, self.errors),
            (Stagnant::Prompt, self.prompts),
            (Stagnant::Diff, self.diffs),
        ]
        .into_iter()
        .find_map(|(what, count)| reached(count).then_some(what));
        if found.is_some() {
            *self = Self::default();
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(prompt: &str, diff: &str, error: Option<&str>) -> Movement {
        let error = error.map(str::to_owned);
        Movement { prompt: prompt.to_owned(), diff: diff.to_owned(), error }
    }

    fn found(turns: &[(&str, &str, Option<&str>)]) -> Vec<Option<Stagnant>> {
        let mut stagnation = Stagnation::default();
        turns.iter().map(|(p, d, e)| stagnation.observe(turn(p, d, *e))).collect()
    }

    #[test]
    fn the_third_of_the_same_running_stagnates() {
        let prompts = [("p", "1", None), ("p", "2", None), ("p", "3", None)];
        assert_eq!(found(&prompts), [None, None, Some(Stagnant::Prompt)]);
        let nothing = [("a", "", None), ("b", "", None), ("c", "", None)];
        assert_eq!(found(&nothing), [None, None, Some(Stagnant::Diff)]);
        let errors = [("a", "1", Some("e")), ("b", "2", Some("e")), ("c", "3", Some("e"))];
        assert_eq!(found(&errors), [None, None, Some(Stagnant::Error)]);
    }

    #[test]
    fn what_comes_back_after_something_else_does_not() {
        let turns = [("p", "1", None), ("p", "2", None), ("q", "3", None), ("p", "4", None)];
        assert_eq!(found(&turns), [None; 4]);
        let well = [("a", "1", None), ("b", "2", None), ("c", "3", None), ("d", "4", None)];
        assert_eq!(found(&well), [None; 4], "no error is no repeated error");
    }

    #[test]
    fn after_it_was_found_the_count_begins_anew() {
        let turn = ("p", "1", None);
        let expected = [None, None, Some(Stagnant::Prompt), None, None, Some(Stagnant::Prompt)];
        assert_eq!(found(&[turn; 6]), expected);
    }
}
