//! Directors that answer well, and in every way that cannot be used at once.
//!
//! What counts is that all of them come to the same end: the work is on the remote, and what the outcome says
//! of questions, tokens and turns is what the models counted.

use api_client::contract::AgentExit;
use api_client::outcome::{DirectorFacts, OutcomeDocument, PlanOutcome};
use serde_json::json;

use super::case::{Story, done, next, plan, rule};
use super::seen::Seen;
use crate::llm::{Said, Scenario, Script};

/// What is in each file that the worker writes.
pub(super) const CONTENT: &str = "a line\n";

/// What the Director says, in its order.
pub(super) fn director(story: Story) -> Vec<Said> {
    let (approve, reject) = (plan(true), plan(false));
    let (two, three, four) = (next("STEP TWO"), next("STEP THREE"), next("STEP FOUR"));
    let cut = Said::CutOff(r#"{"complete": false, "next_prompt": "Go on wi"#.to_owned());
    let text = r#"{"complete": "false", "summary": "", "next_prompt": "Go on."}"#;
    match story {
        Story::FourTurns => vec![approve, two, three, four, done()],
        Story::PlanMended => vec![reject, approve, done()],
        Story::Killed => vec![approve, two, three, done()],
        Story::Prose => {
            let prose = format!("I have looked at {{all}} of it. {}\nThat is all.", words(&two));
            vec![approve, Said::Text(prose), done()]
        }
        Story::Fenced => {
            let fenced = format!("```json\n{}\n```", words(&two));
            vec![approve, Said::Text(fenced), done()]
        }
        Story::Truncated => vec![approve, cut, two, done()],
        Story::TextFalse => vec![approve, Said::Text(text.to_owned()), two, done()],
        Story::NullContent => vec![approve, Said::Null, two, done()],
        Story::Limited => {
            let limits = [Said::Limited(1), Said::Limited(1), Said::Limited(1)];
            limits.into_iter().chain([approve, two, done()]).collect()
        }
        Story::Page => vec![approve, Said::Page, two, done()],
        _ => vec![approve, two, Said::Text("It looks good to me.".to_owned())],
    }
}

/// The worker's model: what it writes goes by the newest prompt, which is in the conversation beside the older
/// ones. Its plan belongs into this file.
pub(super) fn worker(plan: &str) -> Script {
    let writes = |prompt: &str, file: &str| rule(prompt, &json!({ "file": file }));
    Script {
        scenario: Scenario::Noop,
        content: CONTENT.to_owned(),
        noop_text: "I have looked around.".to_owned(),
        rules: vec![
            writes("STEP FOUR", "four.txt"),
            writes("STEP THREE", "three.txt"),
            writes("STEP TWO", "two.txt"),
            writes("Now do the work", "one.txt"),
            writes("is not approved yet", plan),
            writes("Now write a plan", plan),
        ],
        ..Script::default()
    }
}

/// What is not as it has to be.
pub(super) fn wrong(seen: &Seen, story: Story) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut expect = |what: &str, is: String, wanted: String| {
        if is != wanted {
            wrong.push(format!("{what}: {is} in the place of {wanted}"));
        }
    };
    let never = story == Story::Never;
    let exit = if never { AgentExit::DirectorFailed } else { AgentExit::Delivered };
    expect("exit code", format!("{:?}", seen.code), format!("{:?}", Some(exit.code())));
    expect("pull requests", seen.pulls.len().to_string(), usize::from(!never).to_string());
    expect("files", seen.files.join(" "), files(story).join(" "));
    match &seen.document {
        Ok(OutcomeDocument { director: Some(facts), turns, .. }) => {
            wrong.extend(miscounted(seen, facts, &director(story)));
            // Research and plan, which one Director rejects once.
            let before = if story == Story::PlanMended { 3 } else { 2 };
            let wanted = before + files(story).len();
            if turns.len() != wanted {
                wrong.push(format!("turns: {} in the place of {wanted}", turns.len()));
            }
        }
        Ok(_) => wrong.push("no Director in the outcome".to_owned()),
        Err(error) => wrong.push(format!("no outcome: {error}")),
    }
    wrong
}

/// Figures of the outcome that are not those of the Director's model.
fn miscounted(seen: &Seen, facts: &DirectorFacts, sequence: &[Said]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut expect = |what: &str, is: u64, wanted: u64| {
        if is != wanted {
            wrong.push(format!("{what}: {is} in the place of {wanted}"));
        }
    };
    let asked = seen.asked_of_director();
    expect("calls in the outcome", facts.calls, asked.len() as u64);
    // A repaired question is asked anew; the last answer is given for ever.
    let answers = (0..asked.len())
        .filter(|at| sequence.get(*at).or(sequence.last()).is_some_and(Said::is_answer));
    let answers = answers.count() as u64;
    let script = Script::default();
    let tokens = facts.tokens;
    expect("tokens read", tokens.input + tokens.cached, script.input_tokens * answers);
    expect("tokens written", tokens.output, script.output_tokens * answers);
    if facts.plan != Some(PlanOutcome::Approved) {
        wrong.push(format!("the plan is {:?}", facts.plan));
    }
    wrong
}

/// The files that are on the remote at the end beside those of the repository, one of each turn that works.
const fn files(story: Story) -> &'static [&'static str] {
    match story {
        Story::FourTurns => &["four.txt", "one.txt", "three.txt", "two.txt"],
        Story::PlanMended => &["one.txt"],
        _ => &["one.txt", "two.txt"],
    }
}

fn words(said: &Said) -> &str {
    match said {
        Said::Text(text) | Said::CutOff(text) => text,
        Said::Null | Said::Limited(_) | Said::Page => "",
    }
}
