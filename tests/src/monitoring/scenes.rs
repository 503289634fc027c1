//! The conditions, one after the other: each begins when the one before is over.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use api_client::ProjectId;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::Signal;
use serde_json::json;

use super::dashboard::{Dashboard, Span};
use super::picture::{self, Picture};
use super::prometheus::{Prometheus, Wanted};
use crate::harness::{
    Absence, App, Coordinator, Engine, EngineProxy, Home, Job, KEY, Monitor, eventually,
};

/// A disk never has as much as this, in MiB.
const TOO_MUCH: u64 = 999_999_999;

/// An alert, and how it went.
#[derive(Debug)]
pub struct Tried {
    /// Its name.
    pub alert: &'static str,
    /// How long after its condition it fired.
    pub fired: Option<Duration>,
    /// How long after the end of that it was over.
    pub over: Option<Duration>,
}

impl Tried {
    /// Whether it fired and was over.
    #[must_use]
    pub const fn is_as_it_has_to_be(&self) -> bool {
        self.fired.is_some() && self.over.is_some()
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = |time: Option<Duration>| match time {
            Some(time) => format!("after {:.1} s", time.as_secs_f64()),
            None => "NEVER".to_owned(),
        };
        write!(f, "{:<28} fired {:<14} over {}", self.alert, told(self.fired), told(self.over))
    }
}

/// A condition.
#[derive(Clone, Copy, Debug)]
enum Scene {
    EngineDown,
    AppDown,
    JobsFail,
    LongJob,
    Backlog,
    KeyRefused,
    Disk,
    NotTold,
    SlowApp,
    Silence,
}

impl Scene {
    const ALL: [Self; 10] = [
        Self::EngineDown,
        Self::AppDown,
        Self::JobsFail,
        Self::LongJob,
        Self::Backlog,
        Self::KeyRefused,
        Self::Disk,
        Self::NotTold,
        Self::SlowApp,
        Self::Silence,
    ];
}

/// A coordinator that is watched, and what it depends on.
#[derive(Debug)]
pub struct Stage {
    prometheus: Option<Prometheus>,
    watched: Instant,
    coordinator: Coordinator,
    monitor: Monitor,
    home: Home,
    app: App,
    proxy: EngineProxy,
    engine: Engine,
    project: ProjectId,
    key: PathBuf,
    config: PathBuf,
}

impl Stage {
    /// Starts them, the coordinator with two slots; none where there is no engine.
    pub async fn set() -> Option<Self> {
        let engine = Engine::or_skip().await?;
        let app = App::start().await;
        let project = app.add_project("http://forge.example/acme/demo").await;
        app.set_script("exit 0").await;
        let proxy = EngineProxy::start();
        let mut home = Home::new(&app.url());
        let (key, config) = (home.dir().join("key"), home.dir().join("coordinator.toml"));
        fs::write(&key, KEY).unwrap();
        fs::write(&config, floor(1)).unwrap();
        home.unset("TERARCHITECT_WORKER_API_KEY").unset("DISK_FLOOR_MIB");
        home.set("TERARCHITECT_WORKER_API_KEY_FILE", key.to_str().unwrap());
        home.set("DOCKER_HOST", &proxy.host()).set("HEALTH_LISTEN", "127.0.0.1:0");
        // The app knows of no such thing.
        home.set("NOTIFY_WEBHOOK_URL", &format!("{}/no-webhook", app.url()));
        home.set("NOTIFY_ON", "drain").set("DOCKER_NETWORK", "bridge");
        home.set("MAX_CONCURRENT_AGENTS", "2").set("POLL_INTERVAL_SEC", "0.5");
        let mut coordinator = home.start_with(&["--config", config.to_str().unwrap()]);
        let monitor = Monitor::of(&mut coordinator).await;
        monitor.answers("/ready", 200).await;
        let prometheus = None;
        Some(Self {
            prometheus,
            watched: Instant::now(),
            coordinator,
            monitor,
            home,
            app,
            proxy,
            engine,
            project,
            key,
            config,
        })
    }

    /// The page of metrics, after a job.
    pub async fn page(&self) -> String {
        let job = self.app.add_job(self.project).await;
        self.app.ended(job.job_id).await;
        self.monitor.get("/metrics").await.1
    }

    /// Has a Prometheus watch the coordinator by these rules.
    pub async fn watch(&mut self, rules: &str) {
        self.prometheus = Some(Prometheus::start(self.monitor.target(), rules).await);
        self.watched = Instant::now();
    }

    /// The alerts that fire now.
    pub async fn firing(&self) -> Vec<String> {
        self.prometheus().firing().await.expect("Prometheus answers")
    }

    /// The dashboard, with what was seen since it is watched.
    ///
    /// # Errors
    /// The query that Prometheus refuses.
    pub async fn picture(&self, dashboard: &Dashboard) -> Result<Picture, String> {
        let now = std::time::UNIX_EPOCH.elapsed().expect("a time after 1970").as_secs_f64();
        let span = Span { begin: now - self.watched.elapsed().as_secs_f64(), end: now };
        picture::draw(dashboard, self.prometheus(), span).await
    }

    /// Everything that can be brought about, told as it goes.
    pub async fn try_all(&mut self, mut tell: impl FnMut(&Tried)) -> Vec<Tried> {
        let mut all = Vec::new();
        for scene in Scene::ALL {
            self.calm().await;
            let tried = match scene {
                Scene::EngineDown => self.engine_down().await,
                Scene::AppDown => self.app_down().await,
                Scene::JobsFail => self.jobs_fail().await,
                Scene::LongJob => self.long_job().await,
                Scene::Backlog => self.backlog().await,
                Scene::KeyRefused => self.key_refused().await,
                Scene::Disk => self.disk().await,
                Scene::NotTold => self.not_told().await,
                Scene::SlowApp => self.slow_app().await,
                Scene::Silence => self.silence().await,
            };
            tried.iter().for_each(&mut tell);
            all.extend(tried);
        }
        all
    }

    /// Waits until nothing fires, so that what fires next is of the next condition.
    async fn calm(&self) {
        eventually("the end of all alerts", async || self.firing().await.is_empty().then_some(()))
            .await;
    }

    async fn engine_down(&self) -> Vec<Tried> {
        let alerts = ["TerarchitectEngineDown", "TerarchitectNotReady"];
        self.proxy.down(Absence::HangUp);
        let fired = self.fired(alerts).await;
        self.proxy.up();
        self.over(alerts, fired).await
    }

    /// A job ends while the app is away.
    async fn app_down(&mut self) -> Vec<Tried> {
        let alerts = ["TerarchitectAppDown", "TerarchitectOutboxOld"];
        let job = self.pausing_job().await;
        self.app.stop().await;
        self.engine.release(job.job_id).await;
        let fired = self.fired(alerts).await;
        self.app.restart().await;
        self.app.ended(job.job_id).await;
        self.over(alerts, fired).await
    }

    /// Jobs fail because the provider limits them.
    async fn jobs_fail(&self) -> Vec<Tried> {
        let alerts = ["TerarchitectJobsFail", "TerarchitectProviderLimit"];
        let tokens = json!({"input": 1, "cached": 0, "output": 1});
        let document = json!({
            "version": 1, "verdict": "failed", "cause": "worker_failed", "summary": "limited",
            "runner_version": "0.1.0", "worker": {"cli": "opencode", "model": "m"},
            "turns": [{"ending": "rate_limited", "detail": "", "millis": 1, "tokens": tokens}],
        });
        let document = STANDARD.encode(document.to_string());
        let script = format!("echo {document} | base64 -d >$AGENT_OUTCOME_FILE; exit 4");
        self.app.set_script(&script).await;
        let jobs = self.app.add_jobs(self.project, 4).await;
        let fired = self.fired(alerts).await;
        self.app.set_script("exit 0").await;
        let tried = self.over(alerts, fired).await;
        self.ended(&jobs).await;
        tried
    }

    async fn long_job(&self) -> Vec<Tried> {
        let alerts = ["TerarchitectJobRunsLong"];
        let job = self.pausing_job().await;
        let fired = self.fired(alerts).await;
        self.engine.release(job.job_id).await;
        self.app.ended(job.job_id).await;
        self.over(alerts, fired).await
    }

    async fn backlog(&mut self) -> Vec<Tried> {
        let alerts = ["TerarchitectBacklog"];
        self.app.set_script("exit 0").await;
        self.home.command(&["pause"]).await;
        let jobs = self.app.add_jobs(self.project, 5).await;
        let fired = self.fired(alerts).await;
        self.home.command(&["resume"]).await;
        let tried = self.over(alerts, fired).await;
        self.ended(&jobs).await;
        tried
    }

    /// The key is revoked while a job runs, so that its outcome waits for a new one.
    async fn key_refused(&self) -> Vec<Tried> {
        let alerts = ["TerarchitectKeyRefused", "TerarchitectAlarm"];
        let job = self.pausing_job().await;
        fs::write(&self.key, "revoked").unwrap();
        self.coordinator.signal(Signal::SIGHUP);
        self.monitor.reached("terarchitect_app_key_refused", 1.0).await;
        self.engine.release(job.job_id).await;
        let fired = self.fired(alerts).await;
        fs::write(&self.key, KEY).unwrap();
        self.coordinator.signal(Signal::SIGHUP);
        self.app.ended(job.job_id).await;
        self.over(alerts, fired).await
    }

    async fn disk(&self) -> Vec<Tried> {
        let alerts = ["TerarchitectDiskFull", "TerarchitectDiskLow"];
        fs::write(&self.config, floor(TOO_MUCH)).unwrap();
        self.coordinator.signal(Signal::SIGHUP);
        let fired = self.fired(alerts).await;
        fs::write(&self.config, floor(1)).unwrap();
        self.coordinator.signal(Signal::SIGHUP);
        self.over(alerts, fired).await
    }

    /// A drain is told to a webhook that takes nothing, and taken back.
    async fn not_told(&mut self) -> Vec<Tried> {
        let alerts = ["TerarchitectNotTold"];
        let job = self.pausing_job().await;
        self.home.command(&["drain", "--no-wait"]).await;
        self.home.command(&["resume"]).await;
        let fired = self.fired(alerts).await;
        let tried = self.over(alerts, fired).await;
        self.engine.release(job.job_id).await;
        self.app.ended(job.job_id).await;
        tried
    }

    /// The app takes questions for a job, and answers none.
    async fn slow_app(&self) -> Vec<Tried> {
        let alerts = ["TerarchitectClaimLoopSilent"];
        self.app.signal(Signal::SIGSTOP);
        let fired = self.fired(alerts).await;
        self.app.signal(Signal::SIGCONT);
        self.over(alerts, fired).await
    }

    /// The process is stopped, so that nobody answers.
    async fn silence(&self) -> Vec<Tried> {
        let alerts = ["TerarchitectDown"];
        self.coordinator.signal(Signal::SIGSTOP);
        let fired = self.fired(alerts).await;
        self.coordinator.signal(Signal::SIGCONT);
        self.over(alerts, fired).await
    }

    async fn pausing_job(&self) -> Job {
        self.app.set_script("pause").await;
        let job = self.app.add_job(self.project).await;
        self.engine.pausing(job.job_id).await;
        job
    }

    async fn ended(&self, jobs: &[Job]) {
        for job in jobs {
            self.app.ended(job.job_id).await;
        }
    }

    async fn fired<const N: usize>(&self, alerts: [&'static str; N]) -> [Option<Duration>; N] {
        let mut fired = [None; N];
        for (alert, fired) in alerts.iter().zip(&mut fired) {
            *fired = self.prometheus().comes_to(alert, Wanted::Firing).await;
        }
        fired
    }

    async fn over<const N: usize>(
        &self,
        alerts: [&'static str; N],
        fired: [Option<Duration>; N],
    ) -> Vec<Tried> {
        let mut tried = Vec::new();
        for (alert, fired) in alerts.into_iter().zip(fired) {
            let over = self.prometheus().comes_to(alert, Wanted::Over).await;
            tried.push(Tried { alert, fired, over });
        }
        tried
    }

    fn prometheus(&self) -> &Prometheus {
        self.prometheus.as_ref().expect("it watches")
    }
}

fn floor(mebibytes: u64) -> String {
    format!("[limits]\ndisk_floor_mib = {mebibytes}\n")
}
