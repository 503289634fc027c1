//! `agent-runner doctor`: tells whether each coding CLI of this image works, by giving it a task with a
//! model of ours in the provider's place.
//!
//! Invariant: a CLI is run as in a job: same adapter, same gateway, same user, same environment. What is
//! asked of it is answered on this machine, so that nothing is needed and nothing is spent.

mod examination;
mod model;
mod reply;
mod report;
mod request;
mod script;
mod surroundings;
#[cfg(test)]
mod tests;

use std::io;
use std::process::ExitCode;

use clap::Args;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::report::Report;
use crate::cancel::StopSignals;
use crate::init;
use crate::redaction::Redaction;
use crate::settings::{PLAIN_NAMES, WorkerKind};
use crate::user::WorkerUser;

/// What is examined, and how it is told.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub(crate) struct DoctorOptions {
    /// Examine this coding CLI alone, by its name in WORKER_MODE
    #[arg(long, value_name = "NAME", value_parser = |name: &str| name.parse::<WorkerKind>())]
    worker: Option<WorkerKind>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl DoctorOptions {
    /// The same as arguments.
    pub(crate) fn arguments(&self) -> Vec<&'static str> {
        let worker = self.worker.into_iter().flat_map(|kind| ["--worker", kind.name()]);
        worker.chain(self.json.then_some("--json")).collect()
    }
}

/// Examines what is installed and prints what was found. Success is that all of it works.
///
/// # Errors
/// When there is no runtime, or standard output is closed.
pub(crate) fn run(options: &DoctorOptions) -> io::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let cancel = CancellationToken::new();
        let signals = StopSignals::new()?.watch(cancel.clone());
        let _signals = AbortOnDropHandle::new(tokio::spawn(signals));
        init::accept_signals()?;
        Ok::<_, io::Error>(examine(options, &cancel).await)
    })?;
    let mut stdout = io::stdout().lock();
    match options.json {
        true => report.write_json(&mut stdout)?,
        false => report.write_text(&mut stdout)?,
    }
    Ok(if report.healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn examine(options: &DoctorOptions, cancel: &CancellationToken) -> Report {
    let user = WorkerUser::of_image();
    let plain = environment();
    let surroundings = surroundings::look(user.as_ref(), &plain).await;
    let asked = options.worker.map_or_else(|| WorkerKind::ALL.to_vec(), |kind| vec![kind]);
    let mut diagnoses = Vec::new();
    for kind in asked {
        let ground = examination::Ground { user: user.as_ref(), plain: &plain };
        let redaction = Redaction::default();
        diagnoses.push(examination::examine(kind, &ground, redaction, cancel).await);
    }
    Report::new(surroundings, diagnoses)
}

/// The plain names of our environment, but for proxies: the model is on this machine.
pub(crate) fn environment() -> Vec<(String, String)> {
    let is_proxy = |name: &str| name.to_ascii_uppercase().ends_with("_PROXY");
    let plain = PLAIN_NAMES.iter().filter(|name| !is_proxy(name));
    plain.filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect()
}
