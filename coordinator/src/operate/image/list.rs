//! The images that jobs get, and the agent's images that the engine has.

use std::collections::BTreeMap;
use std::fmt::Write;

use api_client::ProjectId;
use serde::Serialize;

use super::{TITLE, TITLE_LABEL, VERSION_LABEL, usage};
use crate::check::{Fit, fit, seconds_of};
use crate::config::{ImageChoice, ImageConfig, ImageUsage};
use crate::engine::{Engine, EngineError, ImageFacts};
use crate::images::ProjectImages;
use crate::operate::OperateError;
use crate::paper::{self, Paper};

/// Version of the JSON.
const VERSION: u32 = 1;

/// Digits of an image's id that people are shown.
const SHORT: usize = 12;

/// All of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ImageList {
    version: u32,
    /// The coordinator's version, which agent-runners are to match.
    coordinator: &'static str,
    images: Vec<Listed>,
}

/// One image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Listed {
    /// Its names: as the settings have it, then further ones of the engine.
    names: Vec<String>,
    /// The engine's id of it; none where it is not there.
    id: Option<String>,
    /// In bytes.
    size: Option<u64>,
    /// When it was made, in seconds since 1970.
    created: Option<u64>,
    /// The version of its agent-runner, where a label tells it.
    agent_runner: Option<String>,
    /// Whether that goes with the coordinator.
    fits: Option<Fit>,
    /// What the engine says of a name that can be no image's.
    refused: Option<String>,
    /// Whether it is the image of all projects that have none of their own.
    general: bool,
    /// The projects that have it for themselves.
    projects: Vec<ProjectId>,
}

/// Asks map and engine.
pub(crate) async fn list(config: &ImageConfig) -> Result<ImageList, OperateError> {
    let usage = usage(config).await?;
    let map = ProjectImages::new(&config.state_dir).all()?;
    let engine = Engine::new(usage.engine.as_deref());
    let mut images = Vec::new();
    for (name, use_of) in wanted(&usage, &map) {
        match engine.image(&name).await {
            // One bad line of the map hides no other.
            Err(EngineError::Refused { status: 400, message, .. }) => {
                images.push(refused(name, message, use_of));
            }
            found => add(&mut images, Some(name), found?, use_of),
        }
    }
    for id in engine.images_labelled(TITLE_LABEL, TITLE).await? {
        let found = engine.image(&id).await?;
        // One that was removed meanwhile is none.
        if found.is_some() {
            add(&mut images, None, found, Use::default());
        }
    }
    Ok(ImageList { version: VERSION, coordinator: env!("CARGO_PKG_VERSION"), images })
}

/// Who uses an image.
#[derive(Clone, Debug, Default)]
struct Use {
    general: bool,
    projects: Vec<ProjectId>,
}

/// The names that jobs get.
fn wanted(usage: &ImageUsage, map: &BTreeMap<String, String>) -> BTreeMap<String, Use> {
    let mut wanted: BTreeMap<String, Use> = BTreeMap::new();
    wanted.entry(usage.general.general().to_owned()).or_default().general = true;
    let of_map = map.keys().filter_map(|id| id.parse().ok());
    let mut projects: Vec<ProjectId> = of_map.chain(usage.projects.keys().copied()).collect();
    projects.sort_unstable();
    projects.dedup();
    for project in projects {
        let image = match usage.choice(project) {
            ImageChoice::Explicit(image) => image,
            ImageChoice::Default(image) => map.get(&project.to_string()).unwrap_or(image),
        };
        wanted.entry(image.clone()).or_default().projects.push(project);
    }
    wanted
}

/// One image has many names.
fn add(images: &mut Vec<Listed>, name: Option<String>, found: Option<ImageFacts>, use_of: Use) {
    let id = found.as_ref().map(|found| found.id.clone());
    let known = images.iter().position(|image| id.is_some() && image.id == id);
    let at = known.unwrap_or_else(|| {
        images.push(found.map(listed).unwrap_or_default());
        images.len() - 1
    });
    let image = &mut images[at];
    if let Some(name) = name {
        let tagged = format!("{name}:latest");
        image.names.retain(|one| *one != name && *one != tagged);
        image.names.insert(0, name);
    }
    image.general |= use_of.general;
    image.projects.extend(use_of.projects);
}

fn refused(name: String, message: String, use_of: Use) -> Listed {
    Listed {
        names: vec![name],
        refused: Some(message),
        general: use_of.general,
        projects: use_of.projects,
        ..Listed::default()
    }
}

fn listed(found: ImageFacts) -> Listed {
    let is_agents = found.labels.get(TITLE_LABEL).is_some_and(|title| title == TITLE);
    let version = found.labels.get(VERSION_LABEL).filter(|_| is_agents).cloned();
    Listed {
        created: seconds_of(&found.created),
        fits: version.as_deref().map(fit),
        agent_runner: version,
        names: found.tags,
        size: Some(found.size),
        id: Some(found.id),
        ..Listed::default()
    }
}

/// For people.
pub(crate) fn list_text(list: &ImageList, now: u64, paper: Paper) -> String {
    let names: Vec<_> = list.images.iter().map(|image| image.names.join(", ")).collect();
    let width = names.iter().map(String::len).max().unwrap_or(0).max(5);
    let head = format!(
        "{:<width$}  {:<SHORT$}  {:>8}  {:>12}  {:<20}  USED BY",
        "IMAGE", "ID", "SIZE", "MADE", "AGENT-RUNNER"
    );
    let mut text = paper.dim(&head);
    for (image, name) in list.images.iter().zip(names) {
        let Some(id) = &image.id else {
            let missing = paper.red(image.refused.as_deref().unwrap_or("not there"));
            let _infallible = write!(text, "\n{name:<width$}  {missing}  {}", used_by(image));
            continue;
        };
        let id: String = id.trim_start_matches("sha256:").chars().take(SHORT).collect();
        let size = image.size.map_or_else(|| "?".to_owned(), paper::size);
        let age = image.created.map(|made| paper::seconds(now.saturating_sub(made)));
        let age = age.map_or_else(|| "?".to_owned(), |age| format!("{age} ago"));
        let runner = format!("{:<20}", runner(image));
        let runner = match image.fits {
            Some(Fit::Same) => paper.green(&runner),
            Some(Fit::Near) | None => paper.yellow(&runner),
            Some(Fit::Other) => paper.red(&runner),
        };
        let used = used_by(image);
        let line = format!("{name:<width$}  {id:<SHORT$}  {size:>8}  {age:>12}  {runner}  {used}");
        let _infallible = write!(text, "\n{}", line.trim_end());
    }
    text
}

fn runner(image: &Listed) -> String {
    let version = image.agent_runner.as_deref().unwrap_or_default();
    match image.fits {
        Some(Fit::Same) => format!("{version}, matches"),
        Some(Fit::Near) => format!("{version}, near"),
        Some(Fit::Other) => format!("{version}, other"),
        None => "not known".to_owned(),
    }
}

fn used_by(image: &Listed) -> String {
    let general = image.general.then(|| "all others".to_owned());
    let all: Vec<_> = image.projects.iter().map(ProjectId::short).chain(general).collect();
    if all.is_empty() { "no project".to_owned() } else { all.join(", ") }
}

/// For programs.
pub(crate) fn list_json(list: &ImageList) -> String {
    // Strings, numbers and switches always serialise.
    serde_json::to_string_pretty(list).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(id: &str, title: &str, version: &str) -> ImageFacts {
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        ImageFacts {
            id: format!("sha256:{id}"),
            tags: vec!["terarchitect-agent:latest".to_owned()],
            size: 2 << 20,
            created: "2026-11-20T10:00:00Z".to_owned(),
            labels: [label(TITLE_LABEL, title), label(VERSION_LABEL, version)].into(),
            ..ImageFacts::default()
        }
    }

    #[test]
    fn an_image_is_listed_once_under_all_its_names() {
        let project = ProjectId::random();
        let usage = ImageUsage {
            engine: None,
            general: ImageChoice::Default("terarchitect-agent".to_owned()),
            projects: BTreeMap::new(),
        };
        let map = BTreeMap::from([(project.to_string(), "special:2".to_owned())]);
        let mut images = Vec::new();
        for (name, use_of) in wanted(&usage, &map) {
            let there = (name == "terarchitect-agent")
                .then(|| facts("0123456789abcdef", TITLE, env!("CARGO_PKG_VERSION")));
            add(&mut images, Some(name), there, use_of);
        }
        add(&mut images, None, Some(facts("0123456789abcdef", TITLE, "9")), Use::default());
        assert_eq!(images.len(), 2);
        let list = ImageList { version: 1, coordinator: "9", images };
        let now = seconds_of("2026-11-20T10:01:05Z").unwrap();
        let text = list_text(&list, now, Paper::Plain);
        assert!(text.contains(&format!("not there  {}", project.short())), "{text}");
        assert!(text.contains("0123456789ab") && text.ends_with("all others"), "{text}");
        assert!(text.contains("1m 5s ago") && text.contains(", matches"), "{text}");
    }

    #[test]
    fn a_name_that_the_engine_refuses_is_a_line_of_its_own_with_its_users() {
        let project = ProjectId::random();
        let use_of = Use { general: false, projects: vec![project] };
        let message = "invalid reference format".to_owned();
        let images = vec![refused("Not An Image".to_owned(), message, use_of)];
        let list = ImageList { version: 1, coordinator: "9", images };
        let text = list_text(&list, 0, Paper::Plain);
        let line = format!("Not An Image  invalid reference format  {}", project.short());
        assert!(text.ends_with(&line), "{text}");
    }

    #[test]
    fn the_version_of_an_image_that_is_not_an_agents_is_not_that_of_an_agent_runner() {
        let ubuntu = listed(facts("1", "ubuntu", "22.04"));
        assert_eq!((ubuntu.agent_runner, ubuntu.fits), (None, None));
        let old = listed(facts("2", TITLE, "99.0.0"));
        assert_eq!(old.fits, Some(Fit::Other));
    }
}
