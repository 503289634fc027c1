//! The unprivileged user that the coding CLI, and everything below it, runs as where the runner is root
//! in a container.
//!
//! Invariant: that user can read neither the memory nor the files of the runner. What is given to it
//! (the work tree during a turn, a home, a folder for temporary files, the cache) is given by
//! [`ownership`], which follows no link; what it becomes, it becomes by [`become_user`].

pub(crate) mod become_user;
pub(crate) mod ownership;

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, User, geteuid};
use tokio::process::Command;

use self::become_user::Privileges;
use self::ownership::Owner;

/// The name of the user in the image.
const NAME: &str = "agent";

/// A group that the processes of a turn have and nothing else has, by which they are found again: a
/// process without privileges cannot leave a group, whatever it does to its environment, its session
/// and its parent. Below 65536, so that a container in a user namespace has it too.
pub(crate) const TURN_GROUP: Gid = Gid::from_raw(64_321);

/// The user of the worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WorkerUser {
    uid: Uid,
    gid: Gid,
    home: PathBuf,
    /// Of the sockets that it may use.
    sockets: Vec<Gid>,
}

impl WorkerUser {
    /// The user of the image. None where we are not root: there the worker runs as the user that we run
    /// as. So it does in an image without that user, which is worth a warning.
    pub(crate) fn of_image() -> Option<Self> {
        if !geteuid().is_root() {
            return None;
        }
        match User::from_name(NAME) {
            Ok(Some(user)) if !user.uid.is_root() => Some(Self::new(user)),
            found => {
                if let Err(error) = found {
                    tracing::warn!(%error, "the users of this system cannot be read");
                }
                Self::warn_of_root(&format!("there is no unprivileged user {NAME:?} here"));
                None
            }
        }
    }

    /// Says what follows where root stays root.
    pub(crate) fn warn_of_root(why: &str) {
        if geteuid().is_root() {
            tracing::warn!(
                "the coding CLI runs as root and can read what agent-runner knows: {why}"
            );
        }
    }

    fn new(user: User) -> Self {
        Self { uid: user.uid, gid: user.gid, home: user.dir, sockets: Vec::new() }
    }

    /// Its home in the image.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Its own group.
    pub(crate) fn gid(&self) -> Gid {
        self.gid
    }

    /// As owner of files.
    pub(crate) fn owner(&self) -> Owner {
        Owner { uid: self.uid, gid: self.gid }
    }

    /// The same user with the right to use a socket, by that socket's group.
    pub(crate) fn with_socket(mut self, socket: &Path) -> Self {
        match std::fs::metadata(socket) {
            Ok(about) => self.sockets.push(Gid::from_raw(about.gid())),
            Err(error) => {
                tracing::warn!(%error, socket = %socket.display(), "there is no Docker socket");
            }
        }
        self
    }

    /// Lets it into a folder of ours, to what it is given there by name; not to look around.
    pub(crate) fn let_into(&self, folder: &Path) -> io::Result<()> {
        chown(folder, None, Some(self.gid.as_raw()))?;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o710))
    }

    /// A command of a turn: it gains no privileges, whatever it starts.
    pub(crate) fn turn_command(&self, program: &Path) -> io::Result<Command> {
        let groups = self.sockets.iter().chain([&TURN_GROUP]);
        self.command(program, groups, Privileges::Fixed)
    }

    /// A command of ours that may start programs with privileges of their own.
    pub(crate) fn service_command(&self, program: &Path) -> io::Result<Command> {
        self.command(program, [], Privileges::Gainable)
    }

    /// A command that is no part of a turn, and gains no privileges either.
    pub(crate) fn probe_command(&self, program: &Path) -> io::Result<Command> {
        self.command(program, [], Privileges::Fixed)
    }

    fn command<'g>(
        &self,
        program: &Path,
        groups: impl IntoIterator<Item = &'g Gid>,
        privileges: Privileges,
    ) -> io::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg0("agent-runner").arg("become");
        command.args(["--uid", &self.uid.to_string(), "--gid", &self.gid.to_string()]);
        for group in groups {
            command.args(["--group", &group.to_string()]);
        }
        command.args(["--privileges", privileges.name(), "--"]).arg(program);
        Ok(command)
    }
}

/// The program that a name means with this environment.
///
/// # Errors
/// When there is none that can be run.
pub(crate) fn find_program(
    name: &std::ffi::OsStr,
    environment: &[(OsString, OsString)],
) -> io::Result<PathBuf> {
    if Path::new(name).components().count() > 1 {
        return Ok(name.into());
    }
    let path = environment.iter().rev().find(|(known, _)| known == "PATH");
    let folders = path.into_iter().flat_map(|(_, folders)| std::env::split_paths(folders));
    let runs = |file: &PathBuf| {
        std::fs::metadata(file).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    folders.map(|folder| folder.join(name)).find(runs).ok_or_else(|| io::ErrorKind::NotFound.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_as_the_worker_would_find_it() {
        let folder = tempfile::tempdir().unwrap();
        let (plain, program) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::create_dir_all(&plain).unwrap();
        std::fs::create_dir_all(&program).unwrap();
        std::fs::write(plain.join("cli"), "").unwrap();
        std::fs::write(program.join("cli"), "").unwrap();
        std::fs::set_permissions(program.join("cli"), PermissionsExt::from_mode(0o755)).unwrap();
        let path = std::env::join_paths([&plain, &program]).unwrap();
        let environment = [("PATH".into(), path)];
        assert_eq!(find_program("cli".as_ref(), &environment).unwrap(), program.join("cli"));
        let missing = find_program("other".as_ref(), &environment).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        assert_eq!(find_program("/x/cli".as_ref(), &[]).unwrap(), Path::new("/x/cli"));
    }
}
