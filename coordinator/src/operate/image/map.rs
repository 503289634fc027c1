//! The project → image map, shown and edited. A running coordinator reads it for each job.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;

use api_client::ProjectId;
use serde::Serialize;

use super::usage;
use crate::config::{ImageChoice, ImageConfig, ImageUsage};
use crate::images::ProjectImages;
use crate::operate::OperateError;
use crate::paper::Paper;

/// Version of the JSON.
const VERSION: u32 = 1;

/// The map, and what the settings make of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ImageMap {
    version: u32,
    path: PathBuf,
    /// The image of all other projects.
    general: String,
    /// Whether `AGENT_IMAGE` is given, over which the map does not count.
    agent_image_given: bool,
    projects: Vec<Mapped>,
}

/// One project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Mapped {
    project: ProjectId,
    /// The image of its next job.
    image: String,
    /// What the map says.
    mapped: Option<String>,
    from: Source,
}

/// Where a project's image comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Source {
    Map,
    Setting,
    Default,
}

/// What an edit came to.
#[derive(Clone, Debug)]
pub(crate) struct Edited {
    /// For people.
    pub(crate) told: String,
    /// Why it does not count, where it does not.
    pub(crate) but: Option<String>,
}

/// The map, or one project of it.
pub(crate) async fn map(
    config: &ImageConfig,
    project: Option<ProjectId>,
) -> Result<ImageMap, OperateError> {
    let images = ProjectImages::new(&config.state_dir);
    let usage = usage(config).await?;
    let all = images.all()?;
    let of_map: BTreeSet<ProjectId> = all.keys().filter_map(|id| id.parse().ok()).collect();
    let projects = match project {
        Some(project) => BTreeSet::from([project]),
        None => of_map.iter().chain(usage.projects.keys()).copied().collect(),
    };
    let rows = projects.into_iter().map(|project| {
        let mapped = all.get(&project.to_string()).cloned();
        let (image, from) = match (usage.choice(project), &mapped) {
            (ImageChoice::Explicit(image), _) => (image.clone(), Source::Setting),
            (ImageChoice::Default(_), Some(image)) => (image.clone(), Source::Map),
            (ImageChoice::Default(image), None) => (image.clone(), Source::Default),
        };
        Mapped { project, image, mapped, from }
    });
    Ok(ImageMap {
        version: VERSION,
        path: images.path().to_owned(),
        general: usage.general.general().to_owned(),
        agent_image_given: matches!(usage.general, ImageChoice::Explicit(_)),
        projects: rows.collect(),
    })
}

/// For people.
pub(crate) fn map_text(map: &ImageMap, paper: Paper) -> String {
    let mut text = String::new();
    let width = map.projects.iter().map(|row| row.image.len()).chain([map.general.len()]).max();
    let width = width.unwrap_or(0);
    let head = format!("{:<36}  {:<width$}  FROM", "PROJECT", "IMAGE");
    let _infallible = writeln!(text, "{}", paper.dim(&head));
    for row in &map.projects {
        let Mapped { project, image, mapped, from } = row;
        let from = match (from, mapped) {
            (Source::Map, _) => "the map".to_owned(),
            (Source::Setting, Some(mapped)) if mapped != image => {
                paper.yellow(&format!("AGENT_IMAGE, over {mapped} of the map"))
            }
            (Source::Setting, _) => "AGENT_IMAGE".to_owned(),
            (Source::Default, _) => "the default".to_owned(),
        };
        let _infallible = writeln!(text, "{project}  {image:<width$}  {from}");
    }
    let from = if map.agent_image_given { "AGENT_IMAGE" } else { "the default" };
    let _infallible = writeln!(text, "{:<36}  {:<width$}  {from}", "all others", map.general);
    let _infallible = write!(text, "{}", paper.dim(&format!("map: {}", map.path.display())));
    text
}

/// For programs.
pub(crate) fn map_json(map: &ImageMap) -> String {
    // Strings and two switches always serialise.
    serde_json::to_string_pretty(map).unwrap_or_default()
}

/// Maps a project to an image.
pub(crate) async fn set(
    config: &ImageConfig,
    project: ProjectId,
    image: &str,
) -> Result<Edited, OperateError> {
    let usage = usage(config).await?;
    let before = ProjectImages::new(&config.state_dir).set(project, image)?;
    let was = match before {
        Some(before) if before == image => ", as before".to_owned(),
        Some(before) => format!(", and was {before}"),
        None => String::new(),
    };
    let told = format!("project {project}: {image}{was}; it counts from its next job on");
    Ok(Edited { told, but: overruled(&usage, project) })
}

/// Takes a project out of the map.
pub(crate) async fn unset(
    config: &ImageConfig,
    project: ProjectId,
) -> Result<Edited, OperateError> {
    let usage = usage(config).await?;
    let images = ProjectImages::new(&config.state_dir);
    let Some(before) = images.remove(project)? else {
        return Err(OperateError::NotMapped { project, path: images.path().to_owned() });
    };
    let now = usage.choice(project).general();
    let told =
        format!("project {project}: {now}, and was {before}; it counts from its next job on");
    Ok(Edited { told, but: None })
}

fn overruled(usage: &ImageUsage, project: ProjectId) -> Option<String> {
    match usage.choice(project) {
        ImageChoice::Explicit(image) => Some(format!(
            "AGENT_IMAGE is given ({image}) and counts over the map: take it out of the settings"
        )),
        ImageChoice::Default(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, Flags, load_images};

    fn config(state_dir: &std::path::Path, image: Option<&str>) -> ImageConfig {
        let mut flags = Flags::default();
        flags.values.insert("state-dir", vec![state_dir.display().to_string()]);
        if let Some(image) = image {
            flags.values.insert("image", vec![image.to_owned()]);
        }
        load_images(&flags, &Environment::default()).unwrap()
    }

    #[tokio::test]
    async fn an_edit_is_shown_and_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let (config, project) = (config(dir.path(), None), ProjectId::random());
        let edited = set(&config, project, "special:2").await.unwrap();
        assert!(edited.told.contains("special:2; it counts") && edited.but.is_none());
        let shown = map_text(&map(&config, None).await.unwrap(), Paper::Plain);
        let line = format!("{project}  special:2           the map");
        assert!(shown.contains(&line), "{shown}");
        assert!(shown.contains("terarchitect-agent  the default"), "{shown}");
        unset(&config, project).await.unwrap();
        let error = unset(&config, project).await.unwrap_err().to_string();
        assert!(error.contains(&project.to_string()), "{error}");
        assert!(map(&config, None).await.unwrap().projects.is_empty());
    }

    #[tokio::test]
    async fn a_map_that_does_not_count_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let (config, project) = (config(dir.path(), Some("given:1")), ProjectId::random());
        let edited = set(&config, project, "special:2").await.unwrap();
        assert!(edited.but.unwrap().contains("AGENT_IMAGE is given (given:1)"));
        let map = map(&config, Some(project)).await.unwrap();
        assert!(map_text(&map, Paper::Plain).contains("AGENT_IMAGE, over special:2 of the map"));
        let json: serde_json::Value = serde_json::from_str(&map_json(&map)).unwrap();
        assert_eq!(json["agent_image_given"], true);
        assert_eq!(json["projects"][0]["image"], "given:1");
        assert_eq!(json["projects"][0]["mapped"], "special:2");
        assert_eq!(json["projects"][0]["from"], "setting");
    }
}
