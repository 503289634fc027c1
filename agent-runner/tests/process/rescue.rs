//! What becomes of the work of a run that does not come to its end.

use api_client::contract::AgentExit;
use api_client::outcome::{FindingKind, OutcomeDocument, Verdict};
use nix::sys::signal::Signal;

use crate::scene::{CLAIM, Plan, Scene};
use crate::servers::Answer;

const HALF: &str = "echo half > half; echo up > $HERE/up; exec sleep 1000";

fn code(exit: AgentExit) -> Option<i32> {
    Some(i32::from(exit.code()))
}

/// The outcome of a run whose work is on the rescue branch and nowhere else.
pub(crate) fn saved(scene: &Scene, file: &str) -> OutcomeDocument {
    let outcome = scene.outcome();
    assert_eq!(scene.branches(), ["ticket-rescue"], "{outcome:?}");
    let rescue = outcome.rescue.clone().unwrap();
    assert_eq!(scene.git(&["rev-parse", &rescue.branch]), rescue.commit);
    let files = scene.git(&["ls-tree", "--name-only", &rescue.commit]);
    assert!(files.lines().any(|name| name == file), "{files}");
    assert!(outcome.summary.contains(&rescue.branch), "{}", outcome.summary);
    let entries = scene.log_entries();
    let last = entries.last().unwrap();
    assert!(last["summary"].as_str().unwrap().contains(&rescue.branch), "{last}");
    outcome
}

#[test]
fn a_cancelled_run_saves_what_there_is() {
    let mut scene = Scene::of(Plan { claude: HALF, ..Plan::default() }, |_, _| Answer::Usual);
    scene.job.file("up");
    scene.job.signal(Signal::SIGTERM);
    let (ended, log) = scene.job.end_soon();
    assert_eq!(ended, code(AgentExit::Cancelled), "{log}");
    let outcome = saved(&scene, "half");
    assert_eq!((outcome.verdict, outcome.cause), (Verdict::Partial, AgentExit::Cancelled));
}

#[test]
fn a_cli_that_crashes_loses_nothing() {
    let plan = Plan { claude: "echo half > half; kill -9 $$", ..Plan::default() };
    let mut scene = Scene::of(plan, |_, _| Answer::Usual);
    let (ended, log) = scene.job.end();
    assert_eq!(ended, code(AgentExit::WorkerFailed), "{log}");
    assert_eq!(saved(&scene, "half").verdict, Verdict::Partial);
}

#[test]
fn a_push_that_is_refused_loses_nothing() {
    let refuse = "case \"$*\" in *-rescue) ;; *) echo 'fatal: no' >&2; exit 128 ;; esac";
    let plan = Plan { on_git: ("push", refuse), ..Plan::default() };
    let mut scene = Scene::of(plan, |_, _| Answer::Usual);
    let (ended, log) = scene.job.end();
    assert_eq!(ended, code(AgentExit::PublishFailed), "{log}");
    assert_eq!(saved(&scene, "new").verdict, Verdict::Partial);
}

#[test]
fn an_app_that_is_away_loses_nothing() {
    let mut scene = Scene::start(|request, _| match request.what {
        "renewal" => Answer::Refusal(401),
        _ => Answer::Usual,
    });
    let (ended, log) = scene.job.end();
    assert_eq!(ended, code(AgentExit::AppUnreachable), "{log}");
    assert_eq!(saved(&scene, "new").verdict, Verdict::Partial);
}

#[test]
fn a_job_that_is_another_s_leaves_no_trace() {
    let mut scene = Scene::start(|request, _| match request.what {
        "renewal" => Answer::Refusal(409),
        _ => Answer::Usual,
    });
    let (ended, log) = scene.job.end();
    assert_eq!(ended, code(AgentExit::Superseded), "{log}");
    assert_eq!(scene.branches(), [""; 0]);
    assert_eq!(scene.outcome().verdict, Verdict::Failed);
}

#[test]
fn a_cancelled_run_whose_job_is_another_s_saves_nothing() {
    let plan = Plan { claude: HALF, ..Plan::default() };
    let mut scene = Scene::of(plan, |request, _| match request.what {
        "renewal" => Answer::Refusal(409),
        _ => Answer::Usual,
    });
    scene.job.file("up");
    scene.job.signal(Signal::SIGTERM);
    let (ended, log) = scene.job.end_soon();
    assert_eq!(ended, code(AgentExit::Cancelled), "{log}");
    assert_eq!(scene.branches(), [""; 0]);
}

#[test]
fn what_a_command_leaves_that_was_broken_off_is_no_work() {
    let project = "[setup]\ncommand = 'echo x > by-product; sleep 1000'\n";
    let plan = Plan { project: Some(project), ..Plan::default() };
    let mut scene = Scene::of(plan, |_, _| Answer::Usual);
    scene.came(|request| request.what == "log");
    let folder = scene.job.folder.path().to_owned();
    crate::job::eventually(|| made(&folder, "by-product").then_some(()));
    scene.job.signal(Signal::SIGTERM);
    let (ended, log) = scene.job.end_soon();
    assert_eq!(ended, code(AgentExit::Cancelled), "{log}");
    assert_eq!(scene.branches(), [""; 0]);
}

/// Whether a file of this name is in the work tree of a run below this folder.
fn made(folder: &std::path::Path, name: &str) -> bool {
    let below = std::fs::read_dir(folder).into_iter().flatten().flatten();
    below.map(|entry| entry.path()).any(|path| path.join("tree").join(name).exists())
}

#[test]
fn who_wants_no_rescue_gets_none() {
    let by_operator = ("AGENT_RESCUE", "0");
    let by_project = Some("[publish]\nrescue = false\n");
    for (setting, project) in [(by_operator, None), (("CLAIM_ID", CLAIM), by_project)] {
        let plan =
            Plan { claude: "echo half > half; kill -9 $$", setting, project, ..Plan::default() };
        let mut scene = Scene::of(plan, |_, _| Answer::Usual);
        let (ended, log) = scene.job.end();
        assert_eq!(ended, code(AgentExit::WorkerFailed), "{log}");
        assert_eq!((scene.branches(), scene.outcome().verdict), (vec![], Verdict::Failed));
    }
}

#[test]
fn a_file_with_a_secret_in_it_is_not_published_and_not_saved() {
    let plan = Plan {
        claude: "echo $HERE > key; echo key=ghp_topsecret_of_the_forge >> key; echo new > new",
        ..Plan::default()
    };
    let mut scene = Scene::of(plan, |_, _| Answer::Usual);
    let (ended, log) = scene.job.end();
    assert_eq!(ended, code(AgentExit::Blocked), "{log}");
    let outcome = saved(&scene, "new");
    assert_eq!(outcome.verdict, Verdict::Blocked);
    let finding = &outcome.findings[0];
    assert_eq!((finding.kind, finding.line), (FindingKind::Secret, Some(2)));
    let files = scene.git(&["ls-tree", "--name-only", &outcome.rescue.unwrap().commit]);
    assert_eq!(files, "README\nnew");
    assert!(scene.steps().iter().any(|step| step == "blocked"));
}

#[test]
fn what_the_owners_forbid_is_not_published_and_the_rest_is_saved() {
    let plan = Plan {
        claude: "mkdir infra; echo x > infra/x; echo new > new",
        project: Some("[paths]\nforbidden = ['infra/**']\n"),
        ..Plan::default()
    };
    let mut scene = Scene::of(plan, |_, _| Answer::Usual);
    let (ended, log) = scene.job.end();
    assert_eq!(ended, code(AgentExit::Blocked), "{log}");
    let outcome = saved(&scene, "new");
    assert_eq!(outcome.findings[0].kind, FindingKind::ForbiddenPath);
    let files = scene.git(&["ls-tree", "-r", "--name-only", &outcome.rescue.unwrap().commit]);
    assert_eq!(files, ".terarchitect.toml\nREADME\nnew");
}

#[test]
fn a_base_that_moved_is_told_of_and_merged_where_that_is_wanted() {
    for (project, merged) in [("", false), ("[publish]\nbase_update = 'merge'\n", true)] {
        let others = "cd $HERE/seed && /usr/bin/git pull -q ../origin main && echo o > others && \
            /usr/bin/git add -A && /usr/bin/git -c user.name=P -c user.email=p@x commit -qm o && \
            /usr/bin/git push -q ../origin HEAD:main && cd - > /dev/null; echo new > new";
        let plan = Plan { claude: others, project: Some(project), ..Plan::default() };
        let mut scene = Scene::of(plan, |_, _| Answer::Usual);
        let (ended, log) = scene.job.end();
        assert_eq!(ended, code(AgentExit::Delivered), "{log}");
        let repository = scene.outcome().repository.unwrap();
        assert_eq!(repository.base_moved_to.unwrap(), scene.git(&["rev-parse", "main"]));
        let files = scene.git(&["ls-tree", "--name-only", &scene.pushed().unwrap()]);
        assert_eq!(files.contains("others"), merged, "{files}");
        let requests = scene.requests();
        let open = requests.iter().find(|request| request.what == "open").unwrap();
        assert!(open.body["body"].as_str().unwrap().contains("`main` moved from "), "{open:?}");
    }
}

#[test]
fn a_later_run_continues_what_was_saved_and_leaves_one_branch() {
    let claude = "if [ -e half ]; then echo new > new; else echo half > half; kill -9 $$; fi";
    let mut scene = Scene::of(Plan { claude, ..Plan::default() }, |_, _| Answer::Usual);
    let (ended, log) = scene.job.end();
    assert_eq!(ended, code(AgentExit::WorkerFailed), "{log}");
    saved(&scene, "half");
    let (ended, log) = scene.run_again();
    assert_eq!(ended, code(AgentExit::Delivered), "{log}");
    let files = scene.git(&["ls-tree", "--name-only", &scene.pushed().unwrap()]);
    assert_eq!(files, "README\nhalf\nnew");
    assert_eq!(scene.branches(), ["ticket"]);
    let outcome = scene.outcome();
    assert_eq!((outcome.verdict, outcome.rescue), (Verdict::Delivered, None));
}

#[test]
fn work_that_fails_twice_is_saved_on_one_branch() {
    let claude = "if [ -e half ]; then echo more > more; else echo half > half; fi; kill -9 $$";
    let mut scene = Scene::of(Plan { claude, ..Plan::default() }, |_, _| Answer::Usual);
    scene.job.end();
    let first = saved(&scene, "half").rescue.unwrap().commit;
    let (ended, log) = scene.run_again();
    assert_eq!(ended, code(AgentExit::WorkerFailed), "{log}");
    let second = saved(&scene, "more").rescue.unwrap().commit;
    assert_eq!(scene.git(&["rev-parse", &format!("{second}^")]), first);
}

const ASKS: &str =
    r#"echo '{"type":"assistant","message":{"content":[{"type":"text","text":"Which one?"}]}}'"#;

#[test]
fn what_an_earlier_run_saved_is_not_delivered_by_one_that_does_nothing() {
    let claude = "if ! [ -e half ]; then echo half > half; kill -9 $$; fi";
    let mut scene = Scene::of(Plan { claude, ..Plan::default() }, |_, _| Answer::Usual);
    scene.job.end();
    let saved_at = saved(&scene, "half").rescue;
    let (ended, log) = scene.run_again();
    assert_eq!(ended, code(AgentExit::NoChanges), "{log}");
    let outcome = saved(&scene, "half");
    assert_eq!((outcome.verdict, outcome.rescue), (Verdict::NoChanges, saved_at));
    let entries = scene.log_entries();
    let prompts: Vec<_> = entries.iter().filter(|e| e["step"] == "worker_turn_0_prompt").collect();
    let told = |n: usize| prompts[n]["raw_output"].as_str().unwrap().contains("unfinished");
    assert_eq!([told(0), told(1)], [false, true]);
}

#[test]
fn a_branch_with_a_pull_request_is_not_delivered_again_by_another_job_that_only_asks() {
    let claude: String = format!("if [ -e new ]; then {ASKS}; else echo new > new; fi");
    let plan = Plan { claude: Box::leak(claude.into_boxed_str()), ..Plan::default() };
    let mut scene = Scene::of(plan, |_, _| Answer::Usual);
    let (ended, log) = scene.job.end();
    assert_eq!(ended, code(AgentExit::Delivered), "{log}");
    let before = scene.pushed();
    let (ended, log) = scene.run_another();
    assert!([code(AgentExit::NoChanges), code(AgentExit::Blocked)].contains(&ended), "{log}");
    assert_eq!(scene.pushed(), before);
    let completions = scene.course().iter().filter(|what| **what == "completion").count();
    assert_eq!(completions, 1);
}

#[test]
fn a_branch_whose_run_was_broken_off_before_the_pull_request_gets_one_from_any_job() {
    let mut scene = Scene::start(|request, before| match request.what {
        "find" if before < 1 => Answer::Refusal(404),
        _ => Answer::Usual,
    });
    let (ended, log) = scene.job.end();
    assert_eq!(ended, code(AgentExit::PublishFailed), "{log}");
    let (ended, log) = scene.run_another();
    assert_eq!(ended, code(AgentExit::Delivered), "{log}");
    assert_eq!(scene.branches(), ["ticket"]);
}

#[test]
fn what_was_saved_of_a_published_ticket_is_continued_and_then_tidied_up() {
    let claude = "if [ -e half ]; then echo end > end; elif [ -e new ]; then echo half > half; \
        kill -9 $$; else echo new > new; fi";
    let mut scene = Scene::of(Plan { claude, ..Plan::default() }, |_, _| Answer::Usual);
    scene.job.end();
    let (ended, log) = scene.run_another();
    assert_eq!(ended, code(AgentExit::WorkerFailed), "{log}");
    assert_eq!(scene.branches(), ["ticket", "ticket-rescue"]);
    let (ended, log) = scene.run_another();
    assert_eq!(ended, code(AgentExit::Delivered), "{log}");
    assert_eq!(scene.branches(), ["ticket"]);
    let files = scene.git(&["ls-tree", "--name-only", &scene.pushed().unwrap()]);
    assert_eq!(files, "README\nend\nhalf\nnew");
}
