//! Where a secret of ours is that has no place there: looked for by its value, in every form that programs
//! write values in.
//!
//! Invariant: a value is never told, only whose it is. What a model was sent and does not remember any more
//! counts as a leak, as it cannot be looked through.

use std::collections::BTreeSet;

use crate::harness::KEY;
use crate::hunt::{Matcher, Secret};
use crate::llm::LlmRequest;

pub(super) const FORGE_TOKEN: &str = "ghp_director_forge_token";
pub(super) const WORKER_KEY: &str = "sk-director-tests-worker-key";
pub(super) const DIRECTOR_KEY: &str = "sk-director-tests-director-key";

/// The headers in which a model is shown its own key.
const KEY_HEADERS: [&str; 2] = ["authorization", "x-api-key"];

/// Whose model it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Model {
    Worker,
    Director,
}

impl Model {
    const fn name(self) -> &'static str {
        match self {
            Self::Worker => "the worker's model",
            Self::Director => "the Director's model",
        }
    }

    /// The name of its key.
    const fn key(self) -> &'static str {
        match self {
            Self::Worker => "the worker's key",
            Self::Director => "the Director's key",
        }
    }
}

/// What was found so far.
#[derive(Debug)]
pub(super) struct Leaks {
    matcher: Matcher,
    found: BTreeSet<String>,
}

impl Leaks {
    /// Looks for all secrets of a case.
    pub(super) fn new() -> Self {
        let secrets = [
            ("the forge's token", FORGE_TOKEN),
            ("the app's key", KEY),
            (Model::Worker.key(), WORKER_KEY),
            (Model::Director.key(), DIRECTOR_KEY),
        ];
        let secrets =
            secrets.map(|(name, value)| Secret { name: name.to_owned(), value: value.to_owned() });
        Self { matcher: Matcher::new(&secrets), found: BTreeSet::new() }
    }

    /// Looks through a text that has no secret in it.
    pub(super) fn in_text(&mut self, place: &str, text: &str) {
        self.look(place, text, None);
    }

    /// Looks through all that a model was sent: its key is in headers that are for it, and nowhere else.
    pub(super) fn in_requests(&mut self, model: Model, requests: &[LlmRequest]) {
        if requests.first().is_some_and(|oldest| oldest.number != 1) {
            self.found.insert(format!("{} has forgotten its first requests", model.name()));
        }
        for request in requests {
            let place = |part: &str| {
                format!("the {part} of request {} to {}", request.number, model.name())
            };
            self.look(&place("path"), &request.path, None);
            self.look(&place("body"), &request.body, None);
            for (name, value) in &request.headers {
                let own = KEY_HEADERS.contains(&name.as_str()).then(|| model.key());
                self.look(&place(&format!("header {name}")), value, own);
            }
        }
    }

    /// Where which secret was found.
    pub(super) fn all(self) -> Vec<String> {
        self.found.into_iter().collect()
    }

    fn look(&mut self, place: &str, text: &str, allowed: Option<&str>) {
        let (found, _) = self.matcher.search(text.as_bytes()).expect("a text can be read");
        let found = found.into_iter().filter(|one| Some(one.secret.as_str()) != allowed);
        self.found.extend(found.map(|one| format!("{} ({}) in {place}", one.secret, one.form)));
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn request(number: u64, header: (&str, &str), body: String) -> LlmRequest {
        let headers = vec![(header.0.to_owned(), header.1.to_owned())];
        LlmRequest {
            number,
            path: "/v1/messages".to_owned(),
            headers,
            body,
            ..LlmRequest::default()
        }
    }

    fn leaked(model: Model, requests: &[LlmRequest]) -> Vec<String> {
        let mut leaks = Leaks::new();
        leaks.in_requests(model, requests);
        leaks.all()
    }

    #[test]
    fn a_secret_that_is_planted_in_any_request_to_a_model_is_found_in_any_form() {
        let basic = STANDARD.encode(format!("x-access-token:{FORGE_TOKEN}"));
        let in_json = serde_json::json!({"content": [{"text": format!("it is {DIRECTOR_KEY}.")}]});
        for planted in [FORGE_TOKEN.to_owned(), basic, in_json.to_string(), WORKER_KEY.to_owned()] {
            for model in [Model::Worker, Model::Director] {
                let clean = || request(1, ("accept", "*/*"), "{}".to_owned());
                let mut requests = [clean(), request(2, ("accept", "*/*"), planted.clone())];
                let found = leaked(model, &requests);
                assert_eq!(found.len(), 1, "{planted}: {found:?}");
                assert!(found[0].contains("the body of request 2"), "{found:?}");
                requests[1] = request(2, ("x-custom", &planted), "{}".to_owned());
                assert_eq!(leaked(model, &requests).len(), 1, "in a header: {planted}");
                requests[1] =
                    LlmRequest { path: format!("/v1?key={planted}"), number: 2, ..clean() };
                assert_eq!(leaked(model, &requests).len(), 1, "in the path: {planted}");
            }
        }
    }

    #[test]
    fn a_model_is_shown_its_own_key_and_no_other() {
        let bearer =
            |key: &str| [request(1, ("authorization", &format!("Bearer {key}")), String::new())];
        assert_eq!(leaked(Model::Worker, &bearer(WORKER_KEY)), [""; 0]);
        assert_eq!(
            leaked(Model::Director, &[request(1, ("x-api-key", DIRECTOR_KEY), String::new())]),
            [""; 0]
        );
        assert_eq!(leaked(Model::Worker, &bearer(DIRECTOR_KEY)).len(), 1);
        assert_eq!(leaked(Model::Director, &bearer(FORGE_TOKEN)).len(), 1);
    }

    #[test]
    fn a_request_that_is_not_remembered_is_a_leak() {
        let found = leaked(Model::Worker, &[request(2, ("accept", "*/*"), String::new())]);
        assert_eq!(found, ["the worker's model has forgotten its first requests"]);
    }

    #[test]
    fn a_secret_in_a_text_is_told_by_its_name() {
        let mut leaks = Leaks::new();
        leaks.in_text("the output", &format!("token={FORGE_TOKEN}\n"));
        leaks.in_text("the outcome", "nothing");
        assert_eq!(leaks.all(), ["the forge's token (as it is) in the output"]);
    }
}
