//! A repository with files in Git LFS, with the real git-lfs in the agent's container.

use std::net::TcpListener;

use crate::scene::Scene;

const RULES: (&str, &str) = (".terarchitect.toml", "[clone]\nlfs = true\n");
const ATTRIBUTES: (&str, &str) = (".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");

/// The SHA-256 of a content.
pub(crate) fn id(content: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, content.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What stands for a content in a commit.
fn pointer(content: &str) -> String {
    let (id, size) = (id(content), content.len());
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{id}\nsize {size}\n")
}

/// A repository with two such files; nothing without an engine.
async fn scene(worker: &str, files: &[(&str, &str)]) -> Option<Scene> {
    let (old, same) = (pointer("old content\n"), pointer("the same\n"));
    let pointers = [("old.bin", old.as_str()), ("same.bin", same.as_str())];
    let files = [&[RULES, ATTRIBUTES][..], &pointers, files].concat();
    let scene = Scene::start(worker, &files).await?;
    scene.store_lfs("old content\n");
    scene.store_lfs("the same\n");
    Some(scene)
}

#[tokio::test]
async fn the_worker_has_content_and_pointers_are_pushed_after_it() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let address = elsewhere.local_addr().unwrap();
    let hostile = format!(
        "[lfs]\n\turl = http://{address}/x\n\tpushurl = http://{address}/x\n\tfetchexclude = *\n\
         [remote \"origin\"]\n\tlfsurl = http://{address}/x\n"
    );
    let worker = "git status --porcelain > /tmp/status; cat old.bin > seen.txt
        mv /tmp/status status.txt; echo changed > old.bin; echo new > new.bin";
    let Some(scene) = scene(worker, &[(".lfsconfig", &hostile)]).await else { return };
    let ended = scene.run().await;
    assert_eq!(ended.code, 0, "{}", ended.stderr);

    assert_eq!(scene.pushed("seen.txt"), "old content\n");
    assert_eq!(scene.pushed("status.txt"), "", "the worker's own git sees no change either");
    assert_eq!(scene.pushed("same.bin"), pointer("the same\n"));
    for (path, content) in [("old.bin", "changed\n"), ("new.bin", "new\n")] {
        assert_eq!(scene.pushed(path), pointer(content));
        assert_eq!(scene.stored_lfs(&id(content)).as_deref(), Some(content));
    }
    assert_eq!(scene.changed_paths(), ["new.bin", "old.bin", "seen.txt", "status.txt"]);

    let requests = scene.requests();
    let last_object = requests.iter().rposition(|one| one.starts_with("PUT ")).unwrap();
    let push = requests.iter().position(|one| one.ends_with("/git-receive-pack")).unwrap();
    assert!(last_object < push, "{requests:?}");
    assert_eq!(requests.iter().filter(|one| one.starts_with("PUT ")).count(), 2, "{requests:?}");
    let asked = elsewhere.accept().unwrap_err();
    assert_eq!(asked.kind(), std::io::ErrorKind::WouldBlock, "of .lfsconfig nothing counts");
    scene.nothing_leaked(&ended);
}

#[tokio::test]
async fn commits_of_the_worker_have_pointers_and_large_files_are_none() {
    let worker = "echo first > own.bin; git add -A
        git -c user.name=W -c user.email=w@e.org commit -q -m mine || touch /out/not-committed
        echo second > own.bin; truncate -s 60M large.bin";
    let Some(scene) = scene(worker, &[]).await else { return };
    let ended = scene.run().await;
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(scene.marks().is_empty(), "{:?}", scene.marks());
    for content in ["first\n", "second\n"] {
        assert_eq!(scene.stored_lfs(&id(content)).as_deref(), Some(content));
    }
    assert_eq!(scene.pushed("own.bin"), pointer("second\n"));
    assert!(scene.pushed("large.bin").ends_with("\nsize 62914560\n"));
}

#[tokio::test]
async fn a_secret_in_such_a_file_goes_nowhere() {
    let worker = "printf 'forge-token-that-%s' nobody-may-see > new.bin";
    let Some(scene) = scene(worker, &[]).await else { return };
    let ended = scene.run().await;
    assert_eq!(ended.code, 16, "{}", ended.stderr);
    assert!(ended.stderr.contains("new.bin"), "{}", ended.stderr);
    assert_eq!(scene.ticket_s_head(), None);
    let requests = scene.requests();
    assert!(!requests.iter().any(|one| one.starts_with("PUT ")), "{requests:?}");
    scene.nothing_leaked(&ended);
}

#[tokio::test]
async fn without_the_program_the_run_ends_before_the_worker() {
    let Some(scene) = scene("touch /out/worker-ran", &[]).await else { return };
    let ended = scene.run_with(&["/dev/null:/usr/bin/git-lfs"]).await;
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    assert!(ended.stderr.contains("the program git-lfs is not installed"), "{}", ended.stderr);
    assert!(scene.marks().is_empty(), "{:?}", scene.marks());
}

#[tokio::test]
async fn a_file_that_the_remote_does_not_have_ends_the_run_before_the_worker() {
    let lost = pointer("lost\n");
    let files = [("lost.bin", lost.as_str())];
    let Some(scene) = scene("touch /out/worker-ran", &files).await else { return };
    let ended = scene.run().await;
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    assert!(ended.stderr.contains("git lfs fetch"), "{}", ended.stderr);
    assert!(scene.marks().is_empty(), "{:?}", scene.marks());
}

#[tokio::test]
async fn content_that_cannot_be_sent_is_left_out_and_the_rest_is_saved() {
    let worker = "echo changed > README; echo new > new.bin; echo changed > old.bin";
    let Some(scene) = scene(worker, &[]).await else { return };
    scene.refuse_lfs();
    let ended = scene.run_saving().await;
    assert_eq!(ended.code, 8, "{}", ended.stderr);
    assert_eq!(scene.ticket_s_head(), None);
    assert_eq!(scene.saved("README").as_deref(), Some("changed\n"), "{}", ended.stderr);
    assert_eq!(scene.saved("new.bin"), None);
    assert_eq!(scene.saved("old.bin"), Some(pointer("old content\n")), "as it was");
    let told =
        "not saved are these files in Git LFS, whose content could not be sent: new.bin, old.bin";
    assert!(ended.stderr.contains(told), "{}", ended.stderr);
}

#[tokio::test]
async fn a_pointer_to_content_that_nobody_has_is_left_out_and_the_rest_is_saved() {
    let lost = pointer("nobody has it\n").replace('\n', "\\n");
    let worker = format!("echo changed > README; echo new > new.bin; printf '{lost}' > lost.bin");
    let Some(scene) = scene(&worker, &[]).await else { return };
    let ended = scene.run_saving().await;
    assert_eq!(ended.code, 8, "{}", ended.stderr);
    let told =
        "lost.bin in Git LFS has no content in the work tree, and none was had from the remote";
    assert!(ended.stderr.contains(told), "{}", ended.stderr);
    assert_eq!(scene.saved("README").as_deref(), Some("changed\n"), "{}", ended.stderr);
    assert_eq!(scene.saved("lost.bin"), None);
    assert_eq!(scene.saved("new.bin"), Some(pointer("new\n")), "{}", ended.stderr);
    assert_eq!(scene.stored_lfs(&id("new\n")).as_deref(), Some("new\n"));
    assert!(ended.stderr.contains("whose content nobody here has: lost.bin"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_project_that_does_not_ask_for_it_has_no_filter_in_the_image() {
    let worker = "echo mine > own.bin; git add -A
        git -c user.name=W -c user.email=w@e.org commit -q -m mine || touch /out/not-committed";
    let Some(scene) = Scene::start(worker, &[ATTRIBUTES]).await else { return };
    let ended = scene.run().await;
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(scene.marks().is_empty(), "{:?}", scene.marks());
    assert_eq!(scene.pushed("own.bin"), "mine\n", "no pointer to what is nowhere");
}
