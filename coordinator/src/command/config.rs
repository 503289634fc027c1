//! `config`: the effective settings, and where each comes from.

use std::process::ExitCode;

use super::{Failure, complain, operated, say, source};
use crate::cli::ShowConfig;
use crate::config::{self, Form};

pub(crate) fn config(arguments: &ShowConfig) -> Result<ExitCode, Failure> {
    if arguments.reference {
        say(&config::reference());
        return Ok(ExitCode::SUCCESS);
    }
    let loaded = source(&arguments.source).load();
    let (loaded, doubt) = loaded.map_err(|error| operated(&error))?;
    let form = if arguments.json { Form::Json } else { Form::Text };
    say(&config::print(&loaded.report, form));
    for notice in loaded.notices.into_iter().chain(doubt) {
        complain(&notice);
    }
    Ok(ExitCode::SUCCESS)
}
