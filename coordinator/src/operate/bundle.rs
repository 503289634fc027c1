//! What is on record of a job, put together by whoever knows the secrets that must not be in it: the running
//! coordinator, or here where none runs.

use api_client::JobId;

use super::{OperateError, state_dir};
use crate::bundle::{Bundle, Part, make};
use crate::config::{self, Config, Environment, Flags, Loaded};
use crate::context::Mode;
use crate::control::{Answer, ControlError, Request, ask};
use crate::daemon::Daemon;
use crate::explain::Live;
use crate::explain::find::find;

/// The bundle of the job that is called so.
pub(crate) async fn bundle(
    flags: &Flags,
    name: &str,
    leave_out: Vec<Part>,
) -> Result<Bundle, OperateError> {
    let state_dir = state_dir(flags)?;
    let job = find(&state_dir, name)?.job;
    match ask(&state_dir, Request::Bundle { job, leave_out: leave_out.clone() }).await {
        Ok(Answer::Bundled(bundle)) => Ok(bundle),
        Ok(_) => Err(OperateError::Confused),
        Err(ControlError::NotRunning { .. }) => here(flags, job, &leave_out).await,
        Err(error) => Err(error.into()),
    }
}

async fn here(flags: &Flags, job: JobId, leave_out: &[Part]) -> Result<Bundle, OperateError> {
    let state_dir = state_dir(flags)?;
    let Loaded { config, report, .. } = config::load(flags, &Environment::from_process())?;
    let daemon = Daemon::new(Config { state_dir, ..config }, Mode::Once)?;
    let ctx = daemon.context();
    ctx.live.note_settings(&report);
    Ok(make(&ctx, job, leave_out, Live::NotRunning).await?)
}
