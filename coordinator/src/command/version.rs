//! `version`: which one this is.

use std::process::ExitCode;

use serde_json::json;

use super::say;
use crate::cli::Version;

pub(crate) fn version(arguments: &Version) -> ExitCode {
    let release = env!("CARGO_PKG_VERSION");
    say(&if arguments.json {
        json!({ "version": 1, "coordinator": release }).to_string()
    } else {
        format!("coordinator {release}")
    });
    ExitCode::SUCCESS
}
