//! The agent's image with a script in the place of a coding CLI, which does what the repository says.

use bollard::query_parameters::BuildImageOptionsBuilder;
use futures_util::TryStreamExt;

use crate::harness::{Engine, TarFile, archive};

/// Its name.
pub(super) const IMAGE: &str = "terarchitect-test-modes";

/// `claude` as a script.
const CLAUDE: &str = "#!/bin/sh\n\
    cat >/dev/null\n\
    xargs bash work.sh <arguments >&2\n\
    echo '{\"type\":\"result\",\"is_error\":false,\"result\":\"All done.\"}'\n";

/// Makes it of the agent's image.
pub(super) async fn build(engine: &Engine, agent_image: &str) {
    let dockerfile = format!("FROM {agent_image}\nCOPY claude /usr/local/bin/claude\n");
    let context = archive(&[
        TarFile { name: "Dockerfile", mode: 0o644, content: dockerfile.as_bytes() },
        TarFile { name: "claude", mode: 0o755, content: CLAUDE.as_bytes() },
    ]);
    let options = BuildImageOptionsBuilder::default().t(IMAGE).rm(true).build();
    let progress =
        engine.docker().build_image(options, None, Some(bollard::body_full(context.into())));
    let built = progress.try_for_each(|_step| async { Ok(()) }).await;
    built.unwrap_or_else(|error| {
        panic!("{agent_image} is needed for this, see packaging/agent-image: {error}")
    });
}
