//! What is on record of a job, put together by whoever knows the secrets that must not be in it: the running
//! coordinator, or here where none runs.

use std::path::PathBuf;

use api_client::JobId;

use super::{OperateError, ServiceSource};
use crate::bundle::{Bundle, Part, make};
use crate::config::{Config, Loaded};
use crate::context::Mode;
use crate::control::{Answer, ControlError, Request, ask};
use crate::daemon::Daemon;
use crate::explain::Live;
use crate::explain::find::find;

/// What there is to say of a bundle that the coordinator did not make.
const NOT_BY_IT: &str = "no coordinator runs: only the secrets that the settings here name were looked for, and \
                         not those that the service gets as credentials";

/// A bundle, and what is to be said of it.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) bundle: Bundle,
    pub(crate) doubt: Option<String>,
}

/// The bundle of the job that is called so.
pub(crate) async fn bundle(
    source: ServiceSource<'_>,
    name: &str,
    leave_out: Vec<Part>,
) -> Result<Made, OperateError> {
    let state_dir = source.state_dir()?;
    let job = find(&state_dir, name)?.job;
    match ask(&state_dir, Request::Bundle { job, leave_out: leave_out.clone() }).await {
        Ok(Answer::Bundled(bundle)) => Ok(Made { bundle, doubt: None }),
        Ok(_) => Err(OperateError::Confused),
        Err(ControlError::NotRunning { .. }) => here(source, state_dir, job, &leave_out).await,
        Err(error) => Err(error.into()),
    }
}

async fn here(
    source: ServiceSource<'_>,
    state_dir: PathBuf,
    job: JobId,
    leave_out: &[Part],
) -> Result<Made, OperateError> {
    let (Loaded { config, report, .. }, notice) = source.load()?;
    // Let go of at once: a coordinator that is started meanwhile must not find its state directory taken.
    let ctx = Daemon::new(Config { state_dir, ..config }, Mode::Once)?.context();
    ctx.live.note_settings(&report);
    let bundle = make(&ctx, job, leave_out, Live::NotRunning).await?;
    let doubts = [Some(NOT_BY_IT.to_owned()), notice];
    let doubt = doubts.into_iter().flatten().collect::<Vec<_>>().join("; ");
    Ok(Made { bundle, doubt: Some(doubt) })
}
