//! A file system that is full: an unwritable directory even for root, whom no mode stops.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small file system in memory; unmounted when it is dropped. Mounting it takes root.
#[derive(Debug)]
pub struct FullDisk {
    path: PathBuf,
}

impl FullDisk {
    /// Mounts it, empty as yet, on a new folder.
    pub fn mount(path: &Path) -> Self {
        fs::create_dir(path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=256k,mode=0700", "none"]).arg(path);
        let status = mount.status().expect("mount is there");
        assert!(status.success(), "mounting a tmpfs takes root with CAP_SYS_ADMIN: {status}");
        Self { path: path.to_owned() }
    }

    /// Fills it to the last byte.
    pub fn fill(&self) {
        let mut file = fs::File::create(self.ballast()).unwrap();
        while file.write_all(&[0; 512]).is_ok() {}
    }

    /// Makes room.
    pub fn free(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        // Lazily: a coordinator that is being killed may still hold it.
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.path).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} is still mounted", self.path.display());
        }
    }
}
