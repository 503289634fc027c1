//! Images for `coordinator check`: one that has the real `agent-runner` and nothing else, and one whose
//! `agent-runner` says that it is of another version.

use std::fs;

use bollard::query_parameters::BuildImageOptionsBuilder;
use futures_util::TryStreamExt;
use tokio::sync::OnceCell;

use super::engine::Engine;
use super::program::program;
use super::tar::{File, archive};

/// The image with the real `agent-runner`, without git and coding CLIs.
pub const CHECK_IMAGE: &str = "terarchitect-test-check";

/// The image with another version.
pub const OTHER_VERSION_IMAGE: &str = "terarchitect-test-check-other";

const DOCKERFILE: &str = "FROM debian:bookworm-slim\n\
    COPY agent-runner /usr/local/bin/agent-runner\n\
    ENTRYPOINT [\"/usr/local/bin/agent-runner\"]\n";

const OTHER_VERSION: &str = "#!/bin/sh\necho agent-runner 0.0.1\n";

/// Makes both, once for this process.
pub async fn build_check_images(engine: &Engine) {
    static BUILT: OnceCell<()> = OnceCell::const_new();
    BUILT
        .get_or_init(async || {
            let runner = fs::read(program("agent-runner")).expect("the agent-runner program");
            build(engine, CHECK_IMAGE, &runner).await;
            build(engine, OTHER_VERSION_IMAGE, OTHER_VERSION.as_bytes()).await;
        })
        .await;
}

async fn build(engine: &Engine, name: &str, runner: &[u8]) {
    let context = archive(&[
        File { name: "Dockerfile", mode: 0o644, content: DOCKERFILE.as_bytes() },
        File { name: "agent-runner", mode: 0o755, content: runner },
    ]);
    let options = BuildImageOptionsBuilder::default().t(name).rm(true).forcerm(true).build();
    let progress =
        engine.docker().build_image(options, None, Some(bollard::body_full(context.into())));
    let built = progress.try_for_each(|_step| async { Ok(()) }).await;
    built.unwrap_or_else(|error| panic!("cannot build {name}: {error}"));
}
