//! What most tests begin with.

use api_client::ProjectId;
use integration_tests::harness::{App, AppProxy, Coordinator, Engine, Home, Job};

/// An engine, an app with one project, and a coordinator that was not started yet. The
/// coordinator's home is dropped first: it removes its containers.
pub(crate) struct Scene {
    pub(crate) home: Home,
    pub(crate) app: App,
    pub(crate) engine: Engine,
    pub(crate) project: ProjectId,
}

impl Scene {
    /// A scene whose agents do what `script` says.
    pub(crate) async fn or_skip(script: &str) -> Option<Self> {
        Self::with_app(&[], script).await
    }

    /// The same with an app that has these flags.
    pub(crate) async fn with_app(flags: &'static [&'static str], script: &str) -> Option<Self> {
        let engine = Engine::or_skip().await?;
        let app = App::start_with(flags).await;
        let project = app.add_project("http://forge.example/acme/demo").await;
        app.set_script(script).await;
        Some(Self { home: Home::new(&app.url()), app, engine, project })
    }

    /// Gives the coordinator a new home, whose way to the app leads through a proxy.
    pub(crate) async fn through_proxy(&mut self) -> AppProxy {
        let proxy = AppProxy::start(&self.app.url()).await;
        self.home = Home::new(&proxy.url());
        proxy
    }

    pub(crate) async fn add_job(&self) -> Job {
        self.app.add_job(self.project).await
    }

    /// Ends an agent that pauses once the app is gone, and waits until its coordinator cannot tell it that.
    pub(crate) async fn end_while_the_app_is_away(&mut self, job: &Job, its: &mut Coordinator) {
        self.engine.pausing(job.job_id).await;
        self.app.stop().await;
        self.engine.release(job.job_id).await;
        its.wait_for_log("outcome not delivered yet").await;
    }

    /// How many containers of the coordinator there are, running or not.
    pub(crate) async fn containers(&self) -> usize {
        self.engine.containers(&self.home.id().unwrap()).await.len()
    }
}
