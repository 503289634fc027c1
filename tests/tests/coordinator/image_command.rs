//! `coordinator image`: the agent's image made on the real engine, the list, the map.

use std::fs;
use std::path::Path;
use std::process::Command;

use api_client::ProjectId;
use bollard::query_parameters::RemoveImageOptions;
use integration_tests::harness::{Engine, Home, program};
use serde_json::{Value, json};

use crate::scene::Scene;

/// A folder as the package installs it, with a tiny Dockerfile.
fn share(home: &Home, steps: &str) -> String {
    let folder = home.dir().join("share");
    fs::create_dir_all(folder.join("packaging")).unwrap();
    fs::write(folder.join("packaging/slim-aider"), "#!/bin/sh\n").unwrap();
    let dockerfile = format!(
        "ARG BASE_IMAGE=nothing\nFROM $BASE_IMAGE AS base\nARG WORDS=none\n{steps}\nFROM base AS system\n\
         COPY packaging/slim-aider /usr/local/bin/\n\
         LABEL org.opencontainers.image.title=\"terarchitect-agent\"\n\
         ENTRYPOINT [\"/usr/local/bin/agent-runner\"]\n\
         FROM base AS build\nCOPY sources /sources\n"
    );
    fs::write(folder.join("Dockerfile.agent"), dockerfile).unwrap();
    folder.display().to_string()
}

/// A name for an image that is removed at the end, with a home whose agent-runner is the real one.
async fn prepared() -> Option<(Engine, Home, String)> {
    let engine = Engine::or_skip().await?;
    let mut home = Home::new("http://127.0.0.1:9");
    let name = format!("terarchitect-test-built-{}", ProjectId::random().short());
    home.set("AGENT_IMAGE", &name);
    home.set("AGENT_RUNNER_PATH", program("agent-runner").to_str().unwrap());
    Some((engine, home, name))
}

async fn remove(engine: &Engine, name: &str) {
    let gone = engine.docker().remove_image(name, None::<RemoveImageOptions>, None).await;
    gone.unwrap();
}

const BASE: &str = "BASE_IMAGE=debian:bookworm-slim";

#[tokio::test]
async fn the_agents_image_is_made_from_an_installed_folder_and_listed() {
    let Some((engine, mut home, name)) = prepared().await else { return };
    let from = share(&home, "RUN echo $WORDS >/words");
    // What no earlier build has done.
    let words = format!("WORDS={name}");
    let build = ["image", "build", "--from", &from, "--build-arg", BASE, "--build-arg", &words];
    let (code, said) = home.command(&build).await;
    assert_eq!(code, Some(0), "{said}");
    let version = concat!("agent-runner ", env!("CARGO_PKG_VERSION"));
    assert!(said.contains("RUN echo $WORDS >/words") && said.contains(version), "{said}");
    let run = Command::new("docker")
        .args(["run", "--rm", "--network", "none", &name, "--version"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&run.stdout).trim(), version);

    let (code, said) = home.command(&[&build[..], &["--json"]].concat()).await;
    assert_eq!(code, Some(0), "{said}");
    let again: Value = serde_json::from_str(&said[said.find('{').unwrap()..]).unwrap();
    assert_eq!(again["image"], name.as_str());
    let (steps, known) = (again["steps"].as_u64().unwrap(), again["known"].as_u64().unwrap());
    // All but the stages' own lines.
    assert!(steps > 10 && known + 4 >= steps, "{again}");

    let (code, listed) = home.command(&["image", "list", "--json"]).await;
    assert_eq!(code, Some(0), "{listed}");
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let ours = &listed["images"][0];
    assert_eq!(ours["names"][0], name.as_str());
    assert_eq!(ours["fits"], "same");
    assert_eq!(ours["agent_runner"], env!("CARGO_PKG_VERSION"));
    assert_eq!(ours["general"], true);
    assert_eq!(ours["id"], again["id"]);
    let (_, text) = home.command(&["image", "list"]).await;
    assert!(text.contains(", matches") && text.contains("all others"), "{text}");
    remove(&engine, &name).await;
}

#[tokio::test]
async fn a_build_that_fails_shows_the_last_lines_of_its_step_and_makes_no_image() {
    let Some((engine, mut home, name)) = prepared().await else { return };
    let from = share(&home, "RUN echo earlier; for n in 1 2 3; do echo line $n; done; exit 3");
    let (code, said) =
        home.command(&["image", "build", "--from", &from, "--build-arg", BASE]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("    line 2\n    line 3\n"), "{said}");
    let last = said.lines().last().unwrap();
    assert!(last.starts_with("coordinator: the image could not be built: RUN echo"), "{last}");
    assert!(last.contains("non-zero code: 3"), "{last}");
    assert!(engine.docker().inspect_image(&name).await.is_err());
}

#[tokio::test]
async fn an_agent_runner_that_does_not_fit_gets_no_name() {
    let Some((engine, mut home, name)) = prepared().await else { return };
    let from = share(&home, "");
    // A program of Linux, and none of ours.
    home.set("AGENT_RUNNER_PATH", "/bin/true");
    let build = ["image", "build", "--from", &from, "--build-arg", BASE];
    let (code, said) = home.command(&build).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("agent-runner --version"), "{said}");
    let script = home.dir().join("script");
    fs::copy("/bin/true", &script).unwrap();
    fs::write(&script, "#!/bin/sh\n").unwrap();
    let (code, said) =
        home.command(&[&build[..], &["--agent-runner", script.to_str().unwrap()]].concat()).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("script is no program of Linux"), "{said}");
    assert!(engine.docker().inspect_image(&name).await.is_err());
}

#[tokio::test]
async fn an_engine_that_is_not_there_and_a_package_that_is_not_are_one_line_each() {
    let mut home = Home::new("http://127.0.0.1:9");
    let from = share(&home, "");
    home.set("AGENT_RUNNER_PATH", program("agent-runner").to_str().unwrap());
    home.set("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    let (code, said) = home.command(&["image", "build", "--from", &from]).await;
    assert_eq!((code, said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains("is Docker running?"), "{said}");
    let nowhere = home.dir().join("nowhere").display().to_string();
    let (code, said) = home.command(&["image", "build", "--from", &nowhere]).await;
    assert_eq!((code, said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains("nowhere/Dockerfile.agent: the package"), "{said}");
}

#[tokio::test]
async fn settings_come_from_the_services_own_file() {
    let mut home = Home::new("http://127.0.0.1:9");
    home.unset("AGENT_IMAGE");
    let file = home.dir().join("coordinator.env");
    fs::write(&file, "# ours\nAGENT_IMAGE=\"from-the-file:1\"\n").unwrap();
    let map = ["image", "map", "--json", "--env-file"];
    let (code, said) = home.command(&[&map[..], &[file.to_str().unwrap()]].concat()).await;
    assert_eq!(code, Some(0), "{said}");
    let map: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(map["general"], "from-the-file:1");
    let (code, said) = home.command(&["image", "list", "--env-file", "/nonexistent"]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("cannot read the environment file /nonexistent"), "{said}");
}

#[tokio::test]
async fn an_edit_of_the_map_is_told_to_programs_as_the_map_then_is() {
    let mut home = Home::new("http://127.0.0.1:9");
    home.unset("AGENT_IMAGE");
    let project = ProjectId::random().to_string();
    for (edit, mapped, from) in
        [("team/agent:1", json!("team/agent:1"), "map"), ("--remove", Value::Null, "default")]
    {
        let (code, said) = home.command(&["image", "map", &project, edit, "--json"]).await;
        assert_eq!(code, Some(0), "{said}");
        let map: Value = serde_json::from_str(&said).unwrap();
        let [row] = map["projects"].as_array().unwrap().as_slice() else { panic!("{said}") };
        assert_eq!((&row["mapped"], row["from"].as_str()), (&mapped, Some(from)), "{said}");
    }
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_running_coordinator_takes_an_edit_of_the_map_up_by_itself() {
    let Some(mut scene) = Scene::or_skip("pause").await else { return };
    let (first, second) = (scene.engine.image(), scene.engine.image());
    first.make().await;
    second.make().await;
    let project = scene.project.to_string();
    // The general image is then no condition.
    scene.home.unset("AGENT_IMAGE").set("PROJECT_ID", &project);
    let edit = async |home: &mut Home, image: &str| {
        let (code, said) = home.command(&["image", "map", &project, image]).await;
        assert_eq!(code, Some(0), "{said}");
        said
    };
    edit(&mut scene.home, first.name()).await;
    let path = scene.home.state_dir().join("project_images.json");
    assert_eq!(mode(&path), 0o600);
    let coordinator = scene.home.start();
    for (image, next) in [(first.name(), second.name()), (second.name(), second.name())] {
        let job = scene.add_job().await;
        scene.engine.pausing(job.job_id).await;
        let config = scene.engine.inspect(job.job_id).await.unwrap().config.unwrap();
        assert_eq!(config.image.as_deref(), Some(image));
        // While a job runs in the old one, whose end does not take it back.
        let said = edit(&mut scene.home, next).await;
        assert!(said.contains("counts from its next job on"), "{said}");
        scene.engine.release(job.job_id).await;
        assert_eq!(scene.app.ended(job.job_id).await.status, "completed");
    }
    let (code, said) = scene.home.command(&["image", "map", "--remove", &project]).await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "{}");
    coordinator.terminate().await;
}
