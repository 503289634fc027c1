//! A job whose settings are all known, and what can be done with it.

use std::path::Path;
use std::sync::Arc;

use api_client::error_chain;
use api_client::outcome::RepositoryFacts;
use api_client::wire::Hook;
use nix::unistd::Pid;
use ring::digest::{SHA256, digest};
use tokio_util::sync::CancellationToken;

use super::model::ModelAccess;
use super::place::{git, give_tree_to, listen, worker_user};
use super::spending::Spending;
use super::{Errand, Run};
use crate::checkout::{self, Checkout, HeldRepository, Mirror, Start};
use crate::course::Course;
use crate::forge::AnyForge;
use crate::git::{Git, Source};
use crate::memory::ProjectMemory;
use crate::outcome::{Published, RunError};
use crate::processes;
use crate::project_file::ProjectFile;
use crate::prompt::{self, Assignment, Prompts, Template};
use crate::publish::Author;
use crate::redaction::Redaction;
use crate::refresh::RefreshServer;
use crate::report::{Reporter, Step};
use crate::settings::{self, DockerMode, GitMirrors, InnerLayers, Layers, Settings};
use crate::token::TokenSource;
use crate::user::WorkerUser;
use crate::user::ownership::Owner;
use crate::worker::{CACHE_FOLDER, Place, Worker};

/// What a run has once all settings are known.
pub(super) struct Job {
    pub(super) settings: Settings,
    pub(super) assignment: Assignment,
    pub(super) prompts: Prompts,
    pub(super) redaction: Redaction,
    pub(super) cancel: CancellationToken,
    outer: Pid,
    pub(super) course: Course,
    pub(super) author: Author,
    source: Source,
    pub(super) forge: AnyForge,
    pub(super) git: Git,
    plain: Vec<(String, String)>,
    docker_host: Option<String>,
    inner_layers: InnerLayers,
    git_mirrors: GitMirrors,
    pub(super) project: ProjectFile,
    /// What the project remembers of earlier work, once a run has asked for it and there is such a thing.
    pub(super) memory: Option<ProjectMemory>,
    user: Option<WorkerUser>,
    _refresh: Option<RefreshServer>,
}

impl Job {
    /// A job of these settings.
    ///
    /// # Errors
    /// When author, forge or git cannot be used.
    pub(super) async fn new(
        run: &Run,
        docker: DockerMode,
        settings: Settings,
        assignment: Assignment,
        prompts: Prompts,
    ) -> Result<Self, RunError> {
        let Run { layers, redaction, cancel, outer, course, .. } = run;
        let author = Author::new(&settings.author_name, &settings.author_email);
        let (token, sink) = TokenSource::new(settings.token.clone(), redaction.clone());
        let refresh =
            settings.refresh_socket.clone().and_then(|socket| listen(socket, sink, *outer));
        let (repo, api) = (&settings.repo_url, settings.forge_api.as_ref());
        let forge =
            AnyForge::connect(settings.forge, repo, api, token.clone(), cancel.clone()).await;
        let forge = forge.map_err(RunError::Forge)?;
        let token_user = forge.kind().token_user();
        let source = Source { url: repo.clone(), token: Some(token), token_user };
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let plain: Vec<_> = layers.plain_environment().map(owned).collect();
        let docker_host = settings::docker_host(layers).filter(|_| docker == DockerMode::Dood);
        Ok(Self {
            author: author.map_err(RunError::Author)?,
            forge,
            git: git(&plain, cancel.clone())?,
            user: worker_user(layers, docker, docker_host.as_deref(), &settings),
            docker_host,
            inner_layers: settings::inner_layers(layers),
            git_mirrors: settings::git_mirrors(layers),
            project: ProjectFile::default(),
            memory: None,
            settings,
            assignment,
            prompts,
            redaction: redaction.clone(),
            cancel: cancel.clone(),
            outer: *outer,
            course: course.clone(),
            source,
            plain,
            _refresh: refresh,
        })
    }

    /// What is told of the run at its end.
    pub(super) fn course(&self) -> &Course {
        &self.course
    }

    /// Whether the run is to end.
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Names and values of our own environment that are not secret.
    pub(super) fn plain_environment(&self) -> &[(String, String)] {
        &self.plain
    }

    /// What becomes of the images of an engine of our own.
    pub(super) fn inner_layers(&self) -> InnerLayers {
        self.inner_layers
    }

    /// The user that the worker runs as, where that is not ours.
    pub(super) fn user(&self) -> Option<&WorkerUser> {
        self.user.as_ref()
    }

    /// Gets the repository into `folder`, with the branch checked out that the errand is about.
    pub(super) async fn check_out(
        &self,
        folder: &Path,
        errand: &Errand,
        reporter: &Reporter,
    ) -> Result<Checkout, RunError> {
        let (git, source, tree) = (&self.git, &self.source, folder.join("tree"));
        let held = match &self.settings.workspace {
            Some(workspace) => Some(self.hold(workspace, reporter).await?),
            None => None,
        };
        let mirror = self.mirror().filter(|_| held.is_none());
        let checkout = match (held, errand) {
            (Some(held), Errand::Ticket(branch)) => {
                checkout::worktree_of(git, held, source, &tree, branch).await
            }
            (Some(held), Errand::Review(review)) => {
                checkout::worktree_of_head(git, held, source, &tree, &review.head).await
            }
            (None, Errand::Ticket(branch)) => {
                checkout::clone_ticket_branch(git, source, &tree, branch, mirror.as_ref()).await
            }
            (None, Errand::Review(review)) => {
                checkout::clone_head(git, source, &tree, &review.head, mirror.as_ref()).await
            }
        };
        let checkout = checkout.map_err(RunError::Checkout)?;
        self.course.note(|record| {
            record.repository = Some(RepositoryFacts {
                url: self.settings.repo_url.to_string(),
                branch: checkout.branch().to_string(),
                base_branch: checkout.base_branch().to_string(),
                base_commit: checkout.base_commit().to_string(),
                base_moved_to: None,
            });
        });
        Ok(checkout)
    }

    /// What the cache has of the repository; nothing where the worker would be the same user, who could
    /// read there what it has of others.
    fn mirror(&self) -> Option<Mirror> {
        match (self.git_mirrors, self.user()) {
            (GitMirrors::Kept, Some(_)) => Mirror::open(Path::new(CACHE_FOLDER), &self.source.url),
            (GitMirrors::None, _) | (_, None) => None,
        }
    }

    /// Reads the repository's project file, and settles what it may settle.
    pub(super) fn heed_project_file(
        &mut self,
        checkout: &Checkout,
        layers: &mut Layers,
    ) -> Result<(), RunError> {
        self.project = ProjectFile::of(checkout)?;
        self.settings.heed(layers, &self.project.worker)?;
        let worker = self.settings.worker.cli.facts();
        self.course.note(|record| record.worker = Some(worker));
        Ok(())
    }

    /// Fetches the submodules, where the project file asks for them.
    pub(super) async fn fetch_submodules(&self, checkout: &Checkout) -> Result<(), RunError> {
        if !self.project.clone.submodules {
            return Ok(());
        }
        let fetched = checkout::fetch_submodules(&self.git, checkout).await;
        let count = fetched.map_err(RunError::Checkout)?;
        tracing::info!(count, "the submodules are fetched");
        Ok(())
    }

    /// Fetches the files in Git LFS, where the project file asks for them.
    pub(super) async fn fetch_lfs(&self, checkout: &mut Checkout) -> Result<(), RunError> {
        if !self.project.clone.lfs {
            return Ok(());
        }
        let fetched = checkout::fetch_lfs(&self.git, checkout).await;
        let count = fetched.map_err(RunError::Checkout)?;
        tracing::info!(count, "the files in Git LFS are fetched");
        Ok(())
    }

    /// Waits until no other run works from the user's repository: the coordinator may start several tickets
    /// of one project, and it is that which knows how long a job may take.
    async fn hold(
        &self,
        workspace: &Path,
        reporter: &Reporter,
    ) -> Result<HeldRepository, RunError> {
        let waits = async || {
            let summary = format!("Waiting for another run from {}", workspace.display());
            reporter.step(Step::WaitingForRepository, &summary, None).await;
        };
        let held = HeldRepository::take(&self.git, workspace, waits);
        let held = self.cancel.run_until_cancelled(held).await;
        held.ok_or(RunError::Cancelled(Published::Nothing))?.map_err(RunError::Checkout)
    }

    /// Ends the use of a checkout. That this failed changes nothing about the work.
    pub(super) async fn give_back(&self, checkout: Checkout) {
        if let Err(error) = checkout.remove(&self.git).await {
            tracing::warn!("{}", error_chain(&error));
        }
    }

    /// What stands for a ticket as it is now, with what people say of its project, and for how it is worked on: what
    /// was begun for another is not gone on with.
    pub(super) fn fingerprint(&self, ticket: &str) -> String {
        let Settings { repo_url, director, worker, .. } = &self.settings;
        let (cli, subject) = (worker.cli.name(), self.assignment.subject());
        let what = ("ticket", ticket, repo_url.as_str(), subject, director.is_some(), cli);
        fingerprint(&format!("{what:?}"))
    }

    /// What the worker is asked, without any known secret.
    pub(super) fn prompt(&self, checkout: &Checkout) -> String {
        let instructions = prompt::instructions(checkout.path(), &self.redaction);
        let prompt = self.assignment.prompt(&self.prompts, &instructions);
        self.redaction.redact(&format!("{prompt}{}", self.earlier(checkout)))
    }

    /// Hands the work tree to the worker's user.
    pub(super) async fn hand_over(&self, checkout: &Checkout) -> Result<(), RunError> {
        match self.user() {
            Some(user) => give_tree_to(checkout, user.owner()).await,
            None => Ok(()),
        }
    }

    /// Opens the worker's way to its model.
    pub(super) async fn open_model(&self, spending: &Spending) -> Result<ModelAccess, RunError> {
        let Settings { worker, time_budget, .. } = &self.settings;
        ModelAccess::open(worker, *time_budget, spending, &self.cancel).await
    }

    /// The coding CLI in the checkout; `private` is for its own files.
    pub(super) fn prepare_worker(
        &self,
        model: &ModelAccess,
        checkout: &Checkout,
        private: &Path,
    ) -> Result<Worker, RunError> {
        let place = Place {
            tree: checkout.path(),
            private,
            plain: &self.plain,
            docker_host: self.docker_host.as_deref(),
            author: (&self.settings.author_name, &self.settings.author_email),
            user: self.user(),
        };
        let worker = Worker::prepare(model.worker(), &place, self.redaction.clone())?;
        let course = self.course().clone();
        let tools = Arc::new(move |tool: &str| course.checkpoint(Hook::Tool, None, tool));
        let worker = worker.taken_down_in(self.course().transcript().clone()).watched_by(tools);
        Ok(worker.ended_when_shut_out(model.shut_outs()))
    }

    /// Ends what the worker or the Docker engine left running. From here on the forge's token is
    /// in use, so nothing of theirs may be; and the tree is ours again, as git wants it.
    pub(super) async fn end_leftovers(&self, checkout: &Checkout) -> Result<(), RunError> {
        processes::end_all_below(self.outer).await?;
        match self.user() {
            Some(_) => give_tree_to(checkout, Owner::ourselves()).await,
            None => Ok(()),
        }
    }

    /// Whether unfinished work is saved on a branch of its own: the operator's word counts, then the
    /// repository's.
    pub(super) fn rescues(&self) -> bool {
        self.settings.rescue.or(self.project.publish.rescue).unwrap_or(true)
    }

    /// Git for as long as this token is not cancelled.
    pub(super) fn git_until(&self, cancel: CancellationToken) -> Result<Git, RunError> {
        git(&self.plain, cancel)
    }

    /// What the repository says of runs on it.
    pub(super) fn project(&self) -> &ProjectFile {
        &self.project
    }

    /// A text without any known secret.
    pub(super) fn redacted(&self, text: &str) -> String {
        self.redaction.redact(text)
    }

    /// One line for people.
    pub(super) fn title(&self) -> String {
        self.redaction.redact(self.assignment.title())
    }

    /// What the worker is told of an earlier run's work.
    pub(super) fn earlier(&self, checkout: &Checkout) -> String {
        let template = match checkout.start() {
            Start::Fresh | Start::Reviewed => return String::new(),
            Start::Continued => Template::Continued,
            Start::Rescued => Template::Unfinished,
        };
        format!("\n{}", self.prompts.fill(template, &[]))
    }
}

/// What stands for a text: nothing can be read from it.
pub(super) fn fingerprint(text: &str) -> String {
    let digest = digest(&SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
