//! An image with the real `agent-runner`, git, and a coding CLI that waits until it is told to go on,
//! then adds a file. The same CLI is a program on the host.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bollard::query_parameters::BuildImageOptionsBuilder;
use futures_util::TryStreamExt;
use tokio::sync::OnceCell;

use super::engine::Engine;
use super::program::program;
use super::tar::{File, archive};

/// The image of the real agent.
pub const AGENT_IMAGE: &str = "terarchitect-test-agent";

const DOCKERFILE: &str = "FROM debian:bookworm-slim\n\
    RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates git procps \
    && rm -rf /var/lib/apt/lists/* && useradd --uid 1000 --create-home agent\n\
    COPY claude /usr/local/bin/claude\n\
    COPY agent-runner /usr/local/bin/agent-runner\n\
    ENTRYPOINT [\"/usr/local/bin/agent-runner\"]\n";

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

async fn build(engine: &Engine) {
    let runner = fs::read(program("agent-runner")).expect("the agent-runner program");
    let context = archive(&[
        File { name: "Dockerfile", mode: 0o644, content: DOCKERFILE.as_bytes() },
        File { name: "claude", mode: 0o755, content: CLAUDE.as_bytes() },
        File { name: "agent-runner", mode: 0o755, content: &runner },
    ]);
    let options = BuildImageOptionsBuilder::default().t(AGENT_IMAGE).rm(true).build();
    let body = bollard::body_full(context.into());
    let progress = engine.docker().build_image(options, None, Some(body));
    let built = progress.try_for_each(|_step| async { Ok(()) }).await;
    built.unwrap_or_else(|error| panic!("cannot build {AGENT_IMAGE}: {error}"));
}

/// Writes the CLI into a folder of this host.
pub fn install_claude(folder: &Path) {
    let path = folder.join("claude");
    fs::write(&path, CLAUDE).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}
