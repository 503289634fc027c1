//! The pages, and what is in them.

use std::fs;
use std::path::{Path, PathBuf};

/// A page of the repository.
pub(crate) struct Page {
    /// Below the root of the repository.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// A block between fences.
pub(crate) struct Block<'p> {
    /// What stands behind the first fence.
    pub(crate) language: &'p str,
    pub(crate) text: String,
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Every page: those of `docs/`, and those that stand beside what they are about.
pub(crate) fn pages() -> Vec<Page> {
    let folders = ["", "docs", "docs/decisions"].map(|folder| root().join(folder));
    let crates = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let readmes = crates.filter(|path| path.join("Cargo.toml").exists());
    let paths: Vec<_> =
        folders.into_iter().chain(readmes).flat_map(|folder| markdown(&folder)).collect();
    assert!(paths.len() > 20, "{paths:?}");
    paths
        .into_iter()
        .map(|path| Page {
            text: fs::read_to_string(&path).unwrap(),
            path: path.strip_prefix(root()).unwrap().to_owned(),
        })
        .collect()
}

fn markdown(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|end| end == "md")).collect()
}

impl Page {
    /// The blocks between fences, without the room that they are indented by.
    pub(crate) fn blocks(&self) -> Vec<Block<'_>> {
        let mut blocks = Vec::new();
        let mut lines = self.text.lines();
        while let Some(line) = lines.next() {
            let Some(language) = line.trim_start().strip_prefix("```") else { continue };
            let inside = lines.by_ref().take_while(|line| line.trim_start() != "```");
            let text = inside.map(|line| format!("{}\n", line.trim_start())).collect();
            blocks.push(Block { language, text });
        }
        blocks
    }

    /// The pieces of code within the text, those of blocks excepted. One may go over a line's end.
    pub(crate) fn spans(&self) -> Vec<String> {
        let prose = self.text.split("```").step_by(2).collect::<Vec<_>>().join("\n\n");
        let paragraphs = prose.split("\n\n");
        let spans = paragraphs.flat_map(|paragraph| paragraph.split('`').skip(1).step_by(2));
        spans.map(|span| span.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    /// For messages.
    pub(crate) fn name(&self) -> String {
        self.path.display().to_string()
    }
}
