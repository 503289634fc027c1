//! What the model of a case says.

use super::case::{Case, TurnEnd};
use crate::llm::{Scenario, Script};

/// The file that a worker is to add, and what is to be in it.
pub(super) const FILE: &str = "hello.txt";
pub(super) const CONTENT: &str = "hello from the scripted model\n";

/// A file that no user can make.
const IMPOSSIBLE: &str = "/proc/none/hello.txt";

/// How often the model tries to, before it says that it is done.
const FAILED_CALLS: u64 = 3;

/// For how long a limit holds, in seconds: longer than a run waits.
pub(super) const RESET: u32 = 7_200;

/// The script of a case.
pub(super) fn script(case: Case, key: &str) -> Script {
    let edit = Script { api_key: Some(key.to_owned()), ..Script::edit(FILE, CONTENT) };
    let failing = |scenario| Script { scenario, ..edit.clone() };
    match case.end {
        TurnEnd::Edits | TurnEnd::HangsAfterEnd | TurnEnd::ConnectionRefused => edit,
        TurnEnd::NoChange => failing(Scenario::Noop),
        TurnEnd::Unauthorised => Script { status: 401, ..failing(Scenario::Status) },
        TurnEnd::RateLimited => {
            Script { status: 429, retry_after: Some(RESET), ..failing(Scenario::Status) }
        }
        TurnEnd::Recovers => {
            Script { status: 500, fail_first: Some(2), ..failing(Scenario::Status) }
        }
        TurnEnd::HangsMidStream => failing(Scenario::Stall),
        TurnEnd::Garbage => failing(Scenario::GarbageStream),
        TurnEnd::ToolFails => {
            Script { file: IMPOSSIBLE.to_owned(), turns: Some(FAILED_CALLS), ..edit }
        }
        // It dies between its work and its last word, where it has such a moment.
        TurnEnd::Killed => {
            Script { fail_after: case.cli.has_tools().then_some(1), ..failing(Scenario::Hang) }
        }
        TurnEnd::AsksForInput => failing(Scenario::Ask),
    }
}
