//! `gc`: remove what belongs to no job.

use std::process::ExitCode;

use super::{FAILURE, Failure, operated, patiently, say, source};
use crate::cli::Gc;
use crate::housekeeping::Deed;
use crate::operate;

pub(crate) async fn gc(arguments: &Gc) -> Result<ExitCode, Failure> {
    let deed = if arguments.dry_run { Deed::Show } else { Deed::Remove };
    let swept = patiently("still looking", operate::gc(source(&arguments.source), deed)).await;
    let swept = swept.map_err(|error| operated(&error))?;
    say(&if arguments.json {
        operate::swept_json(&swept)
    } else {
        operate::swept_text(&swept, deed)
    });
    Ok(if swept.failed.is_empty() { ExitCode::SUCCESS } else { FAILURE.into() })
}
