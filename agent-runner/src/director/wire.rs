//! A question in the words of each protocol, and what its answer says. Pure.
//!
//! Invariant: an answer is in the protocol or it is not; what its text is worth is for others to say.

use serde_json::{Map, Value, json};

use super::answer::Fault;
use crate::model_gateway::Wire;

/// How far answers may differ from one to the next: judging wants little of it.
const TEMPERATURE: f64 = 0.2;
/// What the schema, or the tool in the place of one, is called.
const ANSWER: &str = "answer";

/// Who wrote a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// We did.
    Runner,
    /// The model did.
    Director,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) role: Role,
    pub(super) text: String,
}

/// What a model is asked.
#[derive(Debug)]
pub(super) struct Question<'q> {
    pub(super) system: &'q str,
    pub(super) messages: &'q [Message],
    /// JSON schema of the answer.
    pub(super) schema: Value,
    /// Most tokens of the answer.
    pub(super) output: u32,
}

/// What an endpoint takes of what a question could have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    pub(super) schema: Schema,
    pub(super) limit: Limit,
    pub(super) temperature: Temperature,
}

/// Whether the model is held to the schema, or only asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Schema {
    Held,
    Asked,
}

/// What the limit of an answer is called in chat completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    MaxTokens,
    MaxCompletionTokens,
}

/// Whether the temperature is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Temperature {
    Said,
    Unsaid,
}

/// An answer in the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    text: String,
    end: End,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    Whole,
    CutOff { limit: u32 },
    Nothing(String),
}

impl Said {
    /// The text, if it is all there.
    pub(super) fn text(&self) -> Result<&str, Fault> {
        match &self.end {
            End::CutOff { limit } => Err(Fault::CutOff { limit: *limit }),
            End::Nothing(why) => Err(Fault::Nothing(why.clone())),
            End::Whole => Ok(&self.text),
        }
    }

    /// What there is of it.
    pub(super) fn words(&self) -> Option<&str> {
        (!matches!(self.end, End::Nothing(_))).then_some(self.text.as_str())
    }
}

impl Dialect {
    /// Takes back what an endpoint does not take, going by its words; whether there was anything.
    pub(super) fn adapt(&mut self, refusal: &str) -> bool {
        let says = |word: &str| refusal.to_ascii_lowercase().contains(word);
        let before = *self;
        if says("max_completion_tokens") || says("max_tokens") {
            // Who refuses one names both, or the one that was sent.
            self.limit = match self.limit {
                Limit::MaxTokens => Limit::MaxCompletionTokens,
                Limit::MaxCompletionTokens => Limit::MaxTokens,
            };
        } else if says("temperature") && self.temperature == Temperature::Said {
            self.temperature = Temperature::Unsaid;
        } else {
            // Endpoints that do not know the schema refuse it in many words, or in none.
            self.schema = Schema::Asked;
        }
        *self != before
    }
}

/// The body of a request.
pub(super) fn body(wire: Wire, model: &str, question: &Question<'_>, dialect: Dialect) -> Value {
    let mut body = match wire {
        Wire::Anthropic => anthropic(question, dialect),
        Wire::Chat | Wire::Responses | Wire::Gemini => chat(question, dialect),
    };
    body.insert("model".to_owned(), model.into());
    if dialect.temperature == Temperature::Said {
        body.insert("temperature".to_owned(), TEMPERATURE.into());
    }
    Value::Object(body)
}

fn chat(question: &Question<'_>, dialect: Dialect) -> Map<String, Value> {
    let system = [json!({ "role": "system", "content": question.system })];
    let messages: Vec<Value> = system.into_iter().chain(messages(question)).collect();
    let mut body = Map::new();
    body.insert("messages".to_owned(), messages.into());
    let limit = match dialect.limit {
        Limit::MaxTokens => "max_tokens",
        Limit::MaxCompletionTokens => "max_completion_tokens",
    };
    body.insert(limit.to_owned(), question.output.into());
    if dialect.schema == Schema::Held {
        let schema = json!({ "name": ANSWER, "strict": true, "schema": question.schema });
        let format = json!({ "type": "json_schema", "json_schema": schema });
        body.insert("response_format".to_owned(), format);
    }
    body
}

fn anthropic(question: &Question<'_>, dialect: Dialect) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("system".to_owned(), question.system.into());
    body.insert("messages".to_owned(), messages(question).collect());
    body.insert("max_tokens".to_owned(), question.output.into());
    if dialect.schema == Schema::Held {
        let tool = json!({
            "name": ANSWER, "description": "Gives the answer.", "input_schema": question.schema,
        });
        body.insert("tools".to_owned(), json!([tool]));
        body.insert("tool_choice".to_owned(), json!({ "type": "tool", "name": ANSWER }));
    }
    body
}

fn messages(question: &Question<'_>) -> impl Iterator<Item = Value> {
    question.messages.iter().map(|message| {
        let role = match message.role {
            Role::Runner => "user",
            Role::Director => "assistant",
        };
        json!({ "role": role, "content": message.text })
    })
}

/// What an answer says, if it is one in this protocol; `limit` is what was asked for.
///
/// # Errors
/// Why it is none.
pub(super) fn read(wire: Wire, answer: &Value, limit: u32) -> Result<Said, String> {
    let said = match wire {
        Wire::Anthropic => read_anthropic(answer, limit),
        Wire::Chat | Wire::Responses | Wire::Gemini => read_chat(answer, limit),
    };
    said.ok_or_else(|| match error_in(answer) {
        Some(words) => format!("an error in the place of an answer: {words}"),
        None => format!("what it sent is no answer of {}", wire.title()),
    })
}

/// What an error says of itself, in any protocol.
pub(super) fn error_in(answer: &Value) -> Option<&str> {
    let error = &answer["error"];
    let words = error["message"].as_str().or_else(|| error.as_str());
    words.or_else(|| answer["message"].as_str())
}

fn read_chat(answer: &Value, limit: u32) -> Option<Said> {
    let choice = answer["choices"].get(0)?;
    let message = choice["message"].as_object()?;
    let text = match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            parts.iter().filter_map(|part| part["text"].as_str()).collect()
        }
        _ => String::new(),
    };
    let refusal = message.get("refusal").and_then(Value::as_str).filter(|why| !why.is_empty());
    let end = match (choice["finish_reason"].as_str(), refusal) {
        (_, Some(why)) => End::Nothing(format!("the model declined: {why}")),
        (Some("length"), None) => End::CutOff { limit },
        (Some("content_filter"), None) => End::Nothing("a filter of the provider".to_owned()),
        (_, None) => whole(&text),
    };
    Some(Said { text, end })
}

fn read_anthropic(answer: &Value, limit: u32) -> Option<Said> {
    let blocks = answer["content"].as_array()?;
    let called = blocks.iter().find(|block| block["type"] == "tool_use");
    let text = match called {
        Some(block) => block["input"].to_string(),
        None => blocks.iter().filter_map(|block| block["text"].as_str()).collect(),
    };
    let end = match answer["stop_reason"].as_str() {
        Some("max_tokens") => End::CutOff { limit },
        Some("refusal") => End::Nothing("the model declined".to_owned()),
        _ => whole(&text),
    };
    Some(Said { text, end })
}

fn whole(text: &str) -> End {
    match text.trim().is_empty() {
        true => End::Nothing("its content is null or empty".to_owned()),
        false => End::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Dialect =
        Dialect { schema: Schema::Held, limit: Limit::MaxTokens, temperature: Temperature::Said };

    fn question(messages: &[Message]) -> Question<'_> {
        Question { system: "be fair", messages, schema: json!({"type": "object"}), output: 99 }
    }

    fn told(text: &str) -> Vec<Message> {
        vec![Message { role: Role::Runner, text: text.to_owned() }]
    }

    #[test]
    fn each_protocol_has_the_question_in_its_own_words() {
        let messages = told("what now?");
        let chat = body(Wire::Chat, "m", &question(&messages), FULL);
        assert_eq!(chat["messages"][0], json!({"role": "system", "content": "be fair"}));
        assert_eq!(chat["messages"][1], json!({"role": "user", "content": "what now?"}));
        assert_eq!((&chat["max_tokens"], &chat["model"]), (&json!(99), &json!("m")));
        assert_eq!(chat["response_format"]["json_schema"]["strict"], true);
        let anthropic = body(Wire::Anthropic, "m", &question(&messages), FULL);
        assert_eq!(anthropic["system"], "be fair");
        assert_eq!(anthropic["messages"].as_array().unwrap().len(), 1);
        assert_eq!(anthropic["tool_choice"]["name"], anthropic["tools"][0]["name"]);
    }

    #[test]
    fn what_an_endpoint_does_not_take_is_left_out_the_next_time() {
        let messages = told("x");
        let mut dialect = FULL;
        assert!(dialect.adapt("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens'."));
        assert!(dialect.adapt("Unsupported value: 'temperature' does not support 0.2"));
        assert!(dialect.adapt("unknown field response_format"));
        assert!(!dialect.adapt("I do not like it"), "there is nothing more to take back");
        let sent = body(Wire::Chat, "m", &question(&messages), dialect);
        assert_eq!(sent["max_completion_tokens"], 99);
        for name in ["max_tokens", "temperature", "response_format"] {
            assert!(sent.get(name).is_none(), "{name}");
        }
        let sent = body(Wire::Anthropic, "m", &question(&messages), dialect);
        assert!(sent.get("tools").is_none() && sent["max_tokens"] == 99);
    }

    #[test]
    fn null_content_a_cut_answer_and_a_refusal_are_faults_with_words_of_their_own() {
        let chat = |content: Value, finish: &str| {
            let choice = json!({"message": {"content": content}, "finish_reason": finish});
            read(Wire::Chat, &json!({ "choices": [choice] }), 99).unwrap()
        };
        let fault = |said: &Said| said.text().unwrap_err().to_string();
        assert!(fault(&chat(Value::Null, "stop")).contains("null or empty"));
        assert!(fault(&chat(json!("{\"comp"), "length")).contains("cut off at 99 tokens"));
        assert_eq!(chat(json!("{}"), "stop").text().unwrap(), "{}");
        let parts = json!([{"type": "text", "text": "{"}, {"type": "text", "text": "}"}]);
        assert_eq!(chat(parts, "stop").text().unwrap(), "{}");
        let cut = json!({"content": [{"type": "text", "text": "{"}], "stop_reason": "max_tokens"});
        assert!(fault(&read(Wire::Anthropic, &cut, 99).unwrap()).contains("cut off"));
    }

    #[test]
    fn an_object_that_anthropic_calls_with_is_the_answer() {
        let call = json!({"type": "tool_use", "name": "answer", "input": {"complete": true}});
        let answer = json!({"content": [{"type": "text", "text": "So:"}, call]});
        let said = read(Wire::Anthropic, &answer, 99).unwrap();
        assert_eq!(said.text().unwrap(), r#"{"complete":true}"#);
    }

    #[test]
    fn what_is_not_the_protocol_is_no_answer() {
        for answer in [json!({}), json!([]), json!({"choices": []}), json!("no")] {
            assert!(read(Wire::Chat, &answer, 9).is_err(), "{answer}");
            assert!(read(Wire::Anthropic, &answer, 9).is_err(), "{answer}");
        }
        let error = json!({"error": {"message": "overloaded", "code": 529}});
        assert!(read(Wire::Chat, &error, 9).unwrap_err().contains("overloaded"));
    }
}
