//! Commands that talk to the remote. They run with a git directory of ours, an empty one
//! where there is none, so that no configuration that a worker could have written has a say in them; a clone
//! and what follows it at once are the exception, for nobody has been there yet.

use std::path::Path;

use api_client::{Redactor, delays};
use backon::{BackoffBuilder, Retryable};
use tokio::time::sleep;

use super::credential::CredentialServer;
use super::parse::{self, Advertised};
use super::process::Ended;
use super::{BranchName, Call, CommitId, Git, GitError, Operation, PushAnswer, Source};
use crate::pulse::with_pulse;
use crate::token::TokenSource;

/// Where a fetch puts what it gets.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FetchInto<'a> {
    /// A work tree that was just cloned, or begun as a clone.
    Clone(&'a Path),
    /// A git directory of ours, which has the rest as alternates.
    Ours(&'a Path),
    /// Refs in a git directory of ours, objects in the object folder of another repository.
    Objects {
        /// The git directory.
        git_dir: &'a Path,
        /// The object folder.
        objects: &'a Path,
    },
}

impl Git {
    /// Reads which of these refs the remote has; `HEAD` comes with the branch it names.
    pub(crate) async fn ls_remote(
        &self,
        source: &Source,
        names: &[&str],
    ) -> Result<Advertised, GitError> {
        self.advertised(Operation::LsRemote, source, names).await
    }

    /// Reads whether the remote has a branch, and where, after it was pushed.
    pub(crate) async fn ls_pushed(
        &self,
        source: &Source,
        branch: &BranchName,
    ) -> Result<Option<CommitId>, GitError> {
        let remote = self.advertised(Operation::Verify, source, &[&branch.to_ref()]).await?;
        Ok(remote.commit_of(branch))
    }

    async fn advertised(
        &self,
        operation: Operation,
        source: &Source,
        names: &[&str],
    ) -> Result<Advertised, GitError> {
        let call = Call::new(operation, &source.url)
            .args(["ls-remote", "--quiet", "--symref", "--", source.url.as_str()])
            .args(names);
        let ended = call.checked(self.network(source, &call).await?)?;
        Advertised::parse(&ended.stdout).map_err(|error| call.failure(&error.to_string()))
    }

    /// Clones one branch, checked out, with this many commits of history, into a folder that is
    /// empty or absent.
    pub(crate) async fn clone(
        &self,
        source: &Source,
        branch: &BranchName,
        depth: u32,
        into: &Path,
    ) -> Result<(), GitError> {
        let call = Call::new(Operation::Clone, &source.url)
            .args(["clone", "--quiet", "--no-tags", "--single-branch", "--origin", "origin"])
            .args(["--depth", &depth.to_string(), "--branch", branch.as_str()])
            .args(["--", source.url.as_str()])
            .arg(into);
        let ended = self.network(source, &call).await?;
        call.checked(ended).map(drop)
    }

    /// Fetches refs (`+from:to`), with this many commits of history or all of it.
    pub(crate) async fn fetch(
        &self,
        source: &Source,
        into: FetchInto<'_>,
        depth: Option<u32>,
        refspecs: &[String],
    ) -> Result<(), GitError> {
        let mut call = Call::new(Operation::Fetch, &source.url);
        if let FetchInto::Clone(_) = into {
            // What comes is a pack, which a mirror can keep.
            call = call.args(["-c", "fetch.unpackLimit=1"]);
        }
        call = call.args(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head"]);
        if let Some(depth) = depth {
            call = call.args(["--depth", &depth.to_string()]);
        }
        call = call.args(["--", source.url.as_str()]).args(refspecs);
        call = match into {
            FetchInto::Clone(work_tree) => call.within(work_tree),
            FetchInto::Ours(git_dir) => call.env("GIT_DIR", git_dir),
            FetchInto::Objects { git_dir, objects } => {
                call.env("GIT_DIR", git_dir).env("GIT_OBJECT_DIRECTORY", objects)
            }
        };
        let ended = self.network(source, &call).await?;
        call.checked(ended).map(drop)
    }

    /// Pushes a commit to a branch that is at `expected`, or absent, and must be so still: the remote
    /// compares. What git finds here about history may be the worker's word.
    pub(crate) async fn push(
        &self,
        source: &Source,
        git_dir: &Path,
        commit: CommitId,
        branch: &BranchName,
        expected: Option<CommitId>,
    ) -> Result<PushAnswer, GitError> {
        let reference = branch.to_ref();
        let expected = expected.map(|commit| commit.to_string()).unwrap_or_default();
        let call = Call::new(Operation::Push, &source.url)
            .env("GIT_DIR", git_dir)
            .args(["push", "--porcelain", "--no-verify"])
            .arg(format!("--force-with-lease={reference}:{expected}"))
            .args(["--", source.url.as_str()])
            .arg(format!("{commit}:{reference}"));
        let ended = self.network(source, &call).await?;
        match parse::push_answer(&ended.stdout) {
            Some(PushAnswer::Done) | None => call.checked(ended).map(|_| PushAnswer::Done),
            Some(PushAnswer::Refused(summary)) => {
                // The reasons of the remote's rules are in its messages.
                let detail = parse::detail(&ended.stderr);
                Ok(PushAnswer::Refused(format!("{summary}: {detail}")))
            }
            Some(PushAnswer::Moved) => Ok(PushAnswer::Moved),
        }
    }

    /// Removes a branch that must still be at `expected`. It is tried once, and not for long.
    pub(crate) async fn remove_branch(
        &self,
        source: &Source,
        git_dir: &Path,
        branch: &BranchName,
        expected: CommitId,
    ) -> Result<(), GitError> {
        let reference = branch.to_ref();
        let call = Call::new(Operation::Remove, &source.url)
            .env("GIT_DIR", git_dir)
            .args(["push", "--porcelain", "--no-verify"])
            .arg(format!("--force-with-lease={reference}:{expected}"))
            .args(["--", source.url.as_str()])
            .arg(format!(":{reference}"));
        let ended = self.network(source, &call).await?;
        call.checked(ended).map(drop)
    }

    /// Runs a command with the token at hand, again if the remote could not be reached. How it
    /// ended otherwise is for the caller to judge.
    pub(super) async fn network(
        &self,
        source: &Source,
        call: &Call<'_>,
    ) -> Result<Ended, GitError> {
        let attempt = || async {
            let ended = self.once(source, call).await?;
            match call.failure(&ended.stderr) {
                unreachable if !ended.success && unreachable.is_transient() => Err(unreachable),
                _ => Ok(ended),
            }
        };
        let cancel = self.cancel.clone();
        attempt
            .retry(delays(call.operation.tries()).build())
            // A cancelled run does not wait, and its next try fails at once.
            .sleep(move |delay| {
                let cancel = cancel.clone();
                async move { cancel.run_until_cancelled(sleep(delay)).await.unwrap_or_default() }
            })
            .when(GitError::is_transient)
            .notify(|error, delay| {
                tracing::warn!(%error, delay_secs = delay.as_secs(), "trying again");
            })
            .await
    }

    async fn once(&self, source: &Source, call: &Call<'_>) -> Result<Ended, GitError> {
        let start = |source| GitError::Start { operation: call.operation, source };
        let server = CredentialServer::start(self.scratch.path(), source).map_err(start)?;
        let socket = server.as_ref().map(CredentialServer::socket);
        let token = source.token.as_ref().map(TokenSource::current);
        let redactor = Redactor::new(token.as_ref());
        // It ends by its own limit, and its output is not shown.
        let running = self.end(call, socket.as_deref(), &redactor);
        let ended = with_pulse(call.operation, running).await;
        if let Some(server) = server {
            server.stop().await;
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::super::testing::{self, Remote, run};
    use super::*;

    /// A folder for temporary files in which a worker made a repository that leads elsewhere.
    fn trap(remote: &Remote, elsewhere: &Remote) -> tempfile::TempDir {
        let temporary = tempfile::tempdir().unwrap();
        run(temporary.path(), &["init", "-q", "--bare", ".git"]);
        let name = format!("url.{}.insteadOf", elsewhere.source().url);
        let url = remote.source().url.to_string();
        run(temporary.path(), &["--git-dir=.git", "config", &name, &url]);
        temporary
    }

    #[tokio::test]
    async fn a_repository_among_temporary_files_has_no_say_in_what_the_remote_is() {
        let (remote, elsewhere) = (Remote::new("main"), Remote::new("main"));
        elsewhere.commit("main", "LIE", "x");
        let temporary = trap(&remote, &elsewhere);
        let git = testing::git_in(temporary.path(), CancellationToken::new());
        let main: BranchName = "main".parse().unwrap();
        let seen = git.ls_pushed(&remote.source(), &main).await.unwrap();
        assert_eq!(seen.unwrap().to_string(), remote.head("main"));
        let clone = remote.place("clone");
        git.clone(&remote.source(), &main, 1, &clone).await.unwrap();
        assert_eq!(run(&clone, &["rev-parse", "HEAD"]), remote.head("main"));
    }

    #[tokio::test]
    async fn a_fetch_does_not_start_git_in_the_repository_whose_objects_it_shares() {
        let (remote, main) = (Remote::new("main"), "main".parse().unwrap());
        let git = testing::git_in(remote.place("").as_path(), CancellationToken::new());
        let (clone, ours) = (remote.place("clone"), remote.place("ours"));
        git.clone(&remote.source(), &main, 1, &clone).await.unwrap();
        run(remote.place("").as_path(), &["init", "-q", "--bare", "ours"]);
        let objects = clone.join(".git/objects");
        std::fs::write(ours.join("objects/info/alternates"), format!("{}\n", objects.display()))
            .unwrap();
        // Whoever reads the configuration there waits for ever.
        let pipe = clone.join(".git/pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::fs::write(
            clone.join(".git/config"),
            format!("[include]\npath = {}\n", pipe.display()),
        )
        .unwrap();
        remote.commit("main", "newer", "x");
        let (source, refspec) = (remote.source(), ["+refs/heads/main:refs/agent/now".to_owned()]);
        let fetched = git.fetch(&source, FetchInto::Ours(&ours), None, &refspec);
        let fetched = tokio::time::timeout(std::time::Duration::from_secs(20), fetched).await;
        fetched.expect("git waits for what is in the configuration").unwrap();
    }

    #[tokio::test]
    async fn a_remote_that_is_away_is_not_waited_for_to_remove_a_branch() {
        let remote = Remote::new("main");
        let away: super::super::RepoUrl = "http://127.0.0.1:9/acme/shop.git".parse().unwrap();
        let source = Source { url: away, ..remote.source() };
        let (git, branch) = (testing::git(), "ticket-1-rescue".parse().unwrap());
        let commit = remote.head("main").parse().unwrap();
        let path = remote.path();
        let removed = git.remove_branch(&source, &path, &branch, commit);
        let removed = tokio::time::timeout(std::time::Duration::from_secs(15), removed).await;
        let error = removed.expect("it is tried again").unwrap_err();
        assert!(error.is_transient(), "{error}");
    }
}
