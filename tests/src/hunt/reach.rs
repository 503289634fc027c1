//! What a worker with bad intentions reads out of the runner's memory through the engine that it was
//! given. This is no place where people look, and is counted apart.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use super::pattern::Matcher;
use super::secret::Secret;
use crate::documented;
use crate::harness::DockerMode;

/// Where the worker's script leaves what it has read, in memory.
const FILE: &str = "dev/shm/reach";

/// The heading of the table in `docs/security.md` that says it.
const HEADING: &str = "What a worker reads through its engine";

/// The secrets that it got, by name. `root` is the container's root.
pub(super) fn read(matcher: &Matcher, root: &Path) -> BTreeSet<String> {
    let file = File::open(root.join(FILE)).expect("the worker's script wrote it");
    let (found, _) = matcher.search(file).expect("it can be read");
    found.into_iter().map(|one| one.secret).collect()
}

/// Which of all secrets the documentation names for a mode.
pub(super) fn documented(mode: DockerMode, all: &[Secret]) -> BTreeSet<String> {
    let rows = documented::table(HEADING);
    let row = rows.into_iter().find(|row| row[0] == mode.name());
    let names = row.unwrap_or_else(|| panic!("{HEADING:?} has no row for {mode}")).swap_remove(1);
    match names.as_str() {
        "none" => BTreeSet::new(),
        "all" => all.iter().map(|secret| secret.name.clone()).collect(),
        names => names.split(',').map(|name| name.trim().to_owned()).collect(),
    }
}
