//! Each forge failing at each call of a delivery.

use integration_tests::forge::{Fault, ForgeKind, Moment};

use crate::scene::{Scene, log};

/// The calls of a delivery: method, part of the path.
fn calls(kind: ForgeKind) -> [(&'static str, &'static str); 3] {
    match kind {
        ForgeKind::GitHub | ForgeKind::Gitea => {
            [("GET", "/pulls?"), ("POST", "/pulls"), ("GET", "/pulls/1")]
        }
        ForgeKind::GitLab => {
            [("GET", "/merge_requests?"), ("POST", "/merge_requests"), ("GET", "/merge_requests/1")]
        }
    }
}

#[tokio::test]
async fn a_limit_and_a_lost_answer_at_each_call_cost_time_and_nothing_else() {
    for kind in ForgeKind::ALL {
        let scene = Scene::new(kind, &[]).await;
        for (method, path) in calls(kind) {
            let fault = |status| Fault::new(path, status).method(method).times(1);
            scene.forge.fail(fault(429).header("retry-after", "0"));
            // It was carried out, and nobody was told.
            scene.forge.fail(fault(502).at(Moment::After));
        }
        let output = scene.run(&[]).await;
        assert_eq!(log(&output).0, Some(0), "{kind:?}: {}", log(&output).1);
        assert_eq!(scene.pulls().len(), 1, "{kind:?}");
        scene.end().await;
    }
}

#[tokio::test]
async fn a_refusal_at_each_call_is_no_delivery_and_the_next_run_delivers() {
    // Each status at each call, by one forge or another.
    let mut statuses = [401, 403, 404, 422].into_iter().cycle();
    for kind in ForgeKind::ALL {
        for (method, path) in calls(kind) {
            let scene = Scene::new(kind, &[]).await;
            let status = statuses.next().unwrap();
            scene.forge.fail(Fault::new(path, status).method(method).times(1));
            let output = scene.run(&[]).await;
            let (code, text) = log(&output);
            assert_eq!(code, Some(8), "{kind:?} {method} {path} {status}: {text}");
            let output = scene.run(&[]).await;
            assert_eq!(log(&output).0, Some(0), "{kind:?} {path}: {}", log(&output).1);
            assert_eq!(scene.pulls().len(), 1, "{kind:?} {path}");
            scene.end().await;
        }
    }
}
