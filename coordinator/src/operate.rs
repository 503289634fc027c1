//! The commands of an operator to the running coordinator, and what they print.

mod attach;
mod bundle;
mod ended;
pub(crate) mod image;
mod logs;
mod service;
mod show;
mod why_idle;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use api_client::{JobId, ProjectId, error_chain};
use tokio::time::sleep;

use crate::bundle::BundleError;
use crate::check::{self, Checker, Depth, Finding, Findings, Step, Tell};
use crate::clock;
use crate::config::{self, Config, ConfigErrors, EnvFileError, Environment, Flags};
use crate::context::Mode;
use crate::control::{Answer, ControlError, Request, Steps, ask, ask_telling};
use crate::daemon::{Daemon, StartError};
use crate::engine::EngineError;
use crate::explain::find::{FindError, Found, find};
use crate::explain::{Explained, JobFiles, Live, explain};
use crate::housekeeping::{Deed, Occasion, Swept, sweep};
use crate::images::ImagesError;
use crate::ledger::LedgerError;
use crate::operate::image::ImageBuildError;
use crate::retry::{RetryError, retry};

pub(crate) use attach::{AttachError, Attachable, Whose, attach, attachable};
pub(crate) use bundle::{Made, bundle};
pub(crate) use ended::{JobFilter, jobs, jobs_json, jobs_text};
pub(crate) use logs::{follow, print};
pub(crate) use service::ServiceSource;
pub(crate) use show::{status_json, status_text, swept_json, swept_text};
pub(crate) use why_idle::{why_idle, why_idle_json, why_idle_text};

/// Between two looks at a coordinator that drains.
const LOOK: Duration = Duration::from_secs(1);

/// A command was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OperateError {
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error("an answer to another question came")]
    Confused,
    #[error("the coordinator drains no longer: someone resumed or paused it")]
    NotDraining,
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("cannot list the logs in the state directory {}", state_dir.display())]
    History {
        state_dir: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Find(#[from] FindError),
    #[error(transparent)]
    Attach(AttachError),
    #[error("nothing was queued")]
    Retry(#[from] RetryError),
    #[error("cannot read the log of job {job}")]
    Log {
        job: JobId,
        #[source]
        source: io::Error,
    },
    #[error("no bundle was made")]
    Bundle(#[from] BundleError),
    #[error("nothing was removed")]
    Sweep(#[from] LedgerError),
    #[error(transparent)]
    EnvFile(#[from] EnvFileError),
    #[error("{doubt}")]
    WithoutFile {
        doubt: String,
        #[source]
        source: ConfigErrors,
    },
    #[error(transparent)]
    Images(#[from] ImagesError),
    #[error("project {project} is not in {}", path.display())]
    NotMapped { project: ProjectId, path: PathBuf },
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    ImageBuild(#[from] ImageBuildError),
}

/// The state directory that these flags and the environment name.
pub(crate) fn state_dir(flags: &Flags) -> Result<PathBuf, OperateError> {
    Ok(config::load_state_dir(flags, &Environment::from_process())?)
}

/// What a check works with where no coordinator runs: the settings given here, in the state directory that it
/// asked about, which may be that of the packaged unit, and nowhere else.
fn config_of(flags: &Flags, state_dir: PathBuf) -> Result<Config, OperateError> {
    let config = config::load(flags, &Environment::from_process())?.config;
    Ok(Config { state_dir, ..config })
}

/// The address of the engine that these flags and the environment name.
pub(crate) fn engine_host(flags: &Flags) -> Result<Option<String>, OperateError> {
    Ok(config::load_engine_host(flags, &Environment::from_process())?)
}

/// Has the running coordinator do something that has no answer of its own.
pub(crate) async fn command(state_dir: &Path, request: Request) -> Result<(), OperateError> {
    match ask(state_dir, request).await? {
        Answer::Done => Ok(()),
        _ => Err(OperateError::Confused),
    }
}

/// What the running coordinator does.
pub(crate) async fn status(state_dir: &Path) -> Result<crate::board::StatusView, OperateError> {
    match ask(state_dir, Request::Status).await? {
        Answer::Status(status) => Ok(status),
        _ => Err(OperateError::Confused),
    }
}

/// What the coordinator of a state directory says now, if one runs.
pub(crate) async fn live(state_dir: &Path) -> Live {
    match status(state_dir).await {
        Ok(status) => Live::Answered(Box::new(status)),
        Err(OperateError::Control(ControlError::NotRunning { .. })) => Live::NotRunning,
        Err(error) => Live::NoAnswer(error_chain(&error)),
    }
}

/// The page about a job, whether a coordinator runs or not.
pub(crate) async fn explain_job(state_dir: &Path, name: &str) -> Result<Explained, OperateError> {
    let found = find(state_dir, name)?;
    let live = live(state_dir).await;
    let files = JobFiles::look(state_dir, found.job);
    Ok(explain(&found, &files, &live, clock::now_millis()))
}

/// Has the app queue a job's ticket again: through the running coordinator, or from here where none runs.
pub(crate) async fn retry_job(
    source: ServiceSource<'_>,
    name: &str,
) -> Result<(Found, JobId), OperateError> {
    let state_dir = source.state_dir()?;
    let found = find(&state_dir, name)?;
    let job = found.job;
    match ask(&state_dir, Request::Retry { job }).await {
        Ok(Answer::Queued { job }) => Ok((found, job)),
        Ok(_) => Err(OperateError::Confused),
        Err(ControlError::NotRunning { .. }) => {
            let daemon = Daemon::new(source.config_in(state_dir)?, Mode::Once)?;
            let queued = retry(&daemon.context(), job).await?;
            Ok((found, queued))
        }
        Err(error) => Err(error.into()),
    }
}

/// Waits until a coordinator that drains has ended, telling how many jobs are left.
pub(crate) async fn wait_until_drained(
    state_dir: &Path,
    mut tell: impl FnMut(String),
) -> Result<(), OperateError> {
    let mut broken = false;
    loop {
        match status(state_dir).await {
            Ok(status) if status.gate != "draining" => return Err(OperateError::NotDraining),
            Ok(status) => {
                broken = false;
                let jobs = status.jobs.len();
                tell(format!("{jobs} {} left", if jobs == 1 { "job" } else { "jobs" }));
            }
            Err(OperateError::Control(ControlError::NotRunning { .. })) => return Ok(()),
            // It ended in the middle of its answer, which the next look tells.
            Err(OperateError::Control(ControlError::Broken { .. })) if !broken => broken = true,
            Err(error) => return Err(error),
        }
        sleep(LOOK).await;
    }
}

/// Removes garbage: through the running coordinator, or here where none runs.
pub(crate) async fn gc(source: ServiceSource<'_>, deed: Deed) -> Result<Swept, OperateError> {
    let state_dir = source.state_dir()?;
    match ask(&state_dir, Request::Gc { deed }).await {
        Ok(Answer::Swept(swept)) => Ok(swept),
        Ok(_) => Err(OperateError::Confused),
        Err(ControlError::NotRunning { .. }) => {
            let daemon = Daemon::new(source.config_in(state_dir)?, Mode::Once)?;
            Ok(sweep(&daemon.context(), Occasion::AskedAlone, deed).await?)
        }
        Err(error) => Err(error.into()),
    }
}

/// Checks whether jobs could be run: by the running coordinator, or here where none runs; each step is told.
/// `env_file` is where the service has its environment from.
pub(crate) async fn check(
    flags: &Flags,
    depth: Depth,
    env_file: Option<&Path>,
    tell: &Tell<'_>,
) -> Result<Vec<Finding>, OperateError> {
    let mut findings = Findings::new(tell);
    findings.add(check::env_file(env_file));
    let state_dir = state_dir(flags)?;
    let request = Request::Check { depth, steps: Steps::Told };
    let running = check::who_checks(&state_dir, Checker::Running);
    let steps = AtomicUsize::new(0);
    let counted = |step| {
        if steps.fetch_add(1, Ordering::Relaxed) == 0 {
            tell(Step::Found { finding: running.clone() });
        }
        tell(step);
    };
    match ask_telling(&state_dir, request, &counted).await {
        Ok(Answer::Checked { findings: of_daemon }) => {
            if steps.into_inner() > 0 {
                return Ok([findings.into_all(), vec![running], of_daemon].concat());
            }
            // One of an older version tells it all at its end.
            findings.add([running]);
            findings.add(of_daemon);
            Ok(findings.into_all())
        }
        Ok(_) => Err(OperateError::Confused),
        Err(ControlError::NotRunning { .. }) => {
            findings.add([check::who_checks(&state_dir, Checker::Here)]);
            match Daemon::new(config_of(flags, state_dir)?, Mode::Once) {
                Ok(daemon) => {
                    let found = check::check(&daemon.context(), depth, Checker::Here, tell).await;
                    Ok([findings.into_all(), found].concat())
                }
                Err(
                    error @ (StartError::Ledger(_) | StartError::Lock(_) | StartError::Identity(_)),
                ) => {
                    findings.add([check::no_state_directory(error_chain(&error))]);
                    Ok(findings.into_all())
                }
                Err(error) => Err(error.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

    use super::*;
    use crate::board::StatusView;
    use crate::control::listen;

    /// A coordinator that gives these answers, one for each question, and is gone after the last.
    async fn waited(answers: &[&str]) -> (Result<(), OperateError>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o700)).unwrap();
        let listener = listen(dir.path()).unwrap();
        let coordinator = async move {
            for answer in answers {
                let (stream, _) = listener.accept().await.unwrap();
                let (from, mut to) = stream.into_split();
                BufReader::new(from).read_line(&mut String::new()).await.unwrap();
                to.write_all(answer.as_bytes()).await.unwrap();
            }
        };
        let mut told = Vec::new();
        let tell = |progress| told.push(progress);
        let (done, ()) = tokio::join!(wait_until_drained(dir.path(), tell), coordinator);
        (done, told)
    }

    fn answer(gate: &str) -> String {
        let status = StatusView { gate: gate.to_owned(), ..StatusView::default() };
        serde_json::to_string(&Answer::Status(status)).unwrap() + "\n"
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_is_done_when_the_coordinator_is_gone() {
        let draining = answer("draining");
        let (done, told) = waited(&[&draining, &draining]).await;
        done.unwrap();
        assert_eq!(told, ["0 jobs left", "0 jobs left"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_coordinator_that_ends_in_the_middle_of_its_answer_is_drained() {
        let (done, _) = waited(&[&answer("draining"), "{\"answ"]).await;
        done.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_that_someone_took_back_is_no_success() {
        for gate in ["open", "paused"] {
            let (done, _) = waited(&[&answer("draining"), &answer(gate)]).await;
            assert!(matches!(done, Err(OperateError::NotDraining)), "{done:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_coordinator_that_answers_no_more_is_not_taken_for_drained() {
        let (done, _) = waited(&["\n", "\n"]).await;
        assert!(
            matches!(done, Err(OperateError::Control(ControlError::Broken { .. }))),
            "{done:?}"
        );
    }
}
