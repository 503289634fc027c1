//! The run, as an ordered list of steps. No other module knows the order.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

use api_client::contract::AgentExit;
use api_client::{JobId, error_chain};
use tokio_util::sync::CancellationToken;

use crate::cancel;
use crate::checkout::{self, Checkout};
use crate::cli::Kind;
use crate::forge::{self, GitHub, PullRequest, PullRequestDraft};
use crate::git::{BranchName, CommitId, Git, Source};
use crate::inner_docker::InnerDocker;
use crate::outcome::{Delivered, RunError};
use crate::prompt::{self, Assignment};
use crate::publish::{self, Author, CommitMessage, DiffStat};
use crate::redaction::Redaction;
use crate::report::{AppReporter, Reporter, Step};
use crate::settings::{self, DockerMode, Layers, Origin, Settings, SettingsError, Start};
use crate::worker::{Ending, Place, TurnReport, Worker};

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
}

/// What a run has once all settings are known.
struct Job {
    settings: Settings,
    assignment: Assignment,
    author: Author,
    source: Source,
    forge: GitHub,
    git: Git,
    plain: Vec<(String, String)>,
    docker_host: Option<String>,
}

impl Run {
    /// Does the job and tells how it ended: in the ticket's log, in our own, and by what is
    /// returned. The last line of standard output is the pull request's address, if there is one.
    pub(crate) async fn finish(mut self) -> AgentExit {
        let ended = match self.start() {
            Ok((start, reporter)) => self.reported(start, &reporter).await,
            Err(error) => {
                tracing::error!("{}", error_chain(&error));
                Err(error)
            }
        };
        let delivered = match ended {
            Ok(delivered) => delivered,
            Err(error) => return error.exit(),
        };
        if let Err(error) = announce(&delivered.pull_request.url) {
            tracing::warn!(%error, "standard output is closed");
        }
        AgentExit::Delivered
    }

    /// What it takes to speak to the app.
    fn start(&self) -> Result<(Start, Reporter), RunError> {
        let start = Start::read(&self.layers, self.kind)?;
        let reporter = match &start.origin {
            Origin::App(at) => {
                let reporter = AppReporter::new(at.clone(), self.redaction.clone())?;
                Reporter::App(Box::new(reporter))
            }
            Origin::Task(task) => {
                Reporter::LogOnly { task: task.clone(), redaction: self.redaction.clone() }
            }
        };
        Ok((start, reporter))
    }

    /// The work, watched for a request to stop, and its end in the ticket's log.
    async fn reported(&mut self, start: Start, reporter: &Reporter) -> Result<Delivered, RunError> {
        if let Some(error) = &start.docker_run_error {
            let summary = "The container could not be started; the job runs on the host";
            reporter.step(Step::DockerRunFallback, summary, Some(error)).await;
        }
        let cancel = self.cancel.clone();
        let ended = tokio::select! {
            ended = self.work(start, reporter) => ended,
            never = watch(reporter, &cancel) => match never {},
        };
        let ended = match ended {
            // Whatever failed was interrupted. A pull request that is open stays what it is.
            Err(error)
                if cancel.is_cancelled() && !matches!(error, RunError::Completion { .. }) =>
            {
                Err(RunError::Cancelled)
            }
            ended => ended,
        };
        if let Err(error) = &ended {
            reporter.step(error.step(), &error_chain(error), None).await;
        }
        ended
    }

    async fn work(&mut self, start: Start, reporter: &Reporter) -> Result<Delivered, RunError> {
        if start.kind == Kind::Review {
            return Err(RunError::ReviewNotSupported);
        }
        let branch = branch_of(&start);
        let cancel = self.cancel.clone();
        let prepared = cancel.run_until_cancelled(self.prepare(&start, reporter)).await;
        let job = prepared.unwrap_or(Err(RunError::Cancelled))?;
        let folder = tempfile::Builder::new().prefix("agent-job-").tempdir().map_err(|source| {
            RunError::Folder { attempted: "make a folder for the job", source }
        })?;
        let checkout = job.check_out(folder.path(), &branch, reporter).await?;
        let done = self.edit_and_publish(&job, &checkout, folder.path(), start.docker, reporter);
        let done = done.await;
        if let Err(error) = checkout.remove(&job.git).await {
            tracing::warn!("{}", error_chain(&error));
        }
        if let Err(error) = folder.close() {
            tracing::warn!(%error, "the job's folder could not be removed");
        }
        done
    }

    /// Settings, the ticket, and everything that can be found wrong before work begins.
    async fn prepare(&mut self, start: &Start, reporter: &Reporter) -> Result<Job, RunError> {
        let (assignment, repo_url) = self.assignment(reporter).await?;
        let session = "A run of agent-runner began";
        reporter.step(Step::SessionStarted, session, None).await;
        let settings = Settings::read(&self.layers, repo_url.as_deref())?;
        let author = Author::new(&settings.author_name, &settings.author_email);
        let author = author.map_err(RunError::Author)?;
        let forge = GitHub::new(&settings.repo_url, settings.forge_api.as_ref(), &settings.token);
        let source = Source { url: settings.repo_url.clone(), token: Some(settings.token.clone()) };
        let plain: Vec<(String, String)> = self
            .layers
            .plain_environment()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let docker_host = settings::docker_host(&self.layers);
        let job = Job {
            author,
            source,
            forge: forge.map_err(RunError::Forge)?,
            git: git(&plain, self.cancel.clone())?,
            plain,
            docker_host: docker_host.filter(|_| start.docker == DockerMode::Dood),
            settings,
            assignment,
        };
        let worker = job.settings.worker.cli.name();
        let loaded = format!("{} on {} with {worker}", job.assignment.title(), job.source.url);
        reporter.step(Step::ContextLoaded, &loaded, None).await;
        Ok(job)
    }

    /// What is to be done, and the repository that the app names for it.
    async fn assignment(
        &mut self,
        reporter: &Reporter,
    ) -> Result<(Assignment, Option<String>), RunError> {
        match reporter {
            Reporter::App(app) => {
                let mut context = app.context().await.map_err(RunError::Context)?;
                let settings = std::mem::take(&mut context.agent_settings);
                self.layers.add_context(settings);
                self.redaction.register(self.layers.secrets());
                let assignment = Assignment::of_context(&context).ok_or(RunError::NoTicket)?;
                Ok((assignment, context.repo_url))
            }
            Reporter::LogOnly { task, .. } => Ok((Assignment::of_task(task), None)),
        }
    }

    async fn edit_and_publish(
        &self,
        job: &Job,
        checkout: &Checkout,
        private: &Path,
        docker: DockerMode,
        reporter: &Reporter,
    ) -> Result<Delivered, RunError> {
        let docker = match docker {
            DockerMode::Dind => InnerDocker::offer(&job.plain)?,
            DockerMode::Dood | DockerMode::None => None,
        };
        let turn = self.edit(job, checkout, private, reporter).await;
        if let Some(docker) = docker {
            docker.stop().await;
        }
        job.publish(checkout, &turn?, reporter, &self.cancel).await
    }

    /// One turn of the coding CLI.
    async fn edit(
        &self,
        job: &Job,
        checkout: &Checkout,
        private: &Path,
        reporter: &Reporter,
    ) -> Result<TurnReport, RunError> {
        let place = Place {
            tree: checkout.path(),
            private,
            plain: &job.plain,
            docker_host: job.docker_host.as_deref(),
            author: (&job.settings.author_name, &job.settings.author_email),
        };
        let mut worker = Worker::prepare(&job.settings.worker, &place)?;
        let prompt = job.assignment.prompt(&prompt::instructions(checkout.path()));
        let prompt = self.redaction.redact(&prompt);
        reporter.step(Step::WorkerPrompt, "Prompt for the worker", Some(&prompt)).await;
        let turn = worker.turn(prompt, &self.cancel).await?;
        let summary = format!("{} ({})", turn.ending, turn.usage);
        reporter.step(Step::WorkerTurn, &summary, Some(&turn.transcript)).await;
        match turn.ending {
            Ending::Finished => Ok(turn),
            Ending::Cancelled => Err(RunError::Cancelled),
            ending => Err(RunError::Turn(ending)),
        }
    }
}

impl Job {
    async fn check_out(
        &self,
        folder: &Path,
        branch: &BranchName,
        reporter: &Reporter,
    ) -> Result<Checkout, RunError> {
        let (git, source, tree) = (&self.git, &self.source, folder.join("tree"));
        let checkout = match &self.settings.workspace {
            Some(workspace) => checkout::worktree_of(git, workspace, source, &tree, branch).await,
            None => checkout::clone_ticket_branch(git, source, &tree, branch).await,
        };
        let checkout = checkout.map_err(RunError::Checkout)?;
        let how = match checkout.start() {
            checkout::Start::Fresh => "begins at",
            checkout::Start::Continued => "continues an earlier run; its base is",
        };
        let summary = format!("{branch} {how} {}", checkout.base_branch());
        reporter.step(Step::BranchCreated, &summary, None).await;
        Ok(checkout)
    }

    /// Commit, push, proof of the push, pull request, proof of that, and the app's word.
    async fn publish(
        &self,
        checkout: &Checkout,
        turn: &TurnReport,
        reporter: &Reporter,
        cancel: &CancellationToken,
    ) -> Result<Delivered, RunError> {
        if cancel.is_cancelled() {
            return Err(RunError::Cancelled);
        }
        let (commit, stat) = self.commit(checkout, &turn.answer).await?;
        reporter.step(Step::Finalize, &format!("Publishing {commit}: {stat}"), None).await;
        publish::push(&self.git, checkout, commit).await.map_err(RunError::Publish)?;
        publish::verify(&self.git, checkout, commit).await.map_err(RunError::Publish)?;
        let draft = PullRequestDraft {
            title: self.assignment.title().to_owned(),
            body: self.assignment.pull_request_body(&turn.answer, stat),
            head: checkout.branch().clone(),
            base: checkout.base_branch().clone(),
        };
        let request = forge::open_or_update(&self.forge, &draft, commit).await;
        let pull_request = request.map_err(|source| RunError::PullRequest {
            branch: checkout.branch().to_string(),
            source,
        })?;
        self.complete(&pull_request, &turn.answer, reporter).await?;
        Ok(Delivered { pull_request })
    }

    /// The commit to publish, and how much it changes: what is different now, or what an earlier run
    /// pushed and did not propose any more.
    async fn commit(
        &self,
        checkout: &Checkout,
        answer: &str,
    ) -> Result<(CommitId, DiffStat), RunError> {
        let message = CommitMessage::new(self.assignment.title(), &prompt::accomplished(answer));
        let commit = publish::commit_all(&self.git, checkout, &self.author, &message).await;
        let commit = match (commit.map_err(RunError::Publish)?, checkout.start()) {
            (Some(commit), _) => commit,
            (None, checkout::Start::Continued) => checkout.start_commit(),
            (None, checkout::Start::Fresh) => return Err(RunError::NoChanges),
        };
        let stat = publish::diff_stat(checkout, commit).await.map_err(RunError::Publish)?;
        match stat.files {
            0 => Err(RunError::NoChanges),
            _ => Ok((commit, stat)),
        }
    }

    async fn complete(
        &self,
        request: &PullRequest,
        answer: &str,
        reporter: &Reporter,
    ) -> Result<(), RunError> {
        let summary = format!("Pull request {} is open: {}", request.number, request.url);
        reporter.step(Step::TaskComplete, &summary, None).await;
        let accomplished = prompt::accomplished(answer);
        let completed = reporter.complete(&accomplished, &request.url, request.number).await;
        completed.map_err(|source| RunError::Completion { url: request.url.clone(), source })
    }
}

/// The branch of the ticket, or of this run where there is no ticket.
fn branch_of(start: &Start) -> BranchName {
    match &start.origin {
        Origin::App(at) => BranchName::for_ticket(at.ticket),
        Origin::Task(_) => BranchName::for_task(start.job.unwrap_or_else(JobId::random)),
    }
}

fn git(plain: &[(String, String)], cancel: CancellationToken) -> Result<Git, RunError> {
    let environment =
        plain.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let helper = std::env::current_exe()
        .map_err(|source| RunError::Folder { attempted: "find this program's own file", source })?;
    Git::new(environment, helper, cancel)
        .map_err(|error| RunError::Checkout(checkout::CheckoutError::Git(error)))
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
pub(crate) fn unreadable(error: SettingsError) -> AgentExit {
    let error = RunError::Settings(error);
    tracing::error!("{}", error_chain(&error));
    error.exit()
}
