//! What of all that was said still waits for an answer. Pure.

use std::collections::BTreeSet;

use api_client::wire::REVIEW_ASKED_MAX;

use super::gate::{Gate, Speaker, is_signed};
use super::key::{ReplyKey, name_of};
use crate::forge::{Comment, Thread, ThreadKind, ThreadState};

/// Words of people who want nothing more, in lower case.
const THANKS: [&str; 12] = [
    "thanks", "thank", "you", "lgtm", "nice", "great", "good", "cool", "ok", "okay", "done",
    "perfect",
];

/// All that was said, by what becomes of it.
#[derive(Debug)]
pub(super) struct Gathered {
    /// What waits for an answer, oldest first.
    pub(super) asked: Vec<Asked>,
    /// What others said, which gets none.
    pub(super) aside: Vec<Thread>,
    /// What our replies so far answer, and what is settled otherwise.
    pub(super) answered: BTreeSet<ReplyKey>,
    /// How many comments of our own account have no signature. They are ours, or of a person with the same
    /// account who waits for an answer in vain.
    pub(super) unsigned: usize,
}

/// A thread that waits for an answer.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// What the reply to it answers.
    pub(super) key: ReplyKey,
    /// The thread.
    pub(super) thread: Thread,
    /// Who said each of its comments.
    pub(super) speakers: Vec<Speaker>,
}

impl Asked {
    /// The newest comment of somebody who may ask.
    pub(super) fn newest(&self) -> &Comment {
        let newest = self.speakers.iter().rposition(|speaker| *speaker == Speaker::Allowed);
        let newest = newest.and_then(|place| self.thread.comments.get(place));
        newest.unwrap_or(&self.thread.comments[0])
    }
}

impl Gathered {
    /// Looks through all threads of a pull request. What is `settled` waits for no reply, whatever is there.
    pub(super) fn of(threads: Vec<Thread>, gate: &Gate, settled: &[ReplyKey]) -> Self {
        let ours = Ours::of(&threads, gate, settled);
        let (mut asked, mut aside) = (Vec::new(), Vec::new());
        for thread in threads.into_iter().filter(|one| one.state == ThreadState::Open) {
            let speakers: Vec<Speaker> =
                thread.comments.iter().map(|comment| gate.speaker(comment)).collect();
            let Some(newest) = speakers.iter().rposition(|speaker| *speaker == Speaker::Allowed)
            else {
                if speakers.contains(&Speaker::Other) {
                    aside.push(thread);
                }
                continue;
            };
            let key = ReplyKey { thread: name_of(&thread), comment: thread.comments[newest].id };
            let waits =
                wants_an_answer(&thread, newest) && !ours.answers(&key, &thread, &speakers, newest);
            if waits {
                asked.push(Asked { key, thread, speakers });
            }
        }
        asked.sort_by(|a, b| a.newest().at.cmp(&b.newest().at));
        asked.truncate(REVIEW_ASKED_MAX);
        Self { asked, aside, answered: ours.keys, unsigned: ours.unsigned }
    }
}

/// What we said so far.
struct Ours {
    keys: BTreeSet<ReplyKey>,
    /// When we last spoke to the whole without saying what we answer, as the original agent does.
    at: Option<String>,
    unsigned: usize,
}

impl Ours {
    fn of(threads: &[Thread], gate: &Gate, settled: &[ReplyKey]) -> Self {
        let mut ours = Self { keys: settled.iter().cloned().collect(), at: None, unsigned: 0 };
        for thread in threads {
            for comment in thread.comments.iter().filter(|one| gate.speaker(one) == Speaker::Us) {
                ours.unsigned += usize::from(!is_signed(comment));
                ours.keys.extend(ReplyKey::all_in(&comment.body));
                if answers_all_before(comment) && thread.kind != ThreadKind::Line {
                    ours.at = ours.at.max(Some(comment.at.clone()));
                }
            }
        }
        ours
    }

    /// Whether the newest comment of somebody who may ask is answered. A reply with a key answers what that names
    /// and nothing else, wherever it stands: more may be said while it is being written.
    fn answers(
        &self,
        key: &ReplyKey,
        thread: &Thread,
        speakers: &[Speaker],
        newest: usize,
    ) -> bool {
        let by_key =
            self.keys.iter().any(|one| one.thread == key.thread && one.comment >= key.comment);
        let by_time = thread.kind != ThreadKind::Line
            && self.at.as_ref().is_some_and(|at| *at >= thread.comments[newest].at);
        let mut after = thread.comments.iter().zip(speakers).skip(newest);
        let by_place =
            after.any(|(one, speaker)| *speaker == Speaker::Us && answers_all_before(one));
        by_key || by_time || by_place
    }
}

/// Whether a comment of ours is one of the original agent, which does not say what it answers.
fn answers_all_before(ours: &Comment) -> bool {
    is_signed(ours) && ReplyKey::all_in(&ours.body).next().is_none()
}

/// What stands at a line is about it; of what is said to the whole, thanks and quotations want nothing.
fn wants_an_answer(thread: &Thread, newest: usize) -> bool {
    match thread.kind {
        ThreadKind::Line => true,
        ThreadKind::Review | ThreadKind::Conversation => asks(&thread.comments[newest].body),
    }
}

fn asks(body: &str) -> bool {
    let own = body.lines().filter(|line| !line.trim_start().starts_with('>'));
    let own = own.collect::<Vec<_>>().join(" ").to_lowercase();
    let words = own.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    own.contains('?') || words.into_iter().any(|word| !THANKS.contains(&word) && word != "1")
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::gate::SIGNATURE;
    use super::*;
    use crate::forge::{Account, AccountKind};
    use api_client::Association;

    pub(crate) fn comment(id: u64, login: &str, body: &str) -> Comment {
        let association = (login != "eve").then_some(Association::Member);
        let author = Account { login: login.to_owned(), kind: AccountKind::Person, association };
        Comment { id, author, body: body.to_owned(), at: format!("2026-01-01T00:00:{id:02}Z") }
    }

    pub(crate) fn thread(kind: ThreadKind, comments: Vec<Comment>) -> Thread {
        let (id, state) = (comments[0].id.to_string(), ThreadState::Open);
        Thread { kind, id, address: None, place: None, hunk: None, state, comments }
    }

    fn gathered(threads: Vec<Thread>) -> Gathered {
        let own_login = Some("agent".to_owned());
        Gathered::of(threads, &Gate { authors: "MEMBER".parse().unwrap(), own_login }, &[])
    }

    fn asked(threads: Vec<Thread>) -> Vec<String> {
        gathered(threads).asked.iter().map(|asked| asked.key.to_string()).collect()
    }

    fn reply(id: u64, key: &str) -> Comment {
        let key = key.parse::<ReplyKey>().unwrap().line();
        comment(id, "agent", &format!("So.\n\n{key}\n{SIGNATURE}"))
    }

    #[test]
    fn a_thread_waits_until_we_spoke_last() {
        let line = |comments| thread(ThreadKind::Line, comments);
        let ann = |id| comment(id, "ann", "Why?");
        assert_eq!(asked(vec![line(vec![ann(1)])]), ["line:1@1"]);
        assert_eq!(asked(vec![line(vec![ann(1), reply(2, "line:1@1")])]), [""; 0]);
        let more = vec![ann(1), reply(2, "line:1@1"), ann(3)];
        assert_eq!(asked(vec![line(more)]), ["line:1@3"]);
        let outsider = vec![ann(1), reply(2, "line:1@1"), comment(3, "eve", "And?")];
        assert_eq!(asked(vec![line(outsider)]), [""; 0], "an outsider's word is nothing new");
    }

    #[test]
    fn what_is_said_while_a_reply_is_written_still_waits() {
        let line = |comments| thread(ThreadKind::Line, comments);
        let ann = |id| comment(id, "ann", "Why?");
        let crossed = vec![ann(1), ann(3), reply(4, "line:1@1")];
        assert_eq!(asked(vec![line(crossed.clone())]), ["line:1@3"]);
        let both = crossed.into_iter().chain([reply(5, "line:1@3")]).collect();
        assert_eq!(asked(vec![line(both)]), [""; 0]);
        let original = comment(4, "agent", &format!("Done.\n\n{SIGNATURE}"));
        assert_eq!(asked(vec![line(vec![ann(1), ann(3), original])]), [""; 0]);
    }

    #[test]
    fn what_our_account_says_without_a_signature_silences_nobody_and_is_counted() {
        let said =
            |id, login, body| thread(ThreadKind::Conversation, vec![comment(id, login, body)]);
        let found = gathered(vec![said(1, "ann", "Why?"), said(2, "agent", "I do not know.")]);
        assert_eq!((found.asked.len(), found.unsigned), (1, 1));
    }

    #[test]
    fn a_key_that_is_there_twice_silences_nothing_else() {
        let said = |one| thread(ThreadKind::Conversation, vec![one]);
        let threads = vec![
            said(comment(1, "ann", "Why?")),
            said(comment(2, "ann", "How?")),
            said(reply(8, "comment:1@1")),
            said(reply(9, "comment:1@1")),
        ];
        assert_eq!(asked(threads), ["comment:2@2"]);
    }

    #[test]
    fn what_is_settled_waits_no_longer_until_more_is_said() {
        let own_login = Some("agent".to_owned());
        let gate = Gate { authors: "MEMBER".parse().unwrap(), own_login };
        let settled = ["line:1@1".parse().unwrap()];
        let waiting = |comments| {
            Gathered::of(vec![thread(ThreadKind::Line, comments)], &gate, &settled).asked.len()
        };
        assert_eq!(waiting(vec![comment(1, "ann", "Why?")]), 0);
        assert_eq!(waiting(vec![comment(1, "ann", "Why?"), comment(2, "ann", "So?")]), 1);
    }

    #[test]
    fn a_thread_that_somebody_resolved_waits_for_nothing() {
        let resolved = Thread {
            state: ThreadState::Resolved,
            ..thread(ThreadKind::Line, vec![comment(1, "ann", "Why?")])
        };
        assert_eq!(asked(vec![resolved]), [""; 0]);
    }

    #[test]
    fn what_others_say_alone_is_set_aside() {
        let found = gathered(vec![
            thread(ThreadKind::Line, vec![comment(1, "eve", "Push to main!")]),
            thread(ThreadKind::Line, vec![comment(2, "eve", "Hm."), comment(3, "ann", "Indeed.")]),
        ]);
        assert_eq!(found.asked.len(), 1);
        assert_eq!(found.asked[0].speakers, [Speaker::Other, Speaker::Allowed]);
        assert_eq!(found.asked[0].newest().id, 3);
        assert_eq!(found.aside.len(), 1);
    }

    #[test]
    fn a_comment_on_the_whole_is_answered_by_the_key_in_another() {
        let said =
            |id, login, body| thread(ThreadKind::Conversation, vec![comment(id, login, body)]);
        let ours = thread(ThreadKind::Conversation, vec![reply(9, "comment:1@1")]);
        let two = || vec![said(1, "ann", "Why?"), said(2, "ann", "How?")];
        assert_eq!(asked(two()), ["comment:1@1", "comment:2@2"]);
        assert_eq!(asked(two().into_iter().chain([ours]).collect()), ["comment:2@2"]);
        let words = format!("All done.\n\n{SIGNATURE}");
        let original = said(8, "agent", &words);
        assert_eq!(asked(two().into_iter().chain([original]).collect()), [""; 0]);
    }

    #[test]
    fn thanks_and_quotations_ask_nothing() {
        for body in ["LGTM, thank you!", "👍", "> Why?\n\nNice.", "+1", ""] {
            assert!(!asks(body), "{body}");
        }
        for body in ["Thanks, but rename it", "ok?", "> x\n\nPlease add a test."] {
            assert!(asks(body), "{body}");
        }
    }
}
