//! Jobs whose provider says that its limit holds for hours, to the worker or to the Director: the work is saved,
//! and the outcome says until when.

use std::time::Duration;

use api_client::UtcTime;
use api_client::contract::AgentExit;
use api_client::outcome::Verdict;
use serde_json::{Map, Value, json};

use super::case::{PLAN, Story, next, plan, rule};
use super::seen::Seen;
use super::stage::CASE_LIMIT;
use crate::llm::{Rule, Said, Scenario, Script};

/// For how long the limit holds, in seconds.
const LIMIT: u32 = 7_200;

/// Approval, one more step, and the limit where it is the Director's.
pub(super) fn director(story: Story) -> Vec<Said> {
    let limited = (story == Story::PausedDirector).then_some(Said::Limited(LIMIT));
    let two = (story == Story::PausedWorker).then(|| next("STEP TWO"));
    [plan(true)].into_iter().chain(two).chain(limited).collect()
}

/// Does its first step; its limit is used up in the second.
pub(super) fn worker() -> Script {
    let limited = json!({ "scenario": "status", "status": 429, "retry_after": LIMIT });
    let set: Map<String, Value> = limited.as_object().cloned().unwrap_or_default();
    Script {
        scenario: Scenario::Noop,
        content: "a line\n".to_owned(),
        noop_text: "I have looked around.".to_owned(),
        rules: vec![
            Rule { contains: "STEP TWO".to_owned(), set },
            rule("Now do the work", &json!({ "file": "one.txt" })),
            rule("Now write a plan", &json!({ "file": PLAN })),
        ],
        ..Script::default()
    }
}

/// OpenCode is silent while it waits for its limit to be over. It begins in less than this.
pub(super) fn settings() -> Vec<(&'static str, String)> {
    vec![("WORKER_STALL_SEC", "240".to_owned())]
}

/// What is not as it has to be.
pub(super) fn wrong(seen: &Seen) -> Vec<String> {
    let mut wrong = Vec::new();
    let exit = i64::from(AgentExit::Parked.code());
    if seen.code != Some(exit) {
        wrong.push(format!("exit code: {:?} in the place of {exit}", seen.code));
    }
    if seen.files != ["one.txt"] || !seen.pulls.is_empty() {
        wrong.push(format!("files: {:?}, pull requests: {}", seen.files, seen.pulls.len()));
    }
    let document = match &seen.document {
        Ok(document) => document,
        Err(error) => {
            wrong.push(format!("no outcome: {error}"));
            return wrong;
        }
    };
    if document.verdict != Verdict::Parked || document.rescue.is_none() {
        wrong.push(format!("{:?}, saved: {:?}", document.verdict, document.rescue));
    }
    let Some(parked) = &document.parked else {
        wrong.push("the outcome does not say until when".to_owned());
        return wrong;
    };
    // It was said at some time of the case.
    let latest = UtcTime::after(Duration::from_secs(LIMIT.into())).seconds() + 2;
    let earliest = latest.saturating_sub(CASE_LIMIT.as_secs());
    if !(earliest..=latest).contains(&parked.until.seconds()) {
        wrong.push(format!(
            "until {}, and it is {} now",
            parked.until,
            UtcTime::after(Duration::ZERO)
        ));
    }
    if !document.summary.contains(&parked.until.to_string()) {
        wrong.push(format!("the summary does not say until when: {}", document.summary));
    }
    wrong
}
