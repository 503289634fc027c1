//! A run whose container is killed in each of its turns, and goes on each time in another one.

use std::time::Duration;

use api_client::contract::env;

use super::seen::Seen;
use crate::harness::within;
use crate::matrix::container::Container;

/// How the log begins a turn of the worker.
const TURN: &str = "Prompt for the worker";

/// Turns of the worker: research, plan, and three that do work.
const TURNS: usize = 5;

/// A turn that does not begin in this time hangs.
const LIMIT: Duration = Duration::from_secs(300);

/// What the worker is told in its first turn, and a CLI that goes on in its session sends in its last.
const FIRST_WORDS: &str = "change nothing yet";

/// Where a run leaves what the next one needs: in the folder for its outcome, which outlives its container.
pub(super) fn state() -> (&'static str, String) {
    (env::AGENT_STATE_DIR, "/out/state".to_owned())
}

/// Starts an agent for each of the turns, and kills it in that.
pub(super) async fn killed_in_each_turn(start: impl AsyncFn() -> Container) {
    for turn in 1..=TURNS {
        let container = start().await;
        // The first one begins, each other one repeats the turn that was under way, and goes on to the next.
        let turns = turn.min(2);
        let begun =
            async || (container.output().await.matches(TURN).count() >= turns).then_some(());
        within(LIMIT, "a turn of the worker", begun).await;
        container.remove().await;
    }
}

/// What shows that the last run did not go on where the one before it was killed.
pub(super) fn not_gone_on(seen: &Seen) -> Vec<String> {
    let mut wrong = Vec::new();
    let turn = seen.document.as_ref().ok().and_then(|document| document.resumed_at_turn);
    if turn != u32::try_from(TURNS).ok() {
        wrong.push(format!("the last run went on at {turn:?}"));
    }
    let last = seen.worker.iter().rfind(|request| request.asks());
    if !last.is_some_and(|request| request.body.contains(FIRST_WORDS)) {
        wrong.push("the coding CLI did not go on in its session".to_owned());
    }
    wrong
}
