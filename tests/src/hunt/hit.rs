//! The places that are searched, and what was found there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::pattern::Matcher;
use super::scene::Scene;

/// Where people look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The environment of every process of the machine, those in containers included.
    Environment,
    /// The arguments of every process.
    Arguments,
    /// What the engine tells of containers, commands in them, images, networks and volumes.
    Inspect,
    /// Their labels.
    Labels,
    /// An image made of the running container: its history, its configuration, its layer.
    Commit,
    /// The engine's files: layers, volumes, folders of containers, run-time state.
    Disk,
    /// The coordinator's state directory, its ledger above all.
    Ledger,
    /// What the coordinator prints.
    Journal,
    /// The log files of the jobs.
    JobLog,
    /// The log of the ticket in the app.
    TicketLog,
    /// The forge: all objects of the repository, and the pull request.
    PullRequest,
    /// The git directories in the job's folder.
    Clone,
}

impl Place {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Environment,
        Self::Arguments,
        Self::Inspect,
        Self::Labels,
        Self::Commit,
        Self::Disk,
        Self::Ledger,
        Self::Journal,
        Self::JobLog,
        Self::TicketLog,
        Self::PullRequest,
        Self::Clone,
    ];

    /// As it stands in the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Arguments => "arguments",
            Self::Inspect => "inspect",
            Self::Labels => "labels",
            Self::Commit => "commit",
            Self::Disk => "disk",
            Self::Ledger => "ledger",
            Self::Journal => "journal",
            Self::JobLog => "job-log",
            Self::TicketLog => "ticket-log",
            Self::PullRequest => "pull-request",
            Self::Clone => "clone",
        }
    }
}

/// A secret where none may be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// In which deployment.
    pub scene: Scene,
    /// The kind of place.
    pub place: Place,
    /// Where exactly.
    pub path: String,
    /// The secret's name.
    pub secret: String,
    /// How it was written.
    pub form: &'static str,
}

impl fmt::Display for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scene, place, path, secret, form } = self;
        write!(
            f,
            "hit: scene={scene} place={} secret={secret} form={form:?} path={path}",
            place.name()
        )
    }
}

/// What a search has found so far, and how much it has looked at.
#[derive(Debug)]
pub struct Hits<'m> {
    scene: Scene,
    matcher: &'m Matcher,
    found: BTreeSet<Hit>,
    looked: BTreeMap<Place, Looked>,
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Looked {
    /// Files, answers, processes.
    pub items: u64,
    /// Bytes in them.
    pub bytes: u64,
}

impl<'m> Hits<'m> {
    pub(super) fn new(scene: Scene, matcher: &'m Matcher) -> Self {
        Self { scene, matcher, found: BTreeSet::new(), looked: BTreeMap::new() }
    }

    /// Searches what `reader` brings.
    pub(super) fn search(&mut self, place: Place, path: &str, reader: impl Read) -> io::Result<()> {
        let (found, bytes) = self.matcher.search(reader)?;
        let looked = self.looked.entry(place).or_default();
        looked.items += 1;
        looked.bytes += bytes;
        self.found.extend(found.into_iter().map(|one| Hit {
            scene: self.scene,
            place,
            path: path.to_owned(),
            secret: one.secret,
            form: one.form,
        }));
        Ok(())
    }

    pub(super) fn search_text(&mut self, place: Place, path: &str, text: impl AsRef<[u8]>) {
        self.search(place, path, text.as_ref()).expect("memory can be read");
    }

    /// Searches a file; one that is gone by now holds nothing.
    pub(super) fn search_file(&mut self, place: Place, path: &Path) {
        let shown = path.display().to_string();
        // Its name is a place for a secret as well.
        self.search_text(place, &shown, &shown);
        match File::open(path).and_then(|file| self.search(place, &shown, file)) {
            Err(error) if !is_gone(&error) => panic!("{shown} cannot be searched: {error}"),
            Ok(()) | Err(_) => {}
        }
    }

    pub(super) fn into_parts(self) -> (BTreeSet<Hit>, BTreeMap<Place, Looked>) {
        (self.found, self.looked)
    }
}

/// A file that was removed, or whose process has ended.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(nix::errno::Errno::ESRCH as i32)
}
