//! A run under a Director: which prompts the worker gets, what decides, and what is told of it.

use api_client::contract::AgentExit;
use api_client::outcome::{DirectorFacts, PlanOutcome, Verdict};
use serde_json::{Value, json};

use crate::job::TOKEN;
use crate::scene::{DIRECTOR_KEY, Plan, Scene};
use crate::servers::{Answer, TICKET};

/// Does what its prompt asks for: writes a plan where one is wanted, and else one more line into `new`.
const WORKER: &str = r#"
plan=$(sed -n 's/.*`\(plan\/.*_task_plan.md\)`.*/\1/p' $HERE/prompt | head -n 1)
if grep -q 'change nothing yet' $HERE/prompt; then :
elif grep -q 'Now do the work\|NEXT' $HERE/prompt; then echo line >> new; grep -q GOOD $HERE/prompt && touch good
elif [ -n "$plan" ]; then mkdir -p plan; echo "1. Write new ($(cat plan/* 2>/dev/null | wc -l))" >> "$plan"
fi; true"#;

macro_rules! chat {
    ($content:literal) => {
        chat!($content, "stop")
    };
    ($content:literal, $finish:literal) => {
        chat!($content, $finish, "100")
    };
    ($content:literal, $finish:literal, $tokens:literal) => {
        (
            200,
            concat!(
                r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"#,
                $content,
                r#"},"finish_reason":""#,
                $finish,
                r#""}],"usage":{"prompt_tokens":"#,
                $tokens,
                r#","completion_tokens":10}}"#
            ),
        )
    };
}

pub(crate) const APPROVED: (u16, &str) = chat!(r#""{\"plan_approved\":true,\"feedback\":\"\"}""#);
/// Uses up a budget of 100,000 tokens.
pub(crate) const DEAR: (u16, &str) = chat!(
    r#""{\"complete\":false,\"summary\":\"\",\"next_prompt\":\"NEXT: go on.\"}""#,
    "stop",
    "200000"
);
pub(crate) const PROSE: (u16, &str) = chat!(r#""All good.""#);
const REJECTED: (u16, &str) =
    chat!(r#""{\"plan_approved\":false,\"feedback\":\"Name the test.\"}""#);
pub(crate) const MORE: (u16, &str) =
    chat!(r#""{\"complete\":false,\"summary\":\"\",\"next_prompt\":\"NEXT: go on.\"}""#);
pub(crate) const OTHER: (u16, &str) =
    chat!(r#""{\"complete\":false,\"summary\":\"\",\"next_prompt\":\"NEXT: something else.\"}""#);
const GOOD: (u16, &str) =
    chat!(r#""{\"complete\":false,\"summary\":\"\",\"next_prompt\":\"NEXT: GOOD.\"}""#);
pub(crate) const DONE: (u16, &str) =
    chat!(r#""{\"complete\":true,\"summary\":\"It has new lines.\",\"next_prompt\":\"\"}""#);

fn run(plan: Plan) -> (Option<i32>, Scene) {
    let mut scene = Scene::of(plan, |_, _| Answer::Usual);
    let (code, log) = scene.job.end();
    let secrets = [DIRECTOR_KEY, TOKEN, "sk-topsecret-of-the-model"];
    for asked in scene.asked_director() {
        assert!(secrets.iter().all(|secret| !asked.to_string().contains(secret)), "{asked}");
    }
    assert!(secrets.iter().all(|secret| !log.contains(secret)), "{log}");
    (code, scene)
}

fn directed(director: &'static [(u16, &'static str)]) -> Plan {
    Plan { claude: WORKER, director, ..Plan::default() }
}

fn code(exit: AgentExit) -> Option<i32> {
    Some(i32::from(exit.code()))
}

fn facts(scene: &Scene) -> DirectorFacts {
    scene.outcome().director.unwrap()
}

fn words(asked: &Value) -> String {
    asked["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap().to_owned()
}

fn published(scene: &Scene) -> String {
    scene.git(&["ls-tree", "-r", "--name-only", &scene.pushed().unwrap()])
}

#[test]
fn a_ticket_of_four_turns_is_delivered_when_the_director_says_so() {
    let (ended, scene) = run(directed(&[APPROVED, MORE, OTHER, GOOD, DONE]));
    assert_eq!(ended, code(AgentExit::Delivered));
    let steps = scene.steps();
    let expected = [
        "session_started",
        "context_loaded",
        "branch_created",
        "worker_research_prompt",
        "worker_research_done",
        "worker_plan_prompt",
        "worker_plan_done",
        "plan_approved",
        "worker_turn_0_prompt",
        "worker_turn_0",
        "director_turn_0",
        "worker_turn_1_prompt",
        "worker_turn_1",
        "director_turn_1",
        "worker_turn_2_prompt",
        "worker_turn_2",
        "director_turn_2",
        "worker_turn_3_prompt",
        "worker_turn_3",
        "director_turn_3",
        "finalize",
        "memory_indexed",
        "task_complete",
    ];
    assert_eq!(steps, expected);
    // The plan is no part of what is published.
    assert_eq!(published(&scene), "README\ngood\nnew");
    let facts = facts(&scene);
    assert_eq!((facts.calls, facts.assessments, facts.plan), (5, 4, Some(PlanOutcome::Approved)));
    assert_eq!((facts.tokens.input, facts.tokens.output), (500, 50));
    let told = scene.bodies("checkpoint");
    let last = told.last().unwrap()["checkpoints"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["hook"], &last["tokens"]), (&json!("on_complete"), &json!(550)));
    let open = scene.requests().into_iter().find(|request| request.what == "open").unwrap();
    let body = open.body["body"].as_str().unwrap();
    assert!(
        body.contains("It has new lines.") && body.contains("- Director: model `judge`, 5 calls")
    );
}

#[test]
fn a_model_and_its_address_are_all_that_a_director_needs() {
    let (ended, scene) =
        run(Plan { setting: ("AGENT_API_KEY", ""), ..directed(&[APPROVED, DONE]) });
    assert_eq!(ended, code(AgentExit::Delivered));
    assert_eq!(facts(&scene).calls, 2);
    assert_eq!(scene.asked_director()[0]["model"], "judge");
}

#[test]
fn a_director_that_is_switched_off_is_not_asked() {
    let plan = Plan { setting: ("AGENT_DIRECTOR", "0"), director: &[DONE], ..Plan::default() };
    let (ended, scene) = run(plan);
    assert_eq!(ended, code(AgentExit::Delivered));
    assert!(scene.asked_director().is_empty() && scene.outcome().director.is_none());
}

#[test]
fn what_is_not_enough_for_a_director_is_told_and_the_ticket_is_delivered_without() {
    let setting = ("AGENT_MODEL\nAGENT_PROVIDER", "\nvllm");
    let mut scene =
        Scene::of(Plan { setting, director: &[DONE], ..Plan::default() }, |_, _| Answer::Usual);
    let (ended, log) = scene.job.end();
    assert_eq!(ended, code(AgentExit::Delivered));
    assert!(scene.asked_director().is_empty());
    assert_eq!(log.matches("there is no Director: AGENT_MODEL is not set").count(), 1, "{log}");
}

/// Its first turn leaves a private key's file behind, which publishing refuses, and its second one takes it back.
const TAKES_BACK: &str = r#"
if grep -q 'change nothing yet' $HERE/prompt; then :
elif grep -q 'NEXT' $HERE/prompt; then rm id_rsa; echo line > new
elif grep -q 'Now do the work' $HERE/prompt; then
  printf -- '-----BEGIN PRIVATE KEY-----\n%s\n' "$(head -c 48 /dev/urandom | base64 -w 0)" > id_rsa
else mkdir -p plan; echo '1. Write new' > "$(sed -n 's/.*`\(plan\/.*_task_plan.md\)`.*/\1/p' $HERE/prompt | head -n 1)"
fi; true"#;

#[test]
fn what_a_later_turn_takes_back_keeps_no_work_from_being_delivered() {
    let plan = Plan { claude: TAKES_BACK, director: &[APPROVED, MORE, DONE], ..Plan::default() };
    let (ended, scene) = run(plan);
    assert_eq!(ended, code(AgentExit::Delivered));
    assert!(words(&scene.asked_director()[1]).contains("id_rsa"), "it was there");
    assert_eq!(published(&scene), "README\nnew");
}

#[test]
fn the_director_judges_by_what_git_says() {
    let (_, scene) = run(directed(&[APPROVED, MORE, DONE]));
    let asked = scene.asked_director();
    let (first, second) = (words(&asked[1]), words(&asked[2]));
    for part in [" new | 1 +", "> +line", "1 file changed, 1 insertion(+)"] {
        assert!(first.contains(part), "{part} is not in {first}");
    }
    assert!(second.contains("> @@ -1 +1,2 @@") && second.contains("2 insertions(+)"), "{second}");
    let system = asked[1]["messages"][0]["content"].as_str().unwrap();
    assert!(system.contains("> # Add it") && system.contains("> 1. Write new"), "{system}");
}

#[test]
fn a_rejected_plan_goes_back_and_is_mended() {
    let (ended, scene) = run(directed(&[REJECTED, APPROVED, DONE]));
    assert_eq!(ended, code(AgentExit::Delivered));
    let entries = scene.log_entries();
    let prompt = entries.iter().find(|one| one["step"] == "worker_plan_review_0_prompt").unwrap();
    assert!(prompt["raw_output"].as_str().unwrap().contains("Name the test."), "{prompt}");
    let second = words(&scene.asked_director()[1]);
    assert!(second.contains("> 1. Write new (0)\n> 1. Write new (1)"), "{second}");
    assert_eq!(facts(&scene).plan, Some(PlanOutcome::Approved));
}

#[test]
fn a_ticket_that_sets_a_project_up_has_no_plan_and_is_judged_after_its_first_turn() {
    let plan = Plan { title: " project SETUP", claude: "echo made > made", ..directed(&[DONE]) };
    let (ended, scene) = run(plan);
    assert_eq!(ended, code(AgentExit::Delivered));
    let steps = scene.steps();
    assert_eq!(
        steps[3..7],
        ["project_setup_flow", "worker_setup_prompt", "worker_setup_done", "director_turn_0"]
    );
    assert_eq!(facts(&scene).plan, None);
    assert_eq!(published(&scene), "README\nmade");
}

#[test]
fn a_plan_that_is_never_approved_is_followed_and_flagged() {
    let plan =
        Plan { setting: ("AGENT_MAX_PLAN_REVIEWS", "2"), ..directed(&[REJECTED, REJECTED, DONE]) };
    let (ended, scene) = run(plan);
    assert_eq!(ended, code(AgentExit::Delivered));
    assert_eq!(facts(&scene).plan, Some(PlanOutcome::NotApproved));
    assert!(scene.steps().contains(&"plan_review_exhausted".to_owned()));
    let open = scene.requests().into_iter().find(|request| request.what == "open").unwrap();
    assert!(open.body["body"].as_str().unwrap().contains("did not approve the plan in 2 reviews"));
}

#[test]
fn every_kind_of_bad_answer_ends_in_a_delivered_ticket() {
    let (ended, scene) = run(directed(&[
        (429, "{}"),
        (429, "{}"),
        (429, "{}"),
        chat!(r#""Looks fine to me. {\"plan_approved\": true, \"feedback\": \"\"} Go!""#),
        chat!(
            r#""```json\n{\"complete\":false,\"summary\":\"\",\"next_prompt\":\"NEXT: a.\"}\n```""#
        ),
        chat!(r#""{\"complete\":\"false\",\"next_prompt\":\"NEXT: b.\"}""#),
        chat!("null"),
        chat!(r#""{\"complete\":false,\"summary\":\"\",\"next_prompt\":\"NEXT: c.\"}""#),
        chat!(r#""{\"complete\":true,\"summary\":\"It ha""#, "length"),
        (502, "<html>Bad Gateway</html>"),
        DONE,
    ]));
    assert_eq!(ended, code(AgentExit::Delivered));
    assert_eq!(scene.outcome().turns.len(), 2 + 3);
    assert_eq!(facts(&scene).assessments, 3);
}

#[test]
fn a_director_that_is_not_understood_ends_the_run_and_the_work_is_saved() {
    let (ended, scene) = run(directed(&[APPROVED, MORE, chat!(r#""All good.""#)]));
    assert_eq!(ended, code(AgentExit::DirectorFailed));
    let outcome = scene.outcome();
    assert_eq!(outcome.verdict, Verdict::Partial);
    assert!(outcome.summary.contains("cannot be used, after 2 requests"), "{}", outcome.summary);
    assert_eq!(scene.branches(), ["ticket-rescue"]);
    let saved = scene.git(&["show", &format!("ticket-{TICKET}-rescue:new")]);
    assert_eq!(saved, "line\nline");
    assert_eq!(scene.steps().last().unwrap(), "director_failed");
}

#[test]
fn the_directors_word_does_not_outweigh_a_failing_check() {
    let project = "[check]\ncommand = \"test -f good || { echo it is not good; exit 3; }\"\n";
    let plan = Plan { project: Some(project), ..directed(&[APPROVED, DONE, GOOD, DONE]) };
    let (ended, scene) = run(plan);
    assert_eq!(ended, code(AgentExit::Delivered));
    let entries = scene.log_entries();
    let prompt = entries.iter().find(|one| one["step"] == "worker_turn_1_prompt").unwrap();
    assert!(prompt["raw_output"].as_str().unwrap().contains("> it is not good"), "{prompt}");
    assert!(
        words(&scene.asked_director()[1]).contains("> It failed (exit code 3):\n> it is not good")
    );
    let plan = Plan { project: Some(project), ..directed(&[APPROVED, DONE]) };
    let (ended, scene) = run(plan);
    assert_eq!(ended, code(AgentExit::ChecksFailed));
    assert!(!scene.course().contains(&"completion"));
}

#[test]
fn a_ticket_is_not_done_by_words_alone() {
    let (ended, scene) = run(Plan { claude: "true", ..directed(&[APPROVED, DONE]) });
    assert_eq!(ended, code(AgentExit::NoChanges));
    let entries = scene.log_entries();
    let prompt = entries.iter().find(|one| one["step"] == "worker_turn_1_prompt").unwrap();
    assert!(
        prompt["raw_output"].as_str().unwrap().contains("nothing in the repository is changed")
    );
    assert_eq!(scene.pushed(), None);
}

#[test]
fn work_that_does_not_move_on_is_ended_after_one_change_of_approach() {
    let (ended, scene) = run(directed(&[APPROVED, MORE]));
    assert_eq!(ended, code(AgentExit::BudgetExhausted));
    let outcome = scene.outcome();
    assert!(outcome.summary.contains("the same prompt was given"), "{}", outcome.summary);
    assert_eq!(outcome.verdict, Verdict::Partial);
    let demands = scene.log_entries().into_iter().filter(|entry| {
        entry["raw_output"].as_str().is_some_and(|text| text.contains("choose another approach"))
    });
    assert_eq!(demands.count(), 1);
}

#[test]
fn the_last_turn_that_is_allowed_is_the_last() {
    let plan =
        Plan { setting: ("AGENT_MAX_TURNS", "2"), ..directed(&[APPROVED, MORE, OTHER, MORE]) };
    let (ended, scene) = run(plan);
    assert_eq!(ended, code(AgentExit::BudgetExhausted));
    let outcome = scene.outcome();
    assert!(outcome.summary.contains("after 2 turns; AGENT_MAX_TURNS"), "{}", outcome.summary);
    assert_eq!(scene.branches(), ["ticket-rescue"]);
}

#[test]
fn the_directors_tokens_are_a_part_of_the_jobs_budget() {
    let plan =
        Plan { setting: ("WORKER_TOKEN_BUDGET", "2500"), ..directed(&[APPROVED, MORE, OTHER]) };
    let (ended, scene) = run(plan);
    assert_eq!(ended, code(AgentExit::BudgetExhausted));
    let outcome = scene.outcome();
    assert!(outcome.summary.contains("WORKER_TOKEN_BUDGET allows 2500"), "{}", outcome.summary);
    assert!(outcome.director.unwrap().calls > 0);
}

#[test]
fn the_time_of_the_turns_can_be_limited() {
    let claude = "if grep -q 'Now do' $HERE/prompt; then echo line > new; exec sleep 1000; fi";
    let plan = Plan { claude, setting: ("AGENT_TIME_BUDGET_SEC", "5"), ..directed(&[APPROVED]) };
    let (ended, scene) = run(plan);
    assert_eq!(ended, code(AgentExit::BudgetExhausted));
    let outcome = scene.outcome();
    assert!(outcome.summary.contains("AGENT_TIME_BUDGET_SEC allows 5 s"), "{}", outcome.summary);
    assert_eq!(scene.branches(), ["ticket-rescue"]);
}

#[test]
fn the_time_of_the_turns_ends_a_command_of_the_repository_as_well() {
    let project = "[setup]\ncommand = \"sleep 1000\"\n";
    let plan = Plan {
        project: Some(project),
        setting: ("AGENT_TIME_BUDGET_SEC", "3"),
        ..directed(&[APPROVED, DONE])
    };
    let (ended, scene) = run(plan);
    assert_eq!(ended, code(AgentExit::BudgetExhausted));
    let outcome = scene.outcome();
    assert!(outcome.summary.contains("AGENT_TIME_BUDGET_SEC allows 3 s"), "{}", outcome.summary);
}

/// An ignored folder for plans, and a check that fails where the plan is there.
const IGNORES: &str =
    "if grep -q 'change nothing yet' $HERE/prompt; then echo plan/ > .git/info/exclude; fi";

#[test]
fn a_plan_is_found_though_git_ignores_it_and_is_gone_while_the_check_runs() {
    let claude = Box::leak(format!("{IGNORES}\n{WORKER}").into_boxed_str());
    let project = "[check]\ncommand = \"! ls plan\"\n";
    let plan = Plan { claude, project: Some(project), ..directed(&[APPROVED, DONE]) };
    let (ended, scene) = run(plan);
    assert_eq!(ended, code(AgentExit::Delivered));
    assert!(words(&scene.asked_director()[0]).contains("> 1. Write new (0)"));
}

#[test]
fn what_an_earlier_run_saved_is_delivered_when_the_director_says_that_it_is_done() {
    let answers = &[
        APPROVED,
        MORE,
        chat!(r#""Fine.""#),
        chat!(r#""Fine.""#),
        chat!(r#""Fine.""#),
        APPROVED,
        DONE,
    ];
    let claude =
        "if grep -q 'Now do the work' $HERE/prompt && ! [ -e new ]; then echo line > new; fi";
    let mut scene = Scene::of(Plan { claude, ..directed(answers) }, |_, _| Answer::Usual);
    assert_eq!(scene.job.end().0, code(AgentExit::DirectorFailed));
    let (ended, log) = scene.run_again();
    assert_eq!(ended, code(AgentExit::Delivered), "{log}");
    assert_eq!(published(&scene), "README\nnew");
    assert_eq!(scene.branches(), ["ticket"]);
}
