//! The example files, and the environment file of the original.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::{APP, ID, OTHER_ID, Sandbox, setting_value};
use crate::config::{
    Config, DockerMode, ImageChoice, JobNetwork, ProjectFilter, Setting, SocketMount,
    setting::table_and_key, settings,
};

const TOML_EXAMPLE: &str = include_str!("../../../../packaging/coordinator.example.toml");
const ENV_EXAMPLE: &str = include_str!("../../../../packaging/coordinator.example.env");

/// The example's lines with the commented-out settings in force.
fn uncommented(example: &str) -> String {
    let lines = example.lines().map(|line| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') => rest,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn env_lines(text: &str) -> Vec<(&str, &str)> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('=')).collect()
}

fn default() -> Config {
    Sandbox::new([APP]).load().config
}

/// A configuration for comparison, where an image that is written down is the default's equal.
fn told(config: &Config) -> String {
    format!("{config:?}").replace("Explicit(", "Default(")
}

#[test]
fn the_example_file_lists_every_setting_and_shows_the_defaults() {
    let text = uncommented(TOML_EXAMPLE);
    let root: toml::Table = text.parse().unwrap();
    for path in settings().flat_map(Setting::toml_paths) {
        let mut at = Some(&root);
        let (table, key) = table_and_key(path);
        for part in table.split('.') {
            at = at.and_then(|table| table.get(part)?.as_table());
        }
        assert!(at.unwrap().contains_key(key), "{path} is not in the example");
    }

    let example = Sandbox::new([]).file(&text).load().config;
    assert_eq!(told(&example), told(&default()));
    let as_it_is = Sandbox::new([]).file(TOML_EXAMPLE).load().config;
    assert_eq!(format!("{as_it_is:?}"), format!("{:?}", default()));
}

#[test]
fn the_example_environment_names_known_settings_and_shows_the_defaults() {
    let text = uncommented(ENV_EXAMPLE);
    let known: BTreeSet<_> = settings().flat_map(Setting::variables).collect();
    let lines = env_lines(&text);
    for (name, _) in &lines {
        let of_file = name.strip_suffix("_FILE").unwrap_or(name);
        assert!(known.contains(name) || known.contains(of_file), "{name}");
    }
    for setting in settings().filter(|s| !s.toml.is_some_and(|t| t.starts_with("agent.env"))) {
        assert!(lines.iter().any(|(name, _)| *name == setting.name), "{}", setting.name);
    }
    let example = Sandbox::new(lines).load().config;
    assert_eq!(told(&example), told(&default()));
    let as_it_is = Sandbox::new(env_lines(ENV_EXAMPLE)).load().config;
    assert_eq!(format!("{as_it_is:?}"), format!("{:?}", default()));
}

#[test]
fn an_environment_file_of_the_original_works_unchanged() {
    let ids = format!("{ID},{OTHER_ID}");
    let loaded = Sandbox::new([
        ("TERARCHITECT_API_URL", "http://host.docker.internal:5010"),
        ("PROJECT_IDS", &ids),
        ("GITHUB_TOKEN", "ghp_original"),
        ("TERARCHITECT_WORKER_API_KEY", "worker-key"),
        ("AGENT_IMAGE", "terarchitect-agent:2"),
        ("MAX_CONCURRENT_AGENTS", "3"),
        ("POLL_INTERVAL_SEC", "0.2"),
        ("AGENT_CACHE_VOLUME", ""),
        ("AGENT_DOCKER_MODE", "dood"),
        // The one line that has to be added: several agents share the engine.
        ("AGENT_DOOD_SHARED", "1"),
        ("AGENT_MOUNT_DOCKER_SOCKET", "0"),
        ("DOCKER_HOST", "tcp://sidecar:2375"),
        ("DOCKER_NETWORK", "agents"),
        ("COORDINATOR_STATE_DIR", "/srv/coordinator"),
        ("COORDINATOR_REPO_ROOT", "/opt/terarchitect"),
        ("PYTHONPATH", "/opt/terarchitect"),
        ("WORKER_LLM_URL", "http://localhost:8080/v1"),
        ("WORKER_MODEL", "qwen"),
        ("WORKER_API_KEY", "dummy"),
    ])
    .load();
    let config = &loaded.config;
    assert_eq!(config.app.url.host_str(), Some("host.docker.internal"));
    assert_eq!(config.app.key, Some("worker-key".into()));
    assert!(matches!(&config.projects, ProjectFilter::Only(ids) if ids.len() == 2));
    assert_eq!(config.agent.image, ImageChoice::Explicit("terarchitect-agent:2".to_owned()));
    assert_eq!(config.schedule.max_concurrent.get(), 3);
    assert_eq!(config.schedule.poll_interval, Duration::from_millis(200));
    assert_eq!(config.agent.cache_volume, None);
    assert_eq!(config.agent.docker_mode, DockerMode::Dood);
    assert_eq!(config.agent.socket, SocketMount::Leave);
    assert_eq!(config.engine.host.as_deref(), Some("tcp://sidecar:2375"));
    assert_eq!(config.agent.network, JobNetwork::Named("agents".to_owned()));
    assert_eq!(config.state_dir, Path::new("/srv/coordinator"));
    assert_eq!(setting_value(&loaded, "WORKER_API_KEY"), Some("dummy"));
    assert_eq!(setting_value(&loaded, "GITHUB_TOKEN"), Some("ghp_original"));
}
