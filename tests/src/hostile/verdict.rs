//! What came of each thing that was tried, in the words of the documentation's table.

use std::collections::BTreeMap;

use super::setup::Setup;
use crate::documented;

/// The heading of the table in `docs/security.md`.
const HEADING: &str = "Things tried";

/// What is possible.
pub(super) const OPEN: &str = "**open**";

/// What is possible for the root that the worker's engine makes of it.
pub(super) const BY_ENGINE: &str = "**by engine**";

/// Thing → what came of it: possible in one of the two ways, or by what it was blocked.
pub type Things = BTreeMap<String, String>;

/// Words of refusals, and what refuses so. The first that fit count.
const REFUSALS: [(&str, &str); 33] = [
    ("by the runner", "runner"),
    ("an engine of its own", "own engine"),
    ("Absent", "absent"),
    ("No such file", "absent"),
    ("No such device", "absent"),
    ("none found", "hidden"),
    ("push is not for you", "no token"),
    ("status 401", "no token"),
    ("error: 401", "no token"),
    ("Authentication failed", "no token"),
    ("could not read Username", "no token"),
    ("terminal prompts disabled", "no token"),
    ("Invalid username or password", "no token"),
    ("Operation not permitted", "permission"),
    ("not permitted", "permission"),
    ("Permission denied", "permission"),
    ("permission denied", "permission"),
    ("must be superuser", "permission"),
    ("Read-only file system", "permission"),
    ("Resource temporarily unavailable", "limit"),
    ("Too many open files", "limit"),
    ("No space left", "limit"),
    ("Cannot allocate memory", "limit"),
    ("exit 137", "limit"),
    ("error: 403", "gateway"),
    ("response 403", "gateway"),
    ("Could not resolve", "network"),
    ("refused", "network"),
    ("timed out", "network"),
    ("nreachable", "network"),
    ("Failed to connect", "network"),
    ("Couldn't connect", "network"),
    ("Cannot assign requested address", "network"),
];

/// Reads the worker's report: a line for each thing, with its outcome and the words of the refusal.
pub(super) fn of_report(report: &str) -> Things {
    let line = |line: &str| {
        let mut words = line.splitn(3, ' ');
        let (thing, outcome) = (words.next()?.to_owned(), words.next()?);
        let said = words.next().unwrap_or_default();
        let of = match outcome {
            "open" => OPEN.to_owned(),
            "engine" => BY_ENGINE.to_owned(),
            _ => refusal(said),
        };
        Some((thing, of))
    };
    report.lines().filter_map(line).collect()
}

/// What the documentation says of these surroundings. A row begins with the thing's name.
pub fn documented(setup: Setup) -> Things {
    let (head, rows) = documented::table_with_head(HEADING);
    let column = head.iter().position(|name| name == setup.name());
    let column = column.unwrap_or_else(|| panic!("{HEADING:?} has no column {:?}", setup.name()));
    let name = |cell: &str| cell.split(':').next().unwrap_or_default().to_owned();
    rows.into_iter().map(|mut row| (name(&row[0]), row.swap_remove(column))).collect()
}

fn refusal(said: &str) -> String {
    let known = REFUSALS.into_iter().find(|(words, _)| said.contains(words));
    known.map_or_else(|| format!("? {said}"), |(_, by)| by.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_line_by_line() {
        let things = of_report(
            "runner-kill blocked exit 1 kill: (12) - Operation not permitted\nhost-services open \n\
             host-disk engine \nfill-memory blocked exit 137 \nodd blocked exit 3 who knows\n",
        );
        assert_eq!(things["runner-kill"], "permission");
        assert_eq!(things["host-services"], OPEN);
        assert_eq!(things["host-disk"], BY_ENGINE);
        assert_eq!(things["fill-memory"], "limit");
        assert_eq!(things["odd"], "? exit 3 who knows");
    }

    #[test]
    fn every_setup_has_a_column_and_every_cell_of_it_is_filled() {
        for setup in Setup::ALL {
            let things = documented(setup);
            assert!(things.len() >= 25, "{} things", things.len());
            assert!(things.values().all(|cell| !cell.is_empty()), "{things:?}");
        }
    }
}
