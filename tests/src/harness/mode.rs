//! Docker in the agent's container, as the coordinator knows it.

use std::fmt;

use clap::ValueEnum;

/// One of the modes of `AGENT_DOCKER_MODE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum DockerMode {
    /// An engine of its own, privileged.
    Dind,
    /// An engine of its own, with two capabilities.
    DindCaps,
    /// An engine of its own that is not root.
    DindRootless,
    /// The engine of the host.
    Dood,
    /// No Docker.
    None,
}

impl DockerMode {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Dind, Self::DindCaps, Self::DindRootless, Self::Dood, Self::None];

    /// As the coordinator's settings and the documents spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dind => "dind",
            Self::DindCaps => "dind-caps",
            Self::DindRootless => "dind-rootless",
            Self::Dood => "dood",
            Self::None => "none",
        }
    }

    /// Whether a worker finds an engine behind its socket.
    pub const fn has_engine(self) -> bool {
        !matches!(self, Self::None)
    }
}

impl fmt::Display for DockerMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
