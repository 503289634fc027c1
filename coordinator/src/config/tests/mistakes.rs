//! Every kind of mistake, and the line that names it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use api_client::wire::ExecutionMode;

use super::{APP, ID, Sandbox};
use crate::config::HostFallback;
use crate::config::load::load_from;

#[test]
fn a_file_that_is_named_must_be_there() {
    let mut sandbox = Sandbox::new([APP]);
    sandbox.flags.config = Some("/nowhere/x.toml".into());
    let error = sandbox.error();
    assert!(error.starts_with("configuration file /nowhere/x.toml: cannot be read: "));
}

#[test]
fn every_mistake_is_named_at_once_with_its_source_and_what_is_allowed() {
    let sandbox = Sandbox::new([
        ("MAX_CONCURRENT_AGENTS", "abc"),
        ("AGENT_DOCKER_MODE", "rootless"),
        ("WORKER_LLM_URL", "localhost:8080"),
    ])
    .flag("poll-interval", &["0"])
    .file("[log]\nformat = 'xml'\n[host]\nfallback = true");
    let file = sandbox.flags.config.clone().unwrap();
    let file = file.display();
    assert_eq!(
        sandbox.errors(),
        [
            "TERARCHITECT_API_URL is not set: give environment variable TERARCHITECT_API_URL, \
             flag --api-url or [app] url in the configuration file (Base URL of the app, as \
             reached from this host)"
                .to_owned(),
            "MAX_CONCURRENT_AGENTS = \"abc\" (environment variable MAX_CONCURRENT_AGENTS): must \
             be a whole number from 1 to 1000"
                .to_owned(),
            "POLL_INTERVAL_SEC = \"0\" (flag --poll-interval): must be a number of seconds from \
             0.05 to 3600"
                .to_owned(),
            format!(
                "HOST_FALLBACK = \"true\" ({file}, [host] fallback): must be a string, in quotes"
            ),
            format!(
                "LOG_FORMAT = \"xml\" ({file}, [log] format): must be auto, pretty, json or \
                 journald"
            ),
            "AGENT_DOCKER_MODE = \"rootless\" (environment variable AGENT_DOCKER_MODE): must be \
             dind, dind-caps, dind-rootless, dood or none"
                .to_owned(),
            "WORKER_LLM_URL = \"localhost:8080\" (environment variable WORKER_LLM_URL): must be \
             an http:// or https:// URL without user name and password"
                .to_owned(),
        ]
    );
}

#[test]
fn many_errors_are_one_text_with_a_line_each() {
    let sandbox = Sandbox::new([("MAX_CONCURRENT_AGENTS", "0")]);
    let error = load_from(&sandbox.flags, &sandbox.environment, Path::new("/absent")).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("the configuration has 2 errors:\n  TERARCHITECT_API_URL"));
    assert_eq!(text.lines().count(), 3);
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_and_the_allowed_names() {
    let sandbox = Sandbox::new([APP]).file(
        "poll = 1\n[schedule]\nmax_concurent = 2\n[agents]\n[agent.env]\nWORKER_MOD = 'x'\n\
         [app]\nworker_api_key = 'literal'",
    );
    let errors = sandbox.errors();
    let has = |part: &str| {
        assert!(errors.iter().any(|error| error.contains(part)), "{part}: {errors:#?}");
    };
    assert_eq!(errors.len(), 5, "{errors:#?}");
    has("unknown key poll before the first table (allowed tables: agent, agent.env, app, ");
    has("unknown key max_concurent in [schedule] (did you mean max_concurrent? allowed keys: \
         max_concurrent, poll_interval_sec, projects)");
    has("unknown table [agents] (did you mean agent?");
    has("unknown key WORKER_MOD in [agent.env] (did you mean WORKER_MODE?");
    has("unknown key worker_api_key in [app] (did you mean worker_api_key_file?");
    assert!(!errors.concat().contains("literal"));
}

#[test]
fn what_the_coordinator_sets_itself_cannot_be_handed_on() {
    for name in ["JOB_ID", "TERARCHITECT_API_URL", "AGENT_DOCKER_MODE"] {
        let sandbox = Sandbox::new([APP]).file(&format!("[agent.env]\n{name} = 'x'"));
        assert!(sandbox.error().contains("unknown key"), "{name}");
    }
}

#[test]
fn a_file_that_is_not_toml_is_named_with_the_line_and_without_its_text() {
    let sandbox =
        Sandbox::new([APP]).file("[agent.env]\n\nGITHUB_TOKEN = 'ghp_verysecret\n[app]\n");
    let error = sandbox.error();
    assert!(error.contains("coordinator.toml, line 3: "), "{error}");
    assert!(!error.contains("ghp_verysecret"), "{error}");
}

#[test]
fn a_value_of_another_type_is_refused() {
    for (text, allowed) in [
        ("[agent]\nimage = 5", "a string, in quotes"),
        ("[schedule]\nmax_concurrent = true", "a number"),
        ("[agent]\nmount_docker_socket = 7", "true or false"),
        ("[schedule]\nprojects = [1]", "an array of strings"),
        ("[app]\nworker_api_key_file = 1", "a string, in quotes"),
    ] {
        let error = Sandbox::new([APP]).file(text).error();
        assert!(error.ends_with(&format!("must be {allowed}")), "{error}");
    }
}

#[test]
fn bytes_that_are_no_text_are_refused_by_the_name_of_their_variable() {
    let mut sandbox = Sandbox::new([APP]);
    let bytes = OsString::from_vec(vec![b'x', 0xff]);
    sandbox.environment =
        sandbox.environment.with("GITHUB_TOKEN", bytes.clone()).with("NOT_OURS", bytes);
    assert_eq!(
        sandbox.error(),
        "GITHUB_TOKEN (environment variable GITHUB_TOKEN): must be valid UTF-8"
    );
}

#[test]
fn what_is_not_a_project_id_is_named() {
    let error = Sandbox::new([APP, ("PROJECT_ID", ID), ("PROJECT_IDS", "one,two")]).error();
    assert!(error.contains("(environment variables PROJECT_ID and PROJECT_IDS)"), "{error}");
    assert!(error.ends_with("not an id: \"one\", \"two\""), "{error}");
    let error = Sandbox::new([APP, ("PROJECT_IDS", ",")]).error();
    assert!(error.contains("not set at all for every project"), "{error}");
}

#[test]
fn settings_that_cannot_hold_together_are_named_with_the_way_out() {
    let dood = [APP, ("AGENT_DOCKER_MODE", "dood"), ("MAX_CONCURRENT_AGENTS", "2")];
    let error = Sandbox::new(dood).error();
    assert!(error.contains("or say AGENT_DOOD_SHARED=1"), "{error}");
    let network = [APP, ("AGENT_EGRESS", "allowlist"), ("DOCKER_NETWORK", "agents")];
    let error = Sandbox::new(network).error();
    assert!(error.contains("leave DOCKER_NETWORK unset"), "{error}");
    let proxy = [APP, ("AGENT_EGRESS", "none"), ("HTTPS_PROXY", "https://proxy.example:3128")];
    let error = Sandbox::new(proxy).error();
    assert!(error.contains("HTTPS_PROXY says https://"), "{error}");
}

#[test]
fn a_mistake_in_a_projects_table_is_named_with_its_place() {
    let table = format!("[project.\"{ID}\"]\n");
    for (text, expected) in [
        (format!("{table}imag = 'x'"), "unknown key imag in [project.b0acb5a0"),
        (
            format!("{table}docker_mode = 'x'"),
            "[project.b0acb5a0-d0bc-4738-89d0-347ecd318506] docker_mode",
        ),
        ("[project.mine]\nimage = 'x'".to_owned(), "unknown table [project.mine]"),
        (
            format!("[project.\"{}\"]\negress = 'none'", ID.to_uppercase()),
            "[project.\"b0acb5a0-d0bc-4738-89d0-347ecd318506\"])",
        ),
        ("[project.B0ACB5A0D0BC473889D0347ECD318506]".to_owned(), "(write this project's id as"),
        ("project = 1".to_owned(), "unknown table [project]"),
    ] {
        let error = Sandbox::new([APP]).file(&text).error();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_a_guard_keeps_from_an_agent_is_not_given_to_it_on_this_host() {
    for guard in ["AGENT_EGRESS=allowlist", "AGENT_EGRESS=none", "AGENT_MODEL_GATEWAY=outside"] {
        let (name, value) = guard.split_once('=').unwrap();
        let always = [APP, ("HOST_FALLBACK", "always"), (name, value)];
        let error = Sandbox::new(always).error();
        let expected =
            format!("HOST_FALLBACK=always runs jobs on this host, where {guard} means nothing");
        assert!(error.contains(&expected), "{error}");

        let config = Sandbox::new([APP, (name, value)]).load().config;
        let project = ID.parse().unwrap();
        assert_eq!(config.fallback_for(project), HostFallback::Never, "{guard}");
        let why = config.refuses_on_host(project, ExecutionMode::Local).unwrap();
        assert!(why.contains(&format!("where {guard} means nothing")), "{why}");
    }
}

#[test]
fn a_local_project_runs_on_this_host_unless_the_operator_refuses_it() {
    let project = ID.parse().unwrap();
    let refused = |variables: &[(&str, &str)], mode| {
        let all = [APP].into_iter().chain(variables.iter().copied());
        Sandbox::new(all).load().config.refuses_on_host(project, mode)
    };
    assert_eq!(refused(&[], ExecutionMode::Local), None);
    let never = ("HOST_LOCAL", "never");
    let why = refused(&[never], ExecutionMode::Local).unwrap();
    assert!(why.contains("HOST_LOCAL=never"), "{why}");
    let always = ("HOST_FALLBACK", "always");
    assert_eq!(refused(&[never, always], ExecutionMode::Docker), None);
}
