//! Docker in each of the agent's modes, as a job has it: two jobs at once whose workers build an image
//! and run a container with the same name and the same published port, and what is left on this host
//! when they are over.
//!
//! Everything that takes part is real but the coding CLI and the forge. The host is compared before and
//! after: nothing may stay that was not there.

mod dood;
mod host_state;
mod kept;
mod own_engine;
mod stage;
mod worker_image;

pub use host_state::Scope;

use std::time::{Duration, Instant};

use crate::harness::{DockerMode, Engine};

/// What was seen in one mode.
#[derive(Debug)]
pub struct Shown {
    /// The mode.
    pub mode: DockerMode,
    /// What was as it has to be, in words.
    pub facts: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

/// Shows a mode, with the agent's real image and a script for a worker. What is not as it has to be panics.
pub async fn show(engine: &Engine, image: &str, mode: DockerMode, scope: Scope) -> Shown {
    worker_image::build(engine, image).await;
    let begun = Instant::now();
    let facts = match mode {
        DockerMode::Dind | DockerMode::DindCaps | DockerMode::DindRootless | DockerMode::None => {
            own_engine::show(engine, mode, scope).await
        }
        DockerMode::Dood => dood::show(engine, scope).await,
    };
    Shown { mode, facts, took: begun.elapsed() }
}

/// Shows that a project's next job finds the images of the one before, and nothing else of it.
pub async fn show_kept(engine: &Engine, image: &str, mode: DockerMode, scope: Scope) -> Shown {
    worker_image::build(engine, image).await;
    let begun = Instant::now();
    let facts = kept::show(engine, mode, scope).await;
    Shown { mode, facts, took: begun.elapsed() }
}
