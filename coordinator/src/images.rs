//! Which image a project's jobs run in: `project_images.json` in the state directory maps a
//! project to an image. A job that delivered records its image there, and an operator may edit it.
//!
//! An `AGENT_IMAGE` that was set explicitly wins over the file, so that changing it takes effect.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use api_client::ProjectId;

use crate::config::ImageChoice;

/// The project → image map of one state directory.
#[derive(Debug)]
pub(crate) struct ProjectImages {
    path: PathBuf,
    choice: ImageChoice,
}

impl ProjectImages {
    /// The map below a state directory.
    pub(crate) fn new(state_dir: &Path, choice: ImageChoice) -> Self {
        Self { path: state_dir.join("project_images.json"), choice }
    }

    /// The image for a project's next job, or for a job of a project not yet known.
    pub(crate) fn image_for(&self, project: Option<ProjectId>) -> String {
        match (&self.choice, project) {
            (ImageChoice::Default(image), Some(project)) => {
                self.read().remove(&project.to_string()).unwrap_or_else(|| image.clone())
            }
            (ImageChoice::Explicit(image) | ImageChoice::Default(image), _) => image.clone(),
        }
    }

    /// Records that a job of a project delivered in an image.
    pub(crate) fn remember(&self, project: ProjectId, image: &str) -> io::Result<()> {
        let mut images = self.read();
        let before = images.insert(project.to_string(), image.to_owned());
        if before.as_deref() == Some(image) {
            return Ok(());
        }
        let dir = self.path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        serde_json::to_writer_pretty(&mut file, &images)?;
        file.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }

    /// The file's content; a damaged one is reported and counts as empty.
    fn read(&self) -> BTreeMap<String, String> {
        let text = match std::fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return BTreeMap::new(),
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "cannot read project images");
                return BTreeMap::new();
            }
        };
        serde_json::from_slice(&text).unwrap_or_else(|error| {
            tracing::warn!(
                path = %self.path.display(), %error,
                "project images are not a JSON object of strings; using the default image"
            );
            BTreeMap::new()
        })
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
        let images = ProjectImages::new(dir.path(), default());
        let (one, other) = (ProjectId::random(), ProjectId::random());
        images.remember(one, "special:2").unwrap();
        assert_eq!(images.image_for(Some(one)), "special:2");
        assert_eq!(images.image_for(Some(other)), "terarchitect-agent");
        assert_eq!(images.image_for(None), "terarchitect-agent");
    }

    #[test]
    fn a_changed_agent_image_takes_effect_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let project = ProjectId::random();
        ProjectImages::new(dir.path(), default()).remember(project, "old:1").unwrap();
        let explicit = ImageChoice::Explicit("new:2".to_owned());
        let images = ProjectImages::new(dir.path(), explicit);
        assert_eq!(images.image_for(Some(project)), "new:2");
    }

    #[test]
    fn a_damaged_file_is_no_reason_to_stop() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("project_images.json"), "[1]").unwrap();
        let images = ProjectImages::new(dir.path(), default());
        assert_eq!(images.image_for(Some(ProjectId::random())), "terarchitect-agent");
    }
}
