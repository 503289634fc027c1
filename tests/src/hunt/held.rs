//! A job that is stopped in its middle: its worker waits for a word.

use std::fs;
use std::path::{Path, PathBuf};

use super::scene::Scene;

/// The file by which a worker says that it waits, in the folder it works in.
const HELD: &str = "held";

/// The file for which it waits there.
const GO: &str = "go";

const RUNNER: &str = "agent-runner";

/// A worker that waits, as this host sees it.
#[derive(Debug)]
pub(super) struct Held {
    process: PathBuf,
}

impl Held {
    /// The worker that was started with this name, if it is there and waits.
    pub(super) fn find(name: &str) -> Option<Self> {
        let processes = fs::read_dir("/proc").ok()?.flatten().map(|entry| entry.path());
        let ends = format!("{name}\0");
        let is_worker = |process: &PathBuf| {
            let line = fs::read(process.join("cmdline")).unwrap_or_default();
            line.starts_with(b"bash\0work.sh\0") && line.ends_with(ends.as_bytes())
        };
        let held = Self { process: processes.into_iter().find(is_worker)? };
        held.work().join(HELD).exists().then_some(held)
    }

    /// The root folder that it sees.
    pub(super) fn root(&self) -> PathBuf {
        self.process.join("root")
    }

    /// The folder that it works in.
    pub(super) fn work(&self) -> PathBuf {
        self.process.join("cwd")
    }

    /// The folder with everything of its job.
    pub(super) fn job_folder(&self, scene: Scene) -> PathBuf {
        if scene.has_container() { self.root().join("tmp") } else { self.work().join("..") }
    }

    /// Lets it go on.
    pub(super) fn release(&self) {
        fs::write(self.work().join(GO), "").expect("the worker's folder");
    }

    /// The runners above it, the nearest first.
    pub(super) fn runners(&self) -> Vec<PathBuf> {
        let mut process = Some(self.process.clone());
        let above = std::iter::from_fn(|| {
            process = parent(process.as_ref()?);
            process.clone()
        });
        let name = |process: &Path| fs::read_to_string(process.join("comm")).unwrap_or_default();
        let runners: Vec<_> = above.filter(|process| name(process).trim() == RUNNER).collect();
        assert!(!runners.is_empty(), "no {RUNNER} is above the worker");
        runners
    }
}

/// The folder in `/proc` of a process's parent.
fn parent(process: &Path) -> Option<PathBuf> {
    let status = fs::read_to_string(process.join("status")).ok()?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim();
    (parent != "0").then(|| Path::new("/proc").join(parent))
}
