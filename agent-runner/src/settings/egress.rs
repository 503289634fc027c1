//! What a gateway lets through.

use api_client::contract::env;

use super::{Layers, SettingsError};
use crate::egress::{InvalidRule, Others, Policy, Rules};

/// The values of `AGENT_EGRESS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Egress {
    Open,
    Filtered,
}

impl Policy {
    /// The policy of a gateway; none where its job's network has a way out of its own.
    ///
    /// # Errors
    /// Of the first setting that cannot be used.
    pub(crate) fn read(layers: &Layers) -> Result<Option<Self>, SettingsError> {
        let purpose = "what the gateway lets through: open, allowlist or none";
        let found = layers.required(env::AGENT_EGRESS, purpose)?;
        let egress = match found.text().as_str() {
            "open" => Egress::Open,
            "allowlist" | "none" => Egress::Filtered,
            other => {
                let problem = format!("must be one of open, allowlist, none, got {other:?}");
                return Err(found.invalid(&problem));
            }
        };
        if egress == Egress::Open {
            return Ok(None);
        }
        Ok(Some(Self {
            allow: rules(layers, env::AGENT_EGRESS_ALLOW)?,
            trusted: rules(layers, env::AGENT_EGRESS_TRUSTED)?,
            others: others(layers)?,
        }))
    }
}

fn rules(layers: &Layers, name: &str) -> Result<Rules, SettingsError> {
    let Some(found) = layers.find(name) else { return Ok(Rules::default()) };
    let rules = found.text().parse();
    rules.map_err(|error: InvalidRule| found.invalid(&format!("cannot be used: {error}")))
}

fn others(layers: &Layers) -> Result<Others, SettingsError> {
    let Some(found) = layers.find(env::AGENT_EGRESS_LEARN) else { return Ok(Others::Refused) };
    match found.text().as_str() {
        "1" => Ok(Others::Learned),
        "0" => Ok(Others::Refused),
        other => Err(found.invalid(&format!("must be 1 or 0, got {other:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Handover;
    use super::*;

    fn read(document: &str) -> Result<Option<Policy>, String> {
        let layers = Layers::new(Handover::of(&[], Some(document))).unwrap();
        Policy::read(&layers).map_err(|error| error.to_string())
    }

    #[test]
    fn an_open_gateway_filters_nothing() {
        assert_eq!(read(r#"{"AGENT_EGRESS":"open"}"#), Ok(None));
    }

    #[test]
    fn the_lists_of_the_document_are_the_policy() {
        let document = r#"{"AGENT_EGRESS":"allowlist","AGENT_EGRESS_ALLOW":"a.example,.b.example",
            "AGENT_EGRESS_TRUSTED":"app:5010","AGENT_EGRESS_LEARN":"1"}"#;
        let expected = Policy {
            allow: "a.example,.b.example".parse().unwrap(),
            trusted: "app:5010".parse().unwrap(),
            others: Others::Learned,
        };
        assert_eq!(read(document), Ok(Some(expected)));
    }

    #[test]
    fn a_wrong_setting_is_named_with_what_is_allowed() {
        for (document, part) in [
            ("{}", "AGENT_EGRESS is not set"),
            (r#"{"AGENT_EGRESS":"closed"}"#, "open, allowlist, none"),
            (r#"{"AGENT_EGRESS":"none","AGENT_EGRESS_ALLOW":"a b/c"}"#, "\"b/c\""),
            (r#"{"AGENT_EGRESS":"none","AGENT_EGRESS_LEARN":"yes"}"#, "1 or 0"),
        ] {
            let error = read(document).unwrap_err();
            assert!(error.contains(part), "{document}: {error}");
        }
    }
}
