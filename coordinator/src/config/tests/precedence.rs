//! Which source wins, what is merged, and what holds when nothing is given.

use std::path::Path;
use std::time::Duration;

use super::{APP, ID, OTHER_ID, Sandbox, setting_value};
use crate::config::{
    AgentConfig, DockerMode, Flags, HostFallback, ImageChoice, JobNetwork, LogFormat,
    ProjectFilter, Setting, SocketMount, load::load_from, settings,
};

fn explicit(image: &str) -> ImageChoice {
    ImageChoice::Explicit(image.to_owned())
}

fn default_image() -> ImageChoice {
    ImageChoice::Default("terarchitect-agent".to_owned())
}

#[test]
fn only_the_app_must_be_named() {
    let config = Sandbox::new([APP]).load().config;
    assert_eq!(config.app.url.as_str(), "http://localhost:5010/");
    assert!(config.app.key.is_none());
    assert_eq!(config.projects, ProjectFilter::All);
    assert_eq!(config.schedule.max_concurrent.get(), 1);
    assert_eq!(config.schedule.poll_interval, Duration::from_secs(10));
    assert_eq!(config.engine.host, None);
    assert_eq!(config.agent.image, default_image());
    assert_eq!(config.agent.docker_mode, DockerMode::Dind);
    assert_eq!(config.agent.socket, SocketMount::Mount);
    let cache = config.agent.cache_volume.as_deref();
    assert_eq!(cache, Some("terarchitect-agent-cache"));
    assert_eq!(config.agent.network, JobNetwork::Own);
    assert_eq!(config.agent.settings.iter().count(), 0);
    assert_eq!(config.host.fallback, HostFallback::OnStartFailure);
    let state = Path::new("/home/op/.terarchitect/coordinator");
    assert_eq!(config.state_dir, state);
    assert_eq!(config.log.filter, "info");
    assert_eq!(config.log.format, LogFormat::Pretty);
}

#[test]
fn a_flag_wins_over_the_environment_which_wins_over_the_file_which_wins_over_the_default() {
    let with_file = |sandbox: Sandbox| {
        sandbox.file("[app]\nurl='http://app'\n[agent]\nimage = 'of-file'\nnetwork = 'net'")
    };
    let image = |sandbox: Sandbox| {
        let loaded = with_file(sandbox).load();
        let entry = loaded.report.entries.into_iter();
        let entry = entry.into_iter().find(|e| e.setting.name == "AGENT_IMAGE");
        (loaded.config.agent.image, entry.unwrap().origin.to_string())
    };
    let (value, origin) = image(Sandbox::new([]));
    assert_eq!(value, explicit("of-file"));
    assert!(origin.ends_with("coordinator.toml, [agent] image"), "{origin}");

    let variable = [("AGENT_IMAGE", "of-env")];
    let (value, origin) = image(Sandbox::new(variable));
    assert_eq!(value, explicit("of-env"));
    assert_eq!(origin, "environment variable AGENT_IMAGE");

    let (value, origin) = image(Sandbox::new(variable).flag("image", &["of-flag"]));
    assert_eq!(value, explicit("of-flag"));
    assert_eq!(origin, "flag --image");
}

#[test]
fn the_usual_file_is_read_when_it_is_there_and_another_only_when_named() {
    let sandbox = Sandbox::new([APP]);
    let usual = sandbox.write("usual.toml", "[agent]\nimage = 'usual'", 0o600);
    let load = |flags: &Flags| load_from(flags, &sandbox.environment, &usual).unwrap();
    assert_eq!(load(&Flags::default()).config.agent.image, explicit("usual"));
    let named = Flags { config: Some(sandbox.write("named.toml", "", 0o600)), ..Flags::default() };
    assert_eq!(load(&named).config.agent.image, default_image());
}

#[test]
fn blank_counts_as_not_set_except_where_it_means_none() {
    let names = settings().flat_map(Setting::variables);
    let blank = names.filter(|name| ![APP.0, "AGENT_CACHE_VOLUME"].contains(name));
    let all_blank = blank.map(|name| (name, " ")).chain([APP]);
    let loaded = Sandbox::new(all_blank).load();
    assert_eq!(loaded.config.schedule.max_concurrent.get(), 1);
    assert_eq!(loaded.config.projects, ProjectFilter::All);
    assert_eq!(loaded.config.agent.settings.iter().count(), 0);
    assert!(loaded.config.app.key.is_none());

    let sandbox = Sandbox::new([APP, ("AGENT_CACHE_VOLUME", ""), ("AGENT_IMAGE", "")]);
    let loaded = sandbox.file("[agent]\ncache_volume = 'named'\nimage = 'of-file'").load();
    assert_eq!(loaded.config.agent.cache_volume, None);
    assert_eq!(loaded.config.agent.image, explicit("of-file"));

    let by_flag = Sandbox::new([APP]).flag("cache-volume", &[""]).load();
    assert_eq!(by_flag.config.agent.cache_volume, None);
}

#[test]
fn project_id_and_project_ids_are_merged_in_order_and_without_repetition() {
    let both = format!("{OTHER_ID}, {ID},");
    let sandbox = Sandbox::new([APP, ("PROJECT_ID", ID), ("PROJECT_IDS", &both)]);
    let ids = |texts: [&str; 2]| ProjectFilter::Only(texts.map(|t| t.parse().unwrap()).to_vec());
    assert_eq!(sandbox.load().config.projects, ids([ID, OTHER_ID]));

    let sandbox = sandbox.flag("project", &[OTHER_ID, ID]);
    assert_eq!(sandbox.load().config.projects, ids([OTHER_ID, ID]));

    let file = format!("[schedule]\nprojects = ['{ID}', '{OTHER_ID}']");
    let projects = Sandbox::new([APP]).file(&file).load().config.projects;
    assert_eq!(projects, ids([ID, OTHER_ID]));
}

#[test]
fn settings_of_the_agent_are_handed_on_from_the_environment_and_the_file() {
    let sandbox = Sandbox::new([
        APP,
        ("WORKER_MODEL", "of-env"),
        ("https_proxy", "http://proxy:3128"),
    ])
    .file(
        "[agent.env]\nWORKER_MODEL = 'of-file'\nWORKER_TIMEOUT_SEC = 60\nWORKER_MODE = 'opencode'",
    );
    let loaded = sandbox.load();
    let all: Vec<_> = loaded.config.agent.settings.iter().collect();
    let all: Vec<_> = all.iter().map(|(k, v)| (*k, v.expose())).collect();
    assert_eq!(
        all,
        [
            ("WORKER_MODE", "opencode"),
            ("WORKER_MODEL", "of-env"),
            ("WORKER_TIMEOUT_SEC", "60"),
            ("https_proxy", "http://proxy:3128"),
        ]
    );
}

#[test]
fn gh_token_and_github_token_stand_in_for_each_other() {
    for (given, value) in [("GH_TOKEN", "a-token"), ("GITHUB_TOKEN", "b-token")] {
        let loaded = Sandbox::new([APP, (given, value)]).load();
        assert_eq!(setting_value(&loaded, "GITHUB_TOKEN"), Some(value));
        assert_eq!(setting_value(&loaded, "GH_TOKEN"), Some(value));
    }
    let loaded = Sandbox::new([APP, ("GH_TOKEN", "a"), ("GITHUB_TOKEN", "b")]).load();
    assert_eq!(setting_value(&loaded, "GITHUB_TOKEN"), Some("b"));
    assert_eq!(setting_value(&loaded, "GH_TOKEN"), Some("a"));
}

#[test]
fn the_state_directory_is_systemds_or_below_home() {
    let state = |variables: &[(&str, &str)]| {
        let variables = variables.iter().copied().chain([APP]);
        Sandbox::new(variables).load().config.state_dir
    };
    let systemd = ("STATE_DIRECTORY", "/var/lib/terarchitect:/var/lib/other");
    assert_eq!(state(&[systemd]), Path::new("/var/lib/terarchitect"));
    assert_eq!(
        state(&[systemd, ("COORDINATOR_STATE_DIR", "~/state")]),
        Path::new("/home/op/state")
    );
    let mut homeless = Sandbox::new([APP]);
    homeless.environment = homeless.environment.without_home();
    assert!(homeless.error().starts_with("COORDINATOR_STATE_DIR is not set"));
}

#[test]
fn rust_log_is_read_before_log_level_and_the_flag_before_both() {
    let sandbox = Sandbox::new([APP, ("RUST_LOG", "coordinator=debug"), ("LOG_LEVEL", "warn")]);
    assert_eq!(sandbox.load().config.log.filter, "coordinator=debug");
    let sandbox = sandbox.flag("log-level", &["error"]);
    assert_eq!(sandbox.load().config.log.filter, "error");
}

#[test]
fn combinations_that_are_rarely_meant_are_noticed() {
    let notices = |variables: &[(&str, &str)]| {
        let variables = variables.iter().copied().chain([APP]);
        Sandbox::new(variables).load().notices.join("\n")
    };
    let dood = ("AGENT_DOCKER_MODE", "dood");
    assert!(!notices(&[dood]).contains("dood"));
    let shared = [dood, ("MAX_CONCURRENT_AGENTS", "2"), ("AGENT_DOOD_SHARED", "1")];
    assert!(notices(&shared).contains("share one Docker daemon"));
    let root = notices(&[("COORDINATOR_REPO_ROOT", "/opt/terarchitect")]);
    assert!(root.contains("COORDINATOR_REPO_ROOT is ignored"));
    assert!(root.contains("AGENT_RUNNER_PATH"));
    assert!(notices(&[]).contains("agent-runner was found neither beside"));
}

#[test]
fn the_log_goes_to_the_journal_where_the_service_manager_set_one_up() {
    let of = |variables: &[(&'static str, &'static str)]| {
        let all = [APP].into_iter().chain(variables.iter().copied());
        Sandbox::new(all).load().config.log.format
    };
    assert_eq!(of(&[("JOURNAL_STREAM", "8:1234")]), LogFormat::Journald);
    assert_eq!(of(&[("JOURNAL_STREAM", "8:1234"), ("LOG_FORMAT", "json")]), LogFormat::Json);
}

#[test]
fn a_projects_own_table_wins_over_all_but_a_flag_and_holds_for_that_project_alone() {
    let text = format!(
        "[agent]\nmemory = '1g'\n[project.\"{ID}\"]\nimage = 'own:1'\ndocker_mode = 'none'\n\
         [project.\"{ID}\".env]\nWORKER_MODEL = 'big'\n\
         WORKER_API_KEY = 'own-key'"
    );
    let variables = [APP, ("AGENT_IMAGE", "all:1"), ("WORKER_API_KEY", "key-of-all")];
    let sandbox = Sandbox::new(variables).flag("docker-mode", &["dood"]).file(&text);
    let config = sandbox.load().config;
    let (id, other) = (ID.parse().unwrap(), OTHER_ID.parse().unwrap());
    let (own, general) = (config.agent_for(id), config.agent_for(other));
    assert_eq!((&own.image, &general.image), (&explicit("own:1"), &explicit("all:1")));
    assert_eq!(own.docker_mode, DockerMode::Dood);
    assert_eq!(own.limits.memory, general.limits.memory);
    assert!(own.limits.memory.is_some());
    let key = |agent: &AgentConfig| agent.settings.get("WORKER_API_KEY").cloned();
    assert_eq!(key(own), Some("own-key".into()));
    assert_eq!(key(general), Some("key-of-all".into()));
    assert!(general.settings.get("WORKER_MODEL").is_none());
}
