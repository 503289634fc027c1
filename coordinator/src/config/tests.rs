//! Tests of the configuration as a whole.

mod documentation;
mod examples;
mod mistakes;
mod network;
mod precedence;
mod printing;
mod secrets;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use api_client::Secret;

use super::load::load_from;
use super::{Environment, Flags, Form, Loaded, print};

const APP: (&str, &str) = ("TERARCHITECT_API_URL", "http://localhost:5010");
const ID: &str = "b0acb5a0-d0bc-4738-89d0-347ecd318506";
const OTHER_ID: &str = "c1d437f0-01dc-40f1-84f8-cda84d4af8e3";

/// A configuration in the making.
struct Sandbox {
    dir: tempfile::TempDir,
    flags: Flags,
    environment: Environment,
}

impl Sandbox {
    fn new<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            flags: Flags::default(),
            environment: Environment::of(variables),
        }
    }

    fn flag(mut self, name: &'static str, values: &[&str]) -> Self {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        self.flags.values.insert(name, values);
        self
    }

    fn file(mut self, text: &str) -> Self {
        self.flags.config = Some(self.write("coordinator.toml", text, 0o600));
        self
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        path
    }

    fn try_load(&self) -> Result<Loaded, Vec<String>> {
        let no_file = self.dir.path().join("absent.toml");
        load_from(&self.flags, &self.environment, &no_file)
            .map_err(|errors| errors.lines().collect())
    }

    #[track_caller]
    fn load(&self) -> Loaded {
        self.try_load().unwrap()
    }

    #[track_caller]
    fn errors(&self) -> Vec<String> {
        self.try_load().unwrap_err()
    }

    #[track_caller]
    fn error(&self) -> String {
        let mut errors = self.errors();
        assert_eq!(errors.len(), 1, "{errors:?}");
        errors.remove(0)
    }
}

fn setting_value<'d>(loaded: &'d Loaded, name: &str) -> Option<&'d str> {
    let settings = &loaded.config.agent.settings;
    settings.get(name).map(Secret::expose)
}

fn printed(loaded: &Loaded, form: Form) -> String {
    print(&loaded.report, form)
}
