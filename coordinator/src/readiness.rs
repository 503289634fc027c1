//! Whether a job could be run if we claimed one now. Nothing is claimed while it could not: the
//! queue is left alone.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use api_client::{ProjectId, error_chain};

use crate::config::HostFallback;
use crate::context::Context;
use crate::engine::EngineError;
use crate::images::ImagesError;
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
    #[error("the images of projects are not known")]
    ProjectImages(#[source] ImagesError),
    #[error(
        "the image {image} is not there and cannot be pulled; build it with \
         `docker build -f Dockerfile.agent -t {image} .`, or set AGENT_IMAGE ({problem})"
    )]
    Image { image: String, problem: String },
}

/// Asks before each claim.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    failed_pulls: HashMap<String, FailedPull>,
}

#[derive(Debug)]
struct FailedPull {
    at: Instant,
    problem: String,
}

impl Readiness {
    /// Whether any job could be run now.
    pub(crate) async fn check(&self, ctx: &Context) -> Result<(), NotReady> {
        ctx.ledger.probe().await.map_err(NotReady::StateDirectory)?;
        if ctx.config.host.fallback != HostFallback::Always {
            ctx.engine.ping().await.map_err(NotReady::Engine)?;
        }
        Ok(())
    }

    /// Whether there are the images that a job of this project, or of any, may need.
    pub(crate) async fn check_images(
        &mut self,
        ctx: &Context,
        project: Option<ProjectId>,
    ) -> Result<(), NotReady> {
        if ctx.config.host.fallback == HostFallback::Always {
            return Ok(());
        }
        for image in ctx.images.needed(project).map_err(NotReady::ProjectImages)? {
            if ctx.engine.has_image(&image).await.map_err(NotReady::Engine)? {
                self.failed_pulls.remove(&image);
            } else {
                self.pull(ctx, image).await?;
            }
        }
        Ok(())
    }

    async fn pull(&mut self, ctx: &Context, image: String) -> Result<(), NotReady> {
        if let Some(failed) = self.failed_pulls.get(&image)
            && failed.at.elapsed() < PULL_PAUSE
        {
            return Err(NotReady::Image { image, problem: failed.problem.clone() });
        }
        tracing::info!(%image, "pulling the agent image");
        let pulled = ctx.engine.pull(&image).await;
        if ctx.engine.has_image(&image).await.map_err(NotReady::Engine)? {
            return Ok(());
        }
        let problem = match pulled {
            Ok(()) => "the pull brought no image of that name".to_owned(),
            Err(error) => error_chain(&error),
        };
        let failed = FailedPull { at: Instant::now(), problem: problem.clone() };
        self.failed_pulls.insert(image.clone(), failed);
        Err(NotReady::Image { image, problem })
    }
}
