//! Repositories and keys for tests. No key is written down here: they are made as they are needed.

use std::path::Path;

use api_client::outcome::{Finding, FindingKind};
use git2::{Repository, Signature};

use super::{Inspected, Outgoing, Policy, inspect};
use crate::git::CommitId;

/// Text of this alphabet that no one could guess, and the same each time.
pub(super) fn random_text(alphabet: &str, length: usize) -> String {
    let alphabet = alphabet.as_bytes();
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15 ^ length as u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(alphabet[(state % alphabet.len() as u64) as usize])
    };
    (0..length).map(|_| next()).collect()
}

pub(super) const BASE62: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A token as GitHub and npm make them.
pub(super) fn checked_token(prefix: &str) -> String {
    let text = random_text(BASE62, 30);
    let sum = api_client::key_shape::checksum(text.as_bytes());
    format!("{prefix}{text}{}", String::from_utf8_lossy(&sum))
}

/// A repository in a folder of its own: commits are made of whole trees.
pub(super) struct Repo {
    _folder: tempfile::TempDir,
    pub(super) git: Repository,
}

impl Repo {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let git = Repository::init_bare(folder.path()).unwrap();
        Self::of(folder, git)
    }

    /// One that is there, below a folder that goes with it.
    pub(super) fn of(folder: tempfile::TempDir, git: Repository) -> Self {
        Self { _folder: folder, git }
    }

    /// A commit whose tree is exactly these files.
    pub(super) fn commit(&self, parents: &[CommitId], files: &[(&str, &[u8])]) -> CommitId {
        self.commit_saying("by a worker", parents, files)
    }

    pub(super) fn commit_saying(
        &self,
        message: &str,
        parents: &[CommitId],
        files: &[(&str, &[u8])],
    ) -> CommitId {
        let empty = self.git.treebuilder(None).unwrap().write().unwrap();
        let baseline = self.git.find_tree(empty).unwrap();
        let mut update = git2::build::TreeUpdateBuilder::new();
        for (path, content) in files {
            let blob = self.git.blob(content).unwrap();
            update.upsert(*path, blob, git2::FileMode::Blob);
        }
        let tree = update.create_updated(&self.git, &baseline).unwrap();
        let tree = self.git.find_tree(tree).unwrap();
        let by = Signature::now("Worker", "worker@example.org").unwrap();
        let parents: Vec<git2::Commit<'_>> =
            parents.iter().map(|id| self.git.find_commit(id.oid()).unwrap()).collect();
        let parents: Vec<&git2::Commit<'_>> = parents.iter().collect();
        self.git.commit(None, &by, &by, message, &tree, &parents).unwrap().into()
    }

    /// What is found in a change from these files to those.
    pub(super) fn found(
        &self,
        policy: &Policy,
        old: &[(&str, &[u8])],
        new: &[(&str, &[u8])],
    ) -> Vec<Finding> {
        let base = self.commit(&[], old);
        let tip = self.commit(&[base], new);
        self.inspect(policy, base, tip)
    }

    pub(super) fn inspect(&self, policy: &Policy, base: CommitId, tip: CommitId) -> Vec<Finding> {
        self.inspected(policy, base, tip).findings
    }

    pub(super) fn inspected(&self, policy: &Policy, base: CommitId, tip: CommitId) -> Inspected {
        inspect(&self.git, &Outgoing { base, start: base, tip }, policy).unwrap()
    }
}

/// Kind, path and line of findings.
pub(super) fn places(findings: &[Finding]) -> Vec<(FindingKind, &Path, Option<usize>)> {
    findings.iter().map(|found| (found.kind, &*found.path, found.line)).collect()
}
