//! What is in a prompt, and what never is.

use std::os::unix::fs::symlink;

use super::*;

const CONTEXT: &str = r##"{
    "agent_settings": {"github_agent_token": "ghp_topsecret", "WORKER_API_KEY": "sk-topsecret"},
    "project_name": "demo", "project_description": "A shop",
    "current_ticket": {"id": "t1", "title": "Add login", "description": "With a password.",
        "priority": "high", "api_key": "topsecret-field"},
    "in_progress_tickets": [{"id": "t1", "title": "Add login"}, {"id": "t2", "title": "Add logout"}],
    "done_tickets": [{"id": "t0", "title": "Set up"}],
    "notes": [{"title": "N", "content": "use\nargon2"}],
    "graph_relevant_to_current_ticket": {
        "nodes": [{"id": "n1", "type": "service", "secret": "topsecret-node",
            "data": {"label": "API", "tech": "flask", "description": "api svc", "token": "topsecret"}}],
        "edges": [{"label": "sql", "source_label": "API", "target_label": "DB"}]}}"##;

fn assignment() -> Assignment {
    Assignment::of_context(&serde_json::from_str(CONTEXT).unwrap(), &Redaction::default()).unwrap()
}

#[test]
fn a_prompt_has_the_ticket_and_its_surroundings() {
    let prompt = assignment().prompt(&Prompts::default(), &[]);
    for part in [
        "# Add login\n\nWith a password.\n",
        "- API -> DB, sql\n",
        "- service, API, flask, api svc\n",
        "- N: use argon2\n",
        "## Other tickets in progress\n\n- Add logout\n",
        "## Tickets that are done\n\n- Set up\n",
        "demo\n\nA shop",
    ] {
        assert!(prompt.contains(part), "{part:?} is not in\n{prompt}");
    }
}

#[test]
fn no_secret_of_the_app_is_in_what_is_written_about_a_ticket() {
    let assignment = assignment();
    let body = assignment.pull_request_body("done", DiffStat::default(), &Brief::default());
    for text in [assignment.prompt(&Prompts::default(), &[]), body, format!("{assignment:?}")] {
        assert!(!text.contains("topsecret"), "{text}");
    }
}

#[test]
fn a_context_without_a_ticket_is_no_assignment() {
    assert_eq!(Assignment::of_context(&WorkerContext::default(), &Redaction::default()), None);
}

#[test]
fn a_task_names_itself_by_its_first_line() {
    let assignment =
        Assignment::of_task("\n  Add a file\n\nwith two lines\n", &Redaction::default());
    assert_eq!(assignment.title(), "Add a file");
    assert!(
        assignment
            .prompt(&Prompts::default(), &[])
            .starts_with("# Add a file\n\nAdd a file\n\nwith two lines\n")
    );
}

#[test]
fn the_repository_s_instructions_are_quoted_line_by_line() {
    let tree = tempfile::tempdir().unwrap();
    std::fs::write(tree.path().join("AGENTS.md"), "# Rules\n## How to work\nUse tabs.").unwrap();
    let prompt =
        assignment().prompt(&Prompts::default(), &instructions(tree.path(), &Redaction::default()));
    assert!(prompt.contains("## The repository's AGENTS.md\n"));
    assert!(prompt.contains("\n> # Rules\n> ## How to work\n> Use tabs.\n"), "{prompt}");
    assert_eq!(prompt.matches("\n## How to work").count(), 1);
}

#[test]
fn instructions_are_bounded_and_taken_once() {
    let tree = tempfile::tempdir().unwrap();
    std::fs::write(tree.path().join("AGENTS.md"), "x".repeat(1 << 20)).unwrap();
    symlink("AGENTS.md", tree.path().join("CLAUDE.md")).unwrap();
    let found = instructions(tree.path(), &Redaction::default());
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].text.len(), INSTRUCTIONS_MAX);
}

#[test]
fn a_link_out_of_the_tree_is_not_read() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "topsecret").unwrap();
    let tree = tempfile::tempdir().unwrap();
    symlink(outside.path().join("secret"), tree.path().join("AGENTS.md")).unwrap();
    symlink("/proc/self/environ", tree.path().join("CLAUDE.md")).unwrap();
    assert_eq!(instructions(tree.path(), &Redaction::default()), []);
}

#[test]
fn a_pull_request_has_the_heading_that_the_app_looks_for() {
    let stat = DiffStat { files: 1, insertions: 2, deletions: 0 };
    let body = assignment().pull_request_body("  Added it.  ", stat, &Brief::default());
    let (before, after) = body.split_once("\n## What was accomplished\n").unwrap();
    assert!(before.starts_with("**Add login**\n\nWith a password.\n"));
    assert_eq!(after, "\nAdded it.\n\n1 file changed, +2 -0\n");
    assert!(
        assignment().pull_request_body("", stat, &Brief::default()).contains("left no summary")
    );
}

#[test]
fn no_part_of_a_secret_is_left_where_a_text_is_cut() {
    let redaction = Redaction::default();
    redaction.register([&"ghp_topsecret".into()]);
    let at = |max: usize| format!("{}ghp_topsecret{}", "x".repeat(max - 6), "y".repeat(max));
    let task = Assignment::of_task(&at(TITLE_MAX_CHARS), &redaction);
    let mut context: WorkerContext = serde_json::from_str(CONTEXT).unwrap();
    context.project_description = at(ASIDE_MAX / 2);
    context.notes[0].content = at(ASIDE_MAX / 2);
    context.current_ticket.as_mut().unwrap().description = at(SUMMARY_MAX_CHARS);
    let ticket = Assignment::of_context(&context, &redaction).unwrap();
    context.current_ticket.as_mut().unwrap().description = at(DESCRIPTION_MAX / 2);
    let long = Assignment::of_context(&context, &redaction).unwrap();
    let tree = tempfile::tempdir().unwrap();
    std::fs::write(tree.path().join("AGENTS.md"), at(INSTRUCTIONS_MAX)).unwrap();
    let quoted = instructions(tree.path(), &redaction);
    for text in [
        task.title().to_owned(),
        ticket.pull_request_body("", DiffStat::default(), &Brief::default()),
        ticket.prompt(&Prompts::default(), &[]),
        long.prompt(&Prompts::default(), &quoted),
    ] {
        assert!(!text.contains("ghp"), "{text}");
    }
}
