//! The documentation as it is installed: no page of it leads to one that is not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::root;

/// What the packages have under another name: the licences are in `copyright`.
const ELSEWHERE: [&str; 2] = ["LICENSE-APACHE", "LICENSE-MIT"];

#[test]
fn every_link_of_an_installed_page_leads_to_what_is_installed() {
    let installed = tempfile::tempdir().unwrap();
    let script = root().join("packaging/documentation");
    assert!(Command::new(script).arg(installed.path()).status().unwrap().success());
    let pages = pages_below(installed.path());
    assert!(pages.len() > 40, "{pages:?}");
    let mut dead = Vec::new();
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        for target in targets(&text) {
            let there = page.with_file_name(target);
            if !there.exists() && !ELSEWHERE.iter().any(|name| there.ends_with(name)) {
                let page = page.strip_prefix(installed.path()).unwrap();
                dead.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

#[test]
fn every_page_that_the_installed_files_name_is_installed() {
    const FOLDER: &str = "/usr/share/doc/terarchitect-coordinator/";
    let installed = tempfile::tempdir().unwrap();
    let script = root().join("packaging/documentation");
    assert!(Command::new(script).arg(installed.path()).status().unwrap().success());
    let units = fs::read_dir(root().join("systemd")).unwrap().map(|entry| entry.unwrap().path());
    let others = ["packaging/agent-runner.1", "docs/monitoring.md"].map(|file| root().join(file));
    let mut named = 0;
    for file in units.chain(others) {
        // A manual page writes a hyphen as `\-`.
        let text = fs::read_to_string(&file).unwrap().replace("\\-", "-");
        for rest in text.split(FOLDER).skip(1) {
            let path = rest.split_whitespace().next().unwrap();
            assert!(installed.path().join(path).exists(), "{}: {path}", file.display());
            named += 1;
        }
    }
    assert!(named > 3, "{named}");
}

fn pages_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let pages = entries.flat_map(|path| match path.is_dir() {
        true => pages_below(&path),
        false => vec![path],
    });
    pages.filter(|path| path.extension().is_some_and(|end| end == "md")).collect()
}

/// The files that a page links to, those of other sites excepted.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    let prose = text.split("```").step_by(2);
    let targets = prose.flat_map(|part| part.split("](").skip(1));
    let targets = targets.filter_map(|rest| rest.split(')').next());
    let files = targets.filter(|target| !target.contains("://"));
    files.filter_map(|target| target.split('#').next()).filter(|file| !file.is_empty())
}
