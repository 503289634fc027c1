//! The app's settings, which come with the worker context and hold its keys: none of them reaches a model, the
//! worker, the log or the pull request, also where a ticket or the worker repeats one.

use api_client::contract::AgentExit;
use serde_json::{Value, json};

use crate::directed::{APPROVED, DONE};
use crate::scene::{Plan, Scene};
use crate::servers::{Answer, TICKET};

/// What the app sends that nobody else may see, by its names in the original.
const PLANTED: [(&str, &str); 9] = [
    ("github_agent_token", "ghp_planted-token-of-the-app"),
    ("openai_api_key", "sk-planted-key-of-openai"),
    ("AGENT_API_KEY", "sk-planted-key-of-the-director"),
    ("WORKER_API_KEY", "sk-planted-key-of-the-worker"),
    ("EMBEDDING_API_KEY", "sk-planted-key-of-the-embedding"),
    ("MEMORY_LLM_API_KEY", "sk-planted-key-of-the-memory"),
    ("MEMORY_LLM_BASE_URL", "http://app:planted-password-1@memory.example.org/v1"),
    ("EMBEDDING_SERVICE_URL", "http://app:planted-password-2@embedding.example.org/v1"),
    ("MEMORY_EMBEDDING_BASE_URL", "http://app:planted-password-3@vectors.example.org/v1"),
];

/// Writes a plan and a line, and says one of the planted values.
const WORKER: &str = r#"
cat $HERE/prompt >> $HERE/prompts; env >> $HERE/prompts
plan=$(sed -n 's/.*`\(plan\/.*_task_plan.md\)`.*/\1/p' $HERE/prompt | head -n 1)
if grep -q 'Now do the work' $HERE/prompt; then env > new
elif [ -n "$plan" ]; then mkdir -p plan; echo "1. Write new" > "$plan"
fi
echo '{"type":"assistant","message":{"content":[{"type":"text","text":"I found sk-planted-key-of-openai somewhere."}]}}'
"#;

/// What is looked for of a value: of an address its password.
fn secret(value: &str) -> &str {
    value.split_once("app:").and_then(|(_, rest)| rest.split('@').next()).unwrap_or(value)
}

fn context() -> Value {
    let settings: serde_json::Map<String, Value> =
        PLANTED.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let all = PLANTED.map(|(_, value)| value).join(", ");
    json!({
        "project_name": "Shop",
        "current_ticket": {"id": TICKET, "title": "Add it", "description": format!("It uses {all}.")},
        "agent_settings": settings,
    })
}

#[test]
fn no_setting_of_the_app_reaches_a_model_the_worker_the_log_or_the_pull_request() {
    let plan = Plan { claude: WORKER, director: &[APPROVED, DONE], ..Plan::default() };
    let mut scene = Scene::of(plan, |request, _| match request.what {
        "context" => Answer::Says(200, context()),
        _ => Answer::Usual,
    });
    let (code, stderr) = scene.job.end();
    assert_eq!(code, Some(i32::from(AgentExit::Delivered.code())), "{stderr}");
    let pushed = scene.pushed().unwrap();
    let prompts = std::fs::read_to_string(scene.job.folder.path().join("prompts")).unwrap();
    let requests = scene.requests();
    let headers: Vec<_> = requests.iter().map(|request| &request.authorization).collect();
    let asked = scene.asked_director();
    assert_eq!((asked.len(), scene.pull_requests()), (2, 1));
    let places = [
        ("the requests to the Director's model", json!(asked).to_string()),
        ("the worker's prompts and environment", prompts),
        ("the log's entries", json!(scene.log_entries()).to_string()),
        ("the checkpoints", json!(scene.bodies("checkpoint")).to_string()),
        ("the memory", json!([scene.bodies("recall"), scene.bodies("remember")]).to_string()),
        ("the pull request", json!(scene.bodies("open")).to_string()),
        ("what was pushed", scene.git(&["log", "--patch", "--text", "--format=fuller", &pushed])),
        ("headers", json!(headers).to_string()),
        ("what the agent prints", stderr),
        ("the outcome", format!("{:?}", scene.outcome())),
    ];
    for (place, text) in &places {
        for (name, value) in PLANTED {
            assert!(!text.contains(secret(value)), "{name} is in {place}: {text}");
        }
    }
    // They were there to be told: what is in their place is.
    let [director, prompts, ..] = &places;
    assert!(director.1.contains("I found [redacted] somewhere."), "{}", director.1);
    assert!(prompts.1.contains("It uses [redacted], [redacted]"), "{}", prompts.1);
}
