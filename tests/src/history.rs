//! A repository with a long history, as a stream for `git fast-import`.

use std::io::{self, Write};

/// When the first commit was made, in seconds since 1970.
const BEGIN: u64 = 1_600_000_000;

/// Writes a branch `main` of this many commits on this many files of text; each commit after the first
/// changes one line of one file. The same text each time. `programs` are further files, which can be run.
///
/// # Errors
/// When the stream cannot be written.
pub fn write(
    stream: &mut dyn Write,
    commits: u32,
    files: u32,
    programs: &[(&str, &str)],
) -> io::Result<()> {
    let mut random = fastrand::Rng::with_seed(1);
    let mut texts: Vec<Vec<String>> = (0..files)
        .map(|_| (0..random.usize(20..150)).map(|_| line(&mut random)).collect())
        .collect();
    commit(stream, "main", 0, Parent::None)?;
    for (name, text) in programs {
        file(stream, "100755", name, text)?;
    }
    for (number, text) in texts.iter().enumerate() {
        file(stream, "100644", &path(number), &text.join("\n"))?;
    }
    for number in 1..commits {
        commit(stream, "main", number, Parent::Last)?;
        let chosen = random.usize(..texts.len());
        let text = &mut texts[chosen];
        let at = random.usize(..text.len());
        text[at] = line(&mut random);
        file(stream, "100644", &path(chosen), &text.join("\n"))?;
    }
    Ok(())
}

/// Writes one more commit to a branch that the repository has.
///
/// # Errors
/// When the stream cannot be written.
pub fn write_one_more(stream: &mut dyn Write, branch: &str) -> io::Result<()> {
    let mut random = fastrand::Rng::new();
    commit(stream, branch, random.u32(..), Parent::OfTheBranch)?;
    file(stream, "100644", "newest.txt", &line(&mut random))
}

/// What a commit builds upon.
#[derive(Clone, Copy)]
enum Parent {
    None,
    /// The one before in the same stream.
    Last,
    /// What the branch has in the repository.
    OfTheBranch,
}

fn commit(stream: &mut dyn Write, branch: &str, number: u32, parent: Parent) -> io::Result<()> {
    let message = format!("commit {number}");
    let when = BEGIN + u64::from(number % 1_000_000) * 60;
    writeln!(stream, "commit refs/heads/{branch}")?;
    writeln!(stream, "committer Person <person@example.org> {when} +0000")?;
    writeln!(stream, "data {}\n{message}", message.len())?;
    match parent {
        Parent::None | Parent::Last => Ok(()),
        Parent::OfTheBranch => writeln!(stream, "from refs/heads/{branch}^0"),
    }
}

fn file(stream: &mut dyn Write, mode: &str, path: &str, text: &str) -> io::Result<()> {
    writeln!(stream, "M {mode} inline {path}\ndata {}\n{text}", text.len())
}

fn path(number: usize) -> String {
    format!("src/part-{}/file-{number}.txt", number % 60)
}

fn line(random: &mut fastrand::Rng) -> String {
    let words: Vec<String> = (0..8).map(|_| format!("w{}", random.u32(..2000))).collect();
    words.join(" ")
}
