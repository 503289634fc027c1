//! Jobs that would run for forty turns, and a limit that ends each: turns, money, tokens, time.
//!
//! What counts is that the work so far is on the remote, that the summary names limit and amount, and that
//! the outcome's figures are those that the models counted themselves.

use api_client::contract::{AgentExit, env};
use api_client::outcome::{OutcomeDocument, TokenFacts, Verdict};
use serde_json::json;

use super::case::{Case, PLAN, Story, next, plan, rule};
use super::seen::Seen;
use super::stage::Stage;
use crate::llm::{LlmRequest, Said, Scenario, Script};

/// The turns that the Director wants.
const WANTED: usize = 40;

/// The title of a ticket that is worked on from the first turn on.
pub(super) const SET_UP: &str = "Project setup";

/// US dollars for a million tokens, in and out, of both models.
const PRICES: (f64, f64) = (1.0, 4.0);

/// The limit of time, in seconds; on a machine where the CLI takes all of it to begin, one of the others.
const TIMES: [u64; 3] = [60, 180, 540];

/// Plays a case: what is wrong, and where a secret is.
pub(super) async fn play(stage: &Stage, case: Case) -> (Vec<String>, Vec<String>) {
    let [mut secs, more @ ..] = TIMES;
    let timed = case.story == Story::TimeBudget;
    let limit = |secs: u64| timed.then(|| (env::AGENT_TIME_BUDGET_SEC, secs.to_string()));
    let mut seen = stage.run(case, limit(secs)).await;
    let mut leaked = seen.leaked();
    for longer in more {
        if !timed || calls(&seen) > 0 {
            break;
        }
        (secs, seen) = (longer, stage.run(case, limit(longer)).await);
        leaked.extend(seen.leaked());
    }
    let wrong = wrong(&seen, case.story, secs);
    (seen.violations.into_iter().chain(wrong).collect(), leaked)
}

/// Approval, and one step after the other.
pub(super) fn director(story: Story) -> Vec<Said> {
    let steps = (2..=WANTED).map(|step| next(&format!("STEP {step:02}")));
    let approve = (story != Story::TimeBudget).then(|| plan(true));
    approve.into_iter().chain(steps).collect()
}

/// Writes a file for each step; where it is about time, it works on the first for longer than there is.
pub(super) fn worker(story: Story) -> Script {
    let steps = (2..=WANTED).rev();
    let steps = steps
        .map(|step| rule(&format!("STEP {step:02}"), &json!({ "file": format!("{step:02}.txt") })));
    let first = rule("Now do the work", &json!({ "file": "01.txt" }));
    let plan = rule("Now write a plan", &json!({ "file": PLAN }));
    // A CLI may end its tools by itself before that.
    let long = json!({ "shell": "echo one > 01.txt; sleep 1000", "turns": 1_000 });
    let long = rule(SET_UP, &long);
    let rules = match story {
        Story::TimeBudget => vec![long],
        _ => steps.chain([first, plan]).collect(),
    };
    Script {
        scenario: Scenario::Noop,
        content: "a line\n".to_owned(),
        noop_text: "I have looked around.".to_owned(),
        rules,
        ..counting(story)
    }
}

/// What both models say of the tokens of each answer.
pub(super) fn counting(story: Story) -> Script {
    let usual = Script::default();
    match story {
        Story::MoneyBudget => {
            Script { input_tokens: 10_000, cached_tokens: 2_000, output_tokens: 500, ..usual }
        }
        _ => usual,
    }
}

pub(super) fn settings(story: Story) -> Vec<(&'static str, String)> {
    let price = |name, price: f64| (name, price.to_string());
    match story {
        Story::TurnBudget => vec![(env::AGENT_MAX_TURNS, "3".to_owned())],
        Story::MoneyBudget => vec![
            (env::WORKER_MONEY_BUDGET, "0.10".to_owned()),
            price(env::WORKER_PRICE_INPUT, PRICES.0),
            price(env::WORKER_PRICE_OUTPUT, PRICES.1),
            price(env::AGENT_PRICE_INPUT, PRICES.0),
            price(env::AGENT_PRICE_OUTPUT, PRICES.1),
        ],
        Story::TokenBudget => vec![(env::WORKER_TOKEN_BUDGET, "20000".to_owned())],
        _ => Vec::new(),
    }
}

/// What the summary has to say.
fn words(story: Story, secs: u64) -> [String; 2] {
    let of_time = format!("AGENT_TIME_BUDGET_SEC allows {secs} s");
    let words = match story {
        Story::TurnBudget => ["after 3 turns", "AGENT_MAX_TURNS"],
        Story::MoneyBudget => ["WORKER_MONEY_BUDGET allows 0.1000 USD", "spent are 0.0"],
        Story::TokenBudget => ["WORKER_TOKEN_BUDGET allows 20000 tokens", "used: "],
        _ => [of_time.as_str(), "used until then: "],
    };
    words.map(str::to_owned)
}

/// What is not as it has to be.
fn wrong(seen: &Seen, story: Story, secs: u64) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut expect = |what: &str, is: String, wanted: String| {
        if is != wanted {
            wrong.push(format!("{what}: {is} in the place of {wanted}"));
        }
    };
    let exit = i64::from(AgentExit::BudgetExhausted.code());
    expect("exit code", format!("{:?}", seen.code), format!("{:?}", Some(exit)));
    expect("pull requests", seen.pulls.len().to_string(), "0".to_owned());
    expect("files", seen.files.join(" "), written(seen, story).join(" "));
    let document = match &seen.document {
        Ok(document) => document,
        Err(error) => {
            wrong.push(format!("no outcome: {error}"));
            return wrong;
        }
    };
    expect("verdict", format!("{:?}", document.verdict), format!("{:?}", Verdict::Partial));
    let saved: Vec<String> = document.rescue.iter().map(|saved| saved.branch.clone()).collect();
    expect("rescue branch", format!("{saved:?}"), format!("{:?}", seen.branches));
    for words in words(story, secs) {
        if !document.summary.contains(&words) {
            wrong.push(format!("{words:?} is not in the summary: {}", document.summary));
        }
    }
    wrong.extend(miscounted(seen, document, story));
    wrong
}

/// Figures of the outcome that are not those of the models.
fn miscounted(seen: &Seen, document: &OutcomeDocument, story: Story) -> Vec<String> {
    let (worker, director) = (counted(&seen.worker, story), counted(&seen.director, story));
    let judge = document.director.as_ref();
    let mut wrong = Vec::new();
    let mut expect = |what: &str, is: TokenFacts, wanted: TokenFacts| {
        if is != wanted {
            wrong.push(format!("tokens of the {what}: {is:?} in the place of {wanted:?}"));
        }
    };
    expect("worker", document.tokens, worker);
    expect("Director", judge.map(|facts| facts.tokens).unwrap_or_default(), director);
    if story == Story::MoneyBudget {
        let money = [document.money_usd, judge.and_then(|facts| facts.money_usd)];
        for (is, tokens) in money.into_iter().zip([worker, director]) {
            let wanted = cost(tokens);
            if !is.is_some_and(|is| (is - wanted).abs() < 1e-9) {
                wrong.push(format!("cost: {is:?} in the place of {wanted}"));
            }
        }
        let spent = format!("spent are {:.4} USD", cost(worker) + cost(director));
        if !document.summary.contains(&spent) {
            wrong.push(format!("{spent:?} is not in the summary: {}", document.summary));
        }
    }
    wrong
}

/// What a model wrote down itself.
fn counted(requests: &[LlmRequest], story: Story) -> TokenFacts {
    let answered = |request: &&LlmRequest| {
        request.answer.starts_with("call") || ["text", "said text"].contains(&&*request.answer)
    };
    let answers = requests.iter().filter(answered).count() as u64;
    let Script { input_tokens, cached_tokens, output_tokens, .. } = counting(story);
    TokenFacts {
        input: (input_tokens - cached_tokens) * answers,
        cached: cached_tokens * answers,
        output: output_tokens * answers,
    }
}

#[expect(clippy::cast_precision_loss, reason = "thousands of tokens")]
fn cost(tokens: TokenFacts) -> f64 {
    let (input, output) = PRICES;
    let read = (tokens.input + tokens.cached) as f64;
    (read * input + tokens.output as f64 * output) / 1e6
}

/// The files of the steps whose work the model had done: the first of its calls writes the plan.
fn written(seen: &Seen, story: Story) -> Vec<String> {
    // Without a step there would be nothing to save, and nothing shown.
    let steps = match story {
        Story::TimeBudget => 1,
        _ => calls(seen).saturating_sub(1).max(1),
    };
    (1..=steps).map(|step| format!("{step:02}.txt")).collect()
}

/// How often the worker's model had a tool used.
fn calls(seen: &Seen) -> usize {
    seen.worker.iter().filter(|request| request.answer.starts_with("call")).count()
}
