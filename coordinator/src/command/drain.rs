//! `drain`: claim nothing, finish, end.

use std::process::ExitCode;

use serde_json::json;

use super::{Failure, operated, say, state_dir};
use crate::cli::Drain;
use crate::control::Request;
use crate::operate;

pub(crate) async fn drain(arguments: &Drain) -> Result<ExitCode, Failure> {
    let state_dir = state_dir(&arguments.settings)?;
    operate::command(&state_dir, Request::Drain).await.map_err(|error| operated(&error))?;
    if !arguments.no_wait {
        let tell = |progress: String| {
            if !arguments.json {
                say(&progress);
            }
        };
        operate::wait_until_drained(&state_dir, tell).await.map_err(|error| operated(&error))?;
    }
    if arguments.json {
        let ended = !arguments.no_wait;
        let gate = (!ended).then_some("draining");
        say(&json!({ "version": 1, "gate": gate, "ended": ended }).to_string());
    }
    Ok(ExitCode::SUCCESS)
}
