//! The deployments that are hunted through: each mode, and what changes where secrets go.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use clap::ValueEnum;

use super::hit::Place;
use super::secret::{APP_ID, Secrets};
use crate::harness::{Deployment, DockerMode, program};

/// A coding CLI for the host, where none has to be installed: it does the work by itself.
const CLAUDE: &str = "#!/bin/sh\n\
    cat >/dev/null\n\
    COMMAND\n\
    echo '{\"type\":\"result\",\"is_error\":false,\"result\":\"All done.\"}'\n";

/// A deployment of one coordinator, with one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Scene {
    /// A mode of Docker.
    Dind,
    /// A mode of Docker.
    DindCaps,
    /// A mode of Docker.
    DindRootless,
    /// A mode of Docker.
    Dood,
    /// A mode of Docker: none.
    None,
    /// `dind` with egress by an allow-list and the model's gateway in a container of its own.
    Guarded,
    /// `none` with one-hour tokens of a GitHub App.
    GithubApp,
    /// A run on the host.
    Host,
    /// `none`, where the runner crashes.
    Crash,
}

impl Scene {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Dind,
        Self::DindCaps,
        Self::DindRootless,
        Self::Dood,
        Self::None,
        Self::Guarded,
        Self::GithubApp,
        Self::Host,
        Self::Crash,
    ];

    /// As it stands in the report and in the documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Guarded => "guarded",
            Self::GithubApp => "github-app",
            Self::Host => "host",
            Self::Crash => "crash",
            Self::Dind | Self::DindCaps | Self::DindRootless | Self::Dood | Self::None => {
                self.mode().name()
            }
        }
    }

    /// Whether it is there for its mode, and nothing else.
    pub const fn is_a_mode(self) -> bool {
        !matches!(self, Self::Guarded | Self::GithubApp | Self::Host | Self::Crash)
    }

    /// Whether the job is in a container.
    pub(super) const fn has_container(self) -> bool {
        !matches!(self, Self::Host)
    }

    /// The places that there are.
    pub(super) fn places(self) -> impl Iterator<Item = Place> {
        let is_there = move |place: &Place| self.has_container() || *place != Place::Commit;
        Place::ALL.into_iter().filter(is_there)
    }

    /// Docker in the agent's container.
    pub(super) const fn mode(self) -> DockerMode {
        match self {
            Self::Dind | Self::Guarded => DockerMode::Dind,
            Self::DindCaps => DockerMode::DindCaps,
            Self::DindRootless => DockerMode::DindRootless,
            Self::Dood => DockerMode::Dood,
            Self::None | Self::GithubApp | Self::Host | Self::Crash => DockerMode::None,
        }
    }

    /// Sets what is particular to it. `command` is the work.
    pub(super) fn prepare(self, deployment: &mut Deployment, command: &str) {
        match self {
            Self::Guarded => {
                deployment.home.set("AGENT_MODEL_GATEWAY", "outside");
                deployment.home.set("AGENT_EGRESS", "allowlist");
            }
            Self::GithubApp => {
                let key = deployment.keys_dir().join("github-app.pem");
                fs::write(&key, Secrets::app_key()).expect("a file in a folder of ours");
                let key = key.to_str().expect("a path in UTF-8").to_owned();
                deployment.home.unset("GITHUB_TOKEN_FILE");
                deployment.home.set("GITHUB_APP_ID", &APP_ID.to_string());
                deployment.home.set("GITHUB_APP_PRIVATE_KEY_FILE", &key);
            }
            Self::Host => run_on_the_host(deployment, command),
            Self::Dind
            | Self::DindCaps
            | Self::DindRootless
            | Self::Dood
            | Self::None
            | Self::Crash => {}
        }
    }
}

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

fn run_on_the_host(deployment: &mut Deployment, command: &str) {
    let home = &mut deployment.home;
    let claude = home.dir().join("claude");
    fs::write(&claude, CLAUDE.replace("COMMAND", command)).expect("a file in a folder of ours");
    fs::set_permissions(&claude, fs::Permissions::from_mode(0o755)).expect("a file of ours");
    let path = format!("{}:/usr/bin:/bin", home.dir().display());
    let runner = program("agent-runner");
    home.unset("WORKER_LLM_URL").unset("WORKER_MODEL");
    home.set("HOST_FALLBACK", "always").set("PATH", &path).set("WORKER_MODE", "claude-code");
    home.set("AGENT_RUNNER_PATH", runner.to_str().expect("a path in UTF-8"));
}
