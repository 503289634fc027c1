//! What the cases came to.

use std::fmt;
use std::time::Duration;

use super::case::Case;
use super::killed::Calls;

/// What a case came to.
#[derive(Debug)]
pub struct Row {
    /// The case.
    pub case: Case,
    /// What is not as it has to be.
    pub wrong: Vec<String>,
    /// Where a secret was found.
    pub leaked: Vec<String>,
    /// The calls of the models, where the story is about them.
    pub(super) calls: Option<Calls>,
    pub(super) took: Duration,
}

/// All cases.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    cases: usize,
    failed: usize,
    leaked: usize,
}

impl Summary {
    /// Of these.
    pub fn of(rows: &[Row]) -> Self {
        Self {
            cases: rows.len(),
            failed: rows.iter().filter(|row| !row.wrong.is_empty()).count(),
            leaked: rows.iter().map(|row| row.leaked.len()).sum(),
        }
    }

    /// Whether all is as it has to be.
    pub fn is_good(self) -> bool {
        self.cases > 0 && self.failed == 0 && self.leaked == 0
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cases={} failed={} leaked={}", self.cases, self.failed, self.leaked)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, secs) = (self.case.name(), self.took.as_secs());
        let all: Vec<&str> = self.wrong.iter().chain(&self.leaked).map(String::as_str).collect();
        match all[..] {
            [] => write!(f, "ok     {name} ({secs} s)")?,
            _ => write!(f, "WRONG  {name} ({secs} s): {}", all.join("; "))?,
        }
        self.calls.as_ref().map_or(Ok(()), |calls| write!(f, "\n{calls}"))
    }
}
