//! What a case came to, held against what it has to come to. Pure.

use std::fmt;
use std::time::Duration;

use api_client::contract::AgentExit;
use api_client::outcome::{OutcomeDocument, Verdict};

use super::case::Case;
use super::expected::{Expected, Remote};

/// What a case came to.
#[derive(Clone, Debug)]
pub(super) struct Got {
    /// The exit code; none where it had not ended by the time limit.
    pub(super) code: Option<i64>,
    /// What the agent says, or why that is not known.
    pub(super) document: Result<OutcomeDocument, String>,
    /// What is on the remote, or what is wrong there.
    pub(super) remote: Result<Remote, String>,
    /// How often the model was asked.
    pub(super) requests: usize,
    /// How long it took.
    pub(super) time: Duration,
}

/// One line of the table.
#[derive(Debug)]
pub struct Row {
    /// The case.
    pub case: Case,
    pub(super) expected: Expected,
    pub(super) got: Got,
}

/// What all of them came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many cases.
    pub cases: usize,
    /// Said to be delivered, and not on the remote.
    pub false_green: usize,
    /// Not ended by the time limit.
    pub hangs: usize,
    /// Not what they have to be, those above among them.
    pub wrong: usize,
}

impl Row {
    pub(super) const fn new(case: Case, expected: Expected, got: Got) -> Self {
        Self { case, expected, got }
    }

    /// Whether it said that it delivered, and what is on the remote is not the change with its pull
    /// request.
    pub fn is_false_green(&self) -> bool {
        let said = self.got.document.as_ref().is_ok_and(|of| of.verdict == Verdict::Delivered);
        (said || self.got.code == Some(0)) && self.got.remote != Ok(Remote::PullRequest)
    }

    /// Whether it had not ended by the time limit.
    pub const fn hangs(&self) -> bool {
        self.got.code.is_none()
    }

    /// What is not as it has to be.
    pub fn differences(&self) -> Vec<String> {
        let Self { expected, got, .. } = self;
        let mut differences = Vec::new();
        let mut note = |what: &str, expected: &dyn fmt::Debug, got: &dyn fmt::Debug, same: bool| {
            if !same {
                differences.push(format!("{what}: {got:?}, not {expected:?}"));
            }
        };
        let code = i64::from(expected.cause.code());
        note("exit code", &code, &got.code, got.code == Some(code));
        note("remote", &expected.remote, &got.remote, got.remote == Ok(expected.remote));
        match &got.document {
            Ok(document) => {
                let same = document.verdict == expected.verdict;
                note("verdict", &expected.verdict, &document.verdict, same);
                note("cause", &expected.cause, &document.cause, document.cause == expected.cause);
                let ending = self.ending();
                let same = expected.endings.contains(&ending);
                note("ending", &expected.endings, &ending, same);
                self.facts(document, &mut |what, expected, got| {
                    note(what, &expected, &got, expected == got);
                });
            }
            Err(problem) => note("document", &"one", problem, false),
        }
        differences
    }

    /// What the document says of the remote.
    fn facts(&self, document: &OutcomeDocument, note: &mut dyn FnMut(&str, bool, bool)) {
        let remote = self.expected.remote;
        note("pull_request", remote == Remote::PullRequest, document.pull_request.is_some());
        note("rescue", remote == Remote::Rescue, document.rescue.is_some());
        if remote == Remote::PullRequest {
            note("commits", true, !document.commits.is_empty());
        }
    }

    /// How the last turn ended.
    pub(super) fn ending(&self) -> &str {
        let turns = self.got.document.as_ref().map_or(&[][..], |document| &document.turns);
        turns.last().map_or("-", |turn| turn.ending.as_str())
    }

    /// What the agent says at length.
    pub fn summary(&self) -> &str {
        match &self.got.document {
            Ok(document) => &document.summary,
            Err(problem) => problem,
        }
    }
}

impl Summary {
    /// Of all rows.
    pub fn of(rows: &[Row]) -> Self {
        let count = |is: &dyn Fn(&Row) -> bool| rows.iter().filter(|row| is(row)).count();
        Self {
            cases: rows.len(),
            false_green: count(&Row::is_false_green),
            hangs: count(&Row::hangs),
            wrong: count(&|row| !row.differences().is_empty() || row.is_false_green()),
        }
    }

    /// Whether all is as it has to be.
    pub const fn is_good(&self) -> bool {
        self.wrong == 0
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cases, false_green, hangs, wrong } = self;
        write!(f, "cases={cases} false_green={false_green} hangs={hangs} wrong={wrong}")
    }
}

/// A verdict and its cause, as people read them.
pub(super) fn shown(verdict: Verdict, cause: AgentExit) -> String {
    let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let verdict = serde_json::to_value(verdict).map(word).unwrap_or_default();
    match cause {
        AgentExit::Delivered | AgentExit::NoChanges | AgentExit::Blocked | AgentExit::Parked => {
            verdict
        }
        other => format!("{verdict} ({})", other.code()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::case::{Cli, TurnEnd};
    use super::*;

    fn row(code: Option<i64>, remote: Result<Remote, String>) -> Row {
        let case = Case { cli: Cli::Aider, end: TurnEnd::Edits };
        let document = Err("none".to_owned());
        let got = Got { code, document, remote, requests: 1, time: Duration::ZERO };
        Row::new(case, Expected::of(case), got)
    }

    #[test]
    fn a_run_that_says_it_delivered_is_green_only_with_its_pull_request() {
        assert!(!row(Some(0), Ok(Remote::PullRequest)).is_false_green());
        for remote in [Ok(Remote::Nothing), Ok(Remote::Rescue), Err("another file".to_owned())] {
            assert!(row(Some(0), remote.clone()).is_false_green());
            assert!(!row(Some(4), remote).is_false_green());
        }
    }

    #[test]
    fn a_case_is_wrong_when_anything_is_other_than_expected() {
        let hangs = row(None, Ok(Remote::Nothing));
        assert!(hangs.hangs() && !hangs.differences().is_empty());
        let summary = Summary::of(&[hangs, row(Some(0), Ok(Remote::Nothing))]);
        assert_eq!(summary.to_string(), "cases=2 false_green=1 hangs=1 wrong=2");
    }
}
