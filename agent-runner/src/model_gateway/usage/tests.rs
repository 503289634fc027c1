//! Answers in the words of each protocol, as their providers send them.

use proptest::prelude::*;
use serde_json::json;

use super::super::frames::{Frames, Framing};
use super::*;

/// What all events of a stream say, one after another, when it comes in these pieces.
fn readings(wire: Wire, pieces: &[&[u8]]) -> Vec<Reading> {
    let mut frames = Frames::new(Framing::Sse);
    let mut all = Vec::new();
    for piece in pieces {
        frames.push(piece);
        while let Some(frame) = frames.next().unwrap() {
            all.push(frame);
        }
    }
    all.extend(frames.rest());
    all.into_iter().map(|frame| Reading::of(wire, &frame.data.unwrap_or_default())).collect()
}

/// The last word on each number, and all that was written.
fn summary(readings: &[Reading]) -> (Option<u64>, Option<u64>, Option<u64>, usize) {
    let last = |of: fn(&Reading) -> Option<u64>| readings.iter().filter_map(of).next_back();
    let written = readings.iter().map(|reading| reading.written).sum();
    (last(|r| r.input), last(|r| r.cached), last(|r| r.output), written)
}

const CHAT: &str = r#"data: {"id":"c","model":"m-1","choices":[{"index":0,"delta":{"role":"assistant","content":""}}],"usage":null}

data: {"model":"m-1","choices":[{"index":0,"delta":{"reasoning_content":"hmm"}}]}

data: {"model":"m-1","choices":[{"index":0,"delta":{"content":"Wörter"}}]}

data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"write","arguments":""}}]}}]}

data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":1}"}}]}}]}

data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}

data: {"choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":50,"total_tokens":1050,"prompt_tokens_details":{"cached_tokens":200}}}

data: [DONE]

"#;

const RESPONSES: &str = r#"event: response.created
data: {"type":"response.created","sequence_number":0,"response":{"id":"r","model":"m-1","usage":null}}

event: response.output_item.added
data: {"type":"response.output_item.added","item":{"type":"message","content":[]}}

event: response.output_text.delta
data: {"type":"response.output_text.delta","delta":"words"}

event: response.function_call_arguments.delta
data: {"type":"response.function_call_arguments.delta","delta":"{}"}

event: response.output_text.done
data: {"type":"response.output_text.done","text":"words"}

event: response.completed
data: {"type":"response.completed","response":{"model":"m-1","usage":{"input_tokens":1000,"input_tokens_details":{"cached_tokens":200},"output_tokens":50,"total_tokens":1050}}}

"#;

const ANTHROPIC: &str = "event: message_start\r
data: {\"type\":\"message_start\",\"message\":{\"model\":\"m-1\",\"usage\":{\"input_tokens\":700,\"cache_creation_input_tokens\":100,\"cache_read_input_tokens\":200,\"output_tokens\":1}}}\r
\r
event: ping\r
data: {\"type\": \"ping\"}\r
\r
event: content_block_start\r
data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"Write\",\"input\":{}}}\r
\r
event: content_block_delta\r
data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"hmm\"}}\r
\r
event: content_block_delta\r
data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"EqQBCgIYAhIM1gbcDa9GJwZA2b3h\"}}\r
\r
event: content_block_delta\r
data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\":1}\"}}\r
\r
event: message_delta\r
data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":50}}\r
\r
event: message_stop\r
data: {\"type\":\"message_stop\"}\r
\r
";

const GEMINI: &str = r#"data: {"candidates":[{"content":{"role":"model","parts":[{"text":"hmm","thought":true}]}}],"usageMetadata":{"promptTokenCount":1000,"cachedContentTokenCount":200},"modelVersion":"m-1"}

data: {"candidates":[{"content":{"parts":[{"text":"words"},{"functionCall":{"name":"write","args":{"a":1}}}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1000,"cachedContentTokenCount":200,"candidatesTokenCount":40,"thoughtsTokenCount":10,"totalTokenCount":1050},"modelVersion":"m-1"}

"#;

/// Streams of all protocols; the bytes that the model wrote in each.
const STREAMS: [(Wire, &str, usize); 4] = [
    (Wire::Chat, CHAT, "hmm".len() + "Wörter".len() + "write".len() + r#"{"a":1}"#.len()),
    (Wire::Responses, RESPONSES, "words{}".len()),
    (Wire::Anthropic, ANTHROPIC, "Write".len() + "hmm".len() + r#"{"a":1}"#.len()),
    (Wire::Gemini, GEMINI, "hmm".len() + "words".len() + "write".len() + r#"{"a":1}"#.len()),
];

#[test]
fn a_stream_of_each_wire_is_counted_wherever_it_is_cut() {
    for (wire, stream, written) in STREAMS {
        let whole = readings(wire, &[stream.as_bytes()]);
        assert_eq!(summary(&whole), (Some(1000), Some(200), Some(50), written), "{wire:?}");
        assert!(whole.iter().any(|reading| reading.model.as_deref() == Some("m-1")), "{wire:?}");
        for at in 0..=stream.len() {
            let (head, tail) = stream.as_bytes().split_at(at);
            assert_eq!(readings(wire, &[head, tail]), whole, "{wire:?} cut at {at}");
        }
    }
}

#[test]
fn a_stream_that_ends_early_has_at_most_what_was_in_it() {
    for (wire, stream, written) in STREAMS {
        for end in 0..stream.len() {
            let (input, _, output, so_far) = summary(&readings(wire, &[&stream.as_bytes()[..end]]));
            assert!(so_far <= written && input.is_none_or(|n| n == 1000), "{wire:?} at {end}");
            assert!(output.is_none_or(|n| n == 50), "{wire:?} at {end}");
        }
    }
}

proptest! {
    #[test]
    fn a_stream_in_any_pieces_says_the_same(cuts in prop::collection::vec(0_usize..2000, 0..30)) {
        for (wire, stream, _) in STREAMS {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> =
                cuts.windows(2).map(|pair| &stream.as_bytes()[pair[0]..pair[1]]).collect();
            prop_assert_eq!(readings(wire, &pieces), readings(wire, &[stream.as_bytes()]));
        }
    }

    #[test]
    fn no_answer_is_too_strange_to_be_counted(text in r#"[\[\]{}":,a-z0-9]{0,60}"#) {
        let value: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        for field in ["usage", "usageMetadata", "message", "response", "delta", "choices"] {
            for wire in [Wire::Chat, Wire::Responses, Wire::Anthropic, Wire::Gemini] {
                let _counted = Reading::of(wire, &json!({ field: value }));
            }
        }
    }
}

#[test]
fn whole_answers_are_counted_too() {
    let answers = [
        (
            Wire::Chat,
            json!({"model": "m", "choices": [{"message": {"content": "words"}}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5}}),
        ),
        (
            Wire::Responses,
            json!({"object": "response", "model": "m",
            "usage": {"input_tokens": 10, "output_tokens": 5}}),
        ),
        (
            Wire::Anthropic,
            json!({"type": "message", "model": "m",
            "usage": {"input_tokens": 10, "output_tokens": 5}}),
        ),
        (
            Wire::Gemini,
            json!({"modelVersion": "m",
            "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5}}),
        ),
    ];
    for (wire, answer) in answers {
        let reading = Reading::of(wire, &answer);
        assert_eq!((reading.input, reading.output), (Some(10), Some(5)), "{wire:?}");
        assert_eq!(reading.model.as_deref(), Some("m"), "{wire:?}");
    }
}

#[test]
fn a_number_that_is_too_large_or_zero_is_harmless() {
    let max = u64::MAX;
    let usage = json!({"type": "message", "usage":
        {"input_tokens": max, "cache_read_input_tokens": max, "output_tokens": 0}});
    let reading = Reading::of(Wire::Anthropic, &usage);
    assert_eq!((reading.input, reading.output), (Some(max), None));
}

#[test]
fn the_estimate_is_one_token_for_each_four_bytes_begun() {
    assert_eq!([0, 1, 4, 5, 8].map(tokens_of), [0, 1, 1, 2, 2]);
}

#[test]
fn an_image_in_a_request_is_not_counted_by_its_bytes() {
    let image = "A".repeat(400_000);
    let request = json!({"messages": [{"content": [{"type": "text", "text": "what is this? ".repeat(200)},
        {"type": "image", "source": {"data": image}}]}]});
    let size = request.to_string().len();
    let estimate = tokens_of_request(size, &request);
    assert!((2_200..2_300).contains(&estimate), "{estimate}");
}

#[test]
fn long_text_without_spaces_is_no_image() {
    let long = "A".repeat(40_000);
    let text = json!({"messages": [{"content": long}]});
    assert_eq!(tokens_of_request(40_000, &text), 10_000);
    let image = json!({"image_url": {"url": format!("data:image/png;base64,{long}")}});
    assert!(tokens_of_request(image.to_string().len(), &image) < BLOB_TOKENS + 100);
    let spaced = json!({"data": "\u{a0}".repeat(20_000)});
    assert_eq!(tokens_of_request(40_000, &spaced), 10_000);
}
