//! What only the outside can tell: what reached others, what outlives the job, and what its traps did
//! to those who came after it.

use std::fs;
use std::path::Path;

use super::stage::{Stage, branch};
use super::verdict::{BY_ENGINE, OPEN, Things};
use crate::harness::Job;

/// Notes one thing.
pub(super) fn set(things: &mut Things, thing: &str, open: bool, blocked_by: &str) {
    things.insert(thing.to_owned(), if open { OPEN } else { blocked_by }.to_owned());
}

/// Looks at what a job that has ended did. `log` is what it printed.
pub(super) async fn look(stage: &Stage, things: &mut Things, job: &Job, log: &str) {
    let id = stage.id;
    if stage.canary.heard("/exfiltrate-git") {
        things.insert("exfiltrate-git".to_owned(), OPEN.to_owned());
    }
    let refused = format!("refused DNS A exfiltrate-dns.{id}.example");
    set(things, "exfiltrate-dns", !log.contains(&refused), "gateway");
    // The worker could write it; whether it counts is another matter.
    let forged = |words: &str| log.lines().any(|line| line.starts_with(&format!("{words}-{id}")));
    set(things, "forged-log-line", forged("forged-by-text"), "runner");

    let by = if stage.setup.is_on_host() { "keeper" } else { "container" };
    set(things, "leave-a-process", process_with_argument(&format!("{id}1")), by);
    let container = process_with_argument(&format!("{id}2"));
    let by = if stage.setup.mode().has_engine() { "container" } else { "absent" };
    set(things, "leave-a-container", container, by);

    let link = stage.git(&["ls-tree", &branch(job), "shadow"]).unwrap_or_default();
    set(things, "links-in-commit", !link.starts_with("120000"), "runner");
    for (thing, path) in [("git-redirect", "/redirected"), ("git-lazy-fetch", "/lazy-fetch")] {
        set(things, thing, stage.canary.heard(path), "runner");
    }
    let traps = stage.traps().await;
    let went_off = fs::read_to_string(&traps).unwrap_or_default();
    set(things, "git-programs", !went_off.is_empty(), "runner");
    look_for_token(stage, things, &traps.with_extension("token"));
}

/// Where root by an engine has replaced git, it has what git asks for.
fn look_for_token(stage: &Stage, things: &mut Things, stolen: &Path) {
    let stolen = fs::read_to_string(stolen).unwrap_or_default();
    if stolen.contains(&stage.keys.forge) {
        things.insert("forge-token".to_owned(), BY_ENGINE.to_owned());
    }
}

/// Whether any process of this machine has such an argument.
fn process_with_argument(argument: &str) -> bool {
    let has = |process: &Path| {
        let line = fs::read(process.join("cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|word| word == argument.as_bytes())
    };
    let processes = fs::read_dir("/proc").expect("processes").flatten();
    processes.into_iter().any(|process| has(&process.path()))
}
