//! What `agent-runner probe` finds in a container and the coordinator's check reads: one JSON object on one
//! line of standard output.

use serde::{Deserialize, Serialize};

/// How the line begins, so that it is found among others.
pub const PROBE_LINE: &str = "agent-runner probe: ";

/// All that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerProbe {
    /// The version of `agent-runner`.
    pub runner_version: String,
    /// The URLs of the job's settings that were opened.
    pub opened: Vec<Opened>,
    /// Whether a Docker daemon of the container's own can stack file systems; absent where it has none, or
    /// where that cannot be tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlay: Option<Overlay>,
}

/// A URL that was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// The setting that holds it.
    pub setting: String,
    /// The URL as the job sees it.
    pub url: String,
    /// Why nothing answered; absent where something did, whatever it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Whether `overlay` can be mounted where an inner Docker daemon would keep its images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlay {
    /// It can.
    Works,
    /// It cannot, and why.
    Fails(String),
}

impl ContainerProbe {
    /// Finds it in what a container printed.
    #[must_use]
    pub fn read(output: &str) -> Option<Self> {
        let line = output.lines().find_map(|line| line.strip_prefix(PROBE_LINE))?;
        serde_json::from_str(line).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_among_other_lines() {
        let probe = ContainerProbe {
            runner_version: "1.2.3".to_owned(),
            opened: vec![Opened {
                setting: "TERARCHITECT_API_URL".to_owned(),
                url: "http://app:1".to_owned(),
                problem: Some("refused".to_owned()),
            }],
            overlay: Some(Overlay::Fails("no such device".to_owned())),
        };
        let json = serde_json::to_string(&probe).unwrap();
        let output = format!("something else\n{PROBE_LINE}{json}\nmore\n");
        assert_eq!(ContainerProbe::read(&output), Some(probe));
        assert_eq!(ContainerProbe::read("error: unrecognized subcommand 'probe'"), None);
    }
}
