//! A look at what would be published, before it is: secrets, forbidden paths, large files, and tests
//! that are gone, skipped or weaker.
//!
//! Invariant: everything is read from commits and blobs of our own git directory, and what a pointer of
//! Git LFS stands for from a folder of ours, so that no attribute, ignore rule or marker that a worker
//! wrote hides anything; no finding holds the value of a secret, and its detail holds words of ours alone.

mod language;
mod outgoing;
mod secret;
mod stored;
mod test_change;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use api_client::outcome::{Finding, FindingKind};
use api_client::{REDACTED, Redactor};
use git2::{Oid, Repository};

pub(crate) use self::outgoing::new_files;

use self::outgoing::{Blob, CommitChanges};
use crate::git::CommitId;
use crate::lfs::LfsStore;
use crate::project_file::{self, PathPatterns};

/// The largest file that is published where nothing else is set: forges warn from 50 MB on and refuse
/// more than 100 MB.
pub(crate) const MAX_FILE_BYTES: u64 = 50 << 20;

/// What may be published.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// The values that must not be.
    pub(crate) known: Redactor,
    /// Paths that the agent may not touch.
    pub(crate) forbidden: PathPatterns,
    /// Files that may hold what looks like a key. Known values are found in them as well.
    pub(crate) examples: PathPatterns,
    /// The largest file, in bytes; in Git LFS a file may be larger.
    pub(crate) max_file_bytes: u64,
    /// Where the content is that pointers stand for: that is what is looked through.
    pub(crate) lfs: Option<LfsStore>,
}

impl Policy {
    /// Nothing is forbidden but these values, what looks like a key, and very large files.
    pub(crate) fn new(known: Redactor) -> Self {
        Self {
            known,
            forbidden: PathPatterns::default(),
            examples: PathPatterns::default(),
            max_file_bytes: MAX_FILE_BYTES,
            lfs: None,
        }
    }
}

/// The commits that would be published: those that `tip` has and the others have not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing {
    /// The base branch, as it was fetched last.
    pub(crate) base: CommitId,
    /// Where the work began, which is on the remote: its branch, what was saved, or the base.
    pub(crate) start: CommitId,
    /// What would be pushed.
    pub(crate) tip: CommitId,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inspected {
    /// For people, and all of them; what blocks comes first. Their paths are readable and hold no
    /// secret, so they need not be those of the files.
    pub(crate) findings: Vec<Finding>,
    /// The files that must not be published.
    pub(crate) barred: BTreeSet<PathBuf>,
}

impl Inspected {
    /// What must not be published.
    pub(crate) fn blocking(&self) -> Vec<Finding> {
        self.findings.iter().filter(|finding| finding.kind.blocks()).cloned().collect()
    }
}

/// A text without anything that must not be published, such as what a model said.
pub(crate) fn without_secrets(known: &Redactor, text: &str) -> String {
    let mut hits: Vec<_> = secret::hits(known, None, text.as_bytes(), secret::Search::Everything)
        .into_iter()
        .map(|hit| hit.value)
        .collect();
    hits.sort_by_key(|range| std::cmp::Reverse(range.start));
    let mut bytes = text.as_bytes().to_vec();
    for range in hits {
        bytes.splice(range, REDACTED.bytes());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Looks at everything that would be published. It reads files of any size and number: call it where
/// it may block.
///
/// # Errors
/// When the commits cannot be read.
pub(crate) fn inspect(
    repository: &Repository,
    outgoing: &Outgoing,
    policy: &Policy,
) -> Result<Inspected, git2::Error> {
    let (base, start, tip) = (outgoing.base.oid(), outgoing.start.oid(), outgoing.tip.oid());
    let mut inspection = Inspection::new(repository, policy);
    for commit in outgoing::commits(repository, tip, &[base, start])? {
        inspection.commit(commit)?;
    }
    inspection.net_change(repository.merge_base(base, tip).unwrap_or(start), tip)?;
    inspection.forbidden_paths(&[base, start], tip)?;
    Ok(inspection.into_findings())
}

struct Inspection<'i> {
    repository: &'i Repository,
    policy: &'i Policy,
    findings: Vec<Finding>,
    /// Paths that any of the commits changed, or all of them together.
    touched: HashSet<PathBuf>,
    /// Files that were read and hold nothing.
    clean: HashSet<(Oid, PathBuf)>,
    large: HashSet<PathBuf>,
}

/// A secret in a file.
struct Suspect {
    path: PathBuf,
    line: Option<usize>,
    what: &'static str,
    value: Vec<u8>,
}

impl<'i> Inspection<'i> {
    fn new(repository: &'i Repository, policy: &'i Policy) -> Self {
        Self {
            repository,
            policy,
            findings: Vec::new(),
            touched: HashSet::new(),
            clean: HashSet::new(),
            large: HashSet::new(),
        }
    }

    /// What is wrong with a commit by itself: all of it is published, whatever a later one removes.
    fn commit(&mut self, commit: Oid) -> Result<(), git2::Error> {
        self.message(commit)?;
        let changes = outgoing::changes(self.repository, commit)?;
        let mut suspects = Vec::new();
        for file in &changes.files {
            suspects.extend(self.file(commit, file)?);
        }
        self.new_ones(commit, suspects, &changes)?;
        self.touched.extend(changes.paths);
        Ok(())
    }

    fn message(&mut self, commit: Oid) -> Result<(), git2::Error> {
        // As it is kept and pushed: what git shows of it ends at the first zero byte.
        let odb = self.repository.odb()?;
        let object = odb.read(commit)?;
        let search = secret::Search::Everything;
        for hit in secret::hits(&self.policy.known, None, object.data(), search) {
            self.add(FindingKind::Secret, Path::new(""), None, in_commit(hit.what, commit));
        }
        Ok(())
    }

    /// What is wrong with a file by its name and size; the secrets in it, which another file may have
    /// had before.
    fn file(&mut self, commit: Oid, file: &Blob) -> Result<Vec<Suspect>, git2::Error> {
        let name = file.path.to_string_lossy();
        if !self.policy.known.find(name.as_bytes()).is_empty() {
            let detail = in_commit("a secret of this run as a file name", commit);
            self.add(FindingKind::Secret, &file.path, None, detail);
        }
        let (size, _) = self.repository.odb()?.read_header(file.id)?;
        if size as u64 > self.policy.max_file_bytes {
            self.too_large(commit, file, size);
            return Ok(Vec::new());
        }
        if self.clean.contains(&(file.id, file.path.clone())) {
            return Ok(Vec::new());
        }
        let blob = self.repository.find_blob(file.id)?;
        let search = match self.policy.examples.matching(&file.path).is_some() {
            true => secret::Search::KnownValues,
            false => secret::Search::Everything,
        };
        if let Some(object) = self.stored(blob.content()) {
            return self.stored_file(file, &object, search);
        }
        let content = secret::readable(blob.content());
        let hits = secret::hits(&self.policy.known, Some(&name), &content, search);
        if hits.is_empty() {
            self.clean.insert((file.id, file.path.clone()));
        }
        let suspect = |hit: secret::Hit| Suspect {
            path: file.path.clone(),
            line: secret::line_of(&content, hit.value.start),
            what: hit.what,
            value: content[hit.value].to_vec(),
        };
        Ok(hits.into_iter().map(suspect).collect())
    }

    /// Those of the secrets that no file had before the commit.
    fn new_ones(
        &mut self,
        commit: Oid,
        suspects: Vec<Suspect>,
        changes: &CommitChanges,
    ) -> Result<(), git2::Error> {
        let values: HashSet<&[u8]> = suspects.iter().map(|suspect| &*suspect.value).collect();
        let known = changes.held_before(self.repository, values.into_iter().collect())?;
        for Suspect { path, line, what, value } in suspects {
            if !known.contains(&value) {
                self.add(FindingKind::Secret, &path, line, in_commit(what, commit));
            }
        }
        Ok(())
    }

    fn too_large(&mut self, commit: Oid, file: &Blob, size: usize) {
        if self.large.insert(file.path.clone()) {
            let limit = self.policy.max_file_bytes >> 20;
            let detail = format!("{} MiB, more than {limit} MiB", size >> 20);
            self.add(FindingKind::LargeFile, &file.path, None, in_commit(&detail, commit));
        }
    }

    /// A path that was touched, and in the end is neither as it was on the branch nor as it is in the base.
    fn forbidden_paths(&mut self, published: &[Oid], tip: Oid) -> Result<(), git2::Error> {
        let tree = |commit: Oid| self.repository.find_commit(commit)?.tree();
        let (tip, published) =
            (tree(tip)?, published.iter().map(|at| tree(*at)).collect::<Result<Vec<_>, _>>()?);
        let entry = |tree: &git2::Tree<'_>, path: &Path| {
            tree.get_path(path).ok().map(|entry| (entry.id(), entry.filemode()))
        };
        let differs = |path: &Path| {
            let now = entry(&tip, path);
            published.iter().all(|tree| entry(tree, path) != now)
        };
        let forbidden =
            |path: &'_ PathBuf| Some((path.clone(), self.policy.forbidden.matching(path)?));
        let mut paths: Vec<_> = self.touched.iter().filter_map(forbidden).collect();
        paths.retain(|(path, _)| differs(path));
        paths.sort();
        for (path, pattern) in paths {
            let detail = format!("the project forbids changes of {pattern:?}");
            self.add(FindingKind::ForbiddenPath, &path, None, detail);
        }
        Ok(())
    }

    /// What a reviewer of the whole change should know.
    fn net_change(&mut self, from: Oid, to: Oid) -> Result<(), git2::Error> {
        let files = outgoing::net_changes(self.repository, from, to)?;
        // What a merge took over from one side is no change of the merge's own.
        self.touched.extend(files.iter().flat_map(outgoing::NetChange::paths).cloned());
        if files.iter().any(|file| file.touches(Path::new(project_file::NAME))) {
            let detail = "the rules for the agent change when this is merged".to_owned();
            self.add(FindingKind::RulesChanged, Path::new(project_file::NAME), None, detail);
        }
        let found = test_change::findings(self.repository, &files)?;
        self.findings.extend(found);
        Ok(())
    }

    fn add(&mut self, kind: FindingKind, path: &Path, line: Option<usize>, detail: String) {
        self.findings.push(Finding { kind, path: path.to_owned(), line, detail });
    }

    fn into_findings(mut self) -> Inspected {
        let blocking = self.findings.iter().filter(|finding| finding.kind.blocks());
        // That of a commit's message is no file.
        let barred = blocking.map(|finding| finding.path.clone());
        let barred = barred.filter(|path| !path.as_os_str().is_empty()).collect();
        for finding in &mut self.findings {
            let path = finding.path.to_string_lossy();
            finding.path = PathBuf::from(self.policy.known.redact(&path).into_owned());
        }
        self.findings.sort_by_key(|finding| !finding.kind.blocks());
        Inspected { findings: self.findings, barred }
    }
}

fn in_commit(what: &str, commit: Oid) -> String {
    format!("{what}, in commit {:.10}", commit.to_string())
}
