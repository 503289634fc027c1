//! A stub of `agent-runner`: a shell script that reads the job document as the runner does, says
//! that it began, and then does what the document says in `WORKER_MODEL`: a piece of shell.
//!
//! It is the entry point of a small image, and a program on the host.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use api_client::container_probe::{ContainerProbe, PROBE_LINE};
use api_client::contract::{GATEWAY_READY_LINE, STARTED_LINE};
use bollard::Docker;
use bollard::query_parameters::BuildImageOptionsBuilder;
use futures_util::TryStreamExt;
use nix::sys::signal::Signal;
use tokio::sync::OnceCell;

use super::tar::{File, archive};

/// The image of the stub.
pub const STUB_IMAGE: &str = "terarchitect-test-stub";

const DOCKERFILE: &str = "FROM debian:bookworm-slim\nCOPY stub /stub\nENTRYPOINT [\"/stub\"]\n";

/// Commands for scripts beside those of the shell: `field NAME` prints a value of the document as
/// it stands there (without escapes), `pause` waits until it is released, `garbage` prints what is
/// no UTF-8, `contained` tells a container from the host. A script that begins with `unstarted` does
/// not say that the runner began. As a gateway it says that it is ready, and lets nothing through. It has
/// the coordinator's version, and what it is asked to probe it finds good.
const SCRIPT: &str = r#"#!/bin/sh
document=$(cat)
case $1 in
--version) echo 'agent-runner RUNNER_VERSION'; exit ;;
probe) echo 'PROBE_LINE'; exit ;;
esac
if [ "$1" = gateway ]; then
    trap 'exit 0' TERM
    echo 'GATEWAY_READY_LINE'
    while :; do sleep 0.05; done
fi
field() { printf '%s' "$document" | sed -n 's/.*"'"$1"'":"\([^"]*\)".*/\1/p'; }
pause() {
    go=
    trap 'go=1' USR1
    echo pausing
    until [ "$go" ]; do sleep 0.05; done
}
garbage() { printf 'not \377\376 text\n'; }
contained() { [ "$0" = /stub ]; }
contained || echo "$$" >>"${0%/*}/host-runs"
script=$(field WORKER_MODEL)
[ "$script" ] || exit 2
case $script in
unstarted*) script=${script#unstarted} ;;
*) echo 'STARTED_LINE' ;;
esac
eval "$script"
"#;

/// Makes the stub's image, once for this process. Made before, it takes the engine no time.
pub(super) async fn build(docker: &Docker) {
    static BUILT: OnceCell<()> = OnceCell::const_new();
    BUILT.get_or_init(|| build_image(docker)).await;
}

async fn build_image(docker: &Docker) {
    let script = script();
    let context = archive(&[
        File { name: "Dockerfile", mode: 0o644, content: DOCKERFILE.as_bytes() },
        File { name: "stub", mode: 0o755, content: script.as_bytes() },
    ]);
    let options = BuildImageOptionsBuilder::default().t(STUB_IMAGE).rm(true).build();
    let body = bollard::body_full(context.into());
    let progress = docker.build_image(options, None, Some(body));
    let built = progress.try_for_each(|_step| async { Ok(()) }).await;
    built.unwrap_or_else(|error| {
        panic!("cannot build {STUB_IMAGE} (is debian:bookworm-slim there?): {error}")
    });
}

fn script() -> String {
    let probe = ContainerProbe::default();
    let probe = serde_json::to_string(&probe).expect("plain text");
    SCRIPT
        .replace("GATEWAY_READY_LINE", GATEWAY_READY_LINE)
        .replace("STARTED_LINE", STARTED_LINE)
        .replace("RUNNER_VERSION", env!("CARGO_PKG_VERSION"))
        .replace("PROBE_LINE", &format!("{PROBE_LINE}{probe}"))
}

/// The stub as a program on this host.
pub struct StubRunner {
    dir: PathBuf,
}

impl StubRunner {
    /// Writes it into a folder.
    pub fn install(dir: &Path) -> Self {
        let runner = Self { dir: dir.to_owned() };
        fs::write(runner.path(), script()).unwrap();
        fs::set_permissions(runner.path(), fs::Permissions::from_mode(0o755)).unwrap();
        runner
    }

    /// Its path.
    pub fn path(&self) -> PathBuf {
        self.dir.join("stub-runner")
    }

    /// The process ids that it had on this host, in the order of its starts.
    pub fn host_runs(&self) -> Vec<u32> {
        let text = fs::read_to_string(self.dir.join("host-runs")).unwrap_or_default();
        text.lines().map(|pid| pid.parse().expect("a process id")).collect()
    }
}

impl fmt::Debug for StubRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StubRunner").field(&self.path()).finish()
    }
}

/// The signal that ends a `pause`.
pub fn release() -> Signal {
    Signal::SIGUSR1
}
