//! Whether a job could be run if we claimed one now. Nothing is claimed while it could not: the
//! queue is left alone.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use api_client::ProjectId;

use crate::config::HostFallback;
use crate::context::Context;
use crate::engine::EngineError;
use crate::ledger::LedgerError;

/// After a pull that failed, the registry is left alone for this long.
const PULL_PAUSE: Duration = Duration::from_secs(60);

/// Why nothing can be claimed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotReady {
    #[error("the state directory cannot be written")]
    StateDirectory(#[source] LedgerError),
    #[error("the Docker Engine does not answer")]
    Engine(#[source] EngineError),
    #[error(
        "the image {image} is not there and cannot be pulled; build it with \
         `docker build -f Dockerfile.agent -t {image} .`, or set AGENT_IMAGE"
    )]
    Image {
        image: String,
        #[source]
        source: Option<EngineError>,
    },
}

/// Asks before each claim.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    failed_pulls: HashMap<String, Instant>,
}

impl Readiness {
    /// Whether a job of a project (or of one not yet known) could be run now.
    pub(crate) async fn check(
        &mut self,
        ctx: &Context,
        project: Option<ProjectId>,
    ) -> Result<(), NotReady> {
        ctx.ledger.probe().await.map_err(NotReady::StateDirectory)?;
        if ctx.config.host.fallback == HostFallback::Always {
            return Ok(());
        }
        ctx.engine.ping().await.map_err(NotReady::Engine)?;
        let image = ctx.images.image_for(project);
        if ctx.engine.has_image(&image).await.map_err(NotReady::Engine)? {
            self.failed_pulls.remove(&image);
            return Ok(());
        }
        self.pull(ctx, image).await
    }

    async fn pull(&mut self, ctx: &Context, image: String) -> Result<(), NotReady> {
        let lately = self.failed_pulls.get(&image).is_some_and(|at| at.elapsed() < PULL_PAUSE);
        if lately {
            return Err(NotReady::Image { image, source: None });
        }
        tracing::info!(%image, "pulling the agent image");
        match ctx.engine.pull(&image).await {
            Ok(()) => Ok(()),
            Err(source) => {
                self.failed_pulls.insert(image.clone(), Instant::now());
                Err(NotReady::Image { image, source: Some(source) })
            }
        }
    }
}
