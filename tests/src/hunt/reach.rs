//! What a worker with bad intentions reads out of the runner's memory, by itself or through the engine
//! that it was given. This is no place where people look, and is counted apart.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use super::pattern::Matcher;
use super::scene::Scene;
use super::secret::Secret;
use crate::documented;

/// Where the worker's script leaves what it has read: in memory, under the worker's name.
const FOLDER: &str = "dev/shm";

/// The heading of the table in `docs/security.md` that says it.
const HEADING: &str = "What a worker reads of its runner";

/// The secrets that it got, by name. `root` is the root folder that it sees.
pub(super) fn read(matcher: &Matcher, root: &Path, worker: &str) -> BTreeSet<String> {
    let file = File::open(root.join(FOLDER).join(worker)).expect("the worker's script wrote it");
    let (found, _) = matcher.search(file).expect("it can be read");
    found.into_iter().map(|one| one.secret).collect()
}

/// Which of all secrets the documentation names for a deployment.
pub(super) fn documented(scene: Scene, all: &[Secret]) -> BTreeSet<String> {
    let rows = documented::table(HEADING);
    let row = rows.into_iter().find(|row| row[0] == scene.name());
    let names = row.unwrap_or_else(|| panic!("{HEADING:?} has no row for {scene}")).swap_remove(1);
    let all = || all.iter().map(|secret| secret.name.clone());
    match (names.as_str(), names.strip_prefix("all but ")) {
        ("none", _) => BTreeSet::new(),
        ("all", _) => all().collect(),
        (_, Some(exceptions)) => {
            let exceptions: Vec<&str> = exceptions.split(", ").collect();
            all().filter(|name| !exceptions.contains(&name.as_str())).collect()
        }
        (names, None) => names.split(", ").map(str::to_owned).collect(),
    }
}
