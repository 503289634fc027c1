//! What the app is told of a run while it goes, and which follow-up tickets it is asked for; that none of
//! it is needed.

use serde_json::{Value, json};

use crate::job::TOKEN;
use crate::scene::{Plan, Scene};
use crate::servers::{Answer, Request, TICKET};
use crate::turn::prompt;

/// A worker that uses a tool, changes something, and says what it cost.
const BUSY: &str = r#"echo $$ >> new
    echo '{"type":"assistant","message":{"content":[{"type":"tool_use","id":"t","name":"Bash","input":{"command":"ls"}}]}}'
    echo '{"type":"assistant","message":{"content":[{"type":"tool_use","id":"u","name":"Read","input":{"file_path":"new"}}]}}'
    echo '{"type":"assistant","message":{"content":[{"type":"text","text":"It is sorted."}]}}'
    echo '{"type":"result","is_error":false,"result":"","usage":{"input_tokens":100,"output_tokens":20}}'
    exit 0"#;

/// A worker that proposes four tickets, in the first of which is the token.
const PROPOSING: &str = r#"echo $$ >> new
    printf '%s' '{"type":"assistant","message":{"content":[{"type":"text","text":"It is sorted.\n\n```follow-up-tickets\n[{\"title\":\"Rotate ghp_topsecret_of_the_forge\",\"text\":\"Never done.\"},{\"title\":\"b\",\"text\":\"\"},{\"title\":\"c\",\"text\":\"\"},{\"title\":\"d\",\"text\":\"\"}]\n```"}]}}'
    echo"#;

const SECTION: &str = "## What is left for later";
const STEP: &str = "follow_ups_proposed";

fn busy() -> Plan {
    Plan { claude: BUSY, ..Plan::default() }
}

fn proposing() -> Plan {
    Plan { claude: PROPOSING, ..Plan::default() }
}

/// An app that takes proposals.
fn offering(request: &Request) -> Answer {
    match request.what {
        "context" => Answer::Says(
            200,
            json!({"current_ticket": {"id": TICKET, "title": "Add it"}, "offers": ["follow_ups"]}),
        ),
        "follow_up" => Answer::Says(200, json!({"created": [TICKET], "known": 2, "refused": 0})),
        _ => Answer::Usual,
    }
}

/// All checkpoints that came, in their order.
fn checkpoints(scene: &Scene) -> Vec<Value> {
    let posts = scene.bodies("checkpoint").into_iter();
    posts.flat_map(|body| body["checkpoints"].as_array().unwrap().clone()).collect()
}

fn hooks(scene: &Scene) -> Vec<String> {
    let hook = |checkpoint: &Value| checkpoint["hook"].as_str().unwrap().to_owned();
    checkpoints(scene).iter().map(hook).collect()
}

#[test]
fn the_app_is_told_of_start_tools_turn_and_end() {
    let mut scene = Scene::of(busy(), |_, _| Answer::Usual);
    let (code, stderr) = scene.job.end();
    assert_eq!(code, Some(0), "{stderr}");
    // The second tool came too soon after the first.
    assert_eq!(hooks(&scene), ["on_start", "on_tool", "on_turn", "on_complete"]);
    let told = checkpoints(&scene);
    assert!(told[1]["note"].as_str().unwrap().contains("Bash"), "{}", told[1]);
    assert_eq!((&told[0]["tokens"], &told[2]["tokens"]), (&json!(0), &json!(120)));
    assert_eq!((&told[2]["turn"], &told[3]["turn"]), (&json!(0), &Value::Null));
    let sessions: Vec<_> =
        scene.bodies("checkpoint").iter().map(|b| b["session_id"].clone()).collect();
    assert_eq!(sessions[0], scene.log_entries()[0]["session_id"]);
}

#[test]
fn a_run_that_cannot_go_on_says_so_without_secrets() {
    let claude = "echo no ghp_topsecret_of_the_forge >&2; exit 1";
    let mut scene = Scene::of(Plan { claude, ..Plan::default() }, |_, _| Answer::Usual);
    let (code, stderr) = scene.job.end();
    assert_ne!(code, Some(0), "{stderr}");
    let told = checkpoints(&scene);
    assert_eq!(told.last().unwrap()["hook"], "on_error");
    assert!(!json!(told).to_string().contains(TOKEN), "{told:?}");
}

#[test]
fn an_app_that_takes_no_checkpoints_is_asked_once_and_nothing_is_said() {
    let mut scene = Scene::of(busy(), |request, _| match request.what {
        "checkpoint" => Answer::Says(404, json!({"error": "Not found"})),
        _ => Answer::Usual,
    });
    let (code, stderr) = scene.job.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(scene.bodies("checkpoint").len(), 1);
    assert!(!stderr.contains("checkpoint"), "{stderr}");
    assert!(!scene.outcome().summary.contains("checkpoint"));
}

#[test]
fn checkpoints_that_fail_are_no_failure_of_the_run() {
    let faults: [fn() -> Answer; 3] =
        [|| Answer::Silence, || Answer::Gone, || Answer::Refusal(500)];
    for fault in faults {
        let mut scene = Scene::of(busy(), move |request, _| match request.what {
            "checkpoint" => fault(),
            _ => Answer::Usual,
        });
        let (code, stderr) = scene.job.end();
        assert_eq!(code, Some(0), "{stderr}");
        assert!(!scene.outcome().summary.contains("checkpoint"));
    }
}

#[test]
fn proposals_of_the_last_words_go_to_an_app_that_offers_it() {
    let mut scene = Scene::of(proposing(), |request, _| offering(request));
    let (code, stderr) = scene.job.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(prompt(&scene.job).contains(SECTION));
    let [body] = &scene.bodies("follow_up")[..] else { panic!("not once") };
    let titles: Vec<_> =
        body["follow_ups"].as_array().unwrap().iter().map(|p| &p["title"]).collect();
    assert_eq!(titles.len(), 3, "{titles:?}");
    let first = titles[0].as_str().unwrap();
    assert!(first.starts_with("Rotate ") && !first.contains(TOKEN), "{first}");
    assert_eq!(body["session_id"], scene.log_entries()[0]["session_id"]);
    let entry = scene.log_entries().into_iter().find(|entry| entry["step"] == STEP).unwrap();
    assert_eq!(entry["summary"], "Follow-up tickets in the backlog: 1 new, 2 known");
    let said = &scene.bodies("open")[0]["body"];
    let said = said.as_str().unwrap();
    assert!(said.contains("It is sorted.") && !said.contains("follow-up-tickets"), "{said}");
    let order = scene.course();
    let place = |what: &str| order.iter().position(|one| *one == what).unwrap();
    assert!(place("completion") < place("follow_up"), "{order:?}");
}

#[test]
fn of_an_app_that_offers_nothing_nothing_is_asked() {
    let mut scene = Scene::of(proposing(), |_, _| Answer::Usual);
    let (code, stderr) = scene.job.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(!prompt(&scene.job).contains(SECTION));
    assert!(scene.bodies("follow_up").is_empty());
    let said = scene.bodies("open")[0]["body"].as_str().unwrap().to_owned();
    assert!(said.contains("follow-up-tickets"), "they are words like others: {said}");
}

#[test]
fn proposals_that_the_app_does_not_take_are_a_warning() {
    let mut scene = Scene::of(proposing(), |request, _| match request.what {
        "follow_up" => Answer::Refusal(500),
        _ => offering(request),
    });
    let (code, stderr) = scene.job.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(scene.outcome().summary.contains("follow-up tickets could not be proposed"));
    assert!(!scene.steps().contains(&STEP.to_owned()));
}

#[test]
fn a_run_that_does_not_deliver_proposes_nothing() {
    let claude = r#"printf '%s\n' '{"type":"assistant","message":{"content":[{"type":"text","text":"```follow-up-tickets\n[{\"title\":\"a\",\"text\":\"\"}]\n```"}]}}'"#;
    let mut scene = Scene::of(Plan { claude, ..Plan::default() }, |request, _| offering(request));
    let (code, stderr) = scene.job.end();
    assert_eq!(code, Some(9), "{stderr}");
    assert!(scene.bodies("follow_up").is_empty());
}
