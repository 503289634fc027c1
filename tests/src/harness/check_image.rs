//! Images for `coordinator check`: one that has the real `agent-runner` and nothing else, and others whose
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

/// The image whose `agent-runner` differs in the last number of its version.
pub const NEAR_VERSION_IMAGE: &str = "terarchitect-test-check-near";

/// On the first one.
const NEAR_DOCKERFILE: &str = "FROM terarchitect-test-check\n\
    COPY agent-runner /near\n\
    ENTRYPOINT [\"/near\"]\n";

const NEAR_VERSION: &str = "#!/bin/sh\n\
    [ \"$1\" = --version ] && { echo agent-runner NEAR; exit; }\n\
    exec /usr/local/bin/agent-runner \"$@\"\n";

const DOCKERFILE: &str = "FROM debian:bookworm-slim\n\
    COPY agent-runner /usr/local/bin/agent-runner\n\
    ENTRYPOINT [\"/usr/local/bin/agent-runner\"]\n";

const OTHER_VERSION: &str = "#!/bin/sh\necho agent-runner 0.0.1\n";

/// Makes all of them, once for this process.
pub async fn build_check_images(engine: &Engine) {
    static BUILT: OnceCell<()> = OnceCell::const_new();
    BUILT
        .get_or_init(async || {
            let runner = fs::read(program("agent-runner")).expect("the agent-runner program");
            build(engine, CHECK_IMAGE, DOCKERFILE, &runner).await;
            build(engine, OTHER_VERSION_IMAGE, DOCKERFILE, OTHER_VERSION.as_bytes()).await;
            let near = NEAR_VERSION.replace("NEAR", &near_version());
            build(engine, NEAR_VERSION_IMAGE, NEAR_DOCKERFILE, near.as_bytes()).await;
        })
        .await;
}

/// Our version with another last number.
fn near_version() -> String {
    let (release, _) = env!("CARGO_PKG_VERSION").rsplit_once('.').expect("three numbers");
    format!("{release}.999")
}

async fn build(engine: &Engine, name: &str, dockerfile: &str, runner: &[u8]) {
    let context = archive(&[
        File { name: "Dockerfile", mode: 0o644, content: dockerfile.as_bytes() },
        File { name: "agent-runner", mode: 0o755, content: runner },
    ]);
    let options = BuildImageOptionsBuilder::default().t(name).rm(true).forcerm(true).build();
    let progress =
        engine.docker().build_image(options, None, Some(bollard::body_full(context.into())));
    let built = progress.try_for_each(|_step| async { Ok(()) }).await;
    built.unwrap_or_else(|error| panic!("cannot build {name}: {error}"));
}
