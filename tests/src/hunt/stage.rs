//! One mode: a job that is stopped in its middle, looked at, and looked at again when it is over.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::hit::{Hit, Hits, Looked, Place};
use super::pattern::Matcher;
use super::plant::Plant;
use super::processes::Watch;
use super::secret::{Secret, Secrets, is_handed_on};
use super::{disk, engine, reach, repository, runner};
use crate::harness::{Coordinator, Deployment, DockerMode, Engine, Job, within};
use crate::llm::Script;

/// What the worker does: a file of the repository.
const WORK: &str = include_str!("work.sh");

/// How long a worker may take until it holds: with an engine to start and an image to make.
const HOLD_LIMIT: Duration = Duration::from_secs(120);

/// Before anything of a deployment was made, whatever the clock of the file system rounds to.
const MARGIN: Duration = Duration::from_secs(2);

/// What was found in one mode.
#[derive(Debug)]
pub struct Found {
    /// The mode.
    pub mode: DockerMode,
    /// Secrets where none may be.
    pub hits: BTreeSet<Hit>,
    /// How much was looked at.
    pub looked: BTreeMap<Place, Looked>,
    /// What is wrong besides.
    pub problems: Vec<String>,
    /// Secrets that a worker got through its engine.
    pub reached: BTreeSet<String>,
    /// Those that it gets by the documentation.
    pub documented: BTreeSet<String>,
    /// The places that did not give what was planted there.
    pub missed: Vec<Place>,
}

/// Hunts through a job in this mode.
pub async fn hunt(engine: &Engine, image: &str, mode: DockerMode) -> Found {
    Stage::set(engine, image, mode, None).await.play().await
}

/// The same with one more secret planted in each place, which has to be found there.
pub async fn hunt_planted(engine: &Engine, image: &str, mode: DockerMode) -> Found {
    Stage::set(engine, image, mode, Some(Plant::random())).await.play().await
}

struct Stage {
    deployment: Deployment,
    secrets: Secrets,
    matcher: Arc<Matcher>,
    plant: Option<Plant>,
    begun: SystemTime,
}

impl Stage {
    async fn set(engine: &Engine, image: &str, mode: DockerMode, plant: Option<Plant>) -> Self {
        let begun = SystemTime::now() - MARGIN;
        let secrets = Secrets::random();
        let mut all = secrets.all();
        all.extend(plant.iter().flat_map(Plant::secrets).cloned());
        let matcher = Arc::new(Matcher::new(&all));
        let files = [("work.sh", WORK), ("README.md", "A repository for a hunt.\n")];
        let deployment = Deployment::start(engine, image, mode, &secrets.keys, &files).await;
        for (name, value) in secrets.app_settings() {
            deployment.app.set(&name, value).await;
        }
        let name = uuid::Uuid::new_v4().simple();
        let script = Script {
            api_key: Some(secrets.keys.model.clone()),
            ..Script::shell(format!("bash work.sh {mode} {name}"))
        };
        deployment.llm.set_script(script).expect("a valid script");
        Self { deployment, secrets, matcher, plant, begun }
    }

    async fn play(mut self) -> Found {
        let mode = self.deployment.mode;
        let watch = Watch::start(Arc::clone(&self.matcher));
        self.deployment.home.set("LOG_LEVEL", "trace");
        let coordinator = self.deployment.coordinator(&self.secrets.config());
        let job = self.deployment.add_job("hunt").await;
        let first = self.held(&job).await;
        let plant = self.plant.take();
        let planted = match &plant {
            Some(plant) => Some(plant.put(&self.deployment, &job, first).await),
            None => None,
        };

        let matcher = Arc::clone(&self.matcher);
        let mut hits = Hits::new(mode, &matcher);
        let root = PathBuf::from(format!("/proc/{first}/root"));
        self.look(&mut hits, &job, Some(&root)).await;
        let mut reached = Reached::default();
        if mode.has_engine() {
            reached.names = reach::read(&matcher, &root);
            reached.documented = reach::documented(mode, &self.secrets.all());
        }
        let mut problems = runner::problems(mode, first);

        self.deployment.engine.exec(job.job_id, "0", &["touch", "/tmp/go"]).await;
        let ended = self.deployment.app.ended(job.job_id).await;
        if ended.status != "completed" {
            let (reason, log) = (ended.fail_reason, self.deployment.home.job_log(job.job_id));
            problems.push(format!("mode={mode} the job ended so: {reason:?}\n{log}"));
        }
        self.deployment.settled().await;
        self.look(&mut hits, &job, None).await;
        stop(coordinator).await;
        look_at_journal(&mut hits, &self.deployment);
        drop(planted);
        conclude(mode, hits, watch, plant.as_ref(), problems, reached)
    }

    /// Waits until the worker holds; the first process of its container.
    async fn held(&self, job: &Job) -> u32 {
        let pid = async || {
            let state = self.deployment.engine.inspect(job.job_id).await?.state?;
            u32::try_from(state.pid?).ok().filter(|pid| *pid > 0)
        };
        within(HOLD_LIMIT, "a worker that holds", async || {
            if let "failed" | "completed" =
                self.deployment.app.job(job.job_id).await.status.as_str()
            {
                panic!("the job ended early:\n{}", self.deployment.home.job_log(job.job_id));
            }
            let pid = pid().await?;
            fs::exists(format!("/proc/{pid}/root/tmp/held")).ok()?.then_some(pid)
        })
        .await
    }

    /// Looks in every place but the processes, which are watched all the time.
    async fn look(&self, hits: &mut Hits<'_>, job: &Job, root: Option<&Path>) {
        let deployment = &self.deployment;
        // So that there is a command in the container to be told of.
        if root.is_some() {
            deployment.engine.exec(job.job_id, "0", &["true"]).await;
        }
        let ticket = deployment.app.ticket_log(job).await;
        assert!(!ticket.is_empty(), "the ticket has no log");
        hits.search_text(Place::TicketLog, "the ticket's log", format!("{ticket:?}"));
        engine::search_inspect(hits);
        if let Some(root) = root {
            engine::search_commit(hits, &format!("terarchitect-{}", job.job_id));
            let found = repository::search(hits, Place::Clone, &root.join("tmp"));
            assert!(found > 0, "the job has no clone");
        }
        disk::search_engine(hits, &engine::root(), self.begun);
        disk::search(hits, Place::Ledger, &deployment.home.state_dir(), SystemTime::UNIX_EPOCH);
        let log = deployment.home.job_log_path(job.job_id);
        hits.search_file(Place::JobLog, &log);
        repository::search(hits, Place::PullRequest, &deployment.forge_dir());
        look_at_journal(hits, deployment);
    }
}

/// What a worker got through its engine, and what it gets by the documentation.
#[derive(Default)]
struct Reached {
    names: BTreeSet<String>,
    documented: BTreeSet<String>,
}

fn look_at_journal(hits: &mut Hits<'_>, deployment: &Deployment) {
    let entries = fs::read_dir(deployment.home.dir()).expect("its home").flatten();
    let logs = entries.map(|entry| entry.path());
    for log in logs.filter(|path| path.extension().is_some_and(|end| end == "log")) {
        hits.search_file(Place::Journal, &log);
    }
}

async fn stop(coordinator: Coordinator) {
    let log = coordinator.terminate().await;
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "the coordinator tells too little");
}

fn conclude(
    mode: DockerMode,
    hits: Hits<'_>,
    watch: Watch,
    plant: Option<&Plant>,
    problems: Vec<String>,
    mut reached: Reached,
) -> Found {
    let seen = watch.end();
    let (mut hits, mut looked) = hits.into_parts();
    for place in [Place::Arguments, Place::Environment] {
        looked.insert(place, Looked { items: seen.looks, bytes: seen.read });
    }
    hits.extend(seen.found.into_iter().map(|(place, path, one)| Hit {
        mode,
        place,
        path,
        secret: one.secret,
        form: one.form,
    }));
    hits.retain(|hit| !is_handed_on(hit));
    for place in Place::ALL {
        assert!(looked.contains_key(&place), "{} was not looked at", place.name());
    }
    let missed = plant.map(|plant| plant.missed(&hits)).unwrap_or_default();
    if let Some(plant) = plant {
        let is_planted = |name: &str| plant.secrets().any(|secret: &Secret| secret.name == name);
        hits.retain(|hit| !is_planted(&hit.secret));
        reached.names.retain(|name| !is_planted(name));
    }
    let Reached { names: reached, documented } = reached;
    Found { mode, hits, looked, problems, reached, documented, missed }
}
