//! Which image a project's jobs run in: `project_images.json` in the state directory maps a
//! project to an image. A job that delivered records its image there, and an operator may edit it: by hand, or
//! by `coordinator image map`.
//!
//! Invariants: the file is read for each job, so that an edit counts from the next one on; whoever changes it
//! holds a lock on the state directory's own file while he reads and writes, in whatever process; a file that
//! cannot be read is never replaced.
//!
//! An `AGENT_IMAGE` that was set explicitly wins over the file, so that changing it takes effect.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use api_client::ProjectId;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::config::ImageChoice;
use crate::ledger::{Existing, LedgerError, aside, make_private_dir, write_durably};

/// How long somebody else who changes the map is waited for, and how often it is looked whether he still does.
const HOLD: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(20);

/// The project → image map of one state directory.
#[derive(Clone, Debug)]
pub(crate) struct ProjectImages {
    path: PathBuf,
}

/// The map cannot be used. It is left as it is: an operator wrote it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImagesError {
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} must be a JSON object of strings: mend or remove it", path.display())]
    Form {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error("cannot hold the state directory of {} to change it", path.display())]
    Hold {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Write(#[from] LedgerError),
}

impl ProjectImages {
    /// The map below a state directory.
    pub(crate) fn new(state_dir: &Path) -> Self {
        Self { path: state_dir.join("project_images.json") }
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What it says: images by the ids of projects, and by whatever else somebody wrote there.
    pub(crate) fn all(&self) -> Result<BTreeMap<String, String>, ImagesError> {
        self.read()
    }

    /// The image for a project's next job.
    pub(crate) fn image_for(
        &self,
        choice: &ImageChoice,
        project: ProjectId,
    ) -> Result<String, ImagesError> {
        match choice {
            ImageChoice::Explicit(image) => Ok(image.clone()),
            ImageChoice::Default(image) => {
                let mapped = self.read()?.remove(&project.to_string());
                Ok(mapped.unwrap_or_else(|| image.clone()))
            }
        }
    }

    /// The images that the next job of a project, or of any project, may need.
    pub(crate) fn needed(
        &self,
        choice: &ImageChoice,
        project: Option<ProjectId>,
    ) -> Result<BTreeSet<String>, ImagesError> {
        match (choice, project) {
            (_, Some(project)) => Ok(BTreeSet::from([self.image_for(choice, project)?])),
            (ImageChoice::Explicit(image), None) => Ok(BTreeSet::from([image.clone()])),
            (ImageChoice::Default(image), None) => {
                Ok(self.read()?.into_values().chain([image.clone()]).collect())
            }
        }
    }

    /// Records that a job of a project delivered in an image. Where this map chose the image, what is there
    /// meanwhile is what an operator wants for the next job, and stays, also if it is nothing.
    pub(crate) async fn remember(
        &self,
        choice: &ImageChoice,
        project: ProjectId,
        image: &str,
    ) -> Result<(), ImagesError> {
        let (map, choice, image) = (self.clone(), choice.clone(), image.to_owned());
        aside(&self.path, move || Ok(map.record(&choice, project, &image))).await?
    }

    fn record(
        &self,
        choice: &ImageChoice,
        project: ProjectId,
        image: &str,
    ) -> Result<(), ImagesError> {
        let change = |images: &mut BTreeMap<String, String>| match choice {
            ImageChoice::Default(default) if image == default => {
                images.entry(project.to_string()).or_insert_with(|| image.to_owned());
            }
            ImageChoice::Default(_) => {}
            ImageChoice::Explicit(_) => {
                images.insert(project.to_string(), image.to_owned());
            }
        };
        let mut images = self.read()?;
        let before = images.clone();
        change(&mut images);
        // Mostly it is known, and nobody is waited for.
        if images == before { Ok(()) } else { self.change(change) }
    }

    /// Maps a project to an image; returns the one that it was mapped to.
    pub(crate) fn set(
        &self,
        project: ProjectId,
        image: &str,
    ) -> Result<Option<String>, ImagesError> {
        self.change(|images| images.insert(project.to_string(), image.to_owned()))
    }

    /// Takes a project out; returns the image that it was mapped to.
    pub(crate) fn remove(&self, project: ProjectId) -> Result<Option<String>, ImagesError> {
        self.change(|images| images.remove(&project.to_string()))
    }

    /// Reads, changes and writes it, where something has changed. Its mode stays.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut BTreeMap<String, String>) -> T,
    ) -> Result<T, ImagesError> {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        make_private_dir(dir)?;
        let _alone = self.hold(dir)?;
        let mut images = self.read()?;
        let before = images.clone();
        let done = change(&mut images);
        if images == before {
            return Ok(done);
        }
        let text = serde_json::to_vec_pretty(&images)
            .map_err(|source| ImagesError::Form { path: self.path.clone(), source })?;
        write_durably(dir, &self.path, &text, Existing::ReplaceWithItsMode)?;
        Ok(done)
    }

    /// Nobody else changes the map while this is held.
    fn hold(&self, dir: &Path) -> Result<Flock<File>, ImagesError> {
        let failed = |source| ImagesError::Hold { path: self.path.clone(), source };
        let mut folder = File::open(dir).map_err(failed)?;
        let begun = Instant::now();
        loop {
            match Flock::lock(folder, FlockArg::LockExclusiveNonblock) {
                Ok(held) => return Ok(held),
                Err((_, error)) if error != Errno::EWOULDBLOCK || begun.elapsed() >= HOLD => {
                    return Err(failed(error.into()));
                }
                Err((again, _)) => folder = again,
            }
            sleep(LOOK);
        }
    }

    fn read(&self) -> Result<BTreeMap<String, String>, ImagesError> {
        let path = || self.path.clone();
        match std::fs::read(&self.path) {
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|source| ImagesError::Form { path: path(), source }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(source) => Err(ImagesError::Read { path: path(), source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn default() -> ImageChoice {
        ImageChoice::Default("terarchitect-agent".to_owned())
    }

    #[test]
    fn a_project_goes_on_with_the_image_that_delivered() {
        let dir = tempfile::tempdir().unwrap();
        let images = ProjectImages::new(dir.path());
        let (one, other) = (ProjectId::random(), ProjectId::random());
        let explicit = ImageChoice::Explicit("special:2".to_owned());
        images.record(&explicit, one, "special:2").unwrap();
        assert_eq!(images.image_for(&default(), one).unwrap(), "special:2");
        assert_eq!(images.image_for(&default(), other).unwrap(), "terarchitect-agent");
        let any: Vec<_> = images.needed(&default(), None).unwrap().into_iter().collect();
        assert_eq!(any, ["special:2", "terarchitect-agent"]);
    }

    #[test]
    fn a_changed_agent_image_takes_effect_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let project = ProjectId::random();
        let explicit = ImageChoice::Explicit("new:2".to_owned());
        let images = ProjectImages::new(dir.path());
        images.set(project, "old:1").unwrap();
        assert_eq!(images.image_for(&explicit, project).unwrap(), "new:2");
        images.record(&explicit, project, "new:2").unwrap();
        assert_eq!(images.image_for(&default(), project).unwrap(), "new:2");
    }

    #[test]
    fn an_operators_typing_error_is_named_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("project_images.json");
        fs::write(&path, "{\"a\": }").unwrap();
        let images = ProjectImages::new(dir.path());
        let error = images.image_for(&default(), ProjectId::random()).unwrap_err().to_string();
        assert!(error.contains("project_images.json must be a JSON object"), "{error}");
        assert!(images.record(&default(), ProjectId::random(), "x").is_err());
        assert!(images.set(ProjectId::random(), "x").is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"a\": }");
    }

    #[test]
    fn a_job_that_ends_does_not_take_back_what_the_operator_chose_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let (images, project) = (ProjectImages::new(dir.path()), ProjectId::random());
        images.set(project, "old:1").unwrap();
        assert_eq!(images.set(project, "new:2").unwrap().as_deref(), Some("old:1"));
        images.record(&default(), project, "old:1").unwrap();
        assert_eq!(images.image_for(&default(), project).unwrap(), "new:2");
        assert_eq!(images.remove(project).unwrap().as_deref(), Some("new:2"));
        assert_eq!(images.remove(project).unwrap(), None);
        images.record(&default(), project, "new:2").unwrap();
        assert_eq!(images.image_for(&default(), project).unwrap(), "terarchitect-agent");
    }

    #[test]
    fn an_edit_keeps_the_mode_of_the_file_and_what_others_wrote_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("project_images.json");
        fs::write(&path, r#"{"a name": "x:1"}"#).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let images = ProjectImages::new(dir.path());
        images.set(ProjectId::random(), "y:2").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(images.all().unwrap()["a name"], "x:1");
        assert_eq!(images.all().unwrap().len(), 2);
    }

    #[test]
    fn who_holds_the_map_for_long_delays_no_job_that_changes_nothing_and_is_named_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let (images, project) = (ProjectImages::new(dir.path()), ProjectId::random());
        images.set(project, "x:1").unwrap();
        let folder = File::open(dir.path()).unwrap();
        let _held = Flock::lock(folder, FlockArg::LockExclusive).unwrap();
        images.record(&default(), project, "x:1").unwrap();
        assert!(matches!(images.set(project, "y:2"), Err(ImagesError::Hold { .. })));
    }

    #[test]
    fn edits_from_many_sides_at_once_all_count() {
        let dir = tempfile::tempdir().unwrap();
        let projects: Vec<_> = (0..16).map(|_| ProjectId::random()).collect();
        std::thread::scope(|threads| {
            for project in &projects {
                let images = ProjectImages::new(dir.path());
                threads.spawn(move || images.set(*project, "x:1").unwrap());
            }
        });
        assert_eq!(ProjectImages::new(dir.path()).all().unwrap().len(), projects.len());
    }
}
