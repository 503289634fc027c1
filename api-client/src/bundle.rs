//! What `coordinator bundle` puts together of a job, and `agent-runner replay` reads: a tar archive,
//! compressed by gzip, with one folder of plain files. `docs/commands.md` describes it for people.

/// Version of the layout, in the manifest.
pub const BUNDLE_VERSION: u32 = 1;

/// What is in it, with sizes and digests, and what was left out.
pub const MANIFEST: &str = "MANIFEST.json";

/// The [outcome document](crate::outcome::OutcomeDocument).
pub const OUTCOME: &str = "outcome.json";

/// What the coding CLI wrote, turn by turn.
pub const TRANSCRIPT: &str = "transcript.jsonl";

/// Longest file of a bundle, in bytes.
pub const MEMBER_MAX_BYTES: usize = 24 << 20;

/// Longest bundle, in bytes, compressed or not.
pub const BUNDLE_MAX_BYTES: usize = 96 << 20;
