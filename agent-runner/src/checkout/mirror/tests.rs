//! Whatever is in a mirror, the clone is what the remote has.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::super::{Checkout, CheckoutError, clone_ticket_branch};
use super::*;
use crate::git::testing::{Remote, git, run, ticket};

/// A remote, a cache, and how often it was cloned.
struct Scene {
    remote: Remote,
    cache: tempfile::TempDir,
    clones: usize,
}

impl Scene {
    fn new() -> Self {
        Self { remote: Remote::new("main"), cache: tempfile::tempdir().unwrap(), clones: 0 }
    }

    fn mirror(&self) -> Mirror {
        let mirror = Mirror::open(self.cache.path(), &self.remote.source().url).unwrap();
        Mirror { patience: Duration::from_millis(200), ..mirror }
    }

    async fn try_clone(&mut self) -> Result<Checkout, CheckoutError> {
        self.clones += 1;
        let into = self.remote.place(&format!("clone-{}", self.clones));
        let (source, mirror) = (self.remote.source(), self.mirror());
        clone_ticket_branch(&git(), &source, &into, &ticket(), Some(&mirror)).await
    }

    async fn clone(&mut self) -> Checkout {
        self.try_clone().await.unwrap()
    }

    /// The one pack of the mirror.
    fn pack(&self) -> PathBuf {
        let folder = self.mirror().folder;
        let names = pack_names(&folder).unwrap();
        assert_eq!(names.len(), 1, "{names:?}");
        folder.join(&names[0])
    }

    /// Clones again, and makes sure that the clone is right and the mirror of use again.
    async fn recovers(&mut self) {
        let head = self.remote.head("main");
        let checkout = self.clone().await;
        assert_eq!(run(checkout.path(), &["rev-parse", "HEAD"]), head);
        assert_eq!(run(checkout.path(), &["status", "--porcelain"]), "");
        run(checkout.path(), &["fsck", "--full", "--strict"]);
        let again = self.clone().await;
        assert!(is_seeded(&again, self), "the mirror is of use again");
    }
}

/// Whether all packs of a clone are those of the mirror.
fn is_seeded(checkout: &Checkout, scene: &Scene) -> bool {
    let ours = pack_names(&checkout.path().join(".git/objects/pack")).unwrap();
    !ours.is_empty() && ours == pack_names(&scene.mirror().folder).unwrap()
}

fn overwrite(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_second_clone_gets_from_the_remote_what_is_new_and_nothing_else() {
    let mut scene = Scene::new();
    let first = scene.clone().await;
    let same = scene.clone().await;
    assert!(is_seeded(&same, &scene));
    let settings = |checkout: &Checkout| run(checkout.path(), &["config", "--local", "--list"]);
    let sorted = |text: String| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(settings(&same)), sorted(settings(&first)));
    let refs = |checkout: &Checkout| run(checkout.path(), &["for-each-ref"]);
    assert_eq!(refs(&same), refs(&first));

    let newest = scene.remote.commit("main", "new", "x\n");
    let newer = scene.clone().await;
    assert_eq!(newer.base_commit().to_string(), newest);
    assert!(newer.path().join("new").is_file());
    let before = run(same.path(), &["rev-parse", "HEAD:README"]);
    let sent = run(newer.path(), &["count-objects", "-v"]);
    assert!(sent.contains("in-pack: 6"), "one commit, tree and file more: {sent}");
    assert_eq!(run(newer.path(), &["rev-parse", "HEAD:README"]), before);
    assert!(is_seeded(&scene.clone().await, &scene));
}

#[tokio::test]
async fn a_ticket_s_branch_and_its_base_come_by_the_mirror_as_well() {
    let mut scene = Scene::new();
    drop(scene.clone().await);
    let begun = scene.remote.commit(ticket().as_str(), "begun", "by an earlier run\n");
    let newer = scene.remote.commit("main", "README", "moved on\n");
    for _ in 0..2 {
        let checkout = scene.clone().await;
        assert_eq!(checkout.start_commit().to_string(), begun);
        assert_eq!(checkout.base_commit().to_string(), newer);
        assert!(checkout.path().join("begun").is_file());
        assert_eq!(run(checkout.path(), &["status", "--porcelain"]), "");
    }
}

#[tokio::test]
async fn the_work_tree_s_objects_are_not_the_mirror_s_own_files() {
    let mut scene = Scene::new();
    let checkouts = [scene.clone().await, scene.clone().await];
    let pack = scene.pack();
    for checkout in &checkouts {
        let own = checkout.path().join(".git/objects/pack").join(pack.file_name().unwrap());
        assert_ne!(own.metadata().unwrap().ino(), pack.metadata().unwrap().ino());
        assert!(!checkout.path().join(".git/objects/info/alternates").exists());
    }
}

#[tokio::test]
async fn nobody_else_can_look_into_a_mirror() {
    let mut scene = Scene::new();
    drop(scene.clone().await);
    let folder = scene.mirror().folder;
    for folder in [folder.as_path(), folder.parent().unwrap()] {
        assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }
}

#[tokio::test]
async fn a_broken_mirror_is_made_anew() {
    let mut scene = Scene::new();
    drop(scene.clone().await);
    let pack = scene.pack();
    let bytes = fs::read(&pack).unwrap();
    overwrite(&pack, &bytes[..bytes.len() / 2]);
    scene.recovers().await;

    let mut flipped = fs::read(scene.pack()).unwrap();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x40;
    overwrite(&scene.pack(), &flipped);
    scene.recovers().await;

    overwrite(&scene.pack(), b"");
    scene.recovers().await;
}

#[tokio::test]
async fn objects_that_somebody_forged_or_took_away_are_not_used() {
    let mut scene = Scene::new();
    drop(scene.clone().await);
    // The pack of another repository in the place of ours, with our commit named as known.
    let other = Remote::new("main");
    other.commit("main", "README", "forged\n");
    run(&other.path(), &["repack", "-adq"]);
    let packs = other.path().join("objects/pack");
    let forged = packs.join(&pack_names(&packs).unwrap()[0]);
    overwrite(&scene.pack(), &fs::read(forged).unwrap());
    let checkout = scene.clone().await;
    assert_eq!(fs::read_to_string(checkout.path().join("README")).unwrap(), "hello\n");

    // The commit alone, without its files: the remote would be told that we have it all.
    scene.mirror().empty().await.unwrap();
    drop(scene.clone().await);
    let commit = scene.remote.head("main");
    let lone = scene.remote.place("lone");
    fs::create_dir(&lone).unwrap();
    let pack = format!("echo {commit} | git pack-objects -q '{}'/pack", lone.display());
    let made = std::process::Command::new("sh")
        .args(["-c", &pack])
        .current_dir(scene.remote.path())
        .status();
    assert!(made.unwrap().success());
    let lone = lone.join(&pack_names(&lone).unwrap()[0]);
    overwrite(&scene.pack(), &fs::read(lone).unwrap());
    scene.recovers().await;
}

#[tokio::test]
async fn what_is_no_pack_is_neither_followed_nor_waited_for() {
    let mut scene = Scene::new();
    drop(scene.clone().await);
    let pack = scene.pack();
    let moved = scene.cache.path().join("moved");
    fs::rename(&pack, &moved).unwrap();
    symlink(&moved, &pack).unwrap();
    scene.recovers().await;
    assert!(moved.is_file());

    let pack = scene.pack();
    fs::remove_file(&pack).unwrap();
    nix::unistd::mkfifo(&pack, Mode::S_IRWXU).unwrap();
    scene.recovers().await;
}

#[tokio::test]
async fn files_beside_the_packs_have_no_say() {
    let mut scene = Scene::new();
    drop(scene.clone().await);
    let folder = scene.mirror().folder;
    let mark = scene.remote.place("ran");
    let command = format!("touch '{}'", mark.display());
    fs::write(folder.join("config"), format!("[core]\nfsmonitor = {command}\n")).unwrap();
    fs::write(folder.join("tips"), "not a commit\n-x\n").unwrap();
    fs::write(folder.join(format!("pack-{}.idx", "0".repeat(40))), "lies").unwrap();
    fs::create_dir(folder.join("hooks")).unwrap();
    let checkout = scene.clone().await;
    assert!(is_seeded(&checkout, &scene));
    let lie = format!(".git/objects/pack/pack-{}.idx", "0".repeat(40));
    assert!(!mark.exists() && !checkout.path().join(lie).exists());
}

#[tokio::test]
async fn a_mirror_that_another_job_holds_does_not_hold_the_clone() {
    let mut scene = Scene::new();
    drop(scene.clone().await);
    let held = scene.mirror().lock(Access::Write).unwrap();
    let checkout = scene.clone().await;
    assert_eq!(run(checkout.path(), &["status", "--porcelain"]), "");
    drop(held);
    scene.recovers().await;
}

#[tokio::test]
async fn a_cache_that_cannot_be_used_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let url = Remote::new("main").source().url;
    assert!(Mirror::open(&folder.path().join("absent"), &url).is_none());
    fs::write(folder.path().join("file"), "x").unwrap();
    assert!(Mirror::open(&folder.path().join("file"), &url).is_none());
    // A link in the place of the mirrors is replaced.
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(elsewhere.path(), folder.path().join(FOLDER)).unwrap();
    Mirror::open(folder.path(), &url).unwrap();
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_mirror_with_too_many_packs_is_begun_anew() {
    let mut scene = Scene::new();
    drop(scene.clone().await);
    let pack = scene.pack();
    for number in 0..PACKS_MAX {
        fs::copy(&pack, scene.mirror().folder.join(format!("pack-{number:040x}.pack"))).unwrap();
    }
    scene.recovers().await;
    scene.pack();
}

#[tokio::test]
async fn a_mirror_that_nobody_used_for_long_goes() {
    let mut scene = Scene::new();
    drop(scene.clone().await);
    let old = scene.mirror().folder;
    let lock = lock_file(&old).unwrap();
    lock.set_modified(SystemTime::now() - UNUSED_MAX - Duration::from_secs(60)).unwrap();
    let other = Remote::new("main");
    Mirror::open(scene.cache.path(), &other.source().url).unwrap();
    assert!(!old.exists());
}

#[tokio::test]
async fn a_remote_that_is_gone_is_an_error_and_the_mirror_stays() {
    let mut scene = Scene::new();
    drop(scene.clone().await);
    let pack = scene.pack();
    fs::remove_dir_all(scene.remote.path()).unwrap();
    scene.try_clone().await.unwrap_err();
    assert!(pack.is_file());
}

#[tokio::test]
async fn a_copy_that_an_earlier_job_was_killed_at_is_removed_by_the_next_that_keeps_something() {
    let mut scene = Scene::new();
    scene.clone().await;
    let (kept, folder) = (scene.pack(), scene.mirror().folder);
    fs::write(folder.join(".tmpAbc123"), "half a pack").unwrap();
    scene.remote.commit("main", "newer", "x");
    scene.clone().await;
    assert!(!folder.join(".tmpAbc123").exists());
    assert!(kept.exists() && folder.join("tips").exists());
}
