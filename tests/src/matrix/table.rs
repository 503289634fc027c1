//! The table of the documentation.

use std::fmt::Write;

use super::expected::{Expected, Remote};
use super::verdict::{Row, Summary, shown};

const BEGIN: &str = "# The matrix

Every coding CLI against every way in which its turn can end: the real CLI in the real image, one whole
run of `agent-runner` each, on a scripted model and a test forge. Written by `tests/matrix`; not meant to
be edited.

What counts is what is on the remote afterwards. *False green* is a run that says it delivered where the
change and its pull request are not there; *hang* is one that had to be ended from outside. A verdict
with a number is one of several with that name, by its [exit code](agent.md#exit-codes); *ending* is that
of the [turn](agent.md#coding-clis).

| CLI | what happens | expected | got | ending | on the remote | model asked | time |
|---|---|---|---|---|---|---|---|
";

/// The whole page.
pub fn document(rows: &[Row]) -> String {
    let mut text = BEGIN.to_owned();
    for row in rows {
        let _infallible = writeln!(text, "{}", line(row));
    }
    let _infallible = writeln!(text, "\n`{}`", Summary::of(rows));
    text
}

fn line(row: &Row) -> String {
    let Row { case, expected: Expected { verdict, cause, .. }, got } = row;
    let said = match (&got.document, got.code) {
        (Ok(document), Some(_)) => shown(document.verdict, document.cause),
        (Err(problem), Some(code)) => format!("exit code {code}, and {problem}"),
        (_, None) => "HANGS".to_owned(),
    };
    let wrong = match row.differences().is_empty() {
        true => "",
        false => " **wrong**",
    };
    let remote = match &got.remote {
        Ok(Remote::PullRequest) => "pull request",
        Ok(Remote::Rescue) => "branch with the work so far",
        Ok(Remote::Nothing) => "nothing",
        Err(problem) => problem,
    };
    format!(
        "| {} | {} | {} | {said}{wrong} | {} | {remote} | {} | {:.0} s |",
        case.cli.mode(),
        case.end.describe(),
        shown(*verdict, *cause),
        row.ending(),
        got.requests,
        got.time.as_secs_f64(),
    )
}
