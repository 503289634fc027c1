//! What a commit says of itself, and what is said of it.

use super::super::*;

#[test]
fn a_subject_is_one_line_of_at_most_72_characters() {
    let long = "ü".repeat(100);
    for (subject, body, expected) in [
        ("Fix it", "", "Fix it\n".to_owned()),
        ("\n  Fix it \nand more", "Why.", "Fix it\n\nWhy.\n".to_owned()),
        ("", " ", "Work by the agent\n".to_owned()),
        (&long, "", format!("{}…\n", "ü".repeat(71))),
        (&"x".repeat(72), "", format!("{}\n", "x".repeat(72))),
    ] {
        assert_eq!(CommitMessage::new(subject, body, &[]).0, expected);
    }
}

#[test]
fn trailers_stand_at_the_end() {
    let trailers = [("Ticket", "1".to_owned()), ("Worker", "codex".to_owned())];
    let message = CommitMessage::new("Fix it", "Why.", &trailers);
    assert_eq!(message.0, "Fix it\n\nWhy.\n\nTicket: 1\nWorker: codex\n");
    assert_eq!(CommitMessage::new("Fix it", "", &trailers[..1]).0, "Fix it\n\nTicket: 1\n");
}

#[test]
fn an_author_that_no_commit_can_carry_is_refused_by_the_names_of_its_settings() {
    assert!(Author::new("Terarchitect Agent", "agent@terarchitect.local").is_ok());
    for (name, email) in [("", "a@b"), ("A", ""), ("<>", "a@b")] {
        let error = Author::new(name, email).unwrap_err().to_string();
        assert!(error.contains("GIT_USER_NAME"), "{error}");
    }
}

#[test]
fn the_stat_speaks_of_one_file_in_the_singular() {
    let stat = DiffStat { files: 1, insertions: 2, deletions: 0 };
    assert_eq!(stat.to_string(), "1 file changed, +2 -0");
}
