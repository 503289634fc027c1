//! What git prints, as values. Pure; tested on lines as git wrote them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{BranchName, CommitId, InvalidName};

/// The longest message of git that an error repeats, in characters.
const DETAIL_MAX_CHARS: usize = 600;

/// What a remote has, as far as it was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Advertised {
    head: Option<String>,
    refs: BTreeMap<String, CommitId>,
}

impl Advertised {
    /// Reads the output of `git ls-remote --symref`.
    pub(super) fn parse(stdout: &str) -> Result<Self, InvalidName> {
        let mut all = Self::default();
        for (value, name) in stdout.lines().filter_map(|line| line.split_once('\t')) {
            match value.strip_prefix("ref: ") {
                Some(target) if name == "HEAD" => all.head = Some(target.to_owned()),
                Some(_) => {}
                None => drop(all.refs.insert(name.to_owned(), value.parse()?)),
            }
        }
        Ok(all)
    }

    /// The branch that HEAD names, if it does and the branch exists.
    pub(crate) fn default_branch(&self) -> Option<Result<BranchName, InvalidName>> {
        self.head.as_deref().map(BranchName::from_ref)
    }

    /// Whether HEAD is a commit at all.
    pub(crate) fn has_head(&self) -> bool {
        self.refs.contains_key("HEAD")
    }

    /// The commit of HEAD.
    pub(crate) fn head_commit(&self) -> Option<CommitId> {
        self.refs.get("HEAD").copied()
    }

    /// The commit of a branch.
    pub(crate) fn commit_of(&self, branch: &BranchName) -> Option<CommitId> {
        self.refs.get(&branch.to_ref()).copied()
    }
}

/// What the remote made of a push.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PushAnswer {
    /// The branch is now at our commit.
    Done,
    /// The branch has commits that we do not have.
    Moved,
    /// A rule or hook of the remote said no.
    Refused(String),
}

/// Reads the output of `git push --porcelain` of one branch; nothing if it has no answer in it.
pub(super) fn push_answer(stdout: &str) -> Option<PushAnswer> {
    let line = stdout
        .lines()
        .find(|line| line.contains('\t') && line.starts_with([' ', '+', '-', '*', '=', '!']))?;
    let mut fields = line.splitn(3, '\t');
    let flag = fields.next()?;
    let summary = fields.nth(1)?;
    if flag != "!" {
        return Some(PushAnswer::Done);
    }
    let stale = ["fetch first", "non-fast-forward", "stale info", "needs force"];
    if stale.iter().any(|reason| summary.contains(reason)) {
        return Some(PushAnswer::Moved);
    }
    // The connection was lost before the remote told what it did.
    let told = !summary.starts_with("[remote failure]");
    told.then(|| PushAnswer::Refused(summary.to_owned()))
}

/// The kinds of failure that have remedies of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Unauthorised,
    NotFound,
    Unreachable,
    Other,
}

/// Tells failures apart by git's (English) messages; it has no other codes for them.
pub(super) fn failure(stderr: &str) -> Failure {
    const UNAUTHORISED: [&str; 8] = [
        "Authentication failed",
        "could not read Username",
        "could not read Password",
        "credential helper told us to quit",
        "returned error: 401",
        "returned error: 403",
        // As git-lfs says it.
        "Authentication required",
        "Authorization error",
    ];
    const NOT_FOUND: [&str; 3] =
        ["' not found", "returned error: 404", "Repository or object not found"];
    const UNREACHABLE: [&str; 29] = [
        "Could not resolve host",
        "Could not resolve proxy",
        "Couldn't connect",
        "Failed to connect",
        "Connection refused",
        "Connection reset",
        "GnuTLS recv error",
        "SSL_ERROR_SYSCALL",
        "Timeout was reached",
        "timed out",
        "unexpected disconnect",
        "Empty reply from server",
        "Operation too slow",
        "returned error: 429",
        "returned error: 5",
        "early EOF",
        "RPC failed",
        "hung up unexpectedly",
        // As git-lfs says it.
        "no such host",
        "connection refused",
        "connection reset",
        "i/o timeout",
        "Server error: ",
        "TLS handshake timeout",
        "unexpected EOF",
        "network is unreachable",
        "no route to host",
        "Client.Timeout exceeded",
        "Rate limit exceeded",
    ];
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| stderr.contains(phrase));
    if says(&UNAUTHORISED) {
        Failure::Unauthorised
    } else if says(&NOT_FOUND) {
        Failure::NotFound
    } else if says(&UNREACHABLE) {
        Failure::Unreachable
    } else {
        Failure::Other
    }
}

/// The end of git's messages on one line, without its hints.
pub(super) fn detail(stderr: &str) -> String {
    let lines: Vec<&str> = stderr
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("hint:"))
        .collect();
    let text = lines.join("; ");
    let surplus = text.chars().count().saturating_sub(DETAIL_MAX_CHARS);
    if text.is_empty() {
        return "git gave no reason".to_owned();
    }
    text.chars().skip(surplus).collect()
}

/// The paths of the worktrees that are locked with a reason that begins like this, from the output
/// of `git worktree list --porcelain`.
pub(super) fn worktrees_locked_for(stdout: &str, reason: &str) -> Vec<PathBuf> {
    stdout
        .split("\n\n")
        .filter(|entry| {
            entry
                .lines()
                .filter_map(|line| line.strip_prefix("locked "))
                .any(|text| text.starts_with(reason))
        })
        .filter_map(|entry| entry.lines().find_map(|line| line.strip_prefix("worktree ")))
        .map(PathBuf::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "1111111111111111111111111111111111111111";
    const B: &str = "2222222222222222222222222222222222222222";

    #[test]
    fn the_default_branch_is_what_head_names() {
        let text = format!("ref: refs/heads/develop\tHEAD\n{A}\tHEAD\n{B}\trefs/heads/ticket-1\n");
        let remote = Advertised::parse(&text).unwrap();
        assert_eq!(remote.default_branch().unwrap().unwrap().as_str(), "develop");
        let ticket: BranchName = "ticket-1".parse().unwrap();
        assert_eq!(remote.commit_of(&ticket).unwrap().to_string(), B);
        assert_eq!(remote.commit_of(&"other".parse().unwrap()), None);
    }

    #[test]
    fn a_branch_is_matched_by_its_whole_name() {
        // ls-remote matches patterns at the end of names.
        let remote = Advertised::parse(&format!("{A}\trefs/pull/refs/heads/ticket-1\n")).unwrap();
        assert_eq!(remote.commit_of(&"ticket-1".parse().unwrap()), None);
    }

    #[test]
    fn empty_and_detached_remotes_differ() {
        let empty = Advertised::parse("").unwrap();
        assert!(empty.default_branch().is_none() && !empty.has_head());
        let detached = Advertised::parse(&format!("{A}\tHEAD\n")).unwrap();
        assert!(detached.default_branch().is_none() && detached.has_head());
    }

    #[test]
    fn a_hostile_default_branch_is_no_branch_name() {
        let remote = Advertised::parse("ref: refs/heads/--upload-pack=x\tHEAD\n").unwrap();
        assert!(remote.default_branch().unwrap().is_err());
    }

    #[test]
    fn push_answers_are_told_apart() {
        let head = "To http://h/o/r\n";
        let cases = [
            (format!("*\t{A}:refs/heads/t\t[new branch]\nDone\n"), PushAnswer::Done),
            (format!(" \t{A}:refs/heads/t\t1111111..2222222\nDone\n"), PushAnswer::Done),
            (format!("=\t{A}:refs/heads/t\t[up to date]\nDone\n"), PushAnswer::Done),
            (format!("!\t{A}:refs/heads/t\t[rejected] (fetch first)\n"), PushAnswer::Moved),
            (format!("!\t{A}:refs/heads/t\t[rejected] (non-fast-forward)\n"), PushAnswer::Moved),
            (
                format!("!\t{A}:refs/heads/t\t[remote rejected] (pre-receive hook declined)\n"),
                PushAnswer::Refused("[remote rejected] (pre-receive hook declined)".into()),
            ),
        ];
        for (text, answer) in cases {
            assert_eq!(push_answer(&format!("{head}{text}")), Some(answer), "{text}");
        }
        assert_eq!(push_answer(""), None);
        let lost = "!\tHEAD:refs/heads/b\t[remote failure] (remote failed to report status)\n";
        assert_eq!(push_answer(lost), None);
    }

    #[test]
    fn failures_are_told_apart_by_their_remedy() {
        let cases = [
            ("fatal: Authentication failed for 'https://h/o/r/'", Failure::Unauthorised),
            (
                "fatal: could not read Username for 'https://h': terminal prompts disabled",
                Failure::Unauthorised,
            ),
            (
                "remote: Permission to o/r denied.\nfatal: unable to access 'x': The requested URL returned error: 403",
                Failure::Unauthorised,
            ),
            ("fatal: repository 'http://h/o/r/' not found", Failure::NotFound),
            (
                "fatal: unable to access 'x': Failed to connect to 127.0.0.1 port 9 after 0 ms: Could not connect",
                Failure::Unreachable,
            ),
            (
                "fatal: unable to access 'x': The requested URL returned error: 503",
                Failure::Unreachable,
            ),
            ("error: RPC failed; HTTP 500 curl 22", Failure::Unreachable),
            (
                "fatal: unable to access 'x': OpenSSL SSL_connect: SSL_ERROR_SYSCALL in connection to h:443",
                Failure::Unreachable,
            ),
            ("fatal: unable to access 'x': GnuTLS recv error (-110): x", Failure::Unreachable),
            ("fatal: unable to access 'x': Operation timed out after 5 ms", Failure::Unreachable),
            ("fatal: unable to access 'x': Timeout was reached", Failure::Unreachable),
            (
                "fetch-pack: unexpected disconnect while reading sideband packet",
                Failure::Unreachable,
            ),
            ("batch response: Authentication required: Invalid token", Failure::Unauthorised),
            ("Repository or object not found: http://h/o/r.git/x", Failure::NotFound),
            ("dial tcp 127.0.0.1:9: connect: connection refused", Failure::Unreachable),
            ("Fatal error: Server error: http://h/o/r.git/x", Failure::Unreachable),
            ("Post \"https://h/o/r.git/x\": net/http: TLS handshake timeout", Failure::Unreachable),
            ("LFS: Get \"https://h/x\": unexpected EOF", Failure::Unreachable),
            ("dial tcp 192.0.2.1:443: connect: network is unreachable", Failure::Unreachable),
            ("dial tcp 192.0.2.1:443: connect: no route to host", Failure::Unreachable),
            ("net/http: request canceled (Client.Timeout exceeded)", Failure::Unreachable),
            ("batch response: Rate limit exceeded: https://h/o/r.git/x", Failure::Unreachable),
            ("fatal: not a git repository", Failure::Other),
            ("server certificate verification failed. CAfile: none", Failure::Other),
        ];
        for (text, kind) in cases {
            assert_eq!(failure(text), kind, "{text}");
        }
    }

    #[test]
    fn the_detail_of_an_error_is_one_bounded_line() {
        assert_eq!(detail("a\nhint: try x\n\nfatal: b\n"), "a; fatal: b");
        assert_eq!(detail(" \n"), "git gave no reason");
        assert!(detail(&"ü\n".repeat(5000)).chars().count() <= DETAIL_MAX_CHARS);
    }

    #[test]
    fn only_worktrees_that_are_locked_for_us_are_ours() {
        let text = "worktree /home/u/repo\nHEAD x\nbranch refs/heads/main\n\n\
                    worktree /jobs/1/tree\nHEAD x\ndetached\nlocked agent-runner job\n\n\
                    worktree /media/usb\nHEAD x\ndetached\nlocked removable disk\n\n\
                    worktree /tmp/other\nHEAD x\ndetached\nlocked\n";
        assert_eq!(worktrees_locked_for(text, "agent-runner"), [PathBuf::from("/jobs/1/tree")]);
    }
}
