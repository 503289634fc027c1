//! What to answer: one pure function from the script and the request's view.

use super::script::{Scenario, Script};
use super::view::{Answer, View};
use super::{aider, tool};

/// The next thing the model says. Scenarios that break the protocol are
/// applied by the caller; for them this is what they break.
pub(super) fn decide(view: &View, script: &Script) -> Answer {
    match script.scenario {
        Scenario::Noop => return Answer::Text(script.noop_text.clone()),
        Scenario::Empty => return Answer::Text(String::new()),
        Scenario::Ask if view.results_since_prompt() == 0 => {
            let asked = tool::question(view, &script.question);
            return asked.unwrap_or_else(|| Answer::Text(script.question.clone()));
        }
        Scenario::Ask => return Answer::Text(script.question.clone()),
        Scenario::Edit
        | Scenario::Status
        | Scenario::Hang
        | Scenario::Stall
        | Scenario::Drop
        | Scenario::Garbage
        | Scenario::GarbageStream => {}
    }
    if view.tools.is_empty() {
        let text = aider::edit_block(view, script).unwrap_or_else(|| script.text.clone());
        return Answer::Text(text);
    }
    let done = view.results_since_prompt();
    let goes_on = script.turns.is_none_or(|turns| done < turns);
    let call = if goes_on { tool::call(view, script, done) } else { None };
    call.unwrap_or_else(|| Answer::Text(script.text.clone()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::view::{Tool, ToolInput, Turn};
    use super::*;

    fn view(tools: Vec<Tool>, turns: Vec<Turn>) -> View {
        let system = "Working directory: /repo\n".to_owned();
        View { tools, turns, system, ..View::default() }
    }

    fn write_tool() -> Tool {
        let schema = json!({"properties": {"filePath": {"type": "string"}, "content": {}},
            "required": ["filePath", "content"]});
        Tool::new("write", "function", Some(&schema))
    }

    fn asked() -> Turn {
        Turn::new("user", "please".to_owned(), 0)
    }

    fn result() -> Turn {
        Turn::new("tool", "written".to_owned(), 1)
    }

    fn path(answer: &Answer) -> &str {
        match answer {
            Answer::Call { input: ToolInput::Json(value), .. } => {
                value["filePath"].as_str().unwrap()
            }
            other => panic!("{other:?} is not a call with JSON"),
        }
    }

    #[test]
    fn a_prompt_with_tools_is_answered_by_writing_the_file() {
        let script = Script::edit("a.txt", "b");
        let answer = decide(&view(vec![write_tool()], vec![asked()]), &script);
        assert_eq!(path(&answer), "/repo/a.txt");
    }

    #[test]
    fn the_final_text_follows_the_last_tool_result_and_a_new_prompt_starts_over() {
        let script = Script { turns: Some(2), ..Script::edit("a.txt", "b") };
        let answer = |turns| decide(&view(vec![write_tool()], turns), &script);
        assert_eq!(path(&answer(vec![asked(), result()])), "/repo/a.txt.1");
        let done = answer(vec![asked(), result(), result()]);
        assert_eq!(done, Answer::Text(script.text.clone()));
        let again = answer(vec![asked(), result(), result(), asked()]);
        assert_eq!(path(&again), "/repo/a.txt");
    }

    #[test]
    fn without_tools_or_with_noop_there_is_only_text() {
        let script = Script::default();
        assert_eq!(
            decide(&view(vec![], vec![asked()]), &script),
            Answer::Text(script.text.clone())
        );
        let noop = Script { scenario: Scenario::Noop, ..Script::default() };
        let answer = decide(&view(vec![write_tool()], vec![asked()]), &noop);
        assert_eq!(answer, Answer::Text(noop.noop_text));
    }
}
