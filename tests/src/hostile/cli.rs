//! The hostile coding CLI: a script that does what the ticket tells it, in the agent's image and on
//! this host.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bollard::query_parameters::BuildImageOptionsBuilder;
use futures_util::TryStreamExt;
use tempfile::TempDir;

use crate::harness::{Engine, Home, TarFile, archive, program};

/// The image with it.
pub(super) const IMAGE: &str = "terarchitect-test-hostile";

/// `opencode`, as far as the runner knows it: runs the command that its prompt holds, and says what
/// that printed.
const OPENCODE: &[u8] = br#"#!/bin/bash
command=$(sed -n 's/^RUN: //p' | head -n 1)
text=$(bash -c "$command" 2>&1 | tail -n 20 | perl -0pe 's/[\\"]/_/g; s/\n/\\n/g; s/[^ -~]//g')
echo "{\"type\": \"text\", \"sessionID\": \"s\", \"part\": {\"text\": \"$text\"}}"
echo '{"type": "step_finish", "sessionID": "s", "part": {"reason": "stop", "tokens": {}}}'
"#;

/// What a ticket says for it.
pub(super) fn ticket(command: &str) -> String {
    format!("Be hostile.\n\nRUN: {command}\n")
}

/// Makes [`IMAGE`] of an image of the agent.
pub(super) async fn build_image(engine: &Engine, image: &str) {
    let dockerfile = format!("FROM {image}\nCOPY opencode /usr/local/bin/opencode\n");
    let context = archive(&[
        TarFile { name: "Dockerfile", mode: 0o644, content: dockerfile.as_bytes() },
        TarFile { name: "opencode", mode: 0o755, content: OPENCODE },
    ]);
    let options = BuildImageOptionsBuilder::default().t(IMAGE).rm(true).build();
    let body = bollard::body_full(context.into());
    let progress = engine.docker().build_image(options, None, Some(body));
    let built = progress.try_for_each(|_step| async { Ok(()) }).await;
    built.unwrap_or_else(|error| panic!("cannot build {IMAGE}: {error}"));
}

/// Programs of an agent on this host: the runner and the CLI, for any user.
#[derive(Debug)]
pub(super) struct HostPrograms {
    folder: TempDir,
}

impl HostPrograms {
    /// Writes them, and lets the coordinator use them.
    pub(super) fn install(home: &mut Home) -> Self {
        let programs = Self { folder: TempDir::new().expect("a temporary folder") };
        let folder = programs.folder.path();
        let runner = folder.join("agent-runner");
        fs::copy(program("agent-runner"), &runner).expect("a copy of the runner");
        fs::write(folder.join("opencode"), OPENCODE).expect("a file in a folder of ours");
        fs::create_dir(programs.flags()).expect("a folder in a folder of ours");
        allow(&programs.flags(), 0o1777);
        allow(&folder.join("opencode"), 0o755);
        allow(folder, 0o755);
        let system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        home.set("PATH", &format!("{}:{system}", folder.display()));
        home.set("AGENT_RUNNER_PATH", &runner.display().to_string());
        programs
    }

    /// A folder for files of any user.
    pub(super) fn flags(&self) -> PathBuf {
        self.folder.path().join("flags")
    }
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("a file of ours");
}
