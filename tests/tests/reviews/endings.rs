//! Pull requests that are merged, approved or closed.

use integration_tests::forge::{ForgeKind, RemarkPlace, Standing, Verdict};

use super::scene::{QUICK, Scene, on_line};

#[tokio::test]
async fn a_merged_pull_request_finishes_its_ticket_and_its_job_is_withdrawn() {
    for kind in ForgeKind::ALL {
        let scene = Scene::new(kind, QUICK).await;
        let ticket = scene.ticket(1).await;
        scene.say(1, on_line(1), "please");
        scene.jobs_are(1).await;
        scene.forge.merge(&scene.repo, 1).unwrap();
        let shown = scene.stands(ticket, "merged").await;
        assert_eq!(shown["column_id"], "done", "{kind:?}");
        assert_eq!(shown["job"]["status"], "cancelled", "{kind:?}");
        scene.end().await;
    }
}

#[tokio::test]
async fn an_approved_pull_request_finishes_its_ticket() {
    for kind in ForgeKind::ALL {
        let scene = Scene::new(kind, QUICK).await;
        let ticket = scene.ticket(1).await;
        scene.say(1, RemarkPlace::Review(Verdict::Approves), "fine");
        let shown = scene.stands(ticket, "approved").await;
        assert_eq!(shown["column_id"], "done", "{kind:?}");
        assert_eq!(scene.jobs().await.len(), 0, "{kind:?}: its words ask for nothing");
        scene.end().await;
    }
}

#[tokio::test]
async fn one_who_asks_for_changes_and_an_outsider_who_approves_finish_nothing() {
    let scene = Scene::new(ForgeKind::GitHub, QUICK).await;
    let ticket = scene.ticket(1).await;
    scene.say_as("eve", Standing::Outsider, 1, RemarkPlace::Review(Verdict::Approves), "fine");
    scene.looked_at_again(1).await;
    assert_eq!(scene.app.ticket(ticket).await["column_id"], "in_review");
    scene.say(1, RemarkPlace::Review(Verdict::AsksForChanges), "rename it");
    scene.say_as("bob", Standing::Member, 1, RemarkPlace::Review(Verdict::Approves), "fine");
    scene.jobs_are(1).await;
    let job = scene.claim().await;
    scene.complete(job.job_id).await;
    scene.looked_at_again(1).await;
    assert_eq!(scene.app.ticket(ticket).await["column_id"], "in_review");
    scene.say(1, RemarkPlace::Review(Verdict::Approves), "thanks");
    scene.stands(ticket, "approved").await;
    scene.end().await;
}

#[tokio::test]
async fn a_closed_pull_request_starts_nothing_and_the_ticket_says_so() {
    for kind in ForgeKind::ALL {
        let scene = Scene::new(kind, QUICK).await;
        scene.forge.close(&scene.repo, 1).unwrap();
        scene.say(1, on_line(1), "please");
        let ticket = scene.ticket(1).await;
        let shown = scene.stands(ticket, "closed").await;
        assert_eq!(shown["column_id"], "in_review", "{kind:?}");
        scene.looked_at_again(1).await;
        assert_eq!(scene.jobs().await.len(), 0, "{kind:?}");
        scene.end().await;
    }
}
