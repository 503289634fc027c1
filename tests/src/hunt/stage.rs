//! One deployment: a job that is stopped in its middle, looked at, and looked at again when it is over.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::crash::crash;
use super::held::Held;
use super::hit::{Hit, Hits, Looked, Place};
use super::pattern::Matcher;
use super::plant::Plant;
use super::processes::Watch;
use super::scene::Scene;
use super::secret::{Secret, Secrets, is_handed_on};
use super::{disk, engine, reach, repository, runner};
use crate::harness::{Coordinator, Deployment, Engine, Inbox, Job, within};
use crate::llm::Script;

/// What libraries log is left out unless it is asked for by their names.
const ALL_THERE_IS: &str =
    "trace,bollard=trace,h2=trace,hyper=trace,hyper_util=trace,reqwest=trace,rustls=trace";

/// What the worker does: a file of the repository.
const WORK: &str = include_str!("work.sh");

/// How long a worker may take until it holds: with an engine to start and an image to make.
const HOLD_LIMIT: Duration = Duration::from_secs(120);

/// Before anything of a deployment was made, whatever the clock of the file system rounds to.
const MARGIN: Duration = Duration::from_secs(2);

/// What was found in one deployment.
#[derive(Debug)]
pub struct Found {
    /// The deployment.
    pub scene: Scene,
    /// Secrets where none may be.
    pub hits: BTreeSet<Hit>,
    /// How much was looked at.
    pub looked: BTreeMap<Place, Looked>,
    /// What is wrong besides.
    pub problems: Vec<String>,
    /// Secrets that a worker got from its runner.
    pub reached: BTreeSet<String>,
    /// Those that it gets by the documentation.
    pub documented: BTreeSet<String>,
    /// The places that did not give what was planted there.
    pub missed: Vec<Place>,
}

/// Hunts through a job in this deployment.
pub async fn hunt(engine: &Engine, image: &str, scene: Scene) -> Found {
    Stage::set(engine, image, scene).await.play().await
}

struct Stage {
    scene: Scene,
    /// By which the worker is known.
    worker: String,
    deployment: Deployment,
    secrets: Secrets,
    matcher: Arc<Matcher>,
    plant: Plant,
    /// Webhook and collector.
    inbox: Inbox,
    begun: SystemTime,
}

impl Stage {
    async fn set(engine: &Engine, image: &str, scene: Scene) -> Self {
        let begun = SystemTime::now() - MARGIN;
        let (secrets, plant) = (Secrets::random(scene), Plant::random(scene));
        let all: Vec<_> = secrets.all().into_iter().chain(plant.secrets().cloned()).collect();
        let matcher = Arc::new(Matcher::new(&all));
        let files = [("work.sh", WORK), ("README.md", "A repository for a hunt.\n")];
        let (mode, app) = (scene.mode(), secrets.forge_app());
        let mut deployment =
            Deployment::start_with_app(engine, image, mode, &secrets.keys, &files, app).await;
        for (name, value) in secrets.app_settings() {
            deployment.app.set(&name, value).await;
        }
        let inbox = Inbox::start().await;
        // A refusal is told in the log.
        inbox.answer(&[500, 500]);
        for (name, value) in secrets.settings(&inbox) {
            deployment.home.set(name, &value);
        }
        let worker = format!("terarchitect-test-{}", uuid::Uuid::new_v4().simple());
        let command = format!("bash work.sh {mode} {worker}");
        scene.prepare(&mut deployment, &command);
        let script = Script { api_key: Some(secrets.keys.model.clone()), ..Script::shell(command) };
        deployment.llm.set_script(script).expect("a valid script");
        Self { scene, worker, deployment, secrets, matcher, plant, inbox, begun }
    }

    async fn play(mut self) -> Found {
        let watch = Watch::start(Arc::clone(&self.matcher));
        self.deployment.home.set("LOG_LEVEL", ALL_THERE_IS);
        let coordinator = self.deployment.coordinator(&self.secrets.config());
        let job = self.deployment.add_job("hunt").await;
        let held = self.held(&job).await;
        let planted = self.plant.put(&self.deployment, &job, &held).await;

        let matcher = Arc::clone(&self.matcher);
        let mut hits = Hits::new(self.scene, &matcher);
        self.look(&mut hits, &job, Some(&held)).await;
        let reached = reach::read(&matcher, &held.root(), &self.worker);
        let runners = held.runners();
        let mut problems: Vec<_> =
            runners.iter().flat_map(|one| runner::problems(self.scene, one)).collect();
        problems.extend(self.end(&mut hits, &job, &held).await);
        self.deployment.settled().await;
        self.look(&mut hits, &job, None).await;
        stop(coordinator).await;
        look_at_journal(&mut hits, &self.deployment);
        problems.extend(self.secrets.problems_of(&self.inbox, &matcher));
        drop(planted);
        self.conclude(hits, watch, problems, reached)
    }

    /// Waits until the worker holds.
    async fn held(&self, job: &Job) -> Held {
        within(HOLD_LIMIT, "a worker that holds", async || {
            if let "failed" | "completed" =
                self.deployment.app.job(job.job_id).await.status.as_str()
            {
                panic!("the job ended early:\n{}", self.deployment.home.job_log(job.job_id));
            }
            Held::find(&self.worker)
        })
        .await
    }

    /// Lets the job end; what goes wrong.
    async fn end(&mut self, hits: &mut Hits<'_>, job: &Job, held: &Held) -> Vec<String> {
        if self.scene == Scene::Crash {
            self.deployment.app.stop().await;
            let problems = crash(&self.deployment, job, held).await;
            disk::search_engine(hits, &engine::root(), self.begun);
            self.deployment.app.restart().await;
            return problems;
        }
        held.release();
        let ended = self.deployment.app.ended(job.job_id).await;
        if ended.status == "completed" {
            return Vec::new();
        }
        let log = self.deployment.home.job_log(job.job_id);
        vec![format!("the job ended so: {:?}\n{log}", ended.fail_reason)]
    }

    /// Looks in every place but the processes, which are watched all the time.
    async fn look(&self, hits: &mut Hits<'_>, job: &Job, held: Option<&Held>) {
        let deployment = &self.deployment;
        if let Some(held) = held {
            self.look_at_job(hits, job, held).await;
        }
        let ticket = deployment.app.ticket_log(job).await;
        assert!(!ticket.is_empty(), "the ticket has no log");
        hits.search_text(Place::TicketLog, "the ticket's log", format!("{ticket:?}"));
        engine::search_inspect(hits);
        disk::search_engine(hits, &engine::root(), self.begun);
        disk::search(hits, Place::Ledger, &deployment.home.state_dir(), SystemTime::UNIX_EPOCH);
        let log = deployment.home.job_log_path(job.job_id);
        hits.search_file(Place::JobLog, &log);
        repository::search(hits, Place::PullRequest, &deployment.forge_dir());
        look_at_journal(hits, deployment);
    }

    /// Looks where a job is that runs.
    async fn look_at_job(&self, hits: &mut Hits<'_>, job: &Job, held: &Held) {
        if self.scene.has_container() {
            // So that there is a command in the container to be told of.
            self.deployment.engine.exec(job.job_id, "0", &["true"]).await;
            engine::search_commit(hits, &format!("terarchitect-{}", job.job_id));
            if self.scene == Scene::Guarded {
                engine::search_commit(hits, &format!("terarchitect-gateway-{}", job.job_id));
            }
        }
        let found = repository::search(hits, Place::Clone, &held.job_folder(self.scene));
        assert!(found > 0, "the job has no clone");
    }

    fn conclude(
        self,
        hits: Hits<'_>,
        watch: Watch,
        problems: Vec<String>,
        mut reached: BTreeSet<String>,
    ) -> Found {
        let scene = self.scene;
        let (mut hits, mut looked) = hits.into_parts();
        let seen = watch.end();
        for place in [Place::Arguments, Place::Environment] {
            looked.insert(place, Looked { items: seen.looks, bytes: seen.read });
        }
        hits.extend(seen.found.into_iter().map(|(place, path, one)| Hit {
            scene,
            place,
            path,
            secret: one.secret,
            form: one.form,
        }));
        for place in scene.places() {
            assert!(looked.contains_key(&place), "{} was not looked at", place.name());
        }
        let missed = self.plant.missed(&hits);
        let is_planted =
            |name: &str| self.plant.secrets().any(|secret: &Secret| secret.name == name);
        hits.retain(|hit| !is_handed_on(hit) && !is_planted(&hit.secret));
        reached.retain(|name| !is_planted(name));
        let documented = reach::documented(scene, &self.secrets.of_agent());
        Found { scene, hits, looked, problems, reached, documented, missed }
    }
}

fn look_at_journal(hits: &mut Hits<'_>, deployment: &Deployment) {
    let entries = fs::read_dir(deployment.home.dir()).expect("its home").flatten();
    let logs = entries.map(|entry| entry.path());
    for log in logs.filter(|path: &PathBuf| path.extension().is_some_and(|end| end == "log")) {
        hits.search_file(Place::Journal, &log);
    }
}

async fn stop(coordinator: Coordinator) {
    let log = coordinator.terminate().await;
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "the coordinator tells too little");
}
