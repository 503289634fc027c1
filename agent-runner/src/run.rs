//! The run from its settings to its end: what comes before the work is in order here, the rest in
//! [`delivery`].

mod delivery;
mod directed;
mod folder;
mod follow_up;
mod job;
mod keeper;
mod memory;
mod model;
mod pause;
mod place;
mod progress;
mod proposal;
mod publication;
mod rescue;
mod review;
mod session;
mod spending;
mod stage;

use std::convert::Infallible;
use std::io::{self, Write};
use std::path::Path;

use api_client::contract::AgentExit;
use api_client::{JobId, error_chain};
use nix::unistd::Pid;
use tokio_util::sync::CancellationToken;

use self::delivery::{deliver_or_rescue, is_open};
use self::folder::JobFolder;
use self::job::Job;
use self::keeper::Keeper;
use self::review::{Answered, UnderReview};
use crate::cancel;
use crate::cli::Kind;
use crate::course::{Course, Phase};
use crate::forge::PullRequest;
use crate::git::BranchName;
use crate::outcome::{Published, RunError};
use crate::prompt::{Assignment, Prompts};
use crate::redaction::Redaction;
use crate::report::{AppReporter, Reporter, Step};
use crate::settings::{self, DockerMode, Layers, Origin, Settings, SettingsError, Start};
use crate::state::is_anything_kept_in;
use crate::trace;

/// A run that has its settings' sources and nothing else yet.
pub(crate) struct Run {
    /// Where settings come from.
    pub(crate) layers: Layers,
    /// The subcommand, when there was one.
    pub(crate) kind: Option<Kind>,
    /// Hides secrets in all that is told.
    pub(crate) redaction: Redaction,
    /// Ends the run early.
    pub(crate) cancel: CancellationToken,
    /// The outer process, below which everything hangs that the job starts.
    pub(crate) outer: Pid,
    /// What is told of it at its end.
    pub(crate) course: Course,
}

impl Run {
    /// Does the job and tells how it ended: in its outcome, in the ticket's log, in our own, and by
    /// what is returned. The last line of standard output is the pull request's address, if there is one.
    pub(crate) async fn finish(mut self) -> AgentExit {
        let ended = match self.start() {
            Ok((start, reporter)) => Box::pin(self.reported(start, &reporter)).await,
            Err(error) => {
                let summary = error_chain(&error);
                tracing::error!("{summary}");
                self.course.end(error.exit(), &summary);
                Err(error)
            }
        };
        let done = match ended {
            Ok(done) => done,
            Err(error) => return error.exit(),
        };
        if let Err(error) = announce(done.url()) {
            tracing::warn!(%error, "standard output is closed");
        }
        AgentExit::Delivered
    }

    /// What it takes to speak to the app.
    fn start(&self) -> Result<(Start, Reporter), RunError> {
        self.course.write_to(settings::outcome_file(&self.layers));
        self.course.transcript().write_to(settings::transcript_file(&self.layers));
        let start = Start::read(&self.layers, self.kind)?;
        self.course.note(|record| {
            record.image = settings::image(&self.layers);
            record.job = start.job.map(|job| job.to_string());
            record.ticket = match &start.origin {
                Origin::App(at) => Some(at.ticket.to_string()),
                Origin::Task(_) => None,
            };
        });
        let reporter = match &start.origin {
            Origin::App(at) => {
                let (redaction, cancel) = (self.redaction.clone(), self.cancel.clone());
                let reporter =
                    AppReporter::new(at.clone(), redaction, self.course.clone(), cancel)?;
                Reporter::App(Box::new(reporter))
            }
            Origin::Task(task) => {
                Reporter::LogOnly { task: task.clone(), redaction: self.redaction.clone() }
            }
        };
        Ok((start, reporter))
    }

    /// The work, watched for a request to stop, and its end in the ticket's log.
    async fn reported(&mut self, start: Start, reporter: &Reporter) -> Result<Done, RunError> {
        if let Some(error) = &start.docker_run_error {
            let summary = "The container could not be started; the job runs on the host";
            reporter.step(Step::DockerRunFallback, summary, Some(error)).await;
        }
        let cancel = self.cancel.clone();
        let late = CancellationToken::new();
        let ended = tokio::select! {
            ended = self.work(start, reporter, &late) => ended,
            never = watch(reporter, &cancel) => match never {},
            never = cancel::hurry(&cancel, &late) => match never {},
        };
        let ended = match ended {
            Err(RunError::CutShort) => Err(RunError::CutShort),
            Err(error) if cancel.is_cancelled() => Err(error.when_cancelled()),
            ended => ended,
        };
        if ended.is_ok() {
            late.run_until_cancelled(follow_up::propose(&self.course, reporter)).await;
        }
        let (exit, step, summary) = match &ended {
            Ok(done) => (AgentExit::Delivered, done.step(), done.summary()),
            Err(error) => (error.exit(), error.step(), self.with_rescue(error_chain(error))),
        };
        let summary = self.course.with_warnings(summary);
        let kept =
            settings::state_dir(&self.layers).and_then(|folder| is_anything_kept_in(&folder));
        self.course.note(|record| record.state_kept = kept);
        // First the file: a run that was told to stop may not come to the end of its log entry.
        let outcome = self.course.end(exit, &summary);
        tokio::join!(
            reporter.step(step, &summary, Some(&outcome)),
            Box::pin(trace::export(&self.layers, &self.course, exit)),
        );
        self.course.checkpoints().end().await;
        ended
    }

    /// Why the run ended, and where the work is that it leaves.
    fn with_rescue(&self, why: String) -> String {
        match self.course.saved_at() {
            Some(saved) => format!("{why}; the work so far is on branch {}", saved.branch),
            None => why,
        }
    }

    /// The job, in a folder of its own. From when it is `late`, it is cut short wherever it is.
    async fn work(
        &mut self,
        start: Start,
        reporter: &Reporter,
        late: &CancellationToken,
    ) -> Result<Done, RunError> {
        let cancel = self.cancel.clone();
        let phase = self.course.phase(Phase::Prepare);
        let prepared = cancel.run_until_cancelled(self.prepare(&start, reporter)).await;
        drop(phase);
        let (job, errand) = prepared.unwrap_or(Err(RunError::Cancelled(Published::Nothing)))?;
        let keeper = self.keeper(&start, &job, &errand).await;
        let folder = match keeper.folder_name() {
            Some(name) => JobFolder::named(&name).await,
            None => JobFolder::new(),
        };
        let folder = folder.map_err(|source| RunError::Folder {
            attempted: "make a folder for the job",
            source,
        })?;
        let layers = &mut self.layers;
        let place = (folder.path(), start.docker);
        let done = carry_out(job, (errand, keeper), layers, place, reporter, late);
        let done = Box::pin(done).await;
        let _phase = self.course.phase(Phase::CleanUp);
        // What is done stays done, whatever becomes of the files.
        late.run_until_cancelled(folder.remove()).await;
        done
    }

    /// What keeps the state of the work on a ticket. A review has none: what is said of it is on the forge.
    async fn keeper(&self, start: &Start, job: &Job, errand: &Errand) -> Keeper {
        match (errand, &start.origin) {
            (Errand::Review(_), _) => Keeper::default(),
            (Errand::Ticket(_), Origin::App(at)) => {
                Keeper::open(job, &at.ticket.to_string(), start.job).await
            }
            (Errand::Ticket(_), Origin::Task(_)) => Keeper::open(job, "", start.job).await,
        }
    }

    /// The ticket, the settings, and everything that can be found wrong before work begins.
    async fn prepare(
        &mut self,
        start: &Start,
        reporter: &Reporter,
    ) -> Result<(Job, Errand), RunError> {
        let prompts = Prompts::load(settings::prompts_folder(&self.layers)?.as_deref())?;
        let (assignment, repo_url) = self.assignment(&prompts, reporter).await?;
        let (step, assignment) = match start.pull_request {
            None => (Step::SessionStarted, assignment),
            Some(number) => (Step::ReviewStarted, assignment.for_review(number)),
        };
        reporter.step(step, "A run of agent-runner began", None).await;
        let settings = Settings::read(&self.layers, repo_url.as_deref())?;
        let loaded = format!(
            "{} on {} with {}",
            assignment.title(),
            settings.repo_url,
            settings.worker.cli.name()
        );
        self.course.note(|record| record.worker = Some(settings.worker.cli.facts()));
        let mut job = Job::new(self, start.docker, settings, assignment, prompts).await?;
        reporter.step(Step::ContextLoaded, &loaded, None).await;
        let errand = match start.pull_request {
            None => Errand::Ticket(branch_of(start)),
            Some(number) => Errand::Review(Box::new(UnderReview::open(&job, number).await?)),
        };
        job.recall(reporter).await;
        if let Errand::Ticket(_) = errand {
            job.ask_what_is_learnt();
        }
        Ok((job, errand))
    }

    /// What is to be done, and the repository that the app names for it.
    async fn assignment(
        &mut self,
        prompts: &Prompts,
        reporter: &Reporter,
    ) -> Result<(Assignment, Option<String>), RunError> {
        match reporter {
            Reporter::App(app) => {
                let mut context = app.context().await.map_err(RunError::Context)?;
                self.layers.add_context(std::mem::take(&mut context.agent_settings));
                self.redaction.register(self.layers.secrets());
                let mut assignment =
                    Assignment::of_context(&context, &self.redaction).ok_or(RunError::NoTicket)?;
                follow_up::offer(&context, prompts, &mut assignment, &self.course);
                Ok((assignment, context.repo_url))
            }
            Reporter::LogOnly { task, .. } => {
                Ok((Assignment::of_task(task, &self.redaction), None))
            }
        }
    }
}

/// What a run is for.
enum Errand {
    /// The work of a ticket, on this branch.
    Ticket(BranchName),
    /// The review of a pull request.
    Review(Box<UnderReview>),
}

/// What a run came to that ended well.
enum Done {
    /// The work is proposed.
    Proposed(PullRequest),
    /// The review is answered.
    Answered(Answered),
}

impl Done {
    fn url(&self) -> &str {
        match self {
            Self::Proposed(request) => &request.url,
            Self::Answered(answered) => &answered.url,
        }
    }

    const fn step(&self) -> Step {
        match self {
            Self::Proposed(_) => Step::TaskComplete,
            Self::Answered(_) => Step::ReviewComplete,
        }
    }

    fn summary(&self) -> String {
        match self {
            Self::Proposed(request) => is_open(request),
            Self::Answered(answered) => answered.summary.clone(),
        }
    }
}

/// The work on a checkout, and the end of its use.
async fn carry_out(
    mut job: Job,
    (errand, mut keeper): (Errand, Keeper),
    layers: &mut Layers,
    place: (&Path, DockerMode),
    reporter: &Reporter,
    late: &CancellationToken,
) -> Result<Done, RunError> {
    let phase = job.course().phase(Phase::Clone);
    let checkout = late.run_until_cancelled(job.check_out(place.0, &errand, reporter)).await;
    let mut checkout = checkout.unwrap_or(Err(RunError::CutShort))?;
    let heeded = job.heed_project_file(&checkout, layers);
    let prepared = match heeded {
        Ok(()) => {
            let fetched = async {
                keeper.pin(&job, &mut checkout).await?;
                job.fetch_submodules(&checkout).await?;
                job.fetch_lfs(&mut checkout).await
            };
            late.run_until_cancelled(fetched).await.unwrap_or(Err(RunError::CutShort))
        }
        Err(error) => Err(error),
    };
    drop(phase);
    let done = match (prepared, &errand) {
        (Ok(()), Errand::Ticket(_)) => {
            let delivered = deliver_or_rescue(&job, (&checkout, keeper), place, reporter, late);
            delivered.await.map(Done::Proposed)
        }
        (Ok(()), Errand::Review(review)) => {
            let answered = review::answer_or_save(&job, review, &checkout, place, reporter, late);
            Box::pin(answered).await.map(Done::Answered)
        }
        (Err(error), _) => Err(error),
    };
    late.run_until_cancelled(job.give_back(checkout)).await;
    done
}

/// The branch of the ticket, or of this run where there is no ticket.
fn branch_of(start: &Start) -> BranchName {
    match &start.origin {
        Origin::App(at) => BranchName::for_ticket(at.ticket),
        Origin::Task(_) => BranchName::for_task(start.job.unwrap_or_else(JobId::random)),
    }
}

/// Watches the app's cancel flag. A cancelled run ends when its work sees the token, not here.
async fn watch(reporter: &Reporter, cancel: &CancellationToken) -> Infallible {
    if let Reporter::App(app) = reporter {
        cancel::watch_app(app, cancel).await;
    }
    std::future::pending().await
}

fn announce(url: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{url}")?;
    stdout.flush()
}

/// The error of sources that cannot even be read, as a run that ended.
pub(crate) fn unreadable(error: SettingsError, course: &Course) -> AgentExit {
    let error = RunError::Settings(error);
    let summary = error_chain(&error);
    tracing::error!("{summary}");
    course.end(error.exit(), &summary);
    error.exit()
}
