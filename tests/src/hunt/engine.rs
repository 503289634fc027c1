//! What the engine tells, byte for byte: a typed client would drop what it does not know.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::disk;
use super::hit::{Hits, Place};

const SOCKET: &str = "/var/run/docker.sock";

/// How long the engine may take for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Searches what the engine knows of everything.
pub(super) fn search_inspect(hits: &mut Hits<'_>) {
    let mut known = vec!["/info".to_owned()];
    for container in list("/containers/json?all=1") {
        let path = format!("/containers/{container}/json");
        if let Some(text) = search(hits, &path) {
            let commands = text["ExecIDs"].as_array().cloned().unwrap_or_default();
            let commands = commands.iter().filter_map(Value::as_str);
            known.extend(commands.map(|id| format!("/exec/{id}/json")));
        }
    }
    known.extend(list("/networks").iter().map(|id| format!("/networks/{id}")));
    for image in list("/images/json") {
        known.extend(["json", "history"].map(|part| format!("/images/{image}/{part}")));
    }
    let volumes = list("/volumes");
    known.extend(volumes.iter().map(|name| format!("/volumes/{name}")));
    for path in known {
        search(hits, &path);
    }
}

/// Makes an image of a container as it is, and searches that.
pub(super) fn search_commit(hits: &mut Hits<'_>, container: &str) {
    let answer = call("POST", &format!("/commit?container={container}&pause=false"));
    let answer: Value = serde_json::from_slice(&answer.expect("an image of it")).expect("JSON");
    let image = answer["Id"].as_str().expect("an id").to_owned();
    for part in ["history", "json"] {
        let path = format!("/images/{image}/{part}");
        let text = call("GET", &path).expect("the engine answers");
        hits.search_text(Place::Commit, &path, &text);
        let layer: Value = serde_json::from_slice(&text).expect("JSON");
        if let Some(layer) = layer["GraphDriver"]["Data"]["UpperDir"].as_str() {
            disk::search(hits, Place::Commit, &PathBuf::from(layer), SystemTime::UNIX_EPOCH);
        } else if part == "json" {
            let path = format!("/images/{image}/get");
            hits.search_text(Place::Commit, &path, call("GET", &path).expect("its layers"));
        }
    }
    call("DELETE", &format!("/images/{image}?force=1")).expect("it can be removed");
}

/// The folder of what a container has written.
pub(super) fn layer(container: &str) -> PathBuf {
    let text = call("GET", &format!("/containers/{container}/json")).expect("a container");
    let known: Value = serde_json::from_slice(&text).expect("JSON");
    let layer = known["GraphDriver"]["Data"]["UpperDir"].as_str();
    PathBuf::from(layer.expect("layers in folders, as overlay2 has them"))
}

/// Where the engine keeps its files.
pub(super) fn root() -> PathBuf {
    let info: Value =
        serde_json::from_slice(&call("GET", "/info").expect("an answer")).expect("JSON");
    PathBuf::from(info["DockerRootDir"].as_str().expect("a path"))
}

/// Searches an answer of the engine, and the labels in it. Nothing when it is gone by now.
fn search(hits: &mut Hits<'_>, path: &str) -> Option<Value> {
    let text = call("GET", path).ok()?;
    hits.search_text(Place::Inspect, path, &text);
    let value: Value = serde_json::from_slice(&text).expect("JSON");
    search_labels(hits, path, &value);
    Some(value)
}

fn search_labels(hits: &mut Hits<'_>, path: &str, value: &Value) {
    let Value::Object(fields) = value else { return };
    for (name, value) in fields {
        if name == "Labels" {
            hits.search_text(Place::Labels, path, value.to_string());
        }
        search_labels(hits, path, value);
    }
}

/// Ids, or names where there are none, of the objects in a list.
fn list(path: &str) -> Vec<String> {
    let text = call("GET", path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let answer: Value = serde_json::from_slice(&text).expect("JSON");
    let objects = if answer.is_array() { &answer } else { &answer["Volumes"] };
    let name =
        |object: &Value| object["Id"].as_str().or(object["Name"].as_str()).map(str::to_owned);
    objects.as_array().map(|objects| objects.iter().filter_map(name).collect()).unwrap_or_default()
}

/// One request; the body of the answer. In the older protocol a body ends with its connection.
pub(super) fn call(method: &str, path: &str) -> io::Result<Vec<u8>> {
    let mut socket = UnixStream::connect(SOCKET)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    write!(socket, "{method} {path} HTTP/1.0\r\nContent-Length: 0\r\n\r\n")?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    if head.split_whitespace().nth(1).is_some_and(|status| status.starts_with('2')) {
        Ok(answer.split_off(end + 4))
    } else {
        Err(io::Error::other(head.lines().next().unwrap_or_default().to_owned()))
    }
}
