//! The pages for people say what the tables in the code say.

use std::path::Path;

use api_client::contract::AgentExit;

use super::{APP, Sandbox};
use crate::config::reference::{Section, whole};
use crate::config::settings;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
const AGENT: &str = include_str!("../../../../docs/agent.md");

/// With this variable the page is written in place of being compared.
const UPDATE: &str = "UPDATE_DOCS";

/// What a table is called where it stands in the page.
fn name(section: Section) -> String {
    format!("{section:?}").to_lowercase()
}

/// What stands before, in and after the region of a page that the code makes.
fn region(page: &str, section: Section) -> (&str, &str, &str) {
    let begin = format!("<!-- begin: {}, made by the code -->\n", name(section));
    let end = format!("<!-- end: {} -->", name(section));
    let (before, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("no {begin}"));
    let (inside, _) = rest.split_once(&end).unwrap_or_else(|| panic!("no {end}"));
    let at = before.len() + begin.len();
    (&page[..at], inside, &page[at + inside.len()..])
}

#[test]
fn the_tables_of_the_page_on_configuration_are_those_of_the_code() {
    let mut page = std::fs::read_to_string(PAGE).unwrap();
    let update = std::env::var_os(UPDATE).is_some();
    for section in Section::ALL {
        let (before, inside, after) = region(&page, section);
        let made = section.markdown();
        if update {
            page = format!("{before}{made}{after}");
        } else {
            let name = name(section);
            assert_eq!(
                inside, made,
                "{name}: `{UPDATE}=1 cargo test -p coordinator config` writes it"
            );
        }
    }
    if update {
        std::fs::write(PAGE, page).unwrap();
    }
}

#[test]
fn the_reference_has_every_setting_with_all_its_names() {
    let reference = whole();
    for setting in settings() {
        let begins = format!("| `{}`", setting.name);
        let row = reference.lines().find(|line| line.starts_with(&begins)).unwrap();
        let mut expected: Vec<_> = setting.variables().map(|name| format!("`{name}`")).collect();
        expected.extend(setting.toml_paths().map(|path| format!("`{path}`")));
        expected.extend(setting.flag.map(|flag| format!("`--{}`", flag.name)));
        for part in expected {
            assert!(row.contains(&part), "{}: {part} is not in its row", setting.name);
        }
    }
}

#[test]
fn what_refers_to_another_page_refers_to_a_heading_that_is_there() {
    for setting in settings() {
        for link in setting.more.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let file = if file.is_empty() { "configuration.md" } else { file };
            let page = Path::new(PAGE).with_file_name(file);
            let page =
                std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{link}: {error}"));
            let headings = page.lines().filter(|line| line.starts_with('#'));
            let found = headings.map(anchor).any(|anchor| heading.is_empty() || anchor == heading);
            assert!(found, "{}: {link}", setting.name);
        }
    }
}

#[test]
fn the_words_that_are_said_to_be_allowed_are_and_no_others() {
    let word = |part: &'static str| part.strip_prefix('`')?.strip_suffix('`');
    for setting in settings().filter(|setting| !setting.is_secret()) {
        let words: Option<Vec<_>> = setting.values().split(", ").map(word).collect();
        let Some(words) = words else { continue };
        for allowed in words {
            Sandbox::new([APP, (setting.name, allowed)]).load();
        }
        let error = Sandbox::new([APP, (setting.name, "no-such-word")]).error();
        assert!(error.contains(setting.name), "{error}");
    }
}

/// How a heading is linked to.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn the_page_on_the_agent_explains_every_exit_code() {
    for exit in AgentExit::ALL {
        let begins = format!("| {} | {} |", exit.code(), exit.describe());
        assert!(AGENT.lines().any(|line| line.starts_with(&begins)), "{begins}");
    }
}
