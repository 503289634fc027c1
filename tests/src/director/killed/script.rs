//! The turns of the ticket: what the worker's model says in them, and what comes of it.

use serde_json::Value;

use crate::director::answers;
use crate::llm::{Rule, Script};

/// Turns of the worker: research, plan, and three that do work.
pub(super) const TURNS: usize = 5;

/// What the worker's prompt of each turn has, in their order.
pub(super) const PROMPTS: [&str; TURNS] =
    ["change nothing yet", "Now write a plan", "Now do the work", "STEP TWO", "STEP THREE"];

/// What is on the remote at the end beside the files of the repository.
pub(super) const FILES: [&str; 3] = ["one.txt", "three.txt", "two.txt"];

/// The worker's model, which gives no answer in the turn that is held.
pub(super) fn worker(plan: &str, held: Option<usize>) -> Script {
    let mut script = answers::worker(plan);
    let Some(prompt) = held.and_then(|turn| PROMPTS.get(turn - 1)) else { return script };
    let set = [("scenario".to_owned(), Value::from("hang"))].into_iter().collect();
    match script.rules.iter_mut().find(|rule| rule.contains == *prompt) {
        Some(rule) => rule.set = set,
        None => script.rules.push(Rule { contains: (*prompt).to_owned(), set }),
    }
    script
}

/// How many calls of the worker's model a turn takes that is not killed: beside the last words, a turn after the first
/// has one that writes its file.
pub(super) const fn calls_in(turn: usize) -> usize {
    if turn < 2 { turn } else { 2 }
}

/// The turn that a call of the worker's model is for: that of its newest prompt, where it is of the session that the
/// first turn began.
pub(super) fn turn_of(body: &str) -> Option<usize> {
    let newest = PROMPTS.iter().rposition(|prompt| body.contains(prompt))?;
    body.contains(PROMPTS[0]).then_some(newest + 1)
}
