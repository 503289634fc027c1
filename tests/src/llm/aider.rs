//! Edits as text, for a client that offers no tools but asks for its own
//! block format in the prompt.

use super::script::Script;
use super::view::View;

/// How much of the system prompt tells what a request is for, in characters.
const PURPOSE: usize = 600;

/// The block that creates the script's file, if the prompt asks for one.
pub(super) fn edit_block(view: &View, script: &Script) -> Option<String> {
    let text = view.text();
    // Blocks are made of whole lines.
    let content = match script.content.as_str() {
        "" => String::new(),
        content => format!("{}\n", content.trim_end_matches('\n')),
    };
    let path = &script.file;
    let purpose: String = view.system.chars().take(PURPOSE).collect();
    if purpose.to_lowercase().contains("commit message") {
        return Some(format!("feat: add {path}"));
    }
    if text.contains("SEARCH/REPLACE block") {
        return Some(format!(
            "Done.\n\n{path}\n```\n<<<<<<< SEARCH\n=======\n{content}>>>>>>> REPLACE\n```\n"
        ));
    }
    if text.contains("return *entire*") || text.contains("file listing") {
        return Some(format!("Done.\n\n{path}\n```\n{content}```\n"));
    }
    if text.contains("unified diff") || text.contains("diff -U0") {
        let added: String = content.lines().map(|line| format!("+{line}\n")).collect();
        return Some(format!(
            "Done.\n\n```diff\n--- /dev/null\n+++ {path}\n@@ ... @@\n{added}```\n"
        ));
    }
    None
}
