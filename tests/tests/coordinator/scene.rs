//! What most tests begin with.

use api_client::ProjectId;
use integration_tests::harness::{App, Engine, Home, Job};

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
        let engine = Engine::or_skip().await?;
        let app = App::start().await;
        let project = app.add_project("http://forge.example/acme/demo").await;
        app.set_script(script).await;
        Some(Self { home: Home::new(&app.url()), app, engine, project })
    }

    pub(crate) async fn add_job(&self) -> Job {
        self.app.add_job(self.project).await
    }

    /// How many containers of the coordinator there are, running or not.
    pub(crate) async fn containers(&self) -> usize {
        self.engine.containers(&self.home.id().unwrap()).await.len()
    }
}
