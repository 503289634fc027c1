//! Every command line of the programs, held against the programs themselves.

use std::collections::BTreeMap;
use std::process::{Command, Output};

use integration_tests::documented::root;
use integration_tests::harness::program;

use crate::page::pages;
use crate::shell::commands;

const PROGRAMS: [&str; 3] = ["coordinator", "agent-runner", "terarchitect-app"];

/// Blocks of these languages are scripts.
const SCRIPTS: [&str; 3] = ["sh", "bash", "console"];

/// What the agent's image is called: what stands behind it are words of `agent-runner`.
const IMAGE: &str = "terarchitect-agent";

/// A program with these words, which is asked for its help in place of doing it: what it does not
/// understand in them it says before.
fn asked(program_name: &str, words: &[String]) -> Output {
    let mut command = Command::new(program(program_name));
    let mut before = "";
    for word in words {
        // The reader's own value, or words that are left out.
        match word.contains('…') {
            true if before.starts_with("--") => command.arg("value"),
            true => &mut command,
            false => command.arg(expanded(word)),
        };
        before = word;
    }
    command.arg("--help").env_clear();
    command.output().unwrap()
}

/// A word with a value in the place of each variable, and an id where the reader is to put one.
fn expanded(word: &str) -> String {
    if ["ID", "JOB", "PROJECT", "TICKET"].contains(&word) {
        return "b0acb5a0-d0bc-4738-89d0-347ecd318506".to_owned();
    }
    let mut parts = word.replace("$BRIDGE", "127.0.0.1");
    while let Some((before, rest)) = parts.split_once('$') {
        let rest = rest.trim_start_matches(['{', '}']);
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
        parts = format!("{before}value{}", rest.trim_start_matches('}'));
    }
    parts
}

/// The programs' own words of a command: nothing where it is none of ours.
fn ours(words: &[String]) -> Option<(&'static str, &[String])> {
    let (first, rest) = words.split_first()?;
    let name = first.rsplit('/').next()?;
    if let Some(program) = PROGRAMS.into_iter().find(|program| *program == name) {
        return Some((program, rest));
    }
    let image = rest.iter().position(|word| word == IMAGE)?;
    let of_image = rest.get(image + 1..)?;
    (first == "docker"
        && rest.first()? == "run"
        && !of_image.is_empty()
        && !rest.iter().any(|word| word == "--entrypoint"))
    .then_some(("agent-runner", of_image))
}

#[test]
fn every_command_line_in_a_script_is_one_of_the_program() {
    let (mut count, mut wrong) = (BTreeMap::new(), Vec::new());
    for page in pages() {
        for block in page.blocks().iter().filter(|block| SCRIPTS.contains(&block.language)) {
            for words in commands(&block.text) {
                let Some((program, arguments)) = ours(&words) else { continue };
                let output = asked(program, arguments);
                if !output.status.success() {
                    let complaint = String::from_utf8_lossy(&output.stderr);
                    wrong.push(format!("{}: {words:?}: {complaint}", page.name()));
                }
                *count.entry(program).or_insert(0) += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The pages have some of each, or this looks for them in vain.
    assert!(count.len() == PROGRAMS.len() && count["coordinator"] > 5, "{count:?}");
}

/// The help of the command that these words begin with, where there is one.
fn help_of(program: &str, words: &[&str]) -> Option<String> {
    let is_name = |word: &&&str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
    };
    let names: Vec<_> = words.iter().take_while(is_name).map(|word| (*word).to_owned()).collect();
    let outputs = (1..=names.len()).rev().map(|length| asked(program, &names[..length]));
    let found = outputs.into_iter().find(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&found.stdout).into_owned())
}

#[test]
fn every_command_named_in_the_text_is_one_with_its_flags() {
    let (mut count, mut wrong) = (0, Vec::new());
    for page in pages() {
        for span in page.spans() {
            let words: Vec<_> =
                span.split([' ', '[', ']', '|']).filter(|w| !w.is_empty()).collect();
            let [program, rest @ ..] = words.as_slice() else { continue };
            let is_command =
                rest.first().is_some_and(|word| word.starts_with(|c: char| c.is_ascii_lowercase()));
            // A message that begins with the name of a program goes on and is cut.
            if !PROGRAMS.contains(program) || !is_command || span.ends_with(" …") {
                continue;
            }
            let help = help_of(program, rest).unwrap_or_default();
            let flags = rest.iter().filter(|word| word.starts_with("--"));
            let mut flags = flags.map(|flag| flag.split('=').next().unwrap());
            if help.is_empty() || !flags.all(|flag| help.contains(flag)) {
                wrong.push(format!("{}: `{span}`", page.name()));
            }
            count += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 20, "{count}");
}

#[test]
fn every_script_of_the_repository_that_is_called_is_there() {
    const FOLDERS: [&str; 4] = ["packaging/", "systemd/", "tests/", "docs/"];
    for page in pages() {
        for block in page.blocks().iter().filter(|block| SCRIPTS.contains(&block.language)) {
            for word in commands(&block.text).into_iter().flatten() {
                let named = FOLDERS.iter().any(|folder| word.starts_with(folder));
                assert!(!named || root().join(&word).exists(), "{}: {word}", page.name());
            }
        }
    }
}
