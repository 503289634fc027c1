//! Tests that are gone, skipped, or assert less than before. A reviewer is told; nothing is blocked.
//!
//! Tests and assertions are counted over all files of a language: one that only moved to another file
//! is not missed.

use std::collections::HashMap;
use std::path::Path;

use api_client::outcome::{Finding, FindingKind};
use git2::Repository;

use super::language::{self, Language, Role};
use super::outgoing::{Blob, NetChange};

/// The largest file of tests that is read, in bytes.
const TEST_FILE_MAX: usize = 2 << 20;

/// What the whole change did to the tests in these files.
pub(super) fn findings(
    repository: &Repository,
    changes: &[NetChange],
) -> Result<Vec<Finding>, git2::Error> {
    let mut findings = Vec::new();
    let mut pairs = Vec::new();
    for change in changes {
        pairs.extend(Pair::read(repository, change)?);
    }
    let totals = Totals::of(&pairs);
    for pair in &pairs {
        findings.extend(pair.deleted());
        findings.extend(pair.fewer(&totals));
        findings.extend(pair.added(pair.language.skips, FindingKind::TestSkipped));
        findings.extend(pair.added(pair.language.vacuous, FindingKind::TestWeakened));
    }
    Ok(findings)
}

fn is_test_file(path: &Path) -> bool {
    language::of(&path.to_string_lossy()).is_some_and(|(_, role)| role == Role::TestFile)
}

/// A file before and after, as far as it holds tests.
struct Pair<'c> {
    change: &'c NetChange,
    /// Its path, the old one if it is gone.
    path: &'c Path,
    language: &'static Language,
    old: Tests,
    new: Tests,
}

/// The part of a file that is tests.
#[derive(Default)]
struct Tests {
    /// Line numbers from 1, and lines without indentation, comments left out.
    lines: Vec<(usize, String)>,
    tests: usize,
    assertions: usize,
}

/// Tests and assertions, old and new, of each language.
struct Totals(HashMap<&'static str, [usize; 4]>);

impl Totals {
    fn of(pairs: &[Pair<'_>]) -> Self {
        let mut totals = HashMap::new();
        for pair in pairs {
            let total: &mut [usize; 4] = totals.entry(pair.language.name).or_default();
            let counts = [pair.old.tests, pair.new.tests, pair.old.assertions, pair.new.assertions];
            total.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        Self(totals)
    }

    fn fewer_tests(&self, language: &'static Language) -> bool {
        self.0.get(language.name).is_some_and(|[old, new, ..]| new < old)
    }

    fn fewer_assertions(&self, language: &'static Language) -> bool {
        self.0.get(language.name).is_some_and(|[.., old, new]| new < old)
    }
}

impl<'c> Pair<'c> {
    fn read(repository: &Repository, change: &'c NetChange) -> Result<Option<Self>, git2::Error> {
        let Some(named) = change.new.as_ref().or(change.old.as_ref()) else {
            return Ok(None);
        };
        let Some((language, _)) = language::of(&named.path.to_string_lossy()) else {
            return Ok(None);
        };
        let tests = |blob: &Option<Blob>| match blob {
            Some(blob) => Tests::read(repository, blob),
            None => Ok(Tests::default()),
        };
        let (old, new) = (tests(&change.old)?, tests(&change.new)?);
        Ok(Some(Self { change, path: &named.path, language, old, new }))
    }

    /// A file of tests that is no more, or is none any more by its new name.
    fn deleted(&self) -> Option<Finding> {
        let old = self.change.old.as_ref()?;
        if self.old.tests == 0 || !is_test_file(&old.path) {
            return None;
        }
        let detail = match &self.change.new {
            None => format!("this file is deleted, with {} tests", self.old.tests),
            Some(new) if is_test_file(&new.path) => return None,
            Some(_) => "this file of tests is renamed so that it is none".to_owned(),
        };
        let kind = FindingKind::TestDeleted;
        Some(Finding { kind, path: old.path.clone(), line: None, detail })
    }

    /// Fewer tests, or as many that assert less.
    fn fewer(&self, totals: &Totals) -> Option<Finding> {
        let (old, new) = (&self.old, &self.new);
        let less = |before: usize, after: usize, what: &str| match before - after {
            1 => format!("one {what} fewer than before"),
            more => format!("{more} {what}s fewer than before"),
        };
        let (kind, detail) = if self.change.new.is_none() || self.deleted().is_some() {
            return None;
        } else if new.tests < old.tests && totals.fewer_tests(self.language) {
            (FindingKind::TestDeleted, less(old.tests, new.tests, "test"))
        } else if new.tests >= old.tests
            && new.assertions < old.assertions
            && totals.fewer_assertions(self.language)
        {
            (FindingKind::TestWeakened, less(old.assertions, new.assertions, "assertion"))
        } else {
            return None;
        };
        Some(Finding { kind, path: self.path.to_owned(), line: None, detail })
    }

    /// Lines with one of these words that there are more of than before.
    fn added(&self, words: &[&str], kind: FindingKind) -> Vec<Finding> {
        let mut before: HashMap<&str, usize> = HashMap::new();
        for (_, line) in &self.old.lines {
            *before.entry(line).or_default() += 1;
        }
        let with_word = |line: &str| words.iter().find(|word| has_word(line, word)).copied();
        let old = self.old.lines.iter().filter(|(_, line)| with_word(line).is_some()).count();
        let found: Vec<(usize, &str)> = self
            .new
            .lines
            .iter()
            .filter_map(|(number, line)| Some((*number, with_word(line)?, line)))
            .filter(|(.., line)| match before.get_mut(line.as_str()) {
                Some(count) if *count > 0 => {
                    *count -= 1;
                    false
                }
                _ => true,
            })
            .map(|(number, word, _)| (number, word))
            .collect();
        let new = self.new.lines.iter().filter(|(_, line)| with_word(line).is_some()).count();
        let more = new.saturating_sub(old);
        let finding = |(line, word): (usize, &str)| Finding {
            kind,
            path: self.path.to_owned(),
            line: Some(line),
            detail: format!("`{}` is new here", word.trim()),
        };
        found.into_iter().take(more).map(finding).collect()
    }
}

impl Tests {
    fn read(repository: &Repository, blob: &Blob) -> Result<Self, git2::Error> {
        let path = blob.path.to_string_lossy();
        let Some((language, role)) = language::of(&path) else {
            return Ok(Self::default());
        };
        if role == Role::Source && language.inline.is_none() {
            return Ok(Self::default());
        }
        if repository.odb()?.read_header(blob.id)?.0 > TEST_FILE_MAX {
            return Ok(Self::default());
        }
        let content = repository.find_blob(blob.id)?;
        Ok(Self::of(&String::from_utf8_lossy(content.content()), language, role))
    }

    fn of(text: &str, language: &Language, role: Role) -> Self {
        let inline = language.inline.filter(|_| role == Role::Source);
        let numbered = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
        let lines: Vec<(usize, String)> = numbered
            .skip_while(|(_, line)| inline.is_some_and(|mark| !line.starts_with(mark)))
            .filter(|(_, line)| !line.is_empty() && !line.starts_with(language.comment))
            .map(|(number, line)| (number, line.to_owned()))
            .collect();
        let count = |words: &[&str]| {
            lines.iter().filter(|(_, line)| words.iter().any(|word| has_word(line, word))).count()
        };
        Self { tests: count(language.tests), assertions: count(language.assertions), lines }
    }
}

/// Whether a line has this word where no longer word goes on before it.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let first = word.chars().next();
        let both_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
        !(before.is_some_and(both_word) && first.is_some_and(both_word))
    })
}

#[cfg(test)]
mod tests;
