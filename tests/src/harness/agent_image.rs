//! An image with the real `agent-runner`, git, and a coding CLI that waits until it is told to go on,
//! then adds a file. The same CLI is a program on the host.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bollard::errors::Error;
use bollard::query_parameters::{BuildImageOptionsBuilder, RemoveImageOptions};
use futures_util::TryStreamExt;
use tokio::sync::OnceCell;

use super::engine::Engine;
use super::program::program;
use super::tar::{File, archive};

/// The image of the real agent.
pub const AGENT_IMAGE: &str = "terarchitect-test-agent";

const DOCKERFILE: &str = "FROM debian:bookworm-slim\n\
    RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl git git-lfs procps \
    && git lfs uninstall --skip-repo --system \
    && rm -rf /var/lib/apt/lists/* && useradd --uid 1000 --create-home agent\n\
    COPY claude /usr/local/bin/claude\n\
    COPY agent-runner /usr/local/bin/agent-runner\n\
    ENTRYPOINT [\"/usr/local/bin/agent-runner\"]\n";

/// The agent's image, as `packaging/agent-image` makes it.
const PACKAGED_IMAGE: &str = "terarchitect-agent";

/// The same with the program under test.
const CLI_IMAGE: &str = "terarchitect-test-clis";

const CLI_DOCKERFILE: &str = "FROM terarchitect-agent\n\
    COPY agent-runner /usr/local/bin/agent-runner\n\
    RUN agent-runner --version\n";

/// `claude` as a script: waits for a file `go` beside itself, then does its work. Where the repository
/// has a program `worker`, it does that instead.
const CLAUDE: &str = "#!/bin/sh\n\
    cat > /dev/null\n\
    [ ! -x ./worker ] || exec ./worker\n\
    until [ -e \"${0%/*}/go\" ]; do sleep 0.1; done\n\
    echo new > new.txt\n\
    echo '{\"type\":\"result\",\"is_error\":false,\"result\":\"All done.\"}'\n";

/// Where the CLI of the image looks for the word to go on.
pub const GO_IN_IMAGE: &str = "/usr/local/bin/go";

/// Makes the image, once for this process.
pub async fn build_agent_image(engine: &Engine) {
    static BUILT: OnceCell<()> = OnceCell::const_new();
    BUILT.get_or_init(|| build(engine)).await;
}

/// The name of an image with the real agent and real coding CLIs, made once for this process; nothing
/// where no agent's image was made.
pub async fn cli_image(engine: &Engine) -> Option<&'static str> {
    static MADE: OnceCell<Option<&'static str>> = OnceCell::const_new();
    *MADE.get_or_init(|| make_cli_image(engine)).await
}

async fn make_cli_image(engine: &Engine) -> Option<&'static str> {
    if engine.docker().inspect_image(PACKAGED_IMAGE).await.is_err() {
        eprintln!("SKIPPED: there is no image {PACKAGED_IMAGE}: packaging/agent-image makes it");
        return None;
    }
    let runner = fs::read(program("agent-runner")).expect("the agent-runner program");
    let context = archive(&[
        File { name: "Dockerfile", mode: 0o644, content: CLI_DOCKERFILE.as_bytes() },
        File { name: "agent-runner", mode: 0o755, content: &runner },
    ]);
    let before = engine.docker().inspect_image(CLI_IMAGE).await.ok().and_then(|image| image.id);
    match build_image(engine, CLI_IMAGE, context).await {
        Ok(()) => {
            remove_replaced(engine, before).await;
            Some(CLI_IMAGE)
        }
        // A program that was built against a newer C library does not start there.
        Err(error) => {
            eprintln!("the tests use the agent-runner of {PACKAGED_IMAGE} instead: {error}");
            Some(PACKAGED_IMAGE)
        }
    }
}

/// Removes an image that another one has the name of now.
async fn remove_replaced(engine: &Engine, before: Option<String>) {
    let now = engine.docker().inspect_image(CLI_IMAGE).await.ok().and_then(|image| image.id);
    if let Some(before) = before.filter(|before| now.as_ref() != Some(before)) {
        // One that is in use goes with the next.
        let _kept = engine.docker().remove_image(&before, None::<RemoveImageOptions>, None).await;
    }
}

async fn build(engine: &Engine) {
    let runner = fs::read(program("agent-runner")).expect("the agent-runner program");
    let context = archive(&[
        File { name: "Dockerfile", mode: 0o644, content: DOCKERFILE.as_bytes() },
        File { name: "claude", mode: 0o755, content: CLAUDE.as_bytes() },
        File { name: "agent-runner", mode: 0o755, content: &runner },
    ]);
    let built = build_image(engine, AGENT_IMAGE, context).await;
    built.unwrap_or_else(|error| panic!("cannot build {AGENT_IMAGE}: {error}"));
}

async fn build_image(engine: &Engine, name: &str, context: Vec<u8>) -> Result<(), Error> {
    let options = BuildImageOptionsBuilder::default().t(name).rm(true).forcerm(true).build();
    let body = bollard::body_full(context.into());
    let progress = engine.docker().build_image(options, None, Some(body));
    progress.try_for_each(|_step| async { Ok(()) }).await
}

/// Writes the CLI into a folder of this host.
pub fn install_claude(folder: &Path) {
    let path = folder.join("claude");
    fs::write(&path, CLAUDE).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}
