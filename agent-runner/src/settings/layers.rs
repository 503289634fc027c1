//! Where a value comes from: environment before job document before the app's settings before the
//! repository's project file (for the few names that it may set) before the default. A blank value
//! counts as not set, at every layer.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use api_client::contract::{JobDocument, env, is_secret, is_secret_name};
use api_client::wire::AgentEnv;
use api_client::{Redactor, Secret};
use url::Url;

use super::SettingsError;
use super::handover::Handover;
use crate::project_file::WorkerWishes;

/// Longest turn or silence that can be asked for, in seconds: a week.
const SECONDS_MAX: u64 = 7 * 24 * 3600;

/// What stands for the model until the project file is read.
const MODEL_TO_COME: &str = "(the repository's choice)";

/// Longest part of a wrong value that an error shows, in characters.
const SHOWN_MAX_CHARS: usize = 80;

/// All places a value can come from, in the order in which they are asked.
pub(crate) struct Layers {
    handover: Handover,
    document: JobDocument,
    context: AgentEnv,
    project: ProjectLayer,
}

/// What the repository's project file wishes.
enum ProjectLayer {
    /// It is not there yet, and may name a model: until then one that is missing is taken for this.
    Unread { model: Secret },
    /// It is known.
    Read { mode: Option<Secret>, model: Option<Secret> },
}

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    /// The environment of the process that was started.
    Environment,
    /// The job document on standard input.
    JobDocument,
    /// The settings of the app, sent with the ticket.
    App,
    /// The repository's project file.
    Project,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "from the environment",
            Self::JobDocument => "from the job document",
            Self::App => "from the app's settings",
            Self::Project => "from .terarchitect.toml in the default branch",
        })
    }
}

/// A value with its name and layer, for errors that can be acted on.
#[derive(Clone, Copy)]
pub(crate) struct Found<'l> {
    name: &'l str,
    value: &'l Secret,
    from: Layer,
}

impl Layers {
    /// The layers that exist before the app was asked.
    ///
    /// # Errors
    /// When a job document was announced and is missing, too long or no JSON object of strings.
    pub(crate) fn new(handover: Handover) -> Result<Self, SettingsError> {
        let document = match handover.document()? {
            None => JobDocument::default(),
            Some(text) => {
                // The parser's message may quote the document, which is secret as a whole.
                serde_json::from_str(text.expose()).map_err(|error| SettingsError::Document {
                    line: error.line(),
                    column: error.column(),
                })?
            }
        };
        let project = ProjectLayer::Unread { model: Secret::from(MODEL_TO_COME) };
        Ok(Self { handover, document, context: AgentEnv::default(), project })
    }

    /// Adds the app's settings as the layer below the job document.
    pub(crate) fn add_context(&mut self, context: AgentEnv) {
        self.context = context;
    }

    /// Adds what the repository's project file wishes, as the last layer before the defaults.
    pub(super) fn add_project(&mut self, wishes: &WorkerWishes) {
        let value = |wish: &Option<String>| wish.as_deref().map(Secret::from);
        self.project =
            ProjectLayer::Read { mode: value(&wishes.mode), model: value(&wishes.model) };
    }

    /// Every value of every layer that is secret by its name, or by credentials in it.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let context = self.context.iter().filter(|(name, value)| is_secret(name, value));
        self.handover
            .secrets()
            .chain(self.document.secrets())
            .chain(context.map(|(_, value)| value))
    }

    /// The part of the environment that is not secret.
    pub(crate) fn plain_environment(&self) -> impl Iterator<Item = (&str, &str)> {
        self.handover.plain()
    }

    /// Whether the outer process is the first of a container.
    pub(crate) fn in_container(&self) -> bool {
        self.handover.outer_is_pid_1
    }

    /// Whether the coordinator started this on its host.
    pub(crate) fn on_host(&self) -> bool {
        self.handover.environment(env::AGENT_ON_HOST).is_some_and(|value| !value.is_blank())
    }

    /// The folder for what a run leaves to the next one of its ticket. It counts in the environment alone: it
    /// is read and written by a process that the app must not lead elsewhere.
    pub(super) fn state_dir(&self) -> Option<PathBuf> {
        let found = self.handover.environment(env::AGENT_STATE_DIR).filter(|dir| !dir.is_blank());
        found.map(|dir| PathBuf::from(dir.expose().trim()))
    }

    pub(super) fn find<'l>(&'l self, name: &'l str) -> Option<Found<'l>> {
        self.find_any(&[name])
    }

    /// The first of several names for one setting; an earlier layer wins over an earlier name.
    pub(super) fn find_any<'l>(&'l self, names: &[&'l str]) -> Option<Found<'l>> {
        Layer::ALL.into_iter().find_map(|from| {
            names.iter().find_map(|name| {
                let value = self.value(from, name).filter(|value| !value.is_blank())?;
                Some(Found { name, value, from })
            })
        })
    }

    /// A value of the environment or the job document: one that is not the app's to set.
    pub(crate) fn handed_over<'l>(&'l self, name: &'l str) -> Option<Found<'l>> {
        self.given(name).filter(|found| found.from != Layer::App)
    }

    /// A value that is not the repository's to set.
    pub(super) fn given<'l>(&'l self, name: &'l str) -> Option<Found<'l>> {
        self.find(name).filter(|found| found.from != Layer::Project)
    }

    fn value(&self, layer: Layer, name: &str) -> Option<&Secret> {
        match layer {
            Layer::Environment => self.handover.environment(name),
            Layer::JobDocument => self.document.get(name),
            Layer::App => self.context.get(name),
            Layer::Project => self.project.get(name),
        }
    }

    pub(super) fn required<'l>(
        &'l self,
        name: &'static str,
        purpose: &'static str,
    ) -> Result<Found<'l>, SettingsError> {
        self.find(name).ok_or(SettingsError::Missing { name, purpose })
    }
}

impl Layer {
    /// The strongest first.
    const ALL: [Self; 4] = [Self::Environment, Self::JobDocument, Self::App, Self::Project];
}

impl ProjectLayer {
    fn get(&self, name: &str) -> Option<&Secret> {
        match (self, name) {
            (Self::Unread { model }, env::WORKER_MODEL) => Some(model),
            (Self::Read { mode, .. }, env::WORKER_MODE) => mode.as_ref(),
            (Self::Read { model, .. }, env::WORKER_MODEL) => model.as_ref(),
            _ => None,
        }
    }
}

impl Found<'_> {
    /// The value as it may be kept.
    pub(crate) fn secret(&self) -> Secret {
        Secret::from(self.value.expose().trim())
    }

    /// The value of a setting that is not secret.
    pub(crate) fn text(&self) -> String {
        self.value.expose().trim().to_owned()
    }

    /// The value with its line breaks and spaces.
    pub(super) fn verbatim(&self) -> String {
        self.value.expose().to_owned()
    }

    pub(super) fn parse<T>(&self) -> Result<T, SettingsError>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        self.value.expose().trim().parse().map_err(|error: T::Err| self.invalid(&error.to_string()))
    }

    pub(super) fn url(&self) -> Result<Url, SettingsError> {
        let shown = self.shown();
        let url = Url::parse(self.value.expose().trim())
            .map_err(|error| self.invalid(&format!("must be a URL, got {shown:?}: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            let problem = format!("must be an http or https URL with a host, got {shown:?}");
            return Err(self.invalid(&problem));
        }
        if url.password().is_some() || !url.username().is_empty() {
            return Err(self.invalid("must not hold a user or password"));
        }
        Ok(url)
    }

    pub(super) fn seconds(&self) -> Result<Duration, SettingsError> {
        let allowed = 1..=SECONDS_MAX;
        match self.value.expose().trim().parse::<u64>() {
            Ok(seconds) if allowed.contains(&seconds) => Ok(Duration::from_secs(seconds)),
            _ => Err(self.invalid(&format!(
                "must be a whole number of seconds from 1 to {SECONDS_MAX}, got {:?}",
                self.shown()
            ))),
        }
    }

    /// A whole number above zero.
    pub(super) fn number(&self, most: u32) -> Result<u32, SettingsError> {
        match self.value.expose().trim().parse::<u32>() {
            Ok(number) if (1..=most).contains(&number) => Ok(number),
            _ => Err(self.invalid(&format!(
                "must be a whole number from 1 to {most}, got {:?}",
                self.shown()
            ))),
        }
    }

    /// `1` or `0`.
    pub(super) fn switch(&self) -> Result<bool, SettingsError> {
        match self.value.expose().trim() {
            "1" => Ok(true),
            "0" => Ok(false),
            _ => Err(self.invalid(&format!("must be 1 or 0, got {:?}", self.shown()))),
        }
    }

    pub(super) fn directory(&self) -> Result<PathBuf, SettingsError> {
        let path = PathBuf::from(self.value.expose().trim());
        if path.is_absolute() && path.is_dir() {
            return Ok(path);
        }
        Err(self.invalid(&format!(
            "must be the absolute path of a directory on this machine, got {:?}",
            self.shown()
        )))
    }

    pub(super) fn invalid(&self, problem: &str) -> SettingsError {
        SettingsError::Invalid {
            name: self.name.to_owned(),
            from: self.from,
            // What was given may hold a password; the problem quotes it.
            problem: Redactor::new(is_secret_name(self.name).then_some(self.value))
                .redact(problem)
                .into_owned(),
        }
    }

    /// The value for a message.
    pub(super) fn shown(&self) -> String {
        if is_secret_name(self.name) {
            return "(secret)".to_owned();
        }
        let value = self.value.expose().trim();
        // Of a URL with credentials, nothing before the host is shown.
        let value = match value.split_once("://") {
            Some((_, rest)) if rest.contains('@') => rest.rsplit('@').next().unwrap_or_default(),
            _ => value,
        };
        value.chars().take(SHOWN_MAX_CHARS).collect()
    }
}
