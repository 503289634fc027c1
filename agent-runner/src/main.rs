//! Runs one job: gets the repository, lets a coding CLI work in it, publishes the result as a pull
//! request, and reports.
//!
//! The process that is started from outside takes its settings, and becomes the one that watches over
//! the job's processes ([`init`]); that starts the inner process, which judges the settings
//! ([`settings`]) and follows the list of steps ([`run`]). The exit code is one of
//! [`AgentExit`].

mod bounded;
mod cancel;
mod checkout;
mod checkpoint;
mod cli;
mod course;
mod director;
mod doctor;
mod egress;
mod follow_up;
mod forge;
mod gateway;
mod git;
mod init;
mod inner_docker;
mod inspect;
mod lfs;
mod logging;
mod memory;
mod model_gateway;
mod outcome;
mod pressure;
mod probe;
mod processes;
mod project_file;
mod prompt;
mod publish;
mod pulse;
mod redaction;
mod refresh;
mod removal;
mod replay;
mod report;
mod run;
mod settings;
mod state;
mod token;
mod trace;
mod user;
mod worker;

use std::io::{self, Write};
use std::path::Path;
use std::process::{ExitCode, Stdio};

use api_client::contract::{AgentExit, STARTED_LINE};
use api_client::error_chain;
use clap::Parser;
use nix::unistd::Pid;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::cancel::StopSignals;
use crate::cli::{Cli, Kind, Role};
use crate::course::Course;
use crate::doctor::DoctorOptions;
use crate::probe::ProbeOptions;
use crate::redaction::Redaction;
use crate::run::Run;
use crate::settings::{DocumentError, Handover, Layers};

/// The doctor prints a report; what else is said is about what went wrong.
const QUIET: &str = "error,progress=off";

fn main() -> ExitCode {
    let ended =
        init::close_to_others().map_err(Into::into).and_then(|()| play(Cli::parse().role()));
    ended.unwrap_or_else(|error: Box<dyn std::error::Error>| {
        tracing::error!("{}", error_chain(error.as_ref()));
        ExitCode::FAILURE
    })
}

fn play(role: Role) -> Result<ExitCode, Box<dyn std::error::Error>> {
    match role {
        Role::First(kind) => first(kind),
        Role::Outer(kind) => outer(kind),
        Role::Inner(kind) => inner(kind).map_err(Into::into),
        Role::Doctor(options) => examine(&options),
        Role::DoctorInner(options) => {
            init::follow_outer()?;
            logging::init(Some(QUIET), &Redaction::default());
            Ok(doctor::run(&options)?)
        }
        Role::Probe(options) => probe(&options),
        Role::ProbeInner(options) => {
            logging::init(Some(QUIET), &Redaction::default());
            Ok(probe::run(&Layers::new(Handover::take_over()?)?, &options)?)
        }
        Role::Credential => {
            git::credential::answer().map(|()| ExitCode::SUCCESS).map_err(Into::into)
        }
        Role::Refresh(socket) => refresh(&socket),
        Role::Replay(options) => {
            logging::init(Some(QUIET), &Redaction::default());
            Ok(replay::run(&options))
        }
        Role::Gateway => gateway(),
        Role::Become(user) => {
            logging::init(None, &Redaction::default());
            match user.run()? {}
        }
    }
}

/// Takes everything that was given out of the environment, and becomes the outer process.
fn first(kind: Option<Kind>) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let stop = init::take_signals()?;
    let handover = Handover::from_process(&stop);
    match &handover {
        Ok(handover) => drop(log_from(handover)),
        Err(_) => logging::init(None, &Redaction::default()),
    }
    let mut handover = match handover {
        Err(stopped @ DocumentError::Stopped) => {
            tracing::warn!("{stopped}");
            return Ok(ExitCode::from(AgentExit::Cancelled.code()));
        }
        handover => handover?,
    };
    handover.trust_extra_certificates();
    match init::become_outer(&handover, kind)? {}
}

/// Takes everything that was given as a job's first process does, and looks around in what is left.
fn probe(options: &ProbeOptions) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let stop = init::take_signals()?;
    logging::init(Some(QUIET), &Redaction::default());
    let mut handover = Handover::from_process(&stop)?;
    handover.trust_extra_certificates();
    match init::become_again("probe-inner", &options.arguments(), &handover)? {}
}

/// Has the coding CLIs examined by a process of its own, and reaps what that leaves behind.
fn examine(options: &DoctorOptions) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let _waiting = init::take_signals()?;
    logging::init(Some(QUIET), &Redaction::default());
    let inner = init::again("doctor-inner", &options.arguments()).map(|mut command| {
        command.env_clear().envs(doctor::environment()).stdin(Stdio::null());
        command
    });
    Ok(init::watch_over("doctor-inner", inner)?)
}

/// Carries a new token to the run that listens there.
fn refresh(socket: &Path) -> Result<ExitCode, Box<dyn std::error::Error>> {
    logging::init(None, &Redaction::default());
    refresh::carry(socket)?;
    Ok(ExitCode::SUCCESS)
}

/// Serves a job from a container beside it.
fn gateway() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let stop = init::take_signals()?;
    let handover = match Handover::from_process(&stop) {
        Ok(handover) => handover,
        Err(error) => {
            logging::init(None, &Redaction::default());
            return Err(error.into());
        }
    };
    let redaction = log_from(&handover);
    let layers = Layers::new(handover)?;
    redaction.register(layers.secrets());
    Ok(gateway::run(&layers)?)
}

/// Runs the inner process, and outlives it.
fn outer(kind: Option<Kind>) -> Result<ExitCode, Box<dyn std::error::Error>> {
    logging::init(None, &Redaction::default());
    Ok(init::run(kind)?)
}

/// Does the job.
fn inner(kind: Option<Kind>) -> io::Result<ExitCode> {
    let outer = init::follow_outer()?;
    let handover = Handover::take_over()?;
    let _bundle = handover.bundle_guard();
    let redaction = log_from(&handover);
    let course = Course::new(redaction.clone());
    course.write_to(settings::outcome_file_of(&handover));
    let form = settings::log_form(&handover);
    let layers = Layers::new(handover);
    announce(layers.as_ref().ok())?;
    let exit = match layers {
        Ok(layers) => {
            let _in_run = logging::run_span(form, settings::log_ids(&layers)).entered();
            do_job(layers, kind, redaction, outer, course)?
        }
        Err(error) => run::unreadable(error, &course),
    };
    tracing::info!(code = exit.code(), "{}", exit.describe());
    Ok(ExitCode::from(exit.code()))
}

fn do_job(
    layers: Layers,
    kind: Option<Kind>,
    redaction: Redaction,
    outer: Pid,
    course: Course,
) -> io::Result<AgentExit> {
    redaction.register(layers.secrets());
    redaction.register(&settings::secrets_of_headers(&layers));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let exit = runtime.block_on(async {
        let cancel = CancellationToken::new();
        let signals = StopSignals::new()?.watch(cancel.clone());
        let _signals = AbortOnDropHandle::new(tokio::spawn(signals));
        init::accept_signals()?;
        let run = Run { layers, kind, redaction, cancel, outer, course };
        Ok(Box::pin(run.finish()).await)
    });
    // A thread that hangs in the file system must not hold the exit.
    runtime.shutdown_background();
    exit
}

/// Starts the log, with the secrets hidden that the environment holds.
fn log_from(handover: &Handover) -> Redaction {
    let redaction = Redaction::default();
    redaction.register(handover.secrets());
    let form = settings::log_form(handover);
    logging::init_as(form, settings::log_filter(handover), &redaction);
    redaction
}

/// The first line of standard output: from now on the job is never repeated elsewhere, so it comes
/// before any setting is judged.
fn announce(layers: Option<&Layers>) -> io::Result<()> {
    let job = layers.map_or_else(|| "-".to_owned(), settings::job_label);
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{STARTED_LINE} version={} job={job}", env!("CARGO_PKG_VERSION"))?;
    stdout.flush()
}
