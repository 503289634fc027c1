//! Which image a project's jobs run in: `project_images.json` in the state directory maps a
//! project to an image. A job that delivered records its image there, and an operator may edit it.
//!
//! An `AGENT_IMAGE` that was set explicitly wins over the file, so that changing it takes effect.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use api_client::ProjectId;

use crate::config::ImageChoice;
use crate::ledger::{Existing, LedgerError, aside, write_durably};

/// The project → image map of one state directory.
#[derive(Clone, Debug)]
pub(crate) struct ProjectImages {
    path: PathBuf,
    /// Held by whoever changes the file, which is read before.
    recording: Arc<Mutex<()>>,
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
    #[error(transparent)]
    Write(#[from] LedgerError),
}

impl ProjectImages {
    /// The map below a state directory.
    pub(crate) fn new(state_dir: &Path) -> Self {
        Self { path: state_dir.join("project_images.json"), recording: Arc::default() }
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

    /// Records that a job of a project delivered in an image.
    pub(crate) async fn remember(
        &self,
        project: ProjectId,
        image: &str,
    ) -> Result<(), ImagesError> {
        let (map, image) = (self.clone(), image.to_owned());
        aside(&self.path, move || Ok(map.record(project, &image))).await?
    }

    fn record(&self, project: ProjectId, image: &str) -> Result<(), ImagesError> {
        let _alone = self.recording.lock().unwrap_or_else(PoisonError::into_inner);
        let mut images = self.read()?;
        let before = images.insert(project.to_string(), image.to_owned());
        if before.as_deref() == Some(image) {
            return Ok(());
        }
        let text = serde_json::to_vec_pretty(&images)
            .map_err(|source| ImagesError::Form { path: self.path.clone(), source })?;
        let dir = self.path.parent().unwrap_or(Path::new("."));
        Ok(write_durably(dir, &self.path, &text, Existing::Replace)?)
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
    use super::*;

    fn default() -> ImageChoice {
        ImageChoice::Default("terarchitect-agent".to_owned())
    }

    #[test]
    fn a_project_goes_on_with_the_image_that_delivered() {
        let dir = tempfile::tempdir().unwrap();
        let images = ProjectImages::new(dir.path());
        let (one, other) = (ProjectId::random(), ProjectId::random());
        images.record(one, "special:2").unwrap();
        assert_eq!(images.image_for(&default(), one).unwrap(), "special:2");
        assert_eq!(images.image_for(&default(), other).unwrap(), "terarchitect-agent");
        let any: Vec<_> = images.needed(&default(), None).unwrap().into_iter().collect();
        assert_eq!(any, ["special:2", "terarchitect-agent"]);
    }

    #[test]
    fn a_changed_agent_image_takes_effect_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let project = ProjectId::random();
        ProjectImages::new(dir.path()).record(project, "old:1").unwrap();
        let explicit = ImageChoice::Explicit("new:2".to_owned());
        let images = ProjectImages::new(dir.path());
        assert_eq!(images.image_for(&explicit, project).unwrap(), "new:2");
    }

    #[test]
    fn an_operators_typing_error_is_named_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("project_images.json");
        std::fs::write(&path, "{\"a\": }").unwrap();
        let images = ProjectImages::new(dir.path());
        let error = images.image_for(&default(), ProjectId::random()).unwrap_err().to_string();
        assert!(error.contains("project_images.json must be a JSON object"), "{error}");
        assert!(images.record(ProjectId::random(), "x").is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"a\": }");
    }
}
