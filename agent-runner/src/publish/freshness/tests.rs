use std::fs;

use super::super::testing::{Scene, commit_message};
use super::*;
use crate::git::testing::run;
use crate::publish::{ByProducts, commit_all};

async fn commit(scene: &Scene) -> CommitId {
    let author = author();
    let message = commit_message("Do it");
    let none = ByProducts::default();
    commit_all(&scene.git, &scene.checkout, &author, &message, &none).await.unwrap().unwrap()
}

fn author() -> Author {
    Author::new("Agent", "agent@example.org").unwrap()
}

async fn updated(scene: &Scene, commit: CommitId, how: BaseUpdate) -> Updated {
    let now = fetch_base(&scene.git, &scene.checkout).await.unwrap();
    update(&scene.git, &scene.checkout, &author(), commit, now, how).await.unwrap()
}

#[tokio::test]
async fn a_base_that_stays_where_it_was_is_no_news() {
    let scene = Scene::new().await;
    assert_eq!(moved_base(&scene.git, &scene.checkout).await.unwrap(), None);
    let now = scene.origin.commit("main", "others", "x\n");
    let moved = moved_base(&scene.git, &scene.checkout).await.unwrap().unwrap();
    assert_eq!(moved.to_string(), now);
}

#[tokio::test]
async fn work_beside_what_landed_undoes_nothing() {
    let scene = Scene::new().await;
    scene.write("mine", "x\n");
    let commit = commit(&scene).await;
    scene.origin.commit("main", "README", "changed by others\n");
    let now = fetch_base(&scene.git, &scene.checkout).await.unwrap();
    assert_eq!(
        reverted(&scene.git, &scene.checkout, commit, now).await.unwrap(),
        [""; 0].map(PathBuf::from)
    );
}

#[tokio::test]
async fn a_worker_that_puts_its_old_files_on_the_newer_base_is_found_out() {
    let scene = Scene::new().await;
    scene.origin.commit("main", "README", "changed by others\n");
    scene.origin.commit("main", "new", "made by others\n");
    scene.origin.commit("main", "kept", "made by others\n");
    let tree = scene.checkout.path();
    run(tree, &["fetch", "-q", scene.origin.path().to_str().unwrap(), "main"]);
    // Its files stay as they were, and are committed on top of what landed.
    run(tree, &["reset", "-q", "--soft", "FETCH_HEAD"]);
    fs::write(tree.join("kept"), "made by others\n").unwrap();
    scene.write("mine", "x\n");
    let commit = commit(&scene).await;
    let now = fetch_base(&scene.git, &scene.checkout).await.unwrap();
    assert!(!is_all_ours(&scene.git, &scene.checkout, &author(), commit).await.unwrap());
    let files = reverted(&scene.git, &scene.checkout, commit, now).await.unwrap();
    assert_eq!(files, ["README", "new"].map(PathBuf::from));
}

#[tokio::test]
async fn a_merge_has_both_sides_and_a_rebase_is_one_line() {
    for how in [BaseUpdate::Merge, BaseUpdate::Rebase] {
        let scene = Scene::new().await;
        scene.write("mine", "x\n");
        let work = commit(&scene).await;
        let others = scene.origin.commit("main", "others", "y\n");
        let Updated::Done(tip) = updated(&scene, work, how).await else { panic!("{how:?}") };
        crate::publish::push(&scene.git, &scene.checkout, tip).await.unwrap();
        assert_eq!(scene.remote_files(), "README\nmine\nothers");
        let range = format!("{others}..{tip}");
        let subjects = run(&scene.origin.path(), &["log", "--format=%s", &range]);
        match how {
            BaseUpdate::Rebase => assert_eq!(subjects, "Do it"),
            _ => assert!(subjects.starts_with("Merge main into ticket-"), "{subjects}"),
        }
        let author = run(&scene.origin.path(), &["log", "-1", "--format=%ae", &tip.to_string()]);
        assert_eq!(author, "agent@example.org");
    }
}

#[tokio::test]
async fn what_both_sides_changed_is_left_to_people() {
    for how in [BaseUpdate::Merge, BaseUpdate::Rebase] {
        let scene = Scene::new().await;
        scene.write("README", "mine\n");
        let work = commit(&scene).await;
        scene.origin.commit("main", "README", "theirs\n");
        let conflicts = Updated::Conflicts(vec!["README".into()]);
        assert_eq!(updated(&scene, work, how).await, conflicts);
        assert_eq!(
            scene.checkout.shadow().commit_of(&scene.checkout.branch().to_ref()).unwrap(),
            work
        );
    }
}

#[tokio::test]
async fn a_branch_that_was_published_is_merged_and_never_rewritten() {
    let origin = crate::git::testing::Remote::new("main");
    origin.commit(crate::git::testing::ticket().as_str(), "begun", "1\n");
    let scene = Scene::of(origin).await;
    scene.write("mine", "x\n");
    let work = commit(&scene).await;
    scene.origin.commit("main", "others", "y\n");
    let Updated::Done(tip) = updated(&scene, work, BaseUpdate::Rebase).await else { panic!() };
    crate::publish::push(&scene.git, &scene.checkout, tip).await.unwrap();
    assert_eq!(scene.remote_files(), "README\nbegun\nmine\nothers");
}

#[tokio::test]
async fn a_continued_branch_that_throws_the_base_s_changes_away_is_found_out() {
    let origin = crate::git::testing::Remote::new("main");
    origin.commit(crate::git::testing::ticket().as_str(), "begun", "1\n");
    let base = origin.commit("main", "README", "changed by others\n");
    let scene = Scene::of(origin).await;
    let tree = scene.checkout.path();
    // The base has not moved since the run began.
    run(tree, &["merge", "-q", "-s", "ours", "-m", "merged", &base]);
    scene.write("mine", "x\n");
    let commit = commit(&scene).await;
    let now = scene.checkout.base_commit();
    let files = reverted(&scene.git, &scene.checkout, commit, now).await.unwrap();
    assert_eq!(files, [PathBuf::from("README")]);
}

#[tokio::test]
async fn a_merge_of_an_old_branch_brings_no_more_history_than_is_needed() {
    let origin = crate::git::testing::Remote::new("main");
    let url = origin.path();
    let seed = origin.place("seed");
    run(origin.folder.path(), &["clone", "-q", url.to_str().unwrap(), "seed"]);
    let git = |arguments: &[&str]| run(&seed, arguments);
    let many = |count: usize, subject: &str| {
        for _ in 0..count {
            git(&["commit", "-q", "--allow-empty", "-m", subject]);
        }
    };
    many(150, "before");
    git(&["checkout", "-q", "-b", "side"]);
    many(1, "beside");
    git(&["checkout", "-q", "main"]);
    many(1, "on main");
    git(&["push", "-q", "origin", "main", "side"]);
    let scene = Scene::of(origin).await;
    scene.write("mine", "x\n");
    let work = commit(&scene).await;
    git(&["merge", "-q", "--no-ff", "-m", "a merge", "side"]);
    git(&["push", "-q", "origin", "main"]);
    let Updated::Done(tip) = updated(&scene, work, BaseUpdate::Merge).await else { panic!() };
    assert_ne!(tip, work);
    let count = "rev-list --count --all";
    let fetched = run(scene.checkout.shadow().path(), &count.split(' ').collect::<Vec<_>>());
    assert!(fetched.parse::<usize>().unwrap() <= 110, "{fetched}");
    crate::publish::push(&scene.git, &scene.checkout, tip).await.unwrap();
}

#[tokio::test]
async fn what_others_landed_meanwhile_is_not_told_of_as_the_branch_s_own() {
    let scene = Scene::new().await;
    scene.write("mine", "x\n");
    let commit = commit(&scene).await;
    scene.origin.commit("main", "theirs", "x\n");
    scene.origin.commit("main", "more", "x\n");
    let now = fetch_base(&scene.git, &scene.checkout).await.unwrap();
    let Updated::Done(merged) = updated(&scene, commit, BaseUpdate::Merge).await else { panic!() };
    let told = crate::publish::commits(&scene.git, &scene.checkout, merged, now).await.unwrap();
    let told: Vec<String> = told.into_iter().map(|one| one.id).collect();
    assert_eq!(told, [merged.to_string(), commit.to_string()]);
}
