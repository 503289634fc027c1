//! A state directory that cannot be written: on a file system that is full, since no mode stops
//! root; by its mode for everyone else, who may not mount one.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::geteuid;

/// A folder that can be made unwritable; for root a small file system in memory, which is
/// unmounted when it is dropped.
#[derive(Debug)]
pub struct FullDisk {
    path: PathBuf,
    mounted: bool,
}

impl FullDisk {
    /// Makes the folder, writable as yet.
    pub fn mount(path: &Path) -> Self {
        fs::create_dir(path).unwrap();
        let mounted = geteuid().is_root();
        if mounted {
            let mut mount = Command::new("mount");
            mount.args(["-t", "tmpfs", "-o", "size=256k,mode=0700", "none"]).arg(path);
            let status = mount.status().expect("mount is there");
            assert!(status.success(), "mounting a tmpfs takes CAP_SYS_ADMIN: {status}");
        }
        Self { path: path.to_owned(), mounted }
    }

    /// Lets nothing more be written to a folder of it.
    pub fn fill(&self, folder: &Path) {
        if self.mounted {
            let mut file = fs::File::create(self.ballast()).unwrap();
            while file.write_all(&[0; 512]).is_ok() {}
        } else {
            fs::set_permissions(folder, Permissions::from_mode(0o500)).unwrap();
        }
    }

    /// Lets it be written again.
    pub fn free(&self, folder: &Path) {
        if self.mounted {
            fs::remove_file(self.ballast()).unwrap();
        } else {
            fs::set_permissions(folder, Permissions::from_mode(0o700)).unwrap();
        }
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        if !self.mounted {
            return;
        }
        // Lazily: a coordinator that is being killed may still hold it.
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.path).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} is still mounted", self.path.display());
        }
    }
}
