//! Files in Git LFS in runs that do not come to their end, with a stand-in for git-lfs.

use api_client::contract::AgentExit;
use api_client::outcome::Verdict;
use nix::sys::signal::Signal;

use crate::rescue::saved;
use crate::scene::{Plan, Scene};
use crate::servers::Answer;

const RULES: &str = "[clone]\nlfs = true\n";

/// Work with and without Git LFS.
const WORK: &str = "echo '*.bin filter=lfs' > .gitattributes; echo x > a.bin; echo half > half";

fn code(exit: AgentExit) -> Option<i32> {
    Some(i32::from(exit.code()))
}

/// A run with a git-lfs that does this instead of sending.
fn plan(lfs: &'static str) -> Plan {
    Plan { claude: WORK, on_git: ("lfs", lfs), project: Some(RULES), ..Plan::default() }
}

#[test]
fn content_is_sent_before_the_lease_is_looked_at_for_the_last_time() {
    let lfs = "case \"$*\" in *' lfs push '*) echo sent > $HERE/sent ;; esac; exit 0";
    let mut scene = Scene::of(plan(lfs), |request, _| match request.what {
        "renewal" => Answer::Refusal(409),
        _ => Answer::Usual,
    });
    let (ended, log) = scene.job.end();
    assert_eq!(ended, code(AgentExit::Superseded), "{log}");
    assert!(scene.job.folder.path().join("sent").exists(), "{log}");
    assert_eq!(scene.branches(), [""; 0]);
}

#[test]
fn content_that_the_remote_refuses_costs_nothing_else() {
    let lfs = "case \"$*\" in *' lfs push '*) echo 'over quota' >&2; echo >> $HERE/tries; exit 2 ;; \
        esac; exit 0";
    let mut scene = Scene::of(plan(lfs), |_, _| Answer::Usual);
    let (ended, log) = scene.job.end();
    assert_eq!(ended, code(AgentExit::PublishFailed), "{log}");
    let outcome = saved(&scene, "half");
    assert_eq!(outcome.verdict, Verdict::Partial);
    let rescue = outcome.rescue.unwrap();
    let files = scene.git(&["ls-tree", "--name-only", &rescue.commit]);
    assert_eq!(files, ".gitattributes\n.terarchitect.toml\nREADME\nhalf");
    for told in ["the files in Git LFS could not be sent", "over quota", "not saved", ": a.bin"] {
        assert!(outcome.summary.contains(told), "{}", outcome.summary);
    }
    let tries = std::fs::read_to_string(scene.job.folder.path().join("tries")).unwrap();
    assert_eq!(tries.lines().count(), 1, "what was just refused is not sent again");
}

#[test]
fn content_that_takes_long_does_not_use_up_the_time_of_a_cancelled_run() {
    let lfs = "case \"$*\" in *' lfs push '*) exec sleep 1000 ;; esac; exit 0";
    let half = "echo '*.bin filter=lfs' > .gitattributes; echo x > a.bin; echo half > half
        echo up > $HERE/up; exec sleep 1000";
    let mut scene = Scene::of(Plan { claude: half, ..plan(lfs) }, |_, _| Answer::Usual);
    scene.job.file("up");
    scene.job.signal(Signal::SIGTERM);
    let (ended, log) = scene.job.end_soon();
    assert_eq!(ended, code(AgentExit::Cancelled), "{log}");
    let outcome = saved(&scene, "half");
    assert!(outcome.summary.contains("there was no time for it: a.bin"), "{}", outcome.summary);
}

#[test]
fn the_time_that_fetching_takes_is_that_of_the_clone() {
    let mut scene = Scene::of(plan("sleep 1; exit 0"), |_, _| Answer::Usual);
    let (ended, log) = scene.job.end();
    assert_eq!(ended, code(AgentExit::Delivered), "{log}");
    let outcome = scene.outcome();
    let clone = outcome.phases.iter().find(|phase| phase.name == "clone").unwrap();
    assert!(clone.millis >= 1000, "{:?}", outcome.phases);
}
