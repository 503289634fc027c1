//! What answers `git push` in the worker's turn: a sentence that says who pushes.
//!
//! The worker has no credentials, so its push fails in any case; without this it would fail with a
//! question for a password, and models try to find one. Fetching, committing and pushing to
//! repositories of this machine are left alone.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What is said on standard error. Git itself adds nothing to it.
const SENTENCE: &str = "git push is not for you: agent-runner pushes when you have finished; nothing \
    was pushed";

/// The transport by which git pushes, as its program is named.
const TRANSPORT: &str = "agent-runner-push";

/// How URLs of other machines begin.
const REMOTE: [&str; 5] = ["https://", "http://", "ssh://", "git://", "git@"];

/// A folder with a program that git starts in the place of a push.
#[derive(Debug)]
pub(super) struct PushGuard {
    folder: PathBuf,
}

impl PushGuard {
    /// Writes the program into a new folder within `private`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(private: &Path) -> io::Result<Self> {
        let folder = private.join("bin");
        let program = folder.join(format!("git-remote-{TRANSPORT}"));
        fs::create_dir_all(&folder)?;
        fs::write(&program, format!("#!/bin/sh\necho '{SENTENCE}' >&2\nexit 1\n"))?;
        for path in [&folder, &program] {
            fs::set_permissions(path, Permissions::from_mode(0o755))?;
        }
        Ok(Self { folder })
    }

    /// Adds what tells git to an environment that has a `PATH`.
    pub(super) fn extend(&self, environment: &mut Vec<(OsString, OsString)>) {
        for (_, path) in environment.iter_mut().filter(|(name, _)| name == "PATH") {
            path.push(":");
            path.push(&self.folder);
        }
        let key = format!("url.{TRANSPORT}::.pushInsteadOf");
        environment.push(("GIT_CONFIG_COUNT".into(), REMOTE.len().to_string().into()));
        for (index, beginning) in REMOTE.into_iter().enumerate() {
            environment.push((format!("GIT_CONFIG_KEY_{index}").into(), key.clone().into()));
            environment.push((format!("GIT_CONFIG_VALUE_{index}").into(), beginning.into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Output};

    use super::*;

    struct Sandbox {
        folder: tempfile::TempDir,
        environment: Vec<(OsString, OsString)>,
    }

    impl Sandbox {
        /// A repository with one commit and the remote `origin`, and git as the worker finds it.
        fn new(origin: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let mut environment = vec![
                ("PATH".into(), "/usr/bin:/bin".into()),
                ("HOME".into(), folder.path().into()),
                ("GIT_TERMINAL_PROMPT".into(), "0".into()),
            ];
            PushGuard::write(folder.path()).unwrap().extend(&mut environment);
            let sandbox = Self { folder, environment };
            for arguments in [
                "init -q -b main tree",
                "-C tree -c user.name=A -c user.email=a@b.c commit -q --allow-empty -m first",
                "init -q --bare -b main near",
                &format!("-C tree remote add origin {origin}"),
            ] {
                let done = sandbox.git(arguments);
                assert!(done.status.success(), "{arguments}: {done:?}");
            }
            sandbox
        }

        fn git(&self, arguments: &str) -> Output {
            let mut git = Command::new("git");
            git.args(arguments.split(' ')).current_dir(self.folder.path()).env_clear();
            git.envs(self.environment.iter().cloned()).output().unwrap()
        }
    }

    fn stderr(output: &Output) -> String {
        String::from_utf8(output.stderr.clone()).unwrap()
    }

    #[test]
    fn a_push_to_another_machine_fails_with_the_sentence_and_nothing_else() {
        let by_name = Sandbox::new("https://forge.example/acme/demo.git");
        let output = by_name.git("-C tree push origin main");
        assert!(!output.status.success());
        assert_eq!(stderr(&output), format!("{SENTENCE}\n"));
        for url in ["ssh://git@forge.example/x", "git@forge.example:acme/demo.git"] {
            let output = by_name.git(&format!("-C tree push --force {url} HEAD:main"));
            assert_eq!(stderr(&output), format!("{SENTENCE}\n"), "{url}");
        }
    }

    #[test]
    fn a_push_on_this_machine_and_a_fetch_are_what_they_were() {
        let sandbox = Sandbox::new("http://127.0.0.1:1/acme/demo");
        let near = sandbox.git("-C tree push ../near main");
        assert!(near.status.success(), "{near:?}");
        let far = sandbox.git("-C tree fetch origin");
        assert!(!stderr(&far).contains(SENTENCE) && !far.status.success(), "{far:?}");
        let near = sandbox.git("-C tree fetch ../near");
        assert!(near.status.success(), "{near:?}");
    }
}
