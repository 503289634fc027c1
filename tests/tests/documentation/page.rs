//! Which pages there are.

use std::fs;
use std::path::{Path, PathBuf};

use integration_tests::documented::{Page, root};

/// Every page: those of `docs/`, and those that stand beside what they are about.
pub(crate) fn pages() -> Vec<Page> {
    let folders = ["", "docs", "docs/decisions"].map(|folder| root().join(folder));
    let crates = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let readmes = crates.filter(|path| path.join("Cargo.toml").exists());
    let paths: Vec<_> =
        folders.into_iter().chain(readmes).flat_map(|folder| markdown(&folder)).collect();
    assert!(paths.len() > 20, "{paths:?}");
    let below_root = paths.iter().map(|path| path.strip_prefix(root()).unwrap());
    below_root.map(|path| Page::read(path).unwrap()).collect()
}

fn markdown(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|end| end == "md")).collect()
}
