//! Which of the client's tools to call, and with what.
//!
//! Invariant: a call satisfies the tool's own schema: known properties only,
//! and every required one present.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::script::Script;
use super::view::{Answer, Tool, ToolInput, ToolInputKind, View};
use super::workdir;

/// Tools that write a whole file, by the names the CLIs give them.
const WRITE: [&str; 4] = ["write", "Write", "write_file", "create_file"];
/// Tools that run a command.
const SHELL: [&str; 7] =
    ["bash", "Bash", "shell", "exec_command", "shell_command", "local_shell", "run_shell_command"];
/// Tools that ask the person.
const QUESTION: [&str; 4] = ["question", "AskUserQuestion", "ask_user", "request_user_input"];
/// The tool that applies a patch.
const PATCH: &str = "apply_patch";

/// A call that does what the script says, or `None` where no tool can.
/// `done` counts the calls before it.
pub(super) fn call(view: &View, script: &Script, done: u64) -> Option<Answer> {
    if let Some(command) = &script.shell {
        return shell_call(view, command);
    }
    let file = match done {
        0 => script.file.clone(),
        n => format!("{}.{n}", script.file),
    };
    let folder = script.workdir.clone().or_else(|| workdir::find(&view.text()));
    let path = match folder {
        Some(folder) => Path::new(&folder).join(&file).display().to_string(),
        None => file.clone(),
    };
    write_call(view, &path, &script.content)
        .or_else(|| patch_call(view, &file, &script.content))
        .or_else(|| {
            let (content, path) = (quoted(&script.content), quoted(&path));
            shell_call(view, &format!("printf %s {content} > {path}"))
        })
}

/// A call that asks the person, or `None` where no tool does.
pub(super) fn question(view: &View, text: &str) -> Option<Answer> {
    let tool = find(view, &QUESTION)?;
    let options = json!([{"label": "The first", "description": "the first"},
        {"label": "The second", "description": "the second"}]);
    let one = json!({"question": text, "header": "Choice", "id": "choice", "options": options,
        "multiSelect": false, "type": "choice"});
    Some(json_call(tool, &json!({"questions": [one], "question": text})))
}

fn write_call(view: &View, path: &str, content: &str) -> Option<Answer> {
    let tool = find(view, &WRITE)?;
    let values = json!({
        "filePath": path, "file_path": path, "path": path,
        "content": content, "contents": content,
    });
    Some(json_call(tool, &values))
}

fn patch_call(view: &View, file: &str, content: &str) -> Option<Answer> {
    let tool = find(view, &[PATCH])?;
    let added: String = content.lines().map(|line| format!("+{line}\n")).collect();
    let patch = format!("*** Begin Patch\n*** Add File: {file}\n{added}*** End Patch\n");
    Some(match tool.input {
        ToolInputKind::Freeform => {
            Answer::Call { tool: tool.name.clone(), input: ToolInput::Freeform(patch) }
        }
        ToolInputKind::Json => {
            json_call(tool, &json!({"input": patch, "patch": patch, "patchText": patch}))
        }
    })
}

fn shell_call(view: &View, script: &str) -> Option<Answer> {
    let tool = find(view, &SHELL)?;
    let takes_argv = tool.schema["properties"]["command"]["type"] == "array";
    let command = if takes_argv { json!(["bash", "-c", script]) } else { json!(script) };
    let values = json!({"command": command, "cmd": script, "description": "run a command"});
    Some(json_call(tool, &values))
}

fn find<'a>(view: &'a View, names: &[&str]) -> Option<&'a Tool> {
    names.iter().find_map(|name| view.tools.iter().find(|tool| tool.name == *name))
}

fn json_call(tool: &Tool, values: &Value) -> Answer {
    Answer::Call { tool: tool.name.clone(), input: ToolInput::Json(fill(&tool.schema, values)) }
}

/// The values that the schema knows, and a stub for each other required one.
fn fill(schema: &Value, values: &Value) -> Value {
    let empty = Map::new();
    let known = schema["properties"].as_object().unwrap_or(&empty);
    let values = values.as_object().unwrap_or(&empty);
    let fits = |key: &String| known.is_empty() || known.contains_key(key);
    let mut arguments: Map<String, Value> =
        values.iter().filter(|(key, _)| fits(key)).map(|(k, v)| (k.clone(), v.clone())).collect();
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let kind = known.get(name).map_or("", |property| property["type"].as_str().unwrap_or(""));
        arguments.entry(name).or_insert_with(|| stub(kind));
    }
    Value::Object(arguments)
}

fn stub(kind: &str) -> Value {
    match kind {
        "boolean" => json!(false),
        "integer" | "number" => json!(1),
        "array" => json!([]),
        "object" => json!({}),
        _ => json!("none"),
    }
}

/// `text` as one word of a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(tools: Vec<Tool>, script: &Script) -> (String, ToolInput) {
        let view = View { tools, ..View::default() };
        match call(&view, script, 0) {
            Some(Answer::Call { tool, input }) => (tool, input),
            other => panic!("{other:?} is not a call"),
        }
    }

    #[test]
    fn each_kind_of_tool_writes_the_file_in_its_own_way() {
        let script = Script { workdir: Some("/w".to_owned()), ..Script::edit("a", "it's\n") };
        let schema = json!({"properties": {"path": {}, "contents": {}, "safe": {"type": "boolean"}},
            "required": ["path", "safe"]});
        let (_, input) = called(vec![Tool::new("create_file", "function", Some(&schema))], &script);
        let expected = json!({"path": "/w/a", "contents": "it's\n", "safe": false});
        assert_eq!(input, ToolInput::Json(expected));

        let (_, input) = called(vec![Tool::new(PATCH, "custom", None)], &script);
        assert_eq!(
            input,
            ToolInput::Freeform(
                "*** Begin Patch\n*** Add File: a\n+it's\n*** End Patch\n".to_owned()
            )
        );

        let argv = json!({"properties": {"command": {"type": "array"}}});
        let (tool, input) = called(vec![Tool::new("shell", "function", Some(&argv))], &script);
        let command = r"printf %s 'it'\''s
' > '/w/a'";
        assert_eq!(tool, "shell");
        assert_eq!(input, ToolInput::Json(json!({"command": ["bash", "-c", command]})));
    }

    #[test]
    fn a_client_without_a_fitting_tool_gets_no_call() {
        let view = View { tools: vec![Tool::new("read", "function", None)], ..View::default() };
        assert_eq!(call(&view, &Script::default(), 0), None);
    }
}
