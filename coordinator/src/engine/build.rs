//! Building images, with what the engine says while it does.
//!
//! It is the engine's own builder, which every engine from 20.10 on has, and not BuildKit. A build may take as
//! long as it likes while it says something; in silence it is given up.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bollard::models::BuildInfo;
use bollard::query_parameters::BuildImageOptionsBuilder;
use futures_util::StreamExt;
use tokio::time::{Instant, timeout};

use api_client::Secret;

use super::archive::{ContextFile, archive};
use super::{Engine, EngineError};

/// How long a step may be silent: npm and pip say nothing while they load hundreds of megabytes.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// What the client waits beyond our own limit, so that it is ours that is told.
const MARGIN: Duration = Duration::from_secs(30);

/// So often the caller can show that time goes by.
const TICK: Duration = Duration::from_secs(1);

/// Of the step at work, the last lines are kept, for the case that it fails.
const LINES_KEPT: usize = 25;

const BUILD: &str = "build image";

/// What is to be built.
#[derive(Debug)]
pub(crate) struct BuildSpec {
    /// The files that the build sees, `Dockerfile` among them.
    pub(crate) files: Vec<ContextFile>,
    /// Where it stops; at the end where nothing is said.
    pub(crate) target: Option<&'static str>,
    /// The name that the image gets, if it is to have one.
    pub(crate) tag: Option<String>,
    /// Build arguments. The engine keeps those of proxies out of the image's history.
    pub(crate) arguments: HashMap<String, Secret>,
    /// Hosts that the steps know, `name:address`.
    pub(crate) extra_host: Option<String>,
    /// What becomes of steps that were done before.
    pub(crate) layers: Layers,
}

/// What becomes of steps that were done before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layers {
    /// They are taken as they are.
    Known,
    /// They are done again.
    Anew,
}

/// What a build says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BuildEvent {
    /// A step begins.
    Step(Step),
    /// Its result is known from an earlier build.
    Known,
    /// A line that it printed.
    Line(String),
    /// A second went by.
    Tick,
}

/// One instruction of the Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Which one, from 1.
    pub(crate) number: usize,
    /// How many there are.
    pub(crate) count: usize,
    /// The instruction.
    pub(crate) text: String,
}

/// No image was built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    /// The engine did not begin, or the connection broke.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A step failed.
    #[error("{message}")]
    Failed {
        /// The step; none where it failed before the first.
        step: Option<Step>,
        /// What the engine says.
        message: String,
        /// The last lines that the step printed.
        lines: Vec<String>,
    },
    /// It ended without an image.
    #[error("the build ended, and the engine named no image")]
    NoImage,
}

impl Engine {
    /// Builds an image and tells its id. Nothing is left of one that fails, or that nobody waits for any more.
    pub(crate) async fn build(
        &self,
        spec: BuildSpec,
        mut tell: impl FnMut(BuildEvent),
    ) -> Result<String, BuildError> {
        let name = spec.tag.clone().unwrap_or_else(|| "without a name".to_owned());
        let docker = self.docker().await?.with_timeout(PATIENCE + MARGIN);
        let arguments = spec.arguments.iter();
        let arguments: HashMap<_, _> =
            arguments.map(|(name, value)| (name.clone(), value.expose().to_owned())).collect();
        let mut options = BuildImageOptionsBuilder::default()
            .buildargs(&arguments)
            .nocache(spec.layers == Layers::Anew)
            .rm(true)
            .forcerm(true);
        if let Some(target) = spec.target {
            options = options.target(target);
        }
        if let Some(tag) = &spec.tag {
            options = options.t(tag);
        }
        // One that is empty is an error to the engine.
        if let Some(host) = &spec.extra_host {
            options = options.extrahosts(host);
        }
        let body = bollard::body_try_stream(archive(spec.files));
        let mut build = Box::pin(docker.build_image(options.build(), None, Some(body)));
        let mut talk = Talk::default();
        let mut heard = Instant::now();
        loop {
            match timeout(TICK, build.next()).await {
                Err(_) if heard.elapsed() >= PATIENCE => {
                    return Err(EngineError::silent(BUILD, &name, PATIENCE).into());
                }
                Err(_) => tell(BuildEvent::Tick),
                Ok(None) => return talk.id.ok_or(BuildError::NoImage),
                Ok(Some(Err(error))) => {
                    return Err(talk.failed(EngineError::new(BUILD, &name, error)));
                }
                Ok(Some(Ok(info))) => {
                    heard = Instant::now();
                    talk.take(info).into_iter().for_each(&mut tell);
                }
            }
        }
    }
}

/// What was said so far.
#[derive(Debug, Default)]
struct Talk {
    step: Option<Step>,
    /// The beginning of a line.
    rest: String,
    lines: VecDeque<String>,
    id: Option<String>,
}

impl Talk {
    fn take(&mut self, info: BuildInfo) -> Vec<BuildEvent> {
        if let Some(id) = info.aux.and_then(|aux| aux.id) {
            self.id = Some(id);
        }
        self.rest.push_str(info.stream.as_deref().unwrap_or_default());
        let mut events = Vec::new();
        while let Some(end) = self.rest.find(['\n', '\r']) {
            let line: String = self.rest.drain(..=end).collect();
            events.extend(self.line(line.trim_end()));
        }
        events
    }

    fn line(&mut self, line: &str) -> Option<BuildEvent> {
        if let Some(step) = self.next_step(line) {
            self.step = Some(step.clone());
            self.lines.clear();
            return Some(BuildEvent::Step(step));
        }
        // The engine's own words about a step.
        if let Some(said) = line.strip_prefix(" ---> ") {
            return (said == "Using cache").then_some(BuildEvent::Known);
        }
        if line.is_empty() {
            return None;
        }
        self.lines.push_back(line.to_owned());
        if self.lines.len() > LINES_KEPT {
            self.lines.pop_front();
        }
        Some(BuildEvent::Line(line.to_owned()))
    }

    /// The step that a line announces. What a program prints that looks the same does not go on from the step
    /// before.
    fn next_step(&self, line: &str) -> Option<Step> {
        let rest = line.strip_prefix("Step ").or_else(|| line.strip_prefix("STEP "))?;
        let (numbers, text) = rest.split_once(':')?;
        let (number, count) = numbers.trim().split_once('/')?;
        let (number, count) = (number.parse().ok()?, count.parse().ok()?);
        let before = self.step.as_ref();
        let goes_on = number == before.map_or(0, |step| step.number) + 1
            && before.is_none_or(|step| step.count == count);
        goes_on.then(|| Step { number, count, text: text.trim().to_owned() })
    }

    fn failed(self, error: EngineError) -> BuildError {
        match error {
            EngineError::Refused { status: 200, message, .. } => {
                let rest = (!self.rest.is_empty()).then_some(self.rest);
                let lines = self.lines.into_iter().chain(rest).collect();
                BuildError::Failed { step: self.step, message, lines }
            }
            other => other.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::ImageId;

    use super::*;

    fn said(talk: &mut Talk, text: &str) -> Vec<BuildEvent> {
        talk.take(BuildInfo { stream: Some(text.to_owned()), ..BuildInfo::default() })
    }

    fn step(number: usize, text: &str) -> BuildEvent {
        BuildEvent::Step(Step { number, count: 2, text: text.to_owned() })
    }

    #[test]
    fn steps_are_told_from_what_they_print() {
        let mut talk = Talk::default();
        assert_eq!(said(&mut talk, "Step 1/2 : FROM x\n"), [step(1, "FROM x")]);
        assert_eq!(said(&mut talk, " ---> Using cache\n ---> 1234\n"), [BuildEvent::Known]);
        assert_eq!(said(&mut talk, "Step 2/2 : RUN make "), []);
        assert_eq!(said(&mut talk, "all\n"), [step(2, "RUN make all")]);
        assert_eq!(said(&mut talk, " ---> Running in 5678\n"), []);
        let line = |text: &str| BuildEvent::Line(text.to_owned());
        assert_eq!(said(&mut talk, "Step 1/2 : not ours\n"), [line("Step 1/2 : not ours")]);
        assert_eq!(said(&mut talk, "50%\r100%\r\n"), [line("50%"), line("100%")]);
    }

    #[test]
    fn a_failure_has_its_step_and_the_last_lines_of_that_alone() {
        let mut talk = Talk::default();
        said(&mut talk, "Step 1/2 : FROM x\nearlier\nStep 2/2 : RUN y\n");
        for number in 0..40 {
            said(&mut talk, &format!("line {number}\n"));
        }
        said(&mut talk, "no end");
        let refused = EngineError::Refused {
            action: BUILD,
            object: "x".to_owned(),
            status: 200,
            message: "returned a non-zero code: 3".to_owned(),
        };
        let BuildError::Failed { step, message, lines } = talk.failed(refused) else { panic!() };
        assert_eq!(step.unwrap().number, 2);
        assert_eq!(message, "returned a non-zero code: 3");
        assert_eq!(lines.len(), LINES_KEPT + 1);
        assert_eq!(lines[LINES_KEPT - 1..], ["line 39", "no end"]);
    }

    #[test]
    fn the_id_is_the_last_that_the_engine_names() {
        let mut talk = Talk::default();
        for id in ["sha256:1", "sha256:2"] {
            talk.take(BuildInfo {
                aux: Some(ImageId { id: Some(id.to_owned()) }),
                ..BuildInfo::default()
            });
        }
        assert_eq!(talk.id.as_deref(), Some("sha256:2"));
    }
}
