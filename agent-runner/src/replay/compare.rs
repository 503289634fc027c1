//! What is made of the turns now against what was made of them then. Pure.

use api_client::contract::AgentExit;
use api_client::outcome::{OutcomeDocument, TurnFacts};

use super::Turn;
use super::page::{plain, word};

/// What a comparison came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Same,
    /// A line for each thing that differs.
    Differs(Vec<String>),
    /// Why there is nothing to compare.
    Nothing(&'static str),
}

/// Compares turn by turn, and then what the run came to.
pub(super) fn compare(
    turns: &[Turn],
    run: Option<&OutcomeDocument>,
    recorded: Option<&OutcomeDocument>,
) -> Comparison {
    if turns.is_empty() {
        return Comparison::Nothing("no turn is on record");
    }
    let Some(recorded) = recorded else {
        let differences: Vec<_> =
            turns.iter().enumerate().filter_map(|(at, turn)| by_transcript(at + 1, turn)).collect();
        return match differences.as_slice() {
            [] if turns.iter().all(|turn| turn.recorded.ended.is_none()) => {
                Comparison::Nothing("neither an outcome nor the end of a turn is on record")
            }
            [] => Comparison::Same,
            _ => Comparison::Differs(differences),
        };
    };
    let now = run.map(|run| run.turns.as_slice()).unwrap_or_default();
    let mut differences = Vec::new();
    for (at, (turn, then)) in turns.iter().zip(&recorded.turns).enumerate() {
        if let Some(now) = now.get(at).filter(|_| turn.recorded.ended.is_some()) {
            differences.extend(by_outcome(at + 1, turn, then, now));
        }
    }
    if turns.len() > recorded.turns.len()
        && turns.last().is_some_and(|turn| turn.recorded.ended.is_some())
    {
        let (then, now) = (recorded.turns.len(), turns.len());
        differences.push(format!("turns: the outcome has {then}, the transcript {now}"));
    }
    // A transcript that had no room for all turns says nothing of the last one.
    if turns.len() >= recorded.turns.len()
        && let Some(run) = run
    {
        differences.extend(by_run(recorded, run));
    }
    if differences.is_empty() { Comparison::Same } else { Comparison::Differs(differences) }
}

/// A turn against what the transcript says was made of it.
fn by_transcript(number: usize, turn: &Turn) -> Option<String> {
    let (then, now) = (turn.recorded.ended.as_ref()?, &turn.replayed.report.ending);
    (then.ending != now.name() || plain(&then.detail) != plain(&now.to_string())).then(|| {
        let then = plain(&then.detail);
        format!("turn {number}: ending: on record {then:?}, now {:?}", plain(&now.to_string()))
    })
}

fn by_outcome(number: usize, turn: &Turn, then: &TurnFacts, now: &TurnFacts) -> Vec<String> {
    let mut differences = Vec::new();
    let mut differs = |what: &str, then: String, now: String| {
        if then != now {
            differences.push(format!("turn {number}: {what}: on record {then}, now {now}"));
        }
    };
    differs("ending", plain(&then.ending), plain(&now.ending));
    if then.ending == now.ending {
        differs("detail", plain(&then.detail), plain(&now.detail));
    }
    // What was left out may have told of tokens.
    if turn.recorded.left_out == 0 {
        let tokens = |facts: &TurnFacts| {
            let tokens = &facts.tokens;
            format!("{} in, {} cached, {} out", tokens.input, tokens.cached, tokens.output)
        };
        differs("tokens", tokens(then), tokens(now));
        let unknown = |facts: &TurnFacts| facts.unknown_events.to_string();
        differs("events not understood", unknown(then), unknown(now));
    }
    differences
}

/// Verdict and cause, where the turns decide them: who cancelled a run or took its memory is not on record.
fn by_run(then: &OutcomeDocument, now: &OutcomeDocument) -> Vec<String> {
    let from_outside = matches!(
        then.cause,
        AgentExit::Cancelled
            | AgentExit::Superseded
            | AgentExit::OutOfMemory
            | AgentExit::ProcessLimit
    );
    if from_outside {
        return Vec::new();
    }
    let differs = |what, then: String, now: String| {
        (then != now).then(|| format!("{what}: on record {then}, now {now}"))
    };
    let cause = differs("cause", word(&then.cause), word(&now.cause));
    let verdict = differs("verdict", word(&then.verdict), word(&now.verdict));
    verdict.into_iter().chain(cause).collect()
}
