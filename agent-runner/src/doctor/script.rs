//! What the scripted model says: first that a file is to be written, then that this is done.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::request::{Request, Tool};

/// The file that the worker is to write, in the root of its work tree.
pub(super) const FILE: &str = "doctor.txt";

/// What is to be in it.
pub(super) const CONTENT: &str = "The doctor was here.\n";

/// What the model says at the end.
pub(super) const WORDS: &str = "The file is written.";

/// Tools that write a whole file, and tools that run a command, by the names that the CLIs give them.
const WRITE: [&str; 4] = ["write", "Write", "write_file", "create_file"];
const SHELL: [&str; 7] =
    ["bash", "Bash", "shell", "exec_command", "shell_command", "local_shell", "run_shell_command"];
const PATCH: &str = "apply_patch";

/// One thing that the model says.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    /// Words.
    Text(String),
    /// A tool is called with arguments: an object, or plain text where it takes that.
    Call { tool: String, arguments: Value },
}

/// The answer to a request of a CLI that works in this folder.
pub(super) fn answer(request: &Request<'_>, tree: &Path) -> Answer {
    if request.has_result {
        return Answer::Text(WORDS.to_owned());
    }
    if request.tools.is_empty() {
        // A CLI without tools takes edits as text; words around a file are words to the others.
        let block = format!("{FILE}\n```\n<<<<<<< SEARCH\n=======\n{CONTENT}>>>>>>> REPLACE\n```");
        return Answer::Text(format!("{WORDS}\n\n{block}\n"));
    }
    call(&request.tools, tree).unwrap_or_else(|| Answer::Text(WORDS.to_owned()))
}

fn call(tools: &[Tool<'_>], tree: &Path) -> Option<Answer> {
    let find =
        |names: &[&str]| names.iter().find_map(|name| tools.iter().find(|t| t.name == *name));
    let path = tree.join(FILE).display().to_string();
    if let Some(tool) = find(&WRITE) {
        let values = json!({"filePath": path, "file_path": path, "path": path,
            "content": CONTENT, "contents": CONTENT});
        return Some(with(tool, &values));
    }
    if let Some(tool) = find(&[PATCH]) {
        let patch = format!("*** Begin Patch\n*** Add File: {FILE}\n+{CONTENT}*** End Patch\n");
        return Some(match tool.schema {
            None => Answer::Call { tool: tool.name.to_owned(), arguments: json!(patch) },
            Some(_) => with(tool, &json!({"input": patch, "patch": patch, "patchText": patch})),
        });
    }
    let tool = find(&SHELL)?;
    let script = format!("printf %s '{CONTENT}' > {FILE}");
    let takes_list = tool.schema.is_some_and(|s| s["properties"]["command"]["type"] == "array");
    let command = if takes_list { json!(["sh", "-c", script]) } else { json!(script) };
    Some(with(tool, &json!({"command": command, "cmd": script, "description": "write the file"})))
}

/// A call with those values that the tool's schema knows, and something for each other that it requires.
fn with(tool: &Tool<'_>, values: &Value) -> Answer {
    let schema = tool.schema.unwrap_or(&Value::Null);
    let (known, values) = (schema["properties"].as_object(), values.as_object());
    let mut arguments = Map::new();
    for (name, value) in values.into_iter().flatten() {
        if known.is_some_and(|known| known.contains_key(name)) {
            arguments.insert(name.clone(), value.clone());
        }
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let stub = match schema["properties"][name]["type"].as_str() {
            Some("boolean") => json!(false),
            Some("integer" | "number") => json!(1),
            Some("array") => json!([]),
            Some("object") => json!({}),
            _ => json!("none"),
        };
        arguments.entry(name).or_insert(stub);
    }
    Answer::Call { tool: tool.name.to_owned(), arguments: arguments.into() }
}
