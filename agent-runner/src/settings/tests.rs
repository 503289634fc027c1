//! What counts, and what an error says.

use std::time::Duration;

use api_client::wire::WorkerContext;

use super::*;
use crate::project_file::WorkerWishes;

const TICKET: &str = "93863a0a-985e-474b-a6b2-40a89654e6bf";
const PROJECT: &str = "b0acb5a0-d0bc-4738-89d0-347ecd318506";

/// What a run without an app needs at least.
const TASK_RUN: [(&str, &str); 6] = [
    ("TASK", "Add a file"),
    ("REPO_URL", "https://github.com/acme/demo"),
    ("GITHUB_TOKEN", "ghp_token"),
    ("WORKER_LLM_URL", "http://127.0.0.1:5099"),
    ("WORKER_MODEL", "m"),
    ("WORKER_API_KEY", "sk-worker-key"),
];

fn layers(environment: &[(&str, &str)], document: Option<&str>) -> Layers {
    Layers::new(Handover::of(environment, document)).unwrap()
}

fn with(base: &[(&'static str, &'static str)], more: &[(&'static str, &'static str)]) -> Layers {
    let both: Vec<_> = more.iter().chain(base).copied().collect();
    // The last entry of a name wins in a map, so the additions go last.
    let ordered: Vec<_> = both.iter().rev().copied().collect();
    layers(&ordered, None)
}

fn app_settings(json: &str) -> api_client::wire::AgentEnv {
    let text = format!("{{\"agent_settings\":{json}}}");
    serde_json::from_str::<WorkerContext>(&text).unwrap().agent_settings
}

fn settings(layers: &Layers) -> Result<Settings, SettingsError> {
    Settings::read(layers, None)
}

/// The settings of a run on a repository that has no project file.
fn without_project_file(more: &[(&'static str, &'static str)]) -> Result<Settings, SettingsError> {
    let mut layers = with(&TASK_RUN, more);
    let mut settings = settings(&layers)?;
    settings.heed(&mut layers, &WorkerWishes::default()).map(|()| settings)
}

#[test]
fn environment_beats_document_beats_app_beats_default() {
    let mut layers = layers(
        &[("GIT_USER_NAME", "env"), ("WORKER_MODEL", "  "), ("GITHUB_TOKEN", "ghp_token")],
        Some(
            r#"{"GIT_USER_NAME":"doc","GIT_USER_EMAIL":"doc@x","WORKER_MODEL":"doc-model",
            "REPO_URL":"https://github.com/a/b","WORKER_LLM_URL":"http://h/v1"}"#,
        ),
    );
    layers.add_context(app_settings(
        r#"{"GIT_USER_NAME":"app","GIT_USER_EMAIL":"app@x","WORKER_MODEL":"app-model",
            "WORKER_API_KEY":"sk-of-the-app","WORKER_TIMEOUT_SEC":"60"}"#,
    ));
    let settings = settings(&layers).unwrap();
    assert_eq!(settings.author_name, "env");
    assert_eq!(settings.author_email, "doc@x");
    assert!(
        matches!(settings.worker.cli, WorkerCli::OpenCode(ChatModel { model, .. }) if model == "doc-model")
    );
    assert_eq!(settings.worker.key.expose(), "sk-of-the-app");
    assert_eq!(settings.worker.turn_limit, Duration::from_secs(60));
    assert_eq!(settings.worker.stall_limit, Duration::from_secs(900));
}

#[test]
fn a_blank_value_of_a_higher_layer_does_not_hide_a_lower_one() {
    let mut layers = with(&TASK_RUN, &[("WORKER_API_KEY", " ")]);
    layers.add_context(app_settings(r#"{"WORKER_API_KEY":"sk-of-the-app"}"#));
    assert_eq!(settings(&layers).unwrap().worker.key.expose(), "sk-of-the-app");
}

#[test]
fn the_forge_token_has_three_names_and_the_higher_layer_wins() {
    let mut layers = with(&TASK_RUN, &[("GITHUB_TOKEN", ""), ("GH_TOKEN", "ghp_environment")]);
    layers.add_context(app_settings(
        r#"{"GITHUB_TOKEN":"ghp_app_env","github_agent_token":"ghp_app"}"#,
    ));
    assert_eq!(settings(&layers).unwrap().token.expose(), "ghp_environment");

    let mut layers = with(&TASK_RUN, &[("GITHUB_TOKEN", "")]);
    layers.add_context(app_settings(r#"{"github_agent_token":"ghp_app"}"#));
    assert_eq!(settings(&layers).unwrap().token.expose(), "ghp_app");

    let error = settings(&with(&TASK_RUN, &[("GITHUB_TOKEN", "")])).unwrap_err().to_string();
    assert!(error.starts_with("GITHUB_TOKEN is not set"), "{error}");
}

#[test]
fn the_repository_of_the_app_is_used_where_none_is_set() {
    let mut base = TASK_RUN.to_vec();
    base.retain(|(name, _)| *name != "REPO_URL");
    let layers = layers(&base, None);
    let settings = Settings::read(&layers, Some("https://github.com/app/one")).unwrap();
    assert_eq!(settings.repo_url.as_str(), "https://github.com/app/one");
    let error = Settings::read(&layers, None).unwrap_err().to_string();
    assert_eq!(error, "REPO_URL is not set: the repository to work on, as an http or https URL");
}

#[test]
fn the_kind_is_the_subcommand_or_job_kind_or_ticket() {
    let kind = |environment: &[(&'static str, &'static str)], subcommand| {
        Start::read(&with(&TASK_RUN, environment), subcommand).map(|start| start.pull_request)
    };
    let review = [("JOB_KIND", "review"), ("PR_NUMBER", "7")];
    assert_eq!(kind(&[], None).unwrap(), None);
    assert_eq!(kind(&review, None).unwrap(), Some(7));
    assert_eq!(kind(&review, Some(Kind::Ticket)).unwrap(), None);
    assert_eq!(kind(&review[1..], Some(Kind::Review)).unwrap(), Some(7));
    let error = kind(&review[..1], None).unwrap_err().to_string();
    assert!(error.starts_with("PR_NUMBER is not set"), "{error}");
    let error = kind(&[("JOB_KIND", "dance")], None).unwrap_err().to_string();
    let expected = "JOB_KIND (from the environment) must be one of ticket, review, got \"dance\"";
    assert_eq!(error, expected);
}

#[test]
fn a_ticket_run_needs_its_app() {
    let complete = [
        ("TERARCHITECT_API_URL", "http://127.0.0.1:5010"),
        ("PROJECT_ID", PROJECT),
        ("TICKET_ID", TICKET),
    ];
    let start = Start::read(&layers(&complete, None), None).unwrap();
    assert!(matches!(start.origin, Origin::App(app) if app.ticket.to_string() == TICKET));
    for missing in ["TERARCHITECT_API_URL", "PROJECT_ID", "TICKET_ID"] {
        let mut some = complete.to_vec();
        some.retain(|(name, _)| *name != missing);
        let error = Start::read(&layers(&some, None), None).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{missing} is not set")), "{error}");
    }
}

#[test]
fn a_claim_counts_with_an_app_and_with_the_job_that_it_holds() {
    let claim = "0b8f4e0e-8f3a-4c5e-9d1e-2f6a7c9b1d00";
    let app = [
        ("TERARCHITECT_API_URL", "http://127.0.0.1:5010"),
        ("PROJECT_ID", PROJECT),
        ("TICKET_ID", TICKET),
    ];
    let hold = |more: &[(&'static str, &'static str)]| {
        Start::read(&with(&app, more), None).map(|start| match start.origin {
            Origin::App(app) => app.hold,
            Origin::Task(_) => None,
        })
    };
    let held = hold(&[("CLAIM_ID", claim), ("JOB_ID", TICKET)]).unwrap();
    let expected = Hold { job: TICKET.parse().unwrap(), claim: claim.parse().unwrap() };
    assert_eq!(held, Some(expected));
    for none in [&[("JOB_ID", TICKET)][..], &[("CLAIM_ID", " "), ("JOB_ID", TICKET)]] {
        assert_eq!(hold(none).unwrap(), None);
    }
    let error = hold(&[("CLAIM_ID", claim)]).unwrap_err().to_string();
    assert_eq!(error, "JOB_ID is not set: the job that CLAIM_ID holds");
    let error = hold(&[("CLAIM_ID", "mine"), ("JOB_ID", TICKET)]).unwrap_err().to_string();
    assert_eq!(error, "CLAIM_ID (from the environment) a claim id must be a UUID, got \"mine\"");
    assert!(Start::read(&with(&TASK_RUN, &[("CLAIM_ID", claim)]), None).is_ok());
}

#[test]
fn a_task_and_a_ticket_cannot_both_be_meant() {
    let error = Start::read(&with(&TASK_RUN, &[("TICKET_ID", TICKET)]), None).unwrap_err();
    assert!(error.to_string().starts_with("TASK (from the environment) cannot"), "{error}");
}

#[test]
fn an_unknown_worker_lists_the_allowed_ones() {
    let error =
        |mode| settings(&with(&TASK_RUN, &[("WORKER_MODE", mode)])).unwrap_err().to_string();
    assert_eq!(
        error("emacs"),
        "WORKER_MODE (from the environment) must be one of opencode, claude-code, codex, gemini, aider, \
         got \"emacs\""
    );
}

#[test]
fn a_worker_may_be_called_by_its_program() {
    let name = |mode| without_project_file(&[("WORKER_MODE", mode)]).unwrap().worker.cli.name();
    for (mode, expected) in [
        ("opencode", "opencode"),
        ("claude", "claude-code"),
        ("claude-code", "claude-code"),
        ("codex", "codex"),
        ("gemini-cli", "gemini"),
        ("gemini", "gemini"),
        ("aider", "aider"),
    ] {
        assert_eq!(name(mode), expected);
    }
}

#[test]
fn a_worker_without_a_provider_of_its_own_needs_endpoint_and_model() {
    for mode in ["opencode", "aider"] {
        for missing in ["WORKER_LLM_URL", "WORKER_MODEL", "WORKER_API_KEY"] {
            let given = [("WORKER_MODE", mode), (missing, "")];
            let error = without_project_file(&given).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{missing} is not set")), "{error}");
        }
    }
}

#[test]
fn a_worker_with_a_provider_of_its_own_needs_a_key_alone() {
    for (mode, provider) in [
        ("claude-code", "https://api.anthropic.com/"),
        ("codex", "https://api.openai.com/v1"),
        ("gemini", "https://generativelanguage.googleapis.com/"),
    ] {
        let own = [("WORKER_MODE", mode), ("WORKER_LLM_URL", ""), ("WORKER_MODEL", "")];
        let worker = without_project_file(&own).unwrap().worker;
        assert_eq!((worker.cli.endpoint().as_str(), worker.cli.model()), (provider, None));
        assert_eq!(worker.provider, Provider::Own);
        let other = without_project_file(&[("WORKER_MODE", mode)]).unwrap().worker;
        assert_eq!(other.provider, Provider::Other, "{mode}");
        let gateway: Url = "http://127.0.0.1:1/".parse().unwrap();
        let by_way = worker.by_way_of(gateway.clone(), Secret::from("placeholder"));
        assert_eq!((by_way.cli.endpoint(), by_way.cli.name()), (&gateway, mode));
    }
}

#[test]
fn a_wrong_value_is_named_with_its_source_and_what_is_allowed() {
    let error = |name, value| settings(&with(&TASK_RUN, &[(name, value)])).unwrap_err().to_string();
    assert_eq!(
        error("WORKER_TIMEOUT_SEC", "soon"),
        "WORKER_TIMEOUT_SEC (from the environment) must be a whole number of seconds from 1 to \
         604800, got \"soon\""
    );
    assert!(error("WORKER_TIMEOUT_SEC", "0").contains("from 1 to"));
    assert!(error("FORGE_API_URL", "ftp://x").contains("http or https"));
    assert_eq!(
        error("FORGE", "sourcehut"),
        "FORGE (from the environment) must be one of github, gitea, gitlab, got \"sourcehut\""
    );
    assert!(error("AGENT_WORKSPACE", "relative/path").contains("absolute path"));
}

#[test]
fn what_says_who_and_where_the_worker_is_is_not_the_app_s_to_set() {
    let mut layers = with(&TASK_RUN, &[]);
    layers.add_context(app_settings(
        r#"{"AGENT_WORKSPACE":"/","DOCKER_HOST":"tcp://evil:2375","AGENT_DOCKER_MODE":"dood",
            "AGENT_ON_HOST":"1","AGENT_CACHE_DOCKER":"1","AGENT_CACHE_GIT":"1"}"#,
    ));
    assert_eq!(inner_layers(&layers), InnerLayers::Fresh);
    assert_eq!(git_mirrors(&layers), GitMirrors::None);
    assert_eq!(settings(&layers).unwrap().workspace, None);
    assert_eq!(docker_host(&layers), None);
    assert_eq!(Start::read(&layers, None).unwrap().docker, DockerMode::None);
    assert!(!layers.on_host());
    let of_document = self::layers(&TASK_RUN, Some(r#"{"AGENT_ON_HOST":"1"}"#));
    assert!(!of_document.on_host(), "a job document holds what a project sets");
    assert!(with(&TASK_RUN, &[("AGENT_ON_HOST", "1")]).on_host());
}

#[test]
fn an_error_shows_no_password() {
    for url in ["http://me:topsecret@h/v1", "ftp://me:topsecret@h/"] {
        let error = settings(&with(&TASK_RUN, &[("WORKER_LLM_URL", url)])).unwrap_err();
        assert!(!error.to_string().contains("topsecret"), "{error}");
    }
}

#[test]
fn a_broken_document_is_not_quoted() {
    let error = Layers::new(Handover::of(&[], Some(r#"{"GITHUB_TOKEN": ghp_topsecret}"#)));
    let error = error.err().unwrap().to_string();
    assert!(error.contains("line 1") && !error.contains("topsecret"), "{error}");
}

#[test]
fn a_host_never_starts_an_engine_of_its_own() {
    let start = Start::read(&with(&TASK_RUN, &[("AGENT_DOCKER_MODE", "dind")]), None).unwrap();
    assert_eq!(start.docker, DockerMode::None);
    let mut handover = Handover::of(&[("AGENT_DOCKER_MODE", "dind"), ("TASK", "x")], None);
    handover.outer_is_pid_1 = true;
    let start = Start::read(&Layers::new(handover).unwrap(), None).unwrap();
    assert_eq!(start.docker, DockerMode::Dind);
}

#[test]
fn every_secret_of_every_layer_is_known_for_redaction() {
    let mut layers =
        layers(&[("GITHUB_TOKEN", "secret-of-env")], Some(r#"{"WORKER_API_KEY":"secret-of-doc"}"#));
    layers.add_context(app_settings(r#"{"openai_api_key":"secret-of-app","WORKER_MODEL":"m"}"#));
    let secrets: Vec<_> = layers.secrets().map(Secret::expose).collect();
    assert_eq!(secrets, ["secret-of-env", "secret-of-doc", "secret-of-app"]);
}

#[test]
fn the_docker_error_is_bounded() {
    let long: &'static str = "x".repeat(9_000).leak();
    let layers = with(&TASK_RUN, &[("TERARCHITECT_DOCKER_RUN_ERROR", long)]);
    let error = Start::read(&layers, None).unwrap().docker_run_error.unwrap();
    assert_eq!(error.len(), DOCKER_RUN_ERROR_MAX_CHARS);
}

#[test]
fn the_readme_names_every_setting_and_exit_code() {
    let readme = include_str!("../../README.md");
    for name in handover::SETTING_NAMES {
        assert!(readme.contains(&format!("`{name}`")), "{name}");
    }
    for exit in api_client::contract::AgentExit::ALL {
        assert!(readme.contains(&format!("\n| {} | ", exit.code())), "{exit:?}");
    }
}
