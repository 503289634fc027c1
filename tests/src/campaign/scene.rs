//! What a point has for itself: an app with jobs, a coordinator's home, and proxies between them
//! and before the engine.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api_client::JobId;
use tokio::time::{Instant, sleep};

use super::agents::Agents;
use super::course::{Course, Kill};
use super::disk::Tracer;
use super::journal::Journal;
use super::point::{Moment, Point, Side};
use super::scenario::{Dialect, Scenario};
use crate::harness::{App, Coordinator, Home, Interceptor, Job};

/// Between two looks. Everything that is looked at is in memory or a short directory.
const LOOK: Duration = Duration::from_millis(10);

/// How long a life may take until its trap springs, or until all is quiet.
const LIFE_LIMIT: Duration = Duration::from_secs(60);

/// So often a coordinator must have been told that there is no job, in its last life, before what it
/// has not reported by then counts as forgotten.
const EMPTY_CLAIMS: usize = 3;

/// For so many more of those a trap is given a chance when all is done.
const LAST_CLAIMS: usize = 4;

/// The scene of one point. The home is dropped first: it removes its containers.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) home: Home,
    pub(super) app: App,
    pub(super) journal: Arc<Journal>,
    pub(super) jobs: Vec<JobId>,
    /// Jobs of which a record was on disk when a life ended.
    pub(super) recorded: Vec<JobId>,
    course: Course,
    agents: Arc<Agents>,
    tracers: Vec<Tracer>,
    _proxies: [Interceptor; 2],
}

/// How a life was.
#[derive(Debug)]
pub(super) enum Life {
    /// It was killed, here.
    Killed(Option<Point>),
    /// All was done before the trap could spring.
    Quiet(Coordinator),
    /// It took too long, or ended by itself.
    Stuck(String),
}

impl Scene {
    pub(super) async fn new(course: Course, agents: Arc<Agents>) -> Self {
        let app = match course.setting.dialect {
            Dialect::Ours => App::start().await,
            Dialect::Original => App::start_original().await,
        };
        let scenario = course.setting.scenario;
        app.set_script(&format!(
            "{}; {}; exit {}",
            agents.report_script(scenario.host()),
            scenario.outcome_script(),
            scenario.exit_code()
        ))
        .await;
        let project = app.add_project("http://forge.example/acme/demo").await;
        let jobs: Vec<_> =
            app.add_jobs(project, course.jobs).await.iter().map(|job| job.job_id).collect();
        if course.kills.contains(&Kill::AgentsAtWork) {
            agents.hold(&jobs);
        }
        let journal = Journal::new();
        let engine = Interceptor::of_engine(journal.watch(Side::Engine));
        let proxy = Interceptor::of_app(app.port(), journal.watch(Side::App)).await;
        let mut home = Home::new(&proxy.url());
        home.set("DOCKER_HOST", &engine.url())
            .set("DOCKER_NETWORK", "host")
            .set("MAX_CONCURRENT_AGENTS", &course.slots.to_string());
        if scenario == Scenario::Guarded {
            home.unset("DOCKER_NETWORK").set("AGENT_MODEL_GATEWAY", "outside");
        }
        if scenario.on_host() {
            home.set("HOST_FALLBACK", "always");
        }
        let (recorded, tracers) = (Vec::new(), Vec::new());
        let proxies = [engine, proxy];
        Self { home, app, journal, jobs, recorded, course, agents, tracers, _proxies: proxies }
    }

    /// Starts the coordinator, and follows it to the end of that life.
    pub(super) async fn live(&mut self) -> Life {
        let kill = self.course.kills.get(self.journal.life()).cloned();
        self.journal.begin_life(kill.as_ref().and_then(Kill::trap));
        let mut coordinator = self.start();
        self.journal.victim(coordinator.pid());
        let begun = Instant::now();
        // What comes last is still to come when all seems done.
        let mut patience = if kill.is_some() { LAST_CLAIMS } else { 0 };
        let mut looked_at = 0;
        loop {
            if self.is_killed(kill.as_ref()) {
                self.journal.disarm();
                coordinator.kill().await;
                self.recorded.extend(self.held());
                return Life::Killed(self.journal.sprung());
            }
            if let Some(status) = coordinator.ended() {
                return Life::Stuck(format!("the coordinator ended by itself: {status}"));
            }
            if self.journal.life() > 1 && self.journal.claims() > 0 {
                self.agents.release(&self.jobs);
            }
            let empty = self.journal.empty_claims();
            if empty > looked_at && self.home.records().is_empty() {
                looked_at = empty;
                if self.is_quiet(empty).await {
                    // The trap may have sprung while we looked.
                    if patience == 0 && self.journal.disarm() {
                        return Life::Quiet(coordinator);
                    }
                    patience = patience.saturating_sub(1);
                }
            }
            if begun.elapsed() > LIFE_LIMIT {
                return Life::Stuck(self.what_is_left().await);
            }
            sleep(LOOK).await;
        }
    }

    /// How often the agents of a job ran.
    pub(super) fn runs(&self, job: JobId) -> usize {
        self.agents.runs(job)
    }

    /// The jobs, as the app shows them.
    pub(super) async fn jobs_now(&self) -> Vec<Job> {
        let mut jobs = Vec::new();
        for job in &self.jobs {
            jobs.push(self.app.job(*job).await);
        }
        jobs
    }

    /// Whether anything is killed in this life, and has been.
    fn is_killed(&self, kill: Option<&Kill>) -> bool {
        match kill {
            Some(Kill::AgentsAtWork) => self.jobs.iter().all(|job| self.runs(*job) > 0),
            Some(Kill::At(_) | Kill::Event(..)) => self.journal.sprung().is_some(),
            None => false,
        }
    }

    fn start(&mut self) -> Coordinator {
        let life = self.journal.life();
        if !self.course.traced(life) {
            return self.home.start();
        }
        let moment = match self.course.kills.get(life - 1) {
            Some(Kill::At(point)) => point.moment,
            Some(Kill::AgentsAtWork | Kill::Event(..)) | None => Moment::Before,
        };
        let fifo = self.home.dir().join(format!("strace.{life}"));
        let tracer = Tracer::new(fifo, self.home.state_dir(), Arc::clone(&self.journal), moment);
        let wrapper = tracer.wrapper();
        self.tracers.push(tracer);
        self.home.start_under(&wrapper)
    }

    /// Whether nothing more is to come: every job has ended, or is not known to the coordinator,
    /// which has asked for jobs often enough since.
    async fn is_quiet(&self, empty_claims: usize) -> bool {
        let jobs = self.jobs_now().await;
        let ended = jobs.iter().all(has_ended);
        let forgotten = || jobs.iter().all(|job| has_ended(job) || job.status == "running");
        let original = self.course.setting.dialect == Dialect::Original;
        ended || (original && empty_claims >= EMPTY_CLAIMS && forgotten())
    }

    async fn what_is_left(&self) -> String {
        let jobs: Vec<_> = self.jobs_now().await.into_iter().map(|job| job.status).collect();
        format!(
            "not settled after {} s: jobs are {}, {} records, {} empty claims",
            LIFE_LIMIT.as_secs(),
            jobs.join(", "),
            self.home.records().len(),
            self.journal.empty_claims()
        )
    }

    fn held(&self) -> Vec<JobId> {
        let ids = |path: PathBuf| path.file_stem()?.to_str()?.parse().ok();
        self.home.records().into_iter().filter_map(ids).collect()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.agents.release(&self.jobs);
    }
}

fn has_ended(job: &Job) -> bool {
    matches!(job.status.as_str(), "completed" | "failed" | "cancelled")
}
