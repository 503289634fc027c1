//! The reference of the settings, in Markdown: the tables of `docs/configuration.md`, and what
//! `coordinator config --reference` prints.
//!
//! Invariant: everything in it is from the table of settings, so that it cannot say anything else than
//! what holds.

use super::setting::{Preset, Setting, all};
use super::{agent_env, reload};

/// A table of the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    /// The coordinator's own settings.
    Coordinator,
    /// Those that every agent is given.
    Agent,
    /// What values may be.
    Values,
    /// Those that are taken up at a restart only.
    Restart,
}

impl Section {
    /// All of them, in their order.
    pub(super) const ALL: [Self; 4] = [Self::Coordinator, Self::Agent, Self::Values, Self::Restart];

    const fn title(self) -> &'static str {
        match self {
            Self::Coordinator => "The coordinator's settings",
            Self::Agent => "Settings handed on to every agent",
            Self::Values => "What is allowed",
            Self::Restart => "What takes effect only at a restart",
        }
    }

    /// The table, with a line end after each of its lines.
    pub(super) fn markdown(self) -> String {
        match self {
            Self::Coordinator => table(
                &["Environment", "TOML", "Flag", "Default", "Meaning"],
                of_coordinator().map(|setting| {
                    let [variables, toml, flag, default, meaning] = cells(setting);
                    vec![variables, toml, flag, default, meaning]
                }),
            ),
            Self::Agent => table(
                &["Environment", "TOML", "Default", "Meaning"],
                agent_env::ALL.iter().map(|setting| {
                    let [variables, toml, _flag, default, meaning] = cells(setting);
                    vec![variables, toml, default, meaning]
                }),
            ),
            Self::Values => table(&["Values", "Settings"], values().into_iter()),
            Self::Restart => {
                format!("{}\n", codes(reload::at_restart().map(|setting| setting.name)))
            }
        }
    }
}

/// All tables, each below its title.
pub(crate) fn whole() -> String {
    let sections =
        Section::ALL.map(|section| format!("## {}\n\n{}", section.title(), section.markdown()));
    sections.join("\n").trim_end().to_owned()
}

fn of_coordinator() -> impl Iterator<Item = &'static Setting> {
    all().filter(|setting| !agent_env::ALL.iter().any(|other| other.name == setting.name))
}

/// The cells of a setting's row.
fn cells(setting: &Setting) -> [String; 5] {
    let file = setting.is_secret().then(|| format!("{}_FILE", setting.name));
    let names = [setting.name].into_iter().chain(setting.also);
    let variables = codes(names.map(str::to_owned).chain(file));
    let flag = match setting.flag {
        Some(flag) => format!("`--{}`", flag.name),
        None if setting.is_secret() => "none (secret)".to_owned(),
        None => "none".to_owned(),
    };
    let default = match setting.preset {
        Preset::Required => "none: must be given".to_owned(),
        Preset::Value(value) => format!("`{value}`"),
        Preset::Unset("") => "not set".to_owned(),
        Preset::Found(what) | Preset::Unset(what) => what.to_owned(),
    };
    let meaning = format!("{} {}", setting.doc, setting.more);
    [variables, codes(setting.toml_paths()), flag, default, meaning.trim_end().to_owned()]
}

/// What values may be, each with the settings that it holds for; what holds for most stands last.
fn values() -> Vec<Vec<String>> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for setting in all().filter(|setting| !setting.is_secret()) {
        match groups.iter_mut().find(|(values, _)| *values == setting.values()) {
            Some((_, names)) => names.push(setting.name),
            None => groups.push((setting.values(), vec![setting.name])),
        }
    }
    groups.sort_by_key(|(_, names)| names.len());
    groups.into_iter().map(|(values, names)| vec![values.to_owned(), codes(names)]).collect()
}

fn codes(names: impl IntoIterator<Item = impl std::fmt::Display>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut table = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    table.extend(rows.map(|cells| line(&cells)));
    table
}
