//! The command line against a real server, and the rules of `serve`.

use std::io::Write;
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::harness::{App, KEY, binary, file};

fn run(app: &App, words: &[&str], stdin: &str) -> Output {
    let mut child = binary()
        .args(words)
        .envs([("TERARCHITECT_API_URL", app.url.as_str()), ("TERARCHITECT_WORKER_API_KEY", KEY)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    // A command that reads nothing may be gone by now.
    let _unread = pipe.write_all(stdin.as_bytes());
    drop(pipe);
    child.wait_with_output().unwrap()
}

fn text(app: &App, words: &[&str]) -> String {
    let output = run(app, words, "");
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn json(app: &App, words: &[&str]) -> Value {
    serde_json::from_str(&text(app, &[words, &["--json"]].concat())).unwrap()
}

fn refused(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[tokio::test]
async fn a_ticket_is_led_from_the_command_line() {
    let app = App::start();
    assert_eq!(text(&app, &["project", "list"]), "no projects\n");
    let add = ["project", "add", "--name", "demo", "--repo-url", "https://github.com/acme/demo"];
    let project = json(&app, &add)["id"].as_str().unwrap().to_owned();
    assert!(text(&app, &["project", "list"]).contains(&project));
    let add =
        ["ticket", "add", "--project", &project, "--title", "Add login", "--description", "x"];
    let ticket = json(&app, &add)["id"].as_str().unwrap().to_owned();
    let started = text(&app, &["ticket", "start", &ticket]);
    assert!(started.contains("job status  ") && started.contains("pending"), "{started}");
    let list = text(&app, &["ticket", "list", "--project", &project]);
    assert!(list.contains("in_progress") && list.contains("Add login"), "{list}");
    assert_eq!(text(&app, &["ticket", "logs", &ticket]), "no log entries\n");

    let jobs = json(&app, &["job", "list", "--status", "pending"]);
    let job = jobs[0]["job_id"].as_str().unwrap();
    let shown = text(&app, &["job", "show", job]);
    assert!(shown.contains(&ticket) && shown.contains("attempt       0"), "{shown}");
    assert!(text(&app, &["job", "list"]).contains("ATTEMPT"));
    assert_eq!(text(&app, &["job", "list", "--status", "failed"]), "no jobs\n");
    let cancelled = text(&app, &["ticket", "cancel", &ticket]);
    assert_eq!(cancelled, "the waiting job was taken out of the queue\n");
    assert!(text(&app, &["ticket", "show", &ticket]).contains("cancelled"));
}

#[tokio::test]
async fn a_secret_comes_by_standard_input_and_is_never_shown() {
    let app = App::start();
    let name = "github_agent_token";
    let output = run(&app, &["settings", "set", name, "-"], "ghp_fake_0123456789\n");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{name}: (set)\n"));
    let by_argument = run(&app, &["settings", "set", name, "ghp_fake_0123456789"], "");
    assert!(refused(&by_argument, 2).contains("standard input"));
    assert_eq!(
        text(&app, &["settings", "set", "WORKER_MODE", "opencode"]),
        "WORKER_MODE: opencode\n"
    );
    let shown = text(&app, &["settings", "show"]);
    assert!(shown.contains("(set)") && shown.contains("opencode"), "{shown}");
    assert!(!shown.contains("ghp_fake"), "{shown}");
    let job = app.claimed().await;
    assert_eq!(job.agent_env.get("GITHUB_TOKEN").unwrap().expose(), "ghp_fake_0123456789");
    text(&app, &["settings", "set", name, ""]);
    assert_eq!(json(&app, &["settings", "show"])[name], false);
}

#[tokio::test]
async fn what_a_project_remembers_is_listed_and_deleted_from_the_command_line() {
    let app = App::start();
    let project = app.add_project().await;
    let docs = ["Login uses argon2.\nNothing else.", "Board.", "Mail."].map(str::to_owned);
    app.worker_api().index_memory(project, &docs).await.unwrap();
    let project = project.to_string();
    let list = ["memory", "list", "--project", &project];
    let listed = text(&app, &list);
    assert!(listed.contains("Login uses argon2. Nothing else.\n"), "{listed}");
    assert_eq!(listed.lines().count(), 4);
    let all = json(&app, &list);
    let ids: Vec<&str> = (0..3).map(|index| all[index]["id"].as_str().unwrap()).collect();
    let delete = ["memory", "delete", "--project", &project];
    assert_eq!(text(&app, &[&delete[..], &ids[..1]].concat()), "1 memory deleted\n");
    assert!(!text(&app, &list).contains("Mail."));
    let again = refused(&run(&app, &[&delete[..], &ids[..1]].concat(), ""), 1);
    assert_eq!(again, "error: Memory not found (404 Not Found)\n");
    refused(&run(&app, &delete, ""), 2);
    refused(&run(&app, &[&delete[..], &["--all", ids[1]]].concat(), ""), 2);
    text(&app, &[&delete[..], &["--all"]].concat());
    assert_eq!(text(&app, &list), "no memories\n");
}

#[test]
fn half_an_embedding_endpoint_is_refused_before_anything_is_done() {
    let (folder, _) = file("");
    let db = folder.path().join("app.db");
    let mut serve = binary();
    serve.args(["serve", "--embedding-url", "http://127.0.0.1:9/v1", "--db"]).arg(&db);
    let told = refused(&serve.output().unwrap(), 2);
    assert!(told.contains("TERARCHITECT_APP_EMBEDDING_MODEL"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(!db.exists());
}

#[tokio::test]
async fn failures_are_one_line_with_their_exit_code() {
    let app = App::start();
    let id = "93863a0a-985e-474b-a6b2-40a89654e6bf";
    assert_eq!(
        refused(&run(&app, &["ticket", "show", id], ""), 1),
        "error: Ticket not found (404 Not Found)\n"
    );
    refused(&run(&app, &["ticket", "show", "five"], ""), 2);
    refused(&run(&app, &["job", "list", "--status", "lost"], ""), 2);
    let (_folder, wrong) = file("another-key\n");
    let words = ["job", "list", "--key-file", wrong.to_str().unwrap()];
    let told = refused(&run(&app, &words, ""), 1);
    assert!(told.contains("refused the key") && told.lines().count() == 1, "{told}");
    let told = refused(&run(&app, &["job", "list", "--url", "http://127.0.0.1:1"], ""), 1);
    assert!(told.contains("terarchitect-app serve") && told.lines().count() == 1, "{told}");
}

#[test]
fn without_a_key_the_server_stays_on_loopback() {
    let (folder, _) = file("");
    let db = folder.path().join("app.db");
    let mut serve = binary();
    serve.args(["serve", "--listen", "0.0.0.0:0", "--db"]).arg(&db);
    let told = refused(&serve.output().unwrap(), 2);
    assert!(told.contains("0.0.0.0:0 needs a key"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(!db.exists(), "refused before anything was done");
}

#[test]
fn a_port_in_use_is_told_in_one_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let (folder, _) = file("");
    let mut serve = binary();
    serve.args(["serve", "--listen", &listen, "--db"]).arg(folder.path().join("app.db"));
    let told = refused(&serve.output().unwrap(), 1);
    assert!(told.contains(&listen) && told.lines().count() == 1, "{told}");
}

#[tokio::test]
async fn the_port_is_in_its_file_when_the_server_says_so() {
    let (folder, key) = file(KEY);
    let port_file = folder.path().join("port");
    let mut child = binary()
        .args(["serve", "--listen", "0.0.0.0:0", "--db"])
        .arg(folder.path().join("app.db"))
        .arg("--key-file")
        .arg(&key)
        .arg("--port-file")
        .arg(&port_file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    let port = std::fs::read_to_string(&port_file).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(line.trim(), format!("listening on http://0.0.0.0:{}", port.trim()));
}
