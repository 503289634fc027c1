//! What the worker is asked for a review: everything that was said, each text as a quotation. Pure.

use super::checks::Failing;
use super::endings::{Fault, label};
use super::gate::Speaker;
use super::threads::{Asked, Gathered};
use crate::bounded::{bounded, end};
use crate::forge::{Comment, Line, Thread, ThreadKind};
use crate::inspect;
use crate::prompt::{Prompts, Template, quoted};
use crate::redaction::Redaction;

/// How much of each comment is shown, and of the lines that it stands at, in bytes.
const COMMENT_MAX: usize = 8 << 10;
const HUNK_MAX: usize = 4 << 10;
/// How many comments of one thread are shown, the newest of them; the first and what is asked last always are.
const COMMENTS_MAX: usize = 20;
/// How many threads of others are shown.
const ASIDE_MAX: usize = 10;
/// How much all comments that are to be answered may be together, in bytes, and the least of each.
const ALL_MAX: usize = 160 << 10;
const COMMENT_MIN: usize = 400;
/// How much of what a thread asks a Director sees, in bytes.
const BRIEF_MAX: usize = 600;
/// How much what others said may be, and what the checks wrote, in bytes each.
const REST_MAX: usize = 40 << 10;

/// The prompt of the first turn.
pub(super) fn review(
    prompts: &Prompts,
    number: u64,
    gathered: &Gathered,
    failing: &[Failing],
    redaction: &Redaction,
) -> String {
    let comments = gathered.asked.iter().map(|asked| asked.thread.comments.len().min(COMMENTS_MAX));
    let most = (ALL_MAX / comments.sum::<usize>().max(1)).clamp(COMMENT_MIN, COMMENT_MAX);
    let shown = Shown { redaction, most };
    let sections = gathered.asked.iter().enumerate().map(|(place, asked)| {
        let who = asked.speakers.iter().copied();
        shown.section(&format!("Thread {}", label(place)), &asked.thread, who)
    });
    let (threads, endings) = match gathered.asked.is_empty() {
        true => (String::new(), String::new()),
        false => (
            sections.collect::<String>() + &shown.aside(&gathered.aside),
            prompts.fill(Template::ReviewEndings, &[]),
        ),
    };
    let checks = match failing.is_empty() {
        true => String::new(),
        false => prompts.fill(Template::ReviewChecks, &[("checks", &shown.checks(failing))]),
    };
    let (number, rules) = (number.to_string(), prompts.rules());
    let fields = [
        ("number", &*number),
        ("threads", &threads),
        ("checks", &checks),
        ("rules", &rules),
        ("endings", &endings),
    ];
    prompts.fill(Template::Review, &fields)
}

/// The review as a Director is to have it in mind: what each thread came to ask last.
pub(super) fn task(
    prompts: &Prompts,
    number: u64,
    asked: &[Asked],
    failing: &[Failing],
    redaction: &Redaction,
) -> String {
    let shown = Shown { redaction, most: BRIEF_MAX };
    let threads = asked.iter().enumerate().map(|(place, one)| {
        let body = bounded(shown.clean(&one.newest().body).trim(), BRIEF_MAX);
        let place_of = self::place(&one.thread);
        format!("\n## Thread {}\n\n{place_of}\n\n{}\n", label(place), quoted(&body))
    });
    let names = failing.iter().map(|check| format!("{}\n", quoted(&shown.clean(&check.name))));
    let checks = match failing.is_empty() {
        true => String::new(),
        false => format!("## Checks that fail\n\n{}", names.collect::<String>()),
    };
    let (number, threads) = (number.to_string(), threads.collect::<String>());
    let fields = [("number", &*number), ("threads", &threads), ("checks", &checks)];
    prompts.fill(Template::ReviewTask, &fields)
}

/// What the worker is asked where its last words do not say how each thread ends.
pub(super) fn repair(prompts: &Prompts, asked: &[Asked], fault: &Fault) -> String {
    let labels: Vec<String> = (0..asked.len()).map(label).collect();
    let (fault, threads) = (fault.to_string(), labels.join(", "));
    let endings = prompts.fill(Template::ReviewEndings, &[]);
    let fields = [("fault", &*fault), ("threads", &threads), ("endings", &endings)];
    prompts.fill(Template::ReviewRepair, &fields)
}

/// How texts of others are shown.
struct Shown<'s> {
    redaction: &'s Redaction,
    /// How much of each comment, in bytes.
    most: usize,
}

impl Shown<'_> {
    /// What others said, who may not ask, as far as there is room.
    fn aside(&self, threads: &[Thread]) -> String {
        let sections = threads.iter().take(ASIDE_MAX).map(|thread| {
            let others = thread.comments.iter().map(|_| Speaker::Other);
            self.section("Said by others, context only", thread, others)
        });
        within(REST_MAX, sections)
    }

    fn checks(&self, failing: &[Failing]) -> String {
        let sections = failing.iter().map(|check| {
            let (name, tail) = (quoted(&self.clean(&check.name)), quoted(&check.tail));
            format!("\n{name}\n\n{tail}\n")
        });
        within(REST_MAX, sections)
    }

    fn clean(&self, text: &str) -> String {
        inspect::without_secrets(&self.redaction.redactor(), text)
    }

    fn section(
        &self,
        heading: &str,
        thread: &Thread,
        speakers: impl Iterator<Item = Speaker>,
    ) -> String {
        let mut text = format!("\n## {heading}\n\n{}\n", place(thread));
        if let Some(hunk) = &thread.hunk {
            let hunk = self.clean(hunk);
            text.push_str(&format!("\n{}\n", quoted(end(&hunk, HUNK_MAX.min(2 * self.most)))));
        }
        let said: Vec<(&Comment, Speaker)> = thread.comments.iter().zip(speakers).collect();
        let from = said.len().saturating_sub(COMMENTS_MAX);
        let ask = said.iter().rposition(|(_, speaker)| *speaker == Speaker::Allowed);
        for (at, (comment, speaker)) in said.iter().enumerate() {
            if at < from && at != 0 && Some(at) != ask {
                continue;
            }
            let who = match speaker {
                Speaker::Us => "you, earlier",
                Speaker::Allowed => "may ask",
                Speaker::Other => "context only",
            };
            let body = bounded(self.clean(&comment.body).trim(), self.most);
            let author = quoted(&format!("@{}", comment.author.login));
            text.push_str(&format!("\n({who})\n\n{author}\n>\n{}\n", quoted(&body)));
        }
        text
    }
}

/// Where a thread stands. A path is somebody's words as well.
fn place(thread: &Thread) -> String {
    let Some(place) = &thread.place else {
        return match thread.kind {
            ThreadKind::Line | ThreadKind::Review => "About the whole, in a review.",
            ThreadKind::Conversation => "About the whole.",
        }
        .to_owned();
    };
    let line = match place.line {
        Some(Line::New(line)) => format!("line {line}"),
        Some(Line::Old(line)) => format!("deleted line (line {line} of the file as it was)"),
        None => "a line that the change no longer has".to_owned(),
    };
    format!("At {line} of\n\n{}", quoted(&place.path))
}

/// The sections as far as they fit. Each is shown whole or not at all: the rest of one that is cut would stand
/// there without its mark of a quotation.
fn within(most: usize, sections: impl Iterator<Item = String>) -> String {
    let (mut text, mut left_out) = (String::new(), 0_usize);
    for section in sections {
        match text.len() + section.len() <= most {
            true => text.push_str(&section),
            false => left_out += 1,
        }
    }
    match left_out {
        0 => text,
        more => format!("{text}\n({more} more are left out for want of room.)\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::gate::Gate;
    use super::super::threads::tests::{comment, thread};
    use super::*;

    const MARK: &str = "outsider";

    fn gathered(asking: bool) -> Gathered {
        let outsiders = (10..20).map(|id| {
            thread(ThreadKind::Line, vec![comment(id, "eve", &format!("{MARK} ").repeat(900))])
        });
        let ask = "Rename it. ".repeat(2_000) + MARK;
        let ask = asking.then(|| thread(ThreadKind::Line, vec![comment(1, "ann", &ask)]));
        let gate = Gate { authors: "MEMBER".parse().unwrap(), own_login: None };
        Gathered::of(outsiders.chain(ask).collect(), &gate, &[])
    }

    fn assert_quoted(prompt: &str) {
        let found: Vec<&str> = prompt.lines().filter(|line| line.contains(MARK)).collect();
        assert!(!found.is_empty() && found.iter().all(|line| line.starts_with("> ")), "{found:?}");
    }

    #[test]
    fn what_others_wrote_is_quoted_however_much_there_is() {
        let redaction = Redaction::default();
        let log = format!("{MARK} ").repeat(900);
        let failing = vec![Failing { name: format!("a {MARK}"), tail: log }; 9];
        let gathered = gathered(true);
        let prompt = review(&Prompts::default(), 7, &gathered, &failing, &redaction);
        assert_quoted(&prompt);
        assert!(prompt.contains("more are left out for want of room"));
        assert_quoted(&task(&Prompts::default(), 7, &gathered.asked, &failing, &redaction));
    }

    #[test]
    fn nobody_pushes_what_is_asked_out_of_the_prompt() {
        let mut said = vec![comment(1, "bob", "First."), comment(2, "ann", "Rename it.")];
        said.extend((3..60).map(|id| comment(id, "eve", MARK)));
        let gate = Gate { authors: "MEMBER".parse().unwrap(), own_login: None };
        let gathered = Gathered::of(vec![thread(ThreadKind::Line, said)], &gate, &[]);
        let prompt = review(&Prompts::default(), 7, &gathered, &[], &Redaction::default());
        assert!(prompt.contains("> First.") && prompt.contains("> Rename it."), "{prompt}");
        assert_eq!(prompt.matches(MARK).count(), COMMENTS_MAX);
    }

    #[test]
    fn where_nobody_asks_what_others_said_is_not_shown() {
        let failing = [Failing { name: "unit".to_owned(), tail: String::new() }];
        let prompt =
            review(&Prompts::default(), 7, &gathered(false), &failing, &Redaction::default());
        assert!(!prompt.contains(MARK) && prompt.contains("> unit"));
    }
}
