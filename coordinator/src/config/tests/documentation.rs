//! The pages for people say what the tables in the code say.

use api_client::contract::AgentExit;

use crate::config::{Preset, Setting, settings};

const CONFIGURATION: &str = include_str!("../../../../docs/configuration.md");
const AGENT: &str = include_str!("../../../../docs/agent.md");

/// The row of the table of settings that begins with this setting's name.
fn row(setting: &Setting) -> &'static str {
    let begins = format!("| `{}`", setting.name);
    let row = CONFIGURATION.lines().find(|line| line.starts_with(&begins));
    row.unwrap_or_else(|| panic!("docs/configuration.md has no row for {}", setting.name))
}

#[test]
fn the_page_on_configuration_has_every_setting_with_all_its_names_and_its_meaning() {
    for setting in settings() {
        let row = row(setting);
        let mut expected: Vec<_> = setting.variables().map(|name| format!("`{name}`")).collect();
        expected.extend(setting.toml_paths().map(|path| format!("`{path}`")));
        expected.extend(setting.flag.map(|flag| format!("`--{}`", flag.name)));
        expected.extend(setting.is_secret().then(|| format!("`{}_FILE`", setting.name)));
        expected.push(setting.doc.to_owned());
        expected.push(match setting.preset {
            Preset::Required => "must be given".to_owned(),
            Preset::Value(default) => format!("`{default}`"),
            Preset::Unset("") => "not set".to_owned(),
            Preset::Found(default) | Preset::Unset(default) => default.to_owned(),
        });
        for part in expected {
            assert!(row.contains(&part), "{}: {part} is not in its row", setting.name);
        }
    }
}

#[test]
fn the_page_on_configuration_has_no_setting_that_is_none() {
    let known: Vec<_> = settings().map(|setting| setting.name).collect();
    let tables = CONFIGURATION.split("\n## ").filter(|section| section.contains("| TOML |"));
    for line in tables.flat_map(str::lines).filter(|line| line.starts_with("| `")) {
        let name = line.split('`').nth(1).unwrap();
        assert!(known.contains(&name), "{name}");
    }
}

#[test]
fn the_page_on_the_agent_explains_every_exit_code() {
    for exit in AgentExit::ALL {
        let begins = format!("| {} | {} |", exit.code(), exit.describe());
        assert!(AGENT.lines().any(|line| line.starts_with(&begins)), "{begins}");
    }
}
