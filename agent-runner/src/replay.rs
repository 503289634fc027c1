//! `agent-runner replay BUNDLE`: what this version makes of the turns that a bundle has on record, beside what
//! was made of them then.
//!
//! Invariants: nothing of the archive reaches the disk or a program; no network, no setting, no environment is
//! used; text of the archive is printed without what a terminal would obey.

mod archive;
mod compare;
mod page;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use api_client::contract::AgentExit;
use api_client::error_chain;
use api_client::outcome::OutcomeDocument;
use clap::Args;

use self::archive::{ArchiveError, Bundle};
use self::compare::{Comparison, compare};
use crate::course::Course;
use crate::outcome::RunError;
use crate::redaction::Redaction;
use crate::worker::{Ending, RecordedTurn, ReplaySession, Replayed, TranscriptError, turns_of};

/// The turns come to something else than they did.
const DIFFERS: u8 = 3;
/// There is no turn on record, or nothing to compare it with.
const NOTHING_TO_COMPARE: u8 = 4;

/// What is replayed.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReplayOptions {
    /// A file that `coordinator bundle` wrote; `-` for standard input
    bundle: PathBuf,
}

/// A bundle cannot be replayed.
#[derive(Debug, thiserror::Error)]
enum ReplayError {
    #[error("cannot read the bundle {}", path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot use the bundle")]
    Archive(#[from] ArchiveError),
    #[error("cannot use {} of the bundle", api_client::bundle::TRANSCRIPT)]
    Transcript(#[from] TranscriptError),
    #[error("turn {turn} is of {cli:?}, which this agent-runner does not know")]
    UnknownCli { turn: usize, cli: String },
    #[error("cannot print")]
    Print(#[source] io::Error),
}

/// A turn, and what is made of it.
#[derive(Debug)]
struct Turn {
    recorded: RecordedTurn,
    replayed: Replayed,
}

/// Replays a bundle, and prints turn by turn what is made of it. The exit code tells whether it is the same as
/// on record.
pub(crate) fn run(options: &ReplayOptions) -> ExitCode {
    tell(options).unwrap_or_else(|error| {
        // An error may quote the archive.
        let line = format!("agent-runner: {}\n", page::plain(&error_chain(&error)));
        let _unheard = io::stderr().write_all(line.as_bytes());
        ExitCode::FAILURE
    })
}

fn tell(options: &ReplayOptions) -> Result<ExitCode, ReplayError> {
    let bundle = archive::read(open(&options.bundle)?)?;
    let turns = replay(&bundle)?;
    let run = outcome_of(&turns, bundle.outcome.as_ref());
    let comparison = compare(&turns, run.as_ref(), bundle.outcome.as_ref());
    let page = page::text(&bundle, &turns, run.as_ref(), &comparison);
    io::stdout().lock().write_all(page.as_bytes()).map_err(ReplayError::Print)?;
    Ok(match comparison {
        Comparison::Same => ExitCode::SUCCESS,
        Comparison::Differs(_) => DIFFERS.into(),
        Comparison::Nothing(_) => NOTHING_TO_COMPARE.into(),
    })
}

fn open(path: &Path) -> Result<Box<dyn Read>, ReplayError> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    match File::open(path) {
        Ok(file) => Ok(Box::new(file)),
        Err(source) => Err(ReplayError::Open { path: path.to_owned(), source }),
    }
}

fn replay(bundle: &Bundle) -> Result<Vec<Turn>, ReplayError> {
    let mut session = ReplaySession::default();
    let recorded = turns_of(bundle.transcript.as_deref().unwrap_or_default())?;
    let replayed = recorded.into_iter().enumerate().map(|(at, recorded)| {
        let unknown =
            || ReplayError::UnknownCli { turn: at + 1, cli: page::plain(&recorded.begun.cli) };
        let replayed = session.turn(&recorded).ok_or_else(unknown)?;
        Ok(Turn { recorded, replayed })
    });
    replayed.collect()
}

/// What the run comes to by these turns, kept as that of a run is. What followed the turns is not replayed: where
/// they ended well, the cause is the recorded one, and so is where work was saved.
fn outcome_of(turns: &[Turn], recorded: Option<&OutcomeDocument>) -> Option<OutcomeDocument> {
    let last = turns.last()?;
    // Whatever ended the run in the middle of a turn is not on record in it.
    let by_turn = last.recorded.ended.as_ref().and_then(|_| cause_of(&last.replayed.report.ending));
    let cause = by_turn.or(recorded.map(|outcome| outcome.cause))?;
    let course = Course::new(Redaction::default());
    for turn in turns {
        course.turn(&turn.replayed.report, std::time::Instant::now());
    }
    course.note(|run| run.rescue = recorded.and_then(|outcome| outcome.rescue.clone()));
    Some(course.outcome(cause, ""))
}

/// What ends a run whose last turn ended so; nothing where the run goes on.
fn cause_of(ending: &Ending) -> Option<AgentExit> {
    match ending {
        Ending::Finished | Ending::HungAfterEnd => None,
        Ending::Cancelled => Some(AgentExit::Cancelled),
        other => Some(RunError::Turn(other.clone()).exit()),
    }
}

#[cfg(test)]
mod tests {
    use api_client::bundle::{OUTCOME, TRANSCRIPT};
    use serde_json::{Value, json};

    use super::*;

    /// A turn of Claude Code with these events, that ended so.
    fn turn(events: &[Value], how: &Value, calls: &Value, made: (&str, &str)) -> String {
        let mut records = vec![json!({
            "record": "turn", "version": 1, "cli": "claude-code", "own_provider": false,
            "turn_limit_secs": 60, "stall_limit_secs": 60,
        })];
        let line = |event: &Value| json!({"record": "line", "text": event.to_string()});
        records.extend(events.iter().map(line));
        let (ending, detail) = made;
        records.push(json!({
            "record": "end", "how": how, "stderr": "", "calls": calls, "ending": ending,
            "detail": detail,
        }));
        records.iter().map(|record| record.to_string() + "\n").collect()
    }

    fn done() -> Value {
        json!({"type": "result", "is_error": false, "result": "Done.",
               "usage": {"input_tokens": 7, "output_tokens": 2}})
    }

    fn finished() -> String {
        let events = [json!({"type": "system", "subtype": "hook"}), done()];
        turn(&events, &json!({"exit_code": 0}), &json!({}), ("finished", "finished"))
    }

    fn outcome(verdict: &str, cause: &str, turns: &[Value]) -> String {
        json!({"version": 1, "verdict": verdict, "cause": cause, "summary": "", "turns": turns,
               "runner_version": "0.1.0"})
        .to_string()
    }

    fn facts(ending: &str, detail: &str, tokens: [u64; 2], unknown: u64) -> Value {
        let [input, output] = tokens;
        json!({"ending": ending, "detail": detail, "millis": 1, "unknown_events": unknown,
               "tokens": {"input": input, "cached": 0, "output": output}})
    }

    /// What the replay of a bundle with these files says.
    fn said(files: &[(&str, &str)]) -> (Comparison, String) {
        let bundle = archive::read(&*archive::tests::bundle(files)).unwrap();
        let turns = replay(&bundle).unwrap();
        let run = outcome_of(&turns, bundle.outcome.as_ref());
        let comparison = compare(&turns, run.as_ref(), bundle.outcome.as_ref());
        let page = page::text(&bundle, &turns, run.as_ref(), &comparison);
        (comparison, page)
    }

    #[test]
    fn a_turn_comes_to_the_same_again_and_is_told_by_its_events() {
        let outcome =
            outcome("delivered", "delivered", &[facts("finished", "finished", [7, 2], 1)]);
        let (comparison, page) = said(&[(TRANSCRIPT, &finished()), (OUTCOME, &outcome)]);
        assert_eq!(comparison, Comparison::Same, "{page}");
        for part in
            ["end 1, text 1, unknown 1, usage 1", "system/hook 1", "delivered (cause delivered)"]
        {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert_eq!(said(&[(TRANSCRIPT, &finished())]).0, Comparison::Same);
    }

    #[test]
    fn what_differs_is_named_by_its_turn() {
        let facts =
            [facts("finished", "finished", [7, 2], 1), facts("auth_failed", "no key", [1, 1], 0)];
        let outcome = outcome("failed", "misconfigured", &facts);
        let both = finished() + &finished();
        let (comparison, page) = said(&[(TRANSCRIPT, &both), (OUTCOME, &outcome)]);
        let Comparison::Differs(lines) = comparison else { panic!("{page}") };
        let expected = [
            "turn 2: ending: on record auth_failed, now finished",
            "turn 2: tokens: on record 1 in, 0 cached, 1 out, now 7 in, 0 cached, 2 out",
            "turn 2: events not understood: on record 0, now 1",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn the_account_of_the_gateway_and_the_end_of_the_process_count_as_then() {
        let spent = json!({"calls": 3, "tokens": {"input": 9, "cached": 0, "output": 1},
                           "exhausted": {"elsewhere": "enough"}});
        let budget = turn(&[], &json!({"signal": 9}), &spent, ("budget_exhausted", "x"));
        let detail = "the budget of this job is used up: enough";
        let over =
            outcome("failed", "budget_exhausted", &[facts("budget_exhausted", detail, [9, 1], 0)]);
        let (comparison, page) = said(&[(TRANSCRIPT, &budget), (OUTCOME, &over)]);
        assert_eq!(comparison, Comparison::Same, "{page}");

        let crashed = turn(&[], &json!({"exit_code": 3}), &json!({}), ("crashed", "x"));
        let detail = "the coding CLI ended without an answer: exit code 3";
        let failed = outcome("failed", "worker_failed", &[facts("crashed", detail, [0, 0], 0)]);
        let (comparison, page) = said(&[(TRANSCRIPT, &crashed), (OUTCOME, &failed)]);
        assert_eq!(comparison, Comparison::Same, "{page}");
        let other = outcome("blocked", "blocked", &[facts("crashed", detail, [0, 0], 0)]);
        let (comparison, page) = said(&[(TRANSCRIPT, &crashed), (OUTCOME, &other)]);
        let lines = [
            "verdict: on record blocked, now failed",
            "cause: on record blocked, now worker_failed",
        ];
        assert_eq!(comparison, Comparison::Differs(lines.map(str::to_owned).into()), "{page}");
    }

    #[test]
    fn a_run_that_was_killed_in_a_turn_or_before_any_leaves_nothing_to_compare() {
        let killed = finished().lines().take(2).map(|line| format!("{line}\n")).collect::<String>();
        let (comparison, page) = said(&[(TRANSCRIPT, &killed)]);
        assert!(matches!(comparison, Comparison::Nothing(_)), "{page}");
        assert!(page.contains("the run was ended in the middle of the turn"), "{page}");
        assert!(matches!(said(&[]).0, Comparison::Nothing("no turn is on record")));
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_printed_and_another_cli_is_named() {
        let event = json!({"type": "\u{1b}[2Jx\u{202e}", "subtype": "y\nz"});
        let text =
            turn(&[event, done()], &json!({"exit_code": 0}), &json!({}), ("finished", "\u{1b}"));
        let (_, page) = said(&[(TRANSCRIPT, &text)]);
        assert!(page.contains("[2Jx/y z 1") && !page.contains(['\u{1b}', '\u{202e}']), "{page}");
        let other = finished().replace("claude-code", "other\\u001b-cli");
        let bundle = archive::read(&*archive::tests::bundle(&[(TRANSCRIPT, &other)])).unwrap();
        let problem = replay(&bundle).unwrap_err().to_string();
        assert_eq!(problem, "turn 1 is of \"other-cli\", which this agent-runner does not know");
    }
}
