//! The part of a run in which the repository's code runs: its set-up, the worker's turns, its check.
//!
//! Invariant: worker, model gateway and Docker engine are opened once and closed once, however many
//! turns there are and however they end; the forge's token is not in use meanwhile.

mod alone;
mod keeping;

use std::path::Path;
use std::time::{Duration, Instant};

use api_client::outcome::{CheckFacts, CheckKind};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::directed;
use super::job::Job;
use super::model::ModelAccess;
use super::pause::Waited;
use super::progress::Progress;
use super::spending::Watch;
use super::stage::{Alone, Point, Stage};
use crate::bounded::end;
use crate::checkout::Checkout;
use crate::course::{Course, Phase, millis};
use crate::inner_docker::InnerDocker;
use crate::model_gateway::{Account, Totals};
use crate::outcome::{Published, RunError};
use crate::pressure::Pressure;
use crate::project_file::ProjectCommand;
use crate::report::{Reporter, Step, WorkerStage};
use crate::settings::DockerMode;
use crate::worker::{CommandEnd, CommandReport, Ending, TurnReport, Worker};

/// How much of a command's output an outcome has, in bytes.
const TAIL_MAX: usize = 4 << 10;
/// How long the engine may take to end where the run was cancelled; what is left is killed.
const CANCELLED_DOCKER_GRACE: Duration = Duration::from_millis(500);

/// What the repository's check says of the work.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Checked {
    /// It passed, or there is none.
    Well,
    /// It failed, in the last try as well; how.
    Failed(CommandEnd),
}

/// What came of a turn that ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    Something,
    /// Neither a word nor a deed.
    Nothing,
}

/// Lets the worker do its work, until the repository's check passes or there are no turns left; from the point on at
/// which an earlier run was, where there is one.
pub(super) async fn work(
    job: &Job,
    checkout: &Checkout,
    place: (&Path, DockerMode),
    reporter: &Reporter,
    point: Option<Point>,
    progress: &mut Progress,
) -> Result<Checked, RunError> {
    if let Some(Point { stage: Stage::Over(checked), .. }) = point {
        let summary = "An earlier try did the work; it is published now";
        reporter.step(Step::Resumed, summary, None).await;
        return Ok(checked);
    }
    let mut session = Session::open(job, checkout, place, reporter, progress).await?;
    let checked = session.work(point, progress).await;
    if let Ok(checked) = checked {
        session.keep(Stage::Over(checked), None, progress).await;
    }
    session.close().await;
    checked
}

/// Everything that the turns of a run need.
pub(super) struct Session<'s> {
    pub(super) job: &'s Job,
    pub(super) checkout: &'s Checkout,
    pub(super) reporter: &'s Reporter,
    gateway: ModelAccess,
    worker: Worker,
    docker: Option<InnerDocker>,
    /// The calls of the turns so far.
    told: Totals,
    /// All turns so far, and those of them that did work.
    begun: u32,
    turns: u32,
    /// The waits for providers' limits so far.
    pub(super) waited: Waited,
    /// What the next prompt begins with.
    preface: String,
    /// Writes down what is spent.
    spending: Option<Watch>,
    /// Asks the coding CLI for its version, beside its turn.
    _version: Option<AbortOnDropHandle<()>>,
}

impl<'s> Session<'s> {
    pub(super) async fn open(
        job: &'s Job,
        checkout: &'s Checkout,
        (private, docker): (&Path, DockerMode),
        reporter: &'s Reporter,
        progress: &Progress,
    ) -> Result<Self, RunError> {
        job.hand_over(checkout).await?;
        let spending = progress.keeper.spending();
        let gateway = job.open_model(spending).await?;
        let worker = job.prepare_worker(&gateway, checkout, private)?;
        let (user, plain, layers) = (job.user(), job.plain_environment(), job.inner_layers());
        let docker = InnerDocker::offer(docker, user, private, plain, layers).await?;
        let told = gateway.totals();
        job.course().calls_are_in(gateway.account());
        let spending = spending.watch(gateway.account());
        // A program of a host's own is run for its turns and for nothing else.
        let ask = || AbortOnDropHandle::new(tokio::spawn(note_version(&worker, job.course())));
        let version = job.user().map(|_| ask());
        Ok(Self {
            job,
            checkout,
            reporter,
            gateway,
            worker,
            docker,
            told,
            begun: 0,
            turns: 0,
            waited: Waited::default(),
            preface: String::new(),
            spending,
            _version: version,
        })
    }

    async fn work(
        &mut self,
        point: Option<Point>,
        progress: &mut Progress,
    ) -> Result<Checked, RunError> {
        let stage = match point {
            Some(point) => Some(self.go_on(point, progress).await),
            None => None,
        };
        self.make_ready(progress).await?;
        match (&self.job.settings.director, stage) {
            (Some(director), Some(Stage::Directed(kept))) => {
                directed::go_on(self, director, *kept, progress).await
            }
            (Some(director), _) => directed::work(self, director, progress).await,
            (None, Some(Stage::Alone(next))) => self.alone(next, progress).await,
            (None, _) => self.execute_checked(self.job.prompt(self.checkout), progress).await,
        }
    }

    /// Runs the repository's set-up, if there is one.
    pub(super) async fn make_ready(&mut self, progress: &mut Progress) -> Result<(), RunError> {
        match &self.job.project().setup {
            Some(setup) => self.set_up(setup, progress).await,
            None => Ok(()),
        }
    }

    /// One turn that does work, and more of them until the repository's check passes.
    pub(super) async fn execute_checked(
        &mut self,
        prompt: String,
        progress: &mut Progress,
    ) -> Result<Checked, RunError> {
        let check = self.job.project().check.as_ref();
        let turns_left = check.map_or(0, |check| check.turns);
        self.alone(Alone::Work { prompt, turns_left }, progress).await
    }

    async fn set_up(
        &mut self,
        setup: &ProjectCommand,
        progress: &mut Progress,
    ) -> Result<(), RunError> {
        let report = self.command(CheckKind::Setup, setup, progress).await?;
        match report.end {
            CommandEnd::Exited(0) => Ok(()),
            end => Err(RunError::SetUp { command: setup.command.clone(), end }),
        }
    }

    /// Runs a command of the repository. What it changes in the work tree is not the worker's.
    pub(super) async fn command(
        &mut self,
        kind: CheckKind,
        command: &ProjectCommand,
        progress: &mut Progress,
    ) -> Result<CommandReport, RunError> {
        let (step, phase) = match kind {
            CheckKind::Setup => (Step::SetUp, Phase::Setup),
            CheckKind::Check => (Step::Check(self.turns.saturating_sub(1)), Phase::Check),
        };
        let before = self.job.snapshot(self.checkout).await?;
        progress.command_since = Some(before);
        let phase = self.job.course().phase(phase);
        // The time of the job ends it as well.
        let report = self.worker.command(&command.command, command.limit, self.stop()).await;
        drop(phase);
        let report = report?;
        if report.end == CommandEnd::Cancelled {
            let exhausted = self.account().exhausted().filter(|_| !self.job.is_cancelled());
            return Err(match exhausted {
                Some(how) => RunError::Turn(Ending::BudgetExhausted(how)),
                None => RunError::Cancelled(Published::Nothing),
            });
        }
        let after = self.job.snapshot(self.checkout).await?;
        self.job.tell_apart(self.checkout, before, after, &mut progress.by_products).await?;
        progress.command_since = None;
        self.job.course().check(CheckFacts {
            kind,
            command: command.command.clone(),
            exit_code: report.end.exit_code(),
            millis: millis(report.took),
            tail: end(&report.output, TAIL_MAX).to_owned(),
        });
        let secs = report.took.as_secs_f32();
        let summary = format!("{}: {} after {secs:.1} s", command.command, report.end);
        self.reporter.step(step, &summary, Some(&report.output)).await;
        Ok(report)
    }

    /// One turn that does work.
    pub(super) async fn execute(
        &mut self,
        prompt: String,
        progress: &mut Progress,
    ) -> Result<(), RunError> {
        let stage = WorkerStage::Turn(self.turns);
        self.turns += 1;
        self.turn(stage, prompt, progress).await
    }

    /// One turn of the coding CLI; a later one goes on where the one before it ended. What a provider's limit
    /// broke off is asked for again once that is over.
    pub(super) async fn turn(
        &mut self,
        stage: WorkerStage,
        prompt: String,
        progress: &mut Progress,
    ) -> Result<(), RunError> {
        let prompt = std::mem::take(&mut self.preface) + &prompt;
        let mut empty_before = false;
        loop {
            match self.try_turn(stage, prompt.clone(), progress).await {
                Ok(Came::Nothing) if !empty_before => {
                    tracing::warn!(
                        "the turn ended without a word or a deed: it is asked for again"
                    );
                    empty_before = true;
                }
                Ok(_) => return Ok(()),
                Err(RunError::Turn(Ending::RateLimited { reset: Some(wait), ref why })) => {
                    let why = format!("the worker's model has reached a limit: {why}");
                    self.pause(why, wait).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn try_turn(
        &mut self,
        stage: WorkerStage,
        prompt: String,
        progress: &mut Progress,
    ) -> Result<Came, RunError> {
        let number = self.begun;
        self.begun += 1;
        let prompt = self.job.redacted(&prompt);
        let step = Step::WorkerPrompt(stage);
        self.reporter.step(step, "Prompt for the worker", Some(&prompt)).await;
        let (before, began) = (Pressure::now(), Instant::now());
        let phase = self.job.course().phase(Phase::Worker);
        let turn = match self.unfit(number).await {
            Some(ending) => {
                progress.keeper.hindered();
                Ok(TurnReport::not_begun(ending))
            }
            None => self.worker.turn(prompt, self.gateway.stop()).await,
        };
        drop(phase);
        let limit = Pressure::now().limit_since(before);
        let all = self.gateway.totals();
        let calls = all.since(&self.told);
        if calls.is_outage() {
            progress.keeper.hindered();
        }
        let turn = self.worker.conclude(turn?, calls);
        self.told = all;
        self.job.course().turn(&turn, began);
        progress.hear(self.job.last_words(&turn.answer));
        progress.question.clone_from(&turn.question);
        if self.job.is_cancelled() {
            return Err(RunError::Cancelled(Published::Nothing));
        }
        self.told_of(stage, &turn).await;
        let came = if turn.is_empty() { Came::Nothing } else { Came::Something };
        match turn.ending {
            Ending::Finished | Ending::HungAfterEnd => Ok(came),
            ending @ Ending::BudgetExhausted(_) => Err(RunError::Turn(ending)),
            ending => Err(match limit {
                Some(limit) => RunError::Limited { ending, limit },
                None => RunError::Turn(ending),
            }),
        }
    }

    /// Why the model cannot be the worker's, asked before the first turn.
    async fn unfit(&self, number: u32) -> Option<Ending> {
        match number {
            0 => self.gateway.unfit().await,
            _ => None,
        }
    }

    /// How much of its time the run has left, where that is limited.
    pub(super) fn time_left(&self) -> Option<Duration> {
        self.gateway.time_left()
    }

    /// Where the Director's calls are counted.
    pub(super) fn account(&self) -> Account {
        self.gateway.account()
    }

    /// Cancelled when the run is, or when the budget is used up.
    pub(super) const fn stop(&self) -> &CancellationToken {
        self.gateway.stop()
    }

    /// How many turns did work so far.
    pub(super) const fn turns(&self) -> u32 {
        self.turns
    }

    async fn told_of(&self, stage: WorkerStage, turn: &TurnReport) {
        let summary = format!("{} ({}; the CLI says {})", turn.ending, turn.calls, turn.usage);
        self.reporter.step(Step::WorkerTurn(stage), &summary, Some(&turn.transcript)).await;
    }

    pub(super) async fn close(self) {
        if let Some(docker) = self.docker {
            let stopped = docker.stop();
            if self.job.is_cancelled() {
                // What is still there ends with everything else that is left.
                let _in_time = timeout(CANCELLED_DOCKER_GRACE, stopped).await;
            } else {
                stopped.await;
            }
        }
        self.job.course().spent(&self.gateway.close().await);
        if let Some(spending) = self.spending {
            spending.end().await;
        }
    }
}

/// Notes the version of the coding CLI as soon as that says it.
fn note_version(worker: &Worker, course: &Course) -> impl Future<Output = ()> + Send + use<> {
    let (asked, course) = (worker.version(), course.clone());
    async move {
        let Some(version) = asked.await else { return };
        course.note(|record| {
            if let Some(worker) = &mut record.worker {
                worker.version = Some(version);
            }
        });
    }
}
