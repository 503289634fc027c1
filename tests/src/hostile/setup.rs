//! In which surroundings a hostile worker is tried.

use clap::ValueEnum;

use crate::harness::DockerMode;

/// Docker of the agent, and what stands around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Setup {
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
    /// An engine of its own, privileged; the way out and the model's key are with a gateway.
    DindGuarded,
    /// No Docker; the way out and the model's key are with a gateway.
    NoneGuarded,
    /// On the host, as the coordinator's own user, who is root.
    Host,
    /// On the host, as a user without rights.
    HostUser,
}

impl Setup {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Dind,
        Self::DindCaps,
        Self::DindRootless,
        Self::Dood,
        Self::None,
        Self::DindGuarded,
        Self::NoneGuarded,
        Self::Host,
        Self::HostUser,
    ];

    /// As the head of the table in the documentation has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DindGuarded => "dind, guarded",
            Self::NoneGuarded => "none, guarded",
            Self::Host => "host",
            Self::HostUser => "host, own user",
            other => other.mode().name(),
        }
    }

    pub(super) const fn mode(self) -> DockerMode {
        match self {
            Self::Dind | Self::DindGuarded => DockerMode::Dind,
            Self::DindCaps => DockerMode::DindCaps,
            Self::DindRootless => DockerMode::DindRootless,
            Self::Dood => DockerMode::Dood,
            Self::None | Self::NoneGuarded | Self::Host | Self::HostUser => DockerMode::None,
        }
    }

    /// Whether there is no container around it.
    pub(super) const fn is_on_host(self) -> bool {
        matches!(self, Self::Host | Self::HostUser)
    }

    /// What the coordinator is told besides the mode.
    pub(super) const fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Dind | Self::DindCaps | Self::DindRootless | Self::Dood | Self::None => &[],
            Self::DindGuarded | Self::NoneGuarded => {
                &[("AGENT_EGRESS", "allowlist"), ("AGENT_MODEL_GATEWAY", "outside")]
            }
            // A scope has limits as a container has; whether there is one depends on the machine.
            Self::Host => &[("HOST_FALLBACK", "always"), ("HOST_SCOPE", "off")],
            Self::HostUser => {
                &[("HOST_FALLBACK", "always"), ("HOST_SCOPE", "off"), ("HOST_USER", "nobody")]
            }
        }
    }
}
