//! Control groups, as an engine within a container needs them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};

/// Where they are mounted.
const ROOT: &str = "/sys/fs/cgroup";

/// Makes them usable for an engine of our own, as far as this container may. What cannot be done is
/// told in the log: the engine says what it misses.
pub(super) fn prepare() {
    if let Err(error) = make_writable() {
        tracing::warn!(%error, "control groups stay read-only for the inner engine");
    }
    if let Err(error) = delegate(Path::new(ROOT)) {
        tracing::warn!(%error, "control groups could not be prepared for the inner engine");
    }
}

/// A container that is not privileged finds them mounted read-only. Only this mount of each is changed
/// (`MS_BIND`), not the file system behind it, which is the host's too.
fn make_writable() -> io::Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let writable = MsFlags::MS_REMOUNT
        | MsFlags::MS_BIND
        | MsFlags::MS_NOSUID
        | MsFlags::MS_NODEV
        | MsFlags::MS_NOEXEC
        | MsFlags::MS_RELATIME;
    let nothing: Option<&str> = None;
    for path in read_only(&mounts) {
        mount(nothing, &path, nothing, writable, nothing)?;
    }
    Ok(())
}

/// The mounts of control groups in a list like `/proc/mounts` that cannot be written.
fn read_only(mounts: &str) -> Vec<PathBuf> {
    let path = |line: &str| {
        let mut fields = line.split(' ');
        let (path, kind, options) = (fields.nth(1)?, fields.next()?, fields.next()?);
        let wanted = matches!(kind, "cgroup" | "cgroup2") && options.split(',').any(|o| o == "ro");
        wanted.then(|| PathBuf::from(path))
    };
    mounts.lines().filter_map(path).collect()
}

/// With the second version of control groups, a group can have controllers for groups below it only
/// while it holds no processes itself: all are moved one level down. Nothing to do with the first.
fn delegate(root: &Path) -> io::Result<()> {
    let Ok(controllers) = fs::read_to_string(root.join("cgroup.controllers")) else {
        return Ok(());
    };
    let below = root.join("init");
    fs::create_dir_all(&below)?;
    for pid in fs::read_to_string(root.join("cgroup.procs"))?.lines() {
        // A process that ended meanwhile, or one of the kernel's, cannot be moved.
        let _stays = fs::write(below.join("cgroup.procs"), pid);
    }
    let wanted: Vec<String> = controllers.split_whitespace().map(|c| format!("+{c}")).collect();
    fs::write(root.join("cgroup.subtree_control"), wanted.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_read_only_control_groups_are_made_writable() {
        let mounts = "overlay / overlay rw,relatime 0 0\n\
            tmpfs /sys/fs/cgroup tmpfs ro,nosuid 0 0\n\
            cgroup /sys/fs/cgroup/cpu cgroup ro,nosuid,cpu 0 0\n\
            cgroup /sys/fs/cgroup/pids cgroup rw,nosuid,pids 0 0\n\
            cgroup2 /sys/fs/cgroup/unified cgroup2 nosuid,ro 0 0\n\
            sysfs /sys sysfs ro,nosuid 0 0\n";
        let expected = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/unified"].map(PathBuf::from);
        assert_eq!(read_only(mounts), expected);
    }

    #[test]
    fn without_the_second_version_of_control_groups_nothing_is_done() {
        let root = tempfile::tempdir().unwrap();
        delegate(root.path()).unwrap();
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }
}
