//! A ticket's checkout, for tests of what is published from it.

use std::fs;

use super::*;
use crate::checkout::clone_ticket_branch;
use crate::git::testing::{Remote, git, run, ticket};

/// A checkout of a repository of this machine.
pub(super) struct Scene {
    pub(super) git: Git,
    pub(super) origin: Remote,
    pub(super) checkout: Checkout,
}

pub(super) fn commit_message(subject: &str) -> CommitMessage {
    CommitMessage::new(subject, "", &[])
}

impl Scene {
    pub(super) async fn of(origin: Remote) -> Self {
        let git = git();
        let into = origin.place("tree");
        let checkout =
            clone_ticket_branch(&git, &origin.source(), &into, &ticket(), None).await.unwrap();
        Self { git, origin, checkout }
    }

    pub(super) async fn new() -> Self {
        Self::of(Remote::new("main")).await
    }

    pub(super) fn write(&self, file: &str, text: &str) {
        let path = self.checkout.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Commits what is different.
    pub(super) async fn commit(&self) -> Option<CommitId> {
        let author = Author::new("Agent", "agent@example.org").unwrap();
        let message = CommitMessage::new("Do it", "Because.", &[]);
        commit_all(&self.git, &self.checkout, &author, &message, &ByProducts::default())
            .await
            .unwrap()
    }

    /// Commits and pushes it.
    pub(super) async fn publish(&self) -> CommitId {
        let commit = self.commit().await.unwrap();
        push(&self.git, &self.checkout, commit).await.unwrap();
        verify(&self.git, &self.checkout, commit).await.unwrap();
        commit
    }

    /// A file as the remote has it.
    pub(super) fn on_remote(&self, file: &str) -> String {
        self.origin.show(ticket().as_str(), file)
    }

    pub(super) fn remote_files(&self) -> String {
        run(&self.origin.path(), &["ls-tree", "-r", "--name-only", ticket().as_str()])
    }
}
