//! The user as whom agents run on this host: looked up when the configuration is read, so that a
//! mistake is found before a job is.

use std::ffi::CString;
use std::path::PathBuf;

use nix::unistd::{Gid, User, geteuid, getgrouplist};

use super::parse::{self, Allowed};

/// A user of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostUser {
    /// The name.
    pub(crate) name: String,
    /// The number.
    pub(crate) uid: u32,
    /// The number of the first group.
    pub(crate) gid: u32,
    /// The numbers of all groups, the first one included.
    pub(crate) groups: Vec<u32>,
    /// The home directory.
    pub(crate) home: PathBuf,
    /// The login shell.
    pub(crate) shell: PathBuf,
}

/// The user of this name; none when that is the coordinator's own.
pub(super) fn look_up(name: &str) -> Result<Option<HostUser>, Allowed> {
    let name = parse::line(name)?;
    let found = User::from_name(name).map_err(|error| format!("a user of this host ({error})"))?;
    let user = found.ok_or_else(|| "the name of a user of this host".to_owned())?;
    let own = geteuid();
    if user.uid == own {
        return Ok(None);
    }
    if !own.is_root() {
        return Err("unset: only a coordinator that is root can run agents as another user".into());
    }
    let groups = groups(&user).map_err(|error| format!("a user with readable groups ({error})"))?;
    Ok(Some(HostUser {
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
        groups,
        name: user.name,
        home: user.dir,
        shell: user.shell,
    }))
}

fn groups(user: &User) -> nix::Result<Vec<u32>> {
    // A name of the user database holds no zero byte.
    let name = CString::new(user.name.as_str()).unwrap_or_default();
    Ok(getgrouplist(&name, user.gid)?.into_iter().map(Gid::as_raw).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_that_is_not_there_is_refused() {
        let allowed = look_up("no-such-user-here").unwrap_err();
        assert_eq!(allowed, "the name of a user of this host");
    }

    #[test]
    fn the_coordinators_own_user_needs_no_change() {
        let own = User::from_uid(geteuid()).unwrap().unwrap();
        assert_eq!(look_up(&own.name), Ok(None));
    }

    #[test]
    fn only_root_can_run_agents_as_another() {
        let found = look_up("nobody");
        if geteuid().is_root() {
            let nobody = found.unwrap().unwrap();
            assert_ne!(nobody.uid, 0);
            assert!(nobody.groups.contains(&nobody.gid), "{nobody:?}");
        } else {
            assert!(found.unwrap_err().contains("root"));
        }
    }
}
