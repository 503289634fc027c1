use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::testing::{KEY, Model, assess, director, ended, review, said};
use super::*;
use crate::model_gateway::Budget;
use crate::settings::DirectorProvider;

const DONE: &str = r#"{"complete":true,"summary":"It greets.","next_prompt":""}"#;
const MORE: &str = r#"{"complete":false,"summary":"","next_prompt":"Add a test."}"#;

fn done() -> Assessment {
    Assessment::Complete { summary: "It greets.".to_owned() }
}

fn last_message(body: &Value) -> String {
    body["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_answer_in_words_or_fences_needs_no_second_question() {
    for text in [
        DONE.to_owned(),
        format!("```json\n{DONE}\n```"),
        format!("I have looked at it {{carefully}}.\n\n{DONE}\nGood work!"),
    ] {
        let model = Model::answering([said(&text)]).await;
        assert_eq!(assess(&mut model.director()).await.unwrap(), done());
        assert_eq!(model.bodies().len(), 1);
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_asked_for_again_with_the_fault() {
    let cases = [
        (said(r#"{"complete":"false","next_prompt":"x"}"#), "and is the text \"false\""),
        (said(r#"{"complete":true,"summ"#), "begins and does not end"),
        (said("It is done."), "no complete JSON object"),
        (ended(&Value::Null, "stop"), "null or empty"),
        (ended(&json!("{\"complete\":true"), "length"), "cut off at 4096 tokens"),
        (said(r#"{"complete":false,"summary":"","next_prompt":"  "}"#), "\"next_prompt\" is empty"),
    ];
    for (bad, words) in cases {
        let model = Model::answering([bad, said(MORE)]).await;
        let more = Assessment::Continue { prompt: "Add a test.".to_owned() };
        assert_eq!(assess(&mut model.director()).await.unwrap(), more, "{words}");
        let asked = last_message(&model.bodies()[1]);
        assert!(asked.contains(words), "{words} is not in {asked}");
    }
}

#[tokio::test]
async fn after_two_repairs_it_is_over_and_says_why() {
    let model = Model::answering([said("It is done.")]).await;
    let error = assess(&mut model.director()).await.unwrap_err().to_string();
    assert!(error.contains("after 2 requests for another one"), "{error}");
    assert_eq!(model.bodies().len(), 3);
}

#[tokio::test]
async fn a_question_that_was_repaired_leaves_one_round_in_the_conversation() {
    let model = Model::answering([said("?"), said(MORE), said(DONE)]).await;
    let mut director = model.director();
    assess(&mut director).await.unwrap();
    assess(&mut director).await.unwrap();
    let messages = model.bodies()[2]["messages"].as_array().unwrap().clone();
    let roles: Vec<&str> = messages.iter().map(|one| one["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "user"]);
    assert_eq!(messages[2]["content"], MORE);
}

#[tokio::test]
async fn a_limit_an_error_and_a_page_are_asked_again() {
    let page = "<html><title>502 Bad Gateway</title></html>".to_owned();
    let model = Model::answering([
        (429, "retry-after: 0\r\n", r#"{"error":{"message":"slow down"}}"#.to_owned()),
        (503, "", String::new()),
        (502, "", page.clone()),
        (200, "content-type: text/html\r\n", page),
        (200, "", r#"{"error":{"message":"overloaded"}}"#.to_owned()),
        said(DONE),
    ])
    .await;
    assert_eq!(assess(&mut model.director()).await.unwrap(), done());
    assert_eq!(model.bodies().len(), 6);
}

#[tokio::test]
async fn a_refused_key_is_not_asked_again_and_not_repeated() {
    let words = format!(r#"{{"error":{{"message":"Incorrect API key provided: {KEY}"}}}}"#);
    let model = Model::answering([(401, "", words)]).await;
    let error = assess(&mut model.director()).await.unwrap_err().to_string();
    assert!(error.contains("check AGENT_LLM_URL") && error.contains("401: Incorrect"), "{error}");
    assert!(!error.contains(KEY), "{error}");
    assert_eq!(model.bodies().len(), 1);
}

/// The seconds for which a run is to pause.
fn wait(error: &DirectorError) -> u64 {
    let DirectorError::Limited { wait, .. } = error else { panic!("{error}") };
    wait.as_millis().div_ceil(1_000).try_into().unwrap()
}

#[tokio::test]
async fn a_wish_for_a_long_pause_is_for_the_run_to_follow() {
    let model = Model::answering([(429, "retry-after: 3600\r\n", "{}".to_owned())]).await;
    let error = assess(&mut model.director()).await.unwrap_err();
    assert!(matches!(wait(&error), 3_590..=3_600), "{error}");
    assert!(error.to_string().contains("the Director's model is limited for another 3"), "{error}");
}

#[tokio::test]
async fn what_an_endpoint_does_not_take_is_given_up_for_good() {
    let refused = |words: &str| (400, "", json!({"error": {"message": words}}).to_string());
    let model = Model::answering([
        refused("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
        refused("response_format is not supported"),
        refused("temperature must be 1"),
        said(MORE),
        said(DONE),
    ])
    .await;
    let mut director = model.director();
    assess(&mut director).await.unwrap();
    assess(&mut director).await.unwrap();
    let bodies = model.bodies();
    assert_eq!(bodies.len(), 5);
    assert!(bodies[0]["response_format"].is_object());
    let fields: Vec<&String> = bodies[4].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["max_completion_tokens", "messages", "model"]);
}

#[tokio::test]
async fn another_model_stands_in_and_the_first_is_left_alone_for_a_while() {
    let first = Model::answering([(500, "", String::new())]).await;
    let second = Model::answering([said(MORE), said(DONE)]).await;
    let mut settings = first.settings(DirectorProvider::Custom);
    let stand_in = DirectorModelOf::named(&second, "stand-in");
    settings.fallbacks.push(stand_in);
    let mut director = director(&settings, Budget::default());
    assess(&mut director).await.unwrap();
    assert_eq!(director.model(), "stand-in");
    let tries = first.bodies().len();
    assess(&mut director).await.unwrap();
    assert_eq!((first.bodies().len(), second.bodies().len()), (tries, 2));
    assert_eq!(tries, 6, "five times again");
}

struct DirectorModelOf;

impl DirectorModelOf {
    fn named(model: &Model, name: &str) -> crate::settings::DirectorModel {
        let model = model.model(DirectorProvider::Custom);
        crate::settings::DirectorModel { model: name.to_owned(), ..model }
    }
}

#[tokio::test]
async fn a_model_that_is_left_alone_is_asked_after_all_when_the_one_in_its_place_fails() {
    let fails = (400, "", "{\"error\":{\"message\":\"no\"}}".to_owned());
    let main = Model::answering([fails.clone(), fails.clone(), said(DONE)]).await;
    let fallback = Model::answering([said(MORE), fails.clone()]).await;
    let mut settings = main.settings(DirectorProvider::Custom);
    settings.fallbacks = vec![fallback.model(DirectorProvider::Custom)];
    let mut director = director(&settings, Budget::default());
    assess(&mut director).await.unwrap();
    let before = main.bodies().len();
    let done = assess(&mut director).await.unwrap();
    assert!(matches!(done, Assessment::Complete { .. }), "{done:?}");
    assert_eq!(main.bodies().len(), before + 1, "once");
}

/// What comes of a question for which the model has two seconds.
async fn asked_in_two_seconds(model: &Model) -> DirectorError {
    let mut settings = model.settings(DirectorProvider::Custom);
    settings.call_limit = Duration::from_secs(1);
    let mut director = director(&settings, Budget::default());
    director.chain.within_its_calls();
    let never = CancellationToken::new();
    director.assess("What now?".to_owned(), &never).await.unwrap_err()
}

#[tokio::test]
async fn one_model_has_no_more_than_its_time_for_a_question() {
    let error = asked_in_two_seconds(&Model::silent_after(Vec::new()).await).await.to_string();
    assert!(error.contains("it gave none within 2 s"), "{error}");
}

#[tokio::test]
async fn a_wish_beyond_a_models_time_is_for_the_run_to_follow() {
    let limited = Model::answering([(429, "retry-after: 290\r\n", String::new())]).await;
    let error = asked_in_two_seconds(&limited).await;
    assert!(matches!(wait(&error), 280..=290), "{error}");
}

#[tokio::test]
async fn a_wish_is_not_forgotten_where_the_model_is_silent_after_it() {
    let limited = (429, "retry-after: 1\r\n", String::new());
    let error = asked_in_two_seconds(&Model::silent_after(vec![limited]).await).await;
    assert!(matches!(wait(&error), 0..=1), "{error}");
}

#[tokio::test]
async fn a_limit_is_not_forgotten_where_all_models_fail_later_without_a_word_about_it() {
    let limited = (429, "retry-after: 3600\r\n", "{}".to_owned());
    let broken = (500, "", String::new());
    let main = Model::answering([limited, broken.clone()]).await;
    let fallback = Model::answering([said(MORE), broken]).await;
    let mut settings = main.settings(DirectorProvider::Custom);
    settings.fallbacks = vec![fallback.model(DirectorProvider::Custom)];
    let mut director = director(&settings, Budget::default());
    assess(&mut director).await.unwrap();
    let error = assess(&mut director).await.unwrap_err();
    assert_eq!(main.bodies().len(), 2, "asked once more, after the other");
    assert!(matches!(wait(&error), 3_500..=3_600), "{error}");
}

#[tokio::test]
async fn anthropic_is_asked_in_its_own_protocol() {
    let call = json!({"type": "tool_use", "id": "t", "name": "answer",
        "input": {"plan_approved": false, "feedback": "Say how it is tested."}});
    let answer = json!({"content": [call], "stop_reason": "tool_use",
        "usage": {"input_tokens": 5, "output_tokens": 3}});
    let model = Model::answering([(200, "", answer.to_string())]).await;
    let mut director = director(&model.settings(DirectorProvider::Anthropic), Budget::default());
    let feedback = "Say how it is tested.".to_owned();
    assert_eq!(review(&mut director).await.unwrap(), PlanVerdict::Rejected { feedback });
    let head = &model.heads()[0];
    assert!(head.starts_with("post /v1/messages http"), "{head}");
    assert!(head.contains(&format!("x-api-key: {KEY}")) && head.contains("anthropic-version"));
}

#[tokio::test]
async fn no_version_is_doubled_and_no_secret_is_sent() {
    let model = Model::answering([said(MORE), said(DONE)]).await;
    let mut director = model.director();
    director.follow("Print a-secret-of-the-job.".to_owned());
    let stop = CancellationToken::new();
    let question = "It printed a-secret-of-the-job.".to_owned();
    director.assess(question, &stop).await.unwrap();
    assess(&mut director).await.unwrap();
    assert!(model.heads()[0].starts_with("post /v1/chat/completions http"));
    for body in model.bodies() {
        let text = body.to_string();
        assert!(text.contains("It printed [redacted].") && text.contains("> Print [redacted]."));
        assert!(!text.contains("a-secret-of-the-job") && !text.contains(KEY), "{text}");
    }
}

#[tokio::test]
async fn its_tokens_are_in_the_jobs_account_and_end_with_its_budget() {
    let model = Model::answering([said(MORE)]).await;
    let budget = Budget { tokens: Some(2_000), ..Budget::default() };
    let account = Account::alone(budget);
    let settings = model.settings(DirectorProvider::Custom);
    let task = "Add a greeting".to_owned();
    let made =
        Director::new(&settings, task, account.clone(), Redaction::default(), Prompts::default());
    let mut director = made.unwrap();
    let error = loop {
        if let Err(error) = assess(&mut director).await {
            break error;
        }
    };
    assert!(error.to_string().contains("WORKER_TOKEN_BUDGET allows 2000 tokens"), "{error}");
    let calls = u64::try_from(model.bodies().len()).unwrap();
    let spent = account.of_director();
    assert_eq!(
        (spent.calls, spent.tokens.input, spent.tokens.output),
        (calls, 100 * calls, 10 * calls)
    );
}

#[tokio::test]
async fn a_run_that_is_to_end_does_not_wait_for_an_answer() {
    let model = Model::answering([(429, "retry-after: 200\r\n", String::new())]).await;
    let stop = CancellationToken::new();
    let mut director = model.director();
    let asked = director.assess("What now?".to_owned(), &stop);
    let (asked, ()) = tokio::join!(asked, async {
        while model.bodies().is_empty() {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    });
    assert!(matches!(asked, Err(DirectorError::Cancelled)));
}
