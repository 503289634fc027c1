//! The examples for CI: files that are whole, and call the agent as it wants to be called.

use std::fs;

use integration_tests::documented::root;
use yaml_rust2::{Yaml, YamlLoader};

/// The one document in an example.
pub(crate) fn example(name: &str) -> Yaml {
    let text = fs::read_to_string(root().join("docs/examples").join(name)).unwrap();
    let mut documents = YamlLoader::load_from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(documents.len(), 1, "{name}");
    documents.remove(0)
}

/// The names of a mapping.
fn keys(of: &Yaml) -> Vec<&str> {
    of.as_hash().unwrap().keys().map(|key| key.as_str().unwrap()).collect()
}

#[test]
fn every_example_is_yaml_and_is_told_of() {
    let page = fs::read_to_string(root().join("docs/ci.md")).unwrap();
    for entry in fs::read_dir(root().join("docs/examples")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        example(&name);
        assert!(page.contains(&format!("(examples/{name})")), "{name}");
    }
}

#[test]
fn what_the_example_for_github_gives_to_the_step_it_gives_to_the_container() {
    let document = example("github-actions.yml");
    let job = &document["jobs"]["agent"];
    assert_eq!(job["permissions"]["contents"].as_str(), Some("write"));
    assert_eq!(job["permissions"]["pull-requests"].as_str(), Some("write"));
    let run = &job["steps"][0];
    let script = run["run"].as_str().unwrap();
    for name in keys(&run["env"]) {
        assert!(script.contains(&format!("-e {name} ")), "{name}");
    }
    let later = job["steps"].as_vec().unwrap().iter().skip(1);
    assert!(
        later.clone().count() == 2 && later.clone().all(|s| s["if"].as_str() == Some("always()"))
    );
}

#[test]
fn the_examples_within_the_image_name_their_forge_and_keep_the_outcome() {
    let gitlab = example("gitlab-ci.yml");
    let job = &gitlab["agent"];
    assert_eq!(job["image"]["entrypoint"][0].as_str(), Some(""));
    assert_eq!(job["script"][0].as_str(), Some("agent-runner ticket"));
    assert_eq!(job["variables"]["FORGE"].as_str(), Some("gitlab"));
    assert_eq!(job["artifacts"]["paths"][0].as_str(), Some("outcome.json"));
    assert_eq!(job["artifacts"]["when"].as_str(), Some("always"));

    let gitea = example("gitea-actions.yml");
    let step = &gitea["jobs"]["agent"]["steps"][0];
    assert_eq!(step["run"].as_str(), Some("agent-runner ticket"));
    assert_eq!(step["env"]["FORGE"].as_str(), Some("gitea"));
    assert!(step["env"]["AGENT_OUTCOME_FILE"].as_str().unwrap().ends_with("/outcome.json"));
}
