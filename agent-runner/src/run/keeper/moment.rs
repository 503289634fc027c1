//! A moment of a run as one file: the document, the work tree and the coding CLI's session.
//!
//! Invariant: the three are written, replaced and removed together, so that no document is there with the tree of
//! another turn.

use std::fs::File;
use std::io::{self, Read, Write};

use api_client::JobId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::place::Since;
use crate::checkout::Start;
use crate::git::CommitId;
use crate::publish::KeptTree;
use crate::run::stage::Point;
use crate::worker::KeptSession;

/// The form of the document; one of another version is not read.
const VERSION: u32 = 1;

/// Longest document, and longest file beside it, in bytes.
const DOCUMENT_MAX: u64 = 32 << 20;
const FILE_MAX: u64 = 128 << 20;

const DOCUMENT: &str = "state.json";
const TREE: &str = "tree";
const SESSION: &str = "session";

/// Where a run was between two calls of a model.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Moment {
    /// Its name.
    pub(super) id: Uuid,
    /// The job that the run was for, in the app's queue.
    pub(super) job: Option<JobId>,
    /// What stands for the ticket as it was, and for how it is worked on.
    pub(super) assignment: String,
    /// The default branch.
    pub(super) base: String,
    /// Where the work began.
    pub(super) start: CommitId,
    pub(super) from: Start,
    pub(super) tree: KeptTree,
    pub(super) session: Option<KeptSession>,
    pub(super) point: Point,
    /// What became of it, which has a note of its own.
    #[serde(skip)]
    pub(super) since: Since,
}

/// What is beside the document.
#[derive(Debug)]
pub(super) struct Files {
    /// A pack of git.
    pub(super) tree: Vec<u8>,
    /// An archive, where the session can be kept.
    pub(super) session: Option<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u32,
    moment: T,
}

impl Moment {
    /// Writes it with its files; the document as `redacted`.
    pub(super) fn write(
        &self,
        files: &Files,
        to: impl Write,
        redacted: impl FnOnce(&str) -> String,
    ) -> io::Result<()> {
        let document = serde_json::to_string(&Versioned { version: VERSION, moment: self })?;
        let document = redacted(&document).into_bytes();
        // More could not be read again.
        if u64::try_from(document.len()).is_ok_and(|length| length > DOCUMENT_MAX) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut archive = tar::Builder::new(to);
        let session = files.session.as_ref().map(|session| (SESSION, session));
        for (name, bytes) in [(DOCUMENT, &document), (TREE, &files.tree)].into_iter().chain(session)
        {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len().try_into().map_err(io::Error::other)?);
            header.set_mode(0o600);
            archive.append_data(&mut header, name, bytes.as_slice())?;
        }
        archive.into_inner().map(drop)
    }

    /// Reads the document.
    pub(super) fn read(file: File) -> Result<Self, String> {
        let document = entry(file, DOCUMENT, DOCUMENT_MAX).map_err(|error| error.to_string())?;
        let text = document.ok_or("it has no document")?;
        let found: Versioned<serde_json::Value> =
            serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        if found.version != VERSION {
            return Err(format!("it is of version {}, and this is {VERSION}", found.version));
        }
        serde_json::from_value(found.moment).map_err(|error| error.to_string())
    }
}

impl Files {
    /// Reads what is beside the document.
    pub(super) fn read(open: impl Fn() -> io::Result<File>) -> io::Result<Self> {
        let tree = entry(open()?, TREE, FILE_MAX)?;
        let tree = tree.ok_or_else(|| io::Error::other("it has no work tree"))?;
        Ok(Self { tree, session: entry(open()?, SESSION, FILE_MAX)? })
    }
}

/// A part of such a file, if it has that.
fn entry(file: File, name: &str, max: u64) -> io::Result<Option<Vec<u8>>> {
    for found in tar::Archive::new(file).entries_with_seek()? {
        let found = found?;
        if found.path_bytes().as_ref() != name.as_bytes() {
            continue;
        }
        let size = found.size();
        if size > max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut bytes = Vec::new();
        found.take(max).read_to_end(&mut bytes)?;
        return match u64::try_from(bytes.len()) == Ok(size) {
            true => Ok(Some(bytes)),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        };
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::git::testing::Remote;
    use crate::publish::KeptTree;
    use crate::run::session::Checked;
    use crate::run::stage::Stage;

    fn moment() -> Moment {
        let point = Point {
            stage: Stage::Over(Checked::Well),
            begun: 5,
            turns: 3,
            answer: "Done with hunter2.".to_owned(),
            latest: String::new(),
            learnt: String::new(),
            words: String::new(),
            question: None,
            unchanged: Default::default(),
            by_products: Default::default(),
            told: Default::default(),
        };
        let start: CommitId = Remote::new("main").head("main").parse().unwrap();
        Moment {
            id: Uuid::new_v4(),
            job: Some(JobId::random()),
            assignment: "a".to_owned(),
            base: "main".to_owned(),
            start,
            from: Start::Fresh,
            tree: KeptTree::of_start(start),
            session: None,
            point,
            since: Since::default(),
        }
    }

    #[test]
    fn what_is_read_is_what_was_written_without_secrets_and_with_its_files() {
        let place = tempfile::NamedTempFile::new().unwrap();
        let open = || File::open(place.path());
        let (moment, tree) = (moment(), b"tree".to_vec());
        let files = Files { tree: tree.clone(), session: Some(Vec::new()) };
        let redacted = |text: &str| text.replace("hunter2", "***");
        moment.write(&files, place.as_file(), redacted).unwrap();
        let read = Moment::read(open().unwrap()).unwrap();
        assert_eq!((read.id, read.job, read.start), (moment.id, moment.job, moment.start));
        assert_eq!(read.point.answer, "Done with ***.");
        let files = Files::read(open).unwrap();
        assert_eq!((files.tree, files.session), (tree, Some(Vec::new())));
    }

    #[test]
    fn half_a_moment_and_one_of_another_version_are_none() {
        let place = tempfile::NamedTempFile::new().unwrap();
        let files = Files { tree: vec![7; 2_000], session: None };
        let newer = |text: &str| text.replace("{\"version\":1,", "{\"version\":2,");
        moment().write(&files, place.as_file(), newer).unwrap();
        let refused = Moment::read(File::open(place.path()).unwrap()).unwrap_err();
        assert_eq!(refused, "it is of version 2, and this is 1");
        let whole = fs::read(place.path()).unwrap();
        fs::write(place.path(), &whole[..whole.len() / 2]).unwrap();
        Files::read(|| File::open(place.path())).unwrap_err();
    }
}
