//! Images that the engine has.

use std::collections::{BTreeMap, HashMap};

use bollard::models::ImageInspect;
use bollard::query_parameters::ListImagesOptionsBuilder;

use super::{CALL_TIMEOUT, Engine, EngineError, found};

/// What is known of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ImageFacts {
    /// The engine's id of it, `sha256:…`.
    pub(crate) id: String,
    /// Its names, with tags.
    pub(crate) tags: Vec<String>,
    /// In bytes, with what it shares with others.
    pub(crate) size: u64,
    /// When it was made, as RFC 3339 writes it; empty where the engine does not tell.
    pub(crate) created: String,
    /// The kind of processor that it is for, as the engine writes it: `amd64`.
    pub(crate) architecture: String,
    /// Its labels.
    pub(crate) labels: BTreeMap<String, String>,
}

impl Engine {
    /// An image by its name or id, if there is one.
    pub(crate) async fn image(&self, name: &str) -> Result<Option<ImageFacts>, EngineError> {
        let docker = self.docker().await?;
        let inspect = docker.inspect_image(name);
        Ok(found(self.call(CALL_TIMEOUT, "inspect image", name, inspect).await)?.map(facts))
    }

    /// The ids of the images that have a name and this label.
    pub(crate) async fn images_labelled(
        &self,
        label: &str,
        value: &str,
    ) -> Result<Vec<String>, EngineError> {
        let filters = HashMap::from([
            ("label", vec![format!("{label}={value}")]),
            ("dangling", vec!["false".to_owned()]),
        ]);
        let options = ListImagesOptionsBuilder::default().filters(&filters).build();
        let docker = self.docker().await?;
        let list = docker.list_images(Some(options));
        let images = self.call(CALL_TIMEOUT, "list images", label, list).await?;
        Ok(images.into_iter().map(|image| image.id).collect())
    }

    /// The kind of processor that its containers are for, as it writes it: `amd64`.
    pub(crate) async fn architecture(&self) -> Result<String, EngineError> {
        let docker = self.docker().await?;
        let version =
            self.call(CALL_TIMEOUT, "ask for the version of", "the engine", docker.version());
        Ok(version.await?.arch.unwrap_or_default())
    }
}

fn facts(image: ImageInspect) -> ImageFacts {
    let labels = image.config.and_then(|config| config.labels).unwrap_or_default();
    ImageFacts {
        id: image.id.unwrap_or_default(),
        tags: image.repo_tags.unwrap_or_default(),
        size: image.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
        created: image.created.unwrap_or_default(),
        architecture: image.architecture.unwrap_or_default(),
        labels: labels.into_iter().collect(),
    }
}
