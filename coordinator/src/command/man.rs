//! `coordinator man` and `coordinator completions`: what the command line says of itself.

use std::process::ExitCode;

use super::{Failure, failure, say};
use crate::cli::{Completions, Manual};
use crate::manual;

/// Prints the manual page, or writes all pages and prints their paths.
pub(super) fn man(arguments: &Manual) -> Result<ExitCode, Failure> {
    let written = match &arguments.out {
        Some(folder) => {
            let pages = manual::write_pages(folder).map_err(|error| failure(&error))?;
            pages.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join("\n")
        }
        None => manual::page().map_err(|error| failure(&error))?,
    };
    say(&written);
    Ok(ExitCode::SUCCESS)
}

/// Prints completions for a shell.
pub(super) fn completions(arguments: &Completions) -> ExitCode {
    say(&manual::completions(arguments.shell));
    ExitCode::SUCCESS
}
