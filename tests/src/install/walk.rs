//! A person who does what a page says, block after block, on the machines that it speaks of.
//!
//! The page itself says where (`**On A**`), what is typed into an editor (the settings below `sudoedit`), and
//! what runs on (*until you stop it*). Only what [`Swap`] names is done otherwise than it is written.

use std::collections::{BTreeMap, BTreeSet};

use super::machine::{EDITOR, Machine};
use super::terminal::Terminal;
use crate::documented::Block;
use crate::harness::eventually;

/// Who types.
pub(super) const PERSON: &str = "me";

/// What the app prints of what it has made, and what the pages call its id.
const MADE: [(&str, &str); 2] = [("project", "PROJECT"), ("ticket", "TICKET")];

/// What the app says once it can be asked.
const LISTENS: &str = "listening on";

/// What is typed in the place of what the page has.
#[derive(Clone, Debug)]
pub(super) struct Swap {
    pub(super) page: &'static str,
    pub(super) here: String,
}

/// A way through a page, or more than one.
#[derive(Debug)]
pub(super) struct Walk<'m> {
    /// By the letters that the page has for them.
    machines: &'m [(&'static str, Machine)],
    swaps: Vec<Swap>,
    used: BTreeSet<&'static str>,
    ids: BTreeMap<&'static str, String>,
    /// Where the person sits.
    at: usize,
    open: BTreeMap<usize, Terminal>,
    /// In which something runs on, and their folders.
    left: Vec<(Terminal, String)>,
    typed: usize,
    last: String,
}

impl<'m> Walk<'m> {
    /// Begins on the first machine.
    pub(super) fn new(machines: &'m [(&'static str, Machine)], swaps: Vec<Swap>) -> Self {
        Self {
            machines,
            swaps,
            used: BTreeSet::new(),
            ids: BTreeMap::new(),
            at: 0,
            open: BTreeMap::new(),
            left: Vec::new(),
            typed: 0,
            last: String::new(),
        }
    }

    /// Does what these blocks say.
    pub(super) async fn follow(&mut self, blocks: &[Block<'_>]) {
        for (number, block) in blocks.iter().enumerate() {
            if is_settings(block) {
                continue;
            }
            self.sit_down(&block.before).await;
            if let Some(settings) = blocks.get(number + 1).filter(|next| is_settings(next)) {
                self.will_type(settings).await;
            }
            let lines = lines(&block.text);
            self.typed += lines.len();
            let runs_on = block.before.contains("until you stop it").then(|| lines.len() - 1);
            for (number, line) in lines.iter().enumerate() {
                match runs_on == Some(number) {
                    true => self.leave(line).await,
                    false => drop(self.run(line).await),
                }
            }
        }
    }

    /// What is typed into the next editor on this machine.
    pub(super) async fn will_type(&mut self, settings: &Block<'_>) {
        let text = self.swapped(&settings.text);
        let (_, machine) = &self.machines[self.at];
        let path = machine.write("typed", text.as_bytes()).await;
        machine.ok(&format!("install -o {PERSON} {path} /home/{PERSON}/typed")).await;
    }

    /// Goes into this folder.
    pub(super) async fn go_to(&mut self, folder: &str) {
        self.sit_down("").await;
        self.run(&format!("cd {folder}")).await;
    }

    /// Goes over to this machine.
    pub(super) fn go_over(&mut self, name: &str) {
        let found = self.machines.iter().position(|(letter, _)| *letter == name);
        self.at = found.unwrap_or_else(|| panic!("the page speaks of a machine {name}"));
    }

    /// Types the last line again, until it prints these words: what it printed.
    pub(super) async fn again_until(&mut self, words: &str) -> String {
        let line = self.last.clone();
        eventually(words, async || Some(self.run(&line).await).filter(|text| text.contains(words)))
            .await
    }

    /// How many lines of the pages were typed; each swap has to have been of use.
    pub(super) fn end(self) -> usize {
        let unused = self.swaps.iter().filter(|swap| !self.used.contains(swap.page));
        let unused: Vec<_> = unused.map(|swap| swap.page).collect();
        assert!(unused.is_empty(), "no page has {unused:?} any more");
        self.typed
    }

    /// At the machine that the page names last, in a terminal.
    async fn sit_down(&mut self, said: &str) {
        if let Some((_, rest)) = said.rsplit_once("**On ") {
            self.go_over(rest.split("**").next().unwrap_or_default());
        }
        if self.open.contains_key(&self.at) {
            return;
        }
        let (_, machine) = &self.machines[self.at];
        self.open.insert(self.at, machine.terminal(PERSON).await);
        if said.contains("same folder") {
            let (_, folder) = self.left.last().expect("another shell");
            let line = format!("cd {folder}");
            self.run(&line).await;
        }
    }

    /// Types a line, which has to succeed: what it printed.
    async fn run(&mut self, line: &str) -> String {
        self.last = line.to_owned();
        let typed = self.swapped(line);
        let terminal = self.open.get_mut(&self.at).expect("a terminal");
        let done = terminal.run(&typed).await;
        assert_eq!(done.code, 0, "{line} (typed: {typed}): {}", done.text);
        for printed in done.text.lines() {
            let words: Vec<_> = printed.split_whitespace().collect();
            let made = MADE.iter().find(|(kind, _)| words.first() == Some(kind));
            if let (Some((_, called)), [_, id]) = (made, words.as_slice()) {
                self.ids.insert(called, (*id).to_owned());
            }
        }
        done.text
    }

    /// Types a line that runs on, and leaves the terminal to it.
    async fn leave(&mut self, line: &str) {
        let folder = self.run("pwd").await;
        let typed = self.swapped(line);
        let mut terminal = self.open.remove(&self.at).expect("a terminal");
        terminal.leave(&typed, LISTENS).await;
        self.left.push((terminal, folder));
    }

    /// With what there is here in the place of what the page has.
    fn swapped(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for swap in &self.swaps {
            if text.contains(swap.page) {
                text = text.replace(swap.page, &swap.here);
                self.used.insert(swap.page);
            }
        }
        let ids = &self.ids;
        let words = text.split(' ').map(|word| ids.get(word).map_or(word, String::as_str));
        let text = words.collect::<Vec<_>>().join(" ");
        assert!(!text.contains('…'), "what stands for … in {text}?");
        text
    }
}

/// Gives a machine the person, and the editor of the person's.
pub(super) async fn move_in(machine: &Machine) {
    let editor = machine.write("editor", b"#!/bin/sh\ncat ~/typed >>\"$1\"\n").await;
    machine
        .ok(&format!(
            "install -m 755 {editor} {EDITOR} && useradd --create-home --shell /bin/bash {PERSON} \
             && echo '{PERSON} ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/{PERSON}"
        ))
        .await;
}

/// Lines as the shell has them: without comments and empty ones, and with those that go on in one.
fn lines(text: &str) -> Vec<String> {
    let text = text.replace("\\\n", " ");
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// Whether it is nothing but names and values, which are typed into a file.
fn is_settings(block: &Block<'_>) -> bool {
    let is_name = |name: &str| name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let is_setting = |line: &str| {
        line.split_once('=').is_some_and(|(name, value)| is_name(name) && !value.contains(' '))
    };
    block.text.lines().all(is_setting)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(text: &str) -> Block<'_> {
        Block { language: "sh", text: text.to_owned(), before: String::new() }
    }

    #[test]
    fn settings_are_told_from_commands() {
        assert!(is_settings(&block(
            "TERARCHITECT_API_URL=http://192.0.2.10:5010\nGITHUB_TOKEN=…\n"
        )));
        assert!(!is_settings(&block("A=1\nsudo systemctl start x\n")));
        assert!(!is_settings(&block("BRIDGE=\"$(docker run x)\"\n")));
    }

    #[test]
    fn a_line_that_goes_on_is_one() {
        assert_eq!(lines("# why\na \\\n  b\n\nc  # why\n"), ["a    b", "c  # why"]);
    }

    #[test]
    fn what_the_page_has_is_swapped_for_what_there_is() {
        let swaps = vec![Swap { page: "https://github.com/acme/demo", here: "http://x/y".into() }];
        let mut walk = Walk::new(&[], swaps);
        walk.ids.insert("PROJECT", "7".to_owned());
        let line = "add --project PROJECT --repo-url https://github.com/acme/demo MY_PROJECT";
        assert_eq!(walk.swapped(line), "add --project 7 --repo-url http://x/y MY_PROJECT");
        assert_eq!(walk.end(), 0);
    }
}
