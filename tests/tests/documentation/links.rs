//! Every link between the pages, and every path of the repository that is named.

use std::fs;

use integration_tests::documented::{Page, root};

use crate::page::pages;

/// Folders whose files are named by their paths from the root.
const FOLDERS: [&str; 8] = [
    "agent-runner/",
    "api-client/",
    "app/",
    "coordinator/",
    "docs/",
    "packaging/",
    "systemd/",
    "tests/",
];

/// How a heading is linked to.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The targets of the links of a page, those to other sites excepted.
fn targets(page: &Page) -> impl Iterator<Item = &str> {
    let prose = page.text.split("```").step_by(2);
    let targets = prose.flat_map(|part| part.split("](").skip(1));
    targets.filter_map(|rest| rest.split(')').next()).filter(|target| !target.contains("://"))
}

#[test]
fn every_link_leads_to_a_page_and_a_heading_that_are_there() {
    for page in pages() {
        let here = root().join(&page.path);
        for target in targets(&page) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let there = if file.is_empty() { here.clone() } else { here.with_file_name(file) };
            assert!(there.exists(), "{}: {target}", page.name());
            if heading.is_empty() {
                continue;
            }
            let text = fs::read_to_string(&there).unwrap();
            let mut headings = text.lines().filter(|line| line.starts_with('#')).map(anchor);
            assert!(headings.any(|anchor| anchor == heading), "{}: {target}", page.name());
        }
    }
}

#[test]
fn every_path_of_the_repository_that_is_named_is_there() {
    let mut missing = Vec::new();
    for page in pages() {
        for span in page.spans() {
            let is_path = FOLDERS.iter().any(|folder| span.starts_with(folder));
            let plain = span.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            if is_path && plain && !root().join(&span).exists() {
                missing.push(format!("{}: `{span}`", page.name()));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
