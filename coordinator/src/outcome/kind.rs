//! Kinds of causes: what a cause is without its details, for tables and for what is kept on disk.

/// The kind of a [`Cause`](super::Cause), by the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CauseKind {
    Agent,
    AgentCrashed,
    AgentKilled,
    OutOfMemory,
    NotStarted,
    ForgeToken,
    ImageMissing,
    NoSpace,
    DiskLimit,
    PidsLimit,
    EngineLost,
    ContainerGone,
    KeeperGone,
    AdoptedGone,
    Deadline,
    Stalled,
    GatewayLost,
    Cancelled,
    Interrupted,
    Unreadable,
    NotRecorded,
    Internal,
}

impl CauseKind {
    /// All of them.
    pub(crate) const ALL: [Self; 22] = [
        Self::Agent,
        Self::AgentCrashed,
        Self::AgentKilled,
        Self::OutOfMemory,
        Self::NotStarted,
        Self::ForgeToken,
        Self::ImageMissing,
        Self::NoSpace,
        Self::DiskLimit,
        Self::PidsLimit,
        Self::EngineLost,
        Self::ContainerGone,
        Self::KeeperGone,
        Self::AdoptedGone,
        Self::Deadline,
        Self::Stalled,
        Self::GatewayLost,
        Self::Cancelled,
        Self::Interrupted,
        Self::Unreadable,
        Self::NotRecorded,
        Self::Internal,
    ];

    /// Its word, which never changes its meaning.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::AgentCrashed => "agent_crashed",
            Self::AgentKilled => "agent_killed",
            Self::OutOfMemory => "out_of_memory",
            Self::NotStarted => "not_started",
            Self::ForgeToken => "forge_token",
            Self::ImageMissing => "image_missing",
            Self::NoSpace => "no_space",
            Self::DiskLimit => "disk_limit",
            Self::PidsLimit => "pids_limit",
            Self::EngineLost => "engine_lost",
            Self::ContainerGone => "container_gone",
            Self::KeeperGone => "keeper_gone",
            Self::AdoptedGone => "adopted_gone",
            Self::Deadline => "deadline",
            Self::Stalled => "stalled",
            Self::GatewayLost => "gateway_lost",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
            Self::Unreadable => "unreadable",
            Self::NotRecorded => "not_recorded",
            Self::Internal => "internal",
        }
    }

    /// The kind with this word.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_kind_has_a_word_of_its_own() {
        let words: HashSet<_> = CauseKind::ALL.map(CauseKind::name).into();
        assert_eq!(words.len(), CauseKind::ALL.len());
        for kind in CauseKind::ALL {
            assert_eq!(CauseKind::from_name(kind.name()), Some(kind));
            assert_eq!(CauseKind::ALL[kind as usize], kind);
        }
    }
}
