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
    /// The URLs that were opened: those of the job's settings, then those that were asked for.
    pub opened: Vec<Opened>,
    /// The proxies that a job would have there; a problem is why one takes no connection.
    #[serde(default)]
    pub proxies: Vec<Opened>,
    /// Whether programs there trust the certificates of `EXTRA_CA_FILE`; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<Trust>,
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
    /// The URL as the job sees it, without a user name and a password.
    pub url: String,
    /// Why it is of no use: nothing answered, or something in between did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Whether certificates are trusted by what looks at `SSL_CERT_FILE`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// So many of them, which are all.
    Trusted(usize),
    /// They are not, and why.
    Fails(String),
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
            trust: Some(Trust::Trusted(2)),
            overlay: Some(Overlay::Fails("no such device".to_owned())),
            ..ContainerProbe::default()
        };
        let json = serde_json::to_string(&probe).unwrap();
        let output = format!("something else\n{PROBE_LINE}{json}\nmore\n");
        assert_eq!(ContainerProbe::read(&output), Some(probe));
        assert_eq!(ContainerProbe::read("error: unrecognized subcommand 'probe'"), None);
    }

    #[test]
    fn what_an_older_agent_does_not_tell_is_not_missed() {
        let line = format!("{PROBE_LINE}{{\"runner_version\":\"0.1.0\",\"opened\":[]}}");
        let probe = ContainerProbe::read(&line).unwrap();
        assert_eq!((probe.proxies.len(), probe.trust), (0, None));
    }
}
