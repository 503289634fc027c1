//! The printed report.

use std::collections::BTreeSet;

use super::{APP, Sandbox, printed};
use crate::config::{Form, settings};

#[test]
fn the_report_names_every_setting_once_in_the_order_of_the_table() {
    let loaded = Sandbox::new([APP]).load();
    let reported: Vec<_> = loaded.report.entries.iter().map(|e| e.setting.name).collect();
    assert_eq!(reported, settings().map(|s| s.name).collect::<Vec<_>>());
}

#[test]
fn the_printed_report_is_aligned_and_names_the_sources() {
    let sandbox = Sandbox::new([APP, ("AGENT_CACHE_VOLUME", "")]).flag("image", &["img:2"]);
    let loaded = sandbox.load();
    let text = printed(&loaded, Form::Text);
    let line = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
        line.unwrap().split("  ").map(str::trim).filter(|s| !s.is_empty()).collect::<Vec<_>>()
    };
    assert!(text.starts_with("configuration file: none\n"));
    assert_eq!(line("AGENT_IMAGE"), ["AGENT_IMAGE", "img:2", "flag --image"]);
    assert_eq!(line("POLL_INTERVAL_SEC"), ["POLL_INTERVAL_SEC", "10", "default"]);
    assert_eq!(line("GITHUB_TOKEN"), ["GITHUB_TOKEN", "not set", "default"]);
    assert_eq!(line("PROJECT_IDS"), ["PROJECT_IDS", "not set (every project)", "default"]);
    assert_eq!(
        line("AGENT_CACHE_VOLUME"),
        ["AGENT_CACHE_VOLUME", "empty (disabled)", "environment variable AGENT_CACHE_VOLUME"]
    );
    let origins: BTreeSet<_> =
        text.lines().filter_map(|line| line.strip_suffix("  default")).map(str::len).collect();
    assert_eq!(origins.len(), 1, "one column of sources\n{text}");
}

#[test]
fn the_report_as_json_holds_values_and_sources() {
    let loaded = Sandbox::new([APP, ("GITHUB_TOKEN", "the-token")]).load();
    let json: serde_json::Value = serde_json::from_str(&printed(&loaded, Form::Json)).unwrap();
    let entry = |name: &str| {
        let all = json["settings"].as_array().unwrap();
        all.iter().find(|e| e["name"] == name).unwrap().clone()
    };
    assert_eq!(
        entry("MAX_CONCURRENT_AGENTS"),
        serde_json::json!({
            "name": "MAX_CONCURRENT_AGENTS", "toml": ["schedule.max_concurrent"],
            "flag": "--max-concurrent", "secret": false, "set": true, "value": "1",
            "source": "default"
        })
    );
    let token = entry("GITHUB_TOKEN");
    assert_eq!(token["set"], true);
    assert_eq!(token["value"], serde_json::Value::Null);
    assert_eq!(token["source"], "environment variable GITHUB_TOKEN");
}
