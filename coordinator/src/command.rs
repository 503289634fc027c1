//! What each command does, one file for each, and what they share: exit codes, and how to say
//! something. A command that only a running coordinator can answer asks it by `control.rs`; all others
//! work on files.

mod attach;
mod bundle;
mod check;
mod config;
mod confine;
mod drain;
mod explain;
mod gc;
mod image;
mod jobs;
mod keep;
mod log_level;
mod logs;
mod man;
mod retry;
mod run;
mod status;
mod tell;
mod version;
mod why_idle;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use api_client::error_chain;

use crate::cli::{Action, ServiceSettings};
use crate::config::{self as settings, Environment, Flags, Loaded, Screen};
use crate::control::{ControlError, Request};
use crate::operate::{self, OperateError, ServiceSource};
use crate::paper::{self, Paper};

/// The coordinator could not do what it was asked for.
const FAILURE: u8 = 1;
/// The configuration is wrong.
const MISCONFIGURED: u8 = 2;
/// No coordinator runs that could be asked.
const NOT_RUNNING: u8 = 3;
/// The job of `run --once` failed, and was reported so.
const JOB_FAILED: u8 = 4;

/// What is said at the end, and the exit code.
pub(crate) struct Failure {
    pub(crate) code: u8,
    pub(crate) message: String,
}

/// Does what the command line says.
pub(crate) fn carry_out(action: Action) -> Result<ExitCode, Failure> {
    match action {
        Action::Run(arguments) => run::run(&arguments),
        Action::Status(arguments) => block_on(status::status(&arguments)),
        Action::Jobs(arguments) => block_on(jobs::jobs(&arguments)),
        Action::Explain(arguments) => block_on(explain::explain(&arguments)),
        Action::Bundle(arguments) => block_on(bundle::bundle(&arguments)),
        Action::WhyIdle(arguments) => block_on(why_idle::why_idle(&arguments)),
        Action::Logs(arguments) => block_on(logs::logs(&arguments)),
        Action::Attach(arguments) => block_on(attach::attach(&arguments)),
        Action::Retry(arguments) => block_on(retry::retry(&arguments)),
        Action::Pause(arguments) => {
            block_on(tell::tell(&arguments, Request::Pause, ("gate", "paused")))
        }
        Action::Resume(arguments) => {
            block_on(tell::tell(&arguments, Request::Resume, ("gate", "open")))
        }
        Action::Drain(arguments) => block_on(drain::drain(&arguments)),
        Action::LogLevel(arguments) => block_on(log_level::log_level(&arguments)),
        Action::NotifyTest(arguments) => {
            block_on(tell::tell(&arguments, Request::NotifyTest, ("taken", true)))
        }
        Action::Gc(arguments) => block_on(gc::gc(&arguments)),
        Action::Image(arguments) => block_on(image::image(arguments)),
        Action::Check(arguments) => block_on(check::check(&arguments)),
        Action::Keep(arguments) => block_on(keep::keep(arguments)),
        Action::Confine(arguments) => Err(confine::confine(arguments)),
        Action::Config(arguments) => config::config(&arguments),
        Action::Completions(arguments) => Ok(man::completions(&arguments)),
        Action::Man(arguments) => man::man(&arguments),
        Action::Version(arguments) => Ok(version::version(&arguments)),
    }
}

/// What is being written when everything else has ended may take this long; a disk that hangs is not
/// waited for.
const LAST_WRITES: Duration = Duration::from_millis(200);

/// One thread: the work is waiting, and idle memory counts on a build host.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failure(&error))?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(LAST_WRITES);
    done
}

/// Work that may be long: every ten seconds it is said, beside what the command prints, that it goes on.
async fn patiently<T>(what: &str, work: impl Future<Output = T>) -> T {
    const LOOK: Duration = Duration::from_secs(10);
    let begun = tokio::time::Instant::now();
    let mut work = std::pin::pin!(work);
    loop {
        match tokio::time::timeout(LOOK, &mut work).await {
            Ok(done) => return done,
            Err(_not_yet) => complain(&format!("{what}, {} s", begun.elapsed().as_secs())),
        }
    }
}

fn state_dir(flags: &Flags) -> Result<PathBuf, Failure> {
    operate::state_dir(flags).map_err(|error| operated(&error))
}

fn source(of: &ServiceSettings) -> ServiceSource<'_> {
    ServiceSource { flags: &of.settings, env_file: of.env_file.as_deref() }
}

fn operated(error: &OperateError) -> Failure {
    let code = match error {
        OperateError::Config(_) | OperateError::WithoutFile { .. } => MISCONFIGURED,
        OperateError::Control(ControlError::NotRunning { .. }) => NOT_RUNNING,
        _ => FAILURE,
    };
    Failure { code, message: error_chain(error) }
}

fn load(flags: &Flags) -> Result<Loaded, Failure> {
    settings::load(flags, &Environment::from_process())
        .map_err(|errors| Failure { code: MISCONFIGURED, message: errors.to_string() })
}

fn failure(error: &dyn std::error::Error) -> Failure {
    Failure { code: FAILURE, message: error_chain(error) }
}

/// What the people's screen is like.
fn screen() -> Screen {
    Environment::from_process().screen()
}

/// Prints a text for people, which may be long.
fn show(text: impl FnOnce(Paper) -> String) {
    let screen = screen();
    paper::show(&text(Paper::of_stdout(&screen)), &screen);
}

fn say(text: &str) {
    // A reader that has gone away has read enough.
    let _read = writeln!(io::stdout(), "{text}");
}

/// Shows on the terminal what is going on, in the place of what was shown before.
#[expect(clippy::print_stderr, reason = "it is for whoever waits, beside what is printed")]
fn progress(text: &str) {
    eprint!("\r\u{1b}[K{text}");
}

#[expect(clippy::print_stderr, reason = "the log may not be set up")]
pub(crate) fn complain(text: &str) {
    eprintln!("coordinator: {text}");
}
