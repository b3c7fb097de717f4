//! Downloads from a server on this machine that answers as the hub does: the list of a commit's files, files with
//! `ETag` and `X-Repo-Commit`, large files behind a redirect, ranges, and refusals.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::common::{Weights, files, load, write};
use eurus_models::hub::{Hub, HubModel};
use eurus_models::{Checkpoint, Error};
use serde_json::json;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What the server does beside answering.
#[derive(Default)]
struct Behavior {
    files: BTreeMap<String, Vec<u8>>,
    /// A request without this token is refused.
    token: Option<String>,
    /// Connections that break in the middle of a body, still to come.
    breaks: usize,
    /// Answers with the whole file to requests for a part of it.
    ignores_ranges: bool,
    /// Sends other bytes than the sum is of.
    spoils: bool,
    /// Answers with this status.
    status: Option<u16>,
    requests: Vec<String>,
}

struct Server {
    address: String,
    behavior: Arc<Mutex<Behavior>>,
}

impl Server {
    fn start(behavior: Behavior) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let behavior = Arc::new(Mutex::new(behavior));
        let (shared, own) = (behavior.clone(), address.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, own) = (shared.clone(), own.clone());
                std::thread::spawn(move || answer(stream, &shared, &own));
            }
        });
        Self { address, behavior }
    }

    fn change(&self, change: impl FnOnce(&mut Behavior)) {
        change(&mut self.behavior.lock().expect("not poisoned"));
    }

    fn requests(&self, word: &str) -> usize {
        let behavior = self.behavior.lock().expect("not poisoned");
        behavior
            .requests
            .iter()
            .filter(|request| request.contains(word))
            .count()
    }
}

/// The path, range and token of a request.
fn request(stream: &TcpStream) -> Option<(String, Option<usize>, Option<String>)> {
    let mut lines = BufReader::new(stream).lines();
    let path = lines.next()?.ok()?.split(' ').nth(1)?.to_owned();
    let (mut range, mut token) = (None, None);
    for line in lines {
        let line = line.ok()?;
        if line.is_empty() {
            return Some((path, range, token));
        }
        let (name, value) = line.split_once(':')?;
        match name.to_ascii_lowercase().as_str() {
            "range" => {
                let first = value.trim().strip_prefix("bytes=")?.split('-').next()?;
                // A request for the first byte alone is one for the length.
                range = Some(if value.trim().ends_with("-0") {
                    usize::MAX
                } else {
                    first.parse().ok()?
                });
            }
            "authorization" => token = value.trim().strip_prefix("Bearer ").map(str::to_owned),
            _ => {}
        }
    }
    None
}

fn answer(mut stream: TcpStream, behavior: &Mutex<Behavior>, address: &str) {
    let Some((path, range, token)) = request(&stream) else {
        return;
    };
    let mut behavior = behavior.lock().expect("not poisoned");
    behavior.requests.push(format!("{path} {range:?}"));
    let mut reply = |status: u16, headers: &[String], body: &[u8], length: usize| {
        let mut head = format!(
            "HTTP/1.1 {status} Status\r\nConnection: close\r\nContent-Length: {length}\r\n"
        );
        headers
            .iter()
            .for_each(|header| head.push_str(&format!("{header}\r\n")));
        let _ = stream.write_all(format!("{head}\r\n").as_bytes());
        let _ = stream.write_all(body);
    };
    if let Some(status) = behavior.status {
        return reply(status, &[], b"", 0);
    }
    if behavior.token.is_some() && behavior.token != token {
        return reply(401, &[], b"", 0);
    }
    if let Some(rest) = path.strip_prefix("/api/models/org/tiny/revision/") {
        if !["main", "v1"].contains(&rest) {
            return reply(404, &[], b"", 0);
        }
        let names: Vec<_> = behavior
            .files
            .keys()
            .map(|name| json!({"rfilename": name}))
            .collect();
        let body = json!({"sha": COMMIT, "siblings": names}).to_string();
        return reply(200, &[], body.as_bytes(), body.len());
    }
    // Large files lie elsewhere: the answer is a redirect that tells their sum.
    let (name, elsewhere) = match (
        path.strip_prefix(&format!("/org/tiny/resolve/{COMMIT}/")),
        path.strip_prefix("/storage/"),
    ) {
        (Some(name), _) => (name, false),
        (None, Some(name)) => (name, true),
        (None, None) => return reply(404, &[], b"", 0),
    };
    let Some(file) = behavior.files.get(name).cloned() else {
        return reply(404, &[], b"", 0);
    };
    let large = name.ends_with(".safetensors");
    let sum: String = Sha256::digest(&file)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let mut headers = vec![format!("X-Repo-Commit: {COMMIT}")];
    if large && !elsewhere {
        headers.push(format!("X-Linked-Etag: \"{sum}\""));
        headers.push(format!("X-Linked-Size: {}", file.len()));
        headers.push(format!("Location: {address}/storage/{name}"));
        return reply(302, &headers, b"", 0);
    }
    headers.push(format!("ETag: \"{}\"", &sum[..40]));
    if range == Some(usize::MAX) {
        headers.push(format!("Content-Range: bytes 0-0/{}", file.len()));
        return reply(206, &headers, &file[..1], 1);
    }
    let start = if behavior.ignores_ranges {
        0
    } else {
        range.unwrap_or(0)
    };
    let mut body = file[start.min(file.len())..].to_vec();
    let length = body.len();
    if behavior.spoils && large {
        body.iter_mut().for_each(|byte| *byte ^= 1);
    }
    if behavior.breaks > 0 && large {
        behavior.breaks -= 1;
        body.truncate(length / 2);
    }
    headers.push(format!(
        "Content-Range: bytes {start}-{}/{}",
        file.len() - 1,
        file.len()
    ));
    reply(206, &headers, &body, length);
}

/// A sharded checkpoint with a tokenizer and files that nobody needs.
fn repository() -> (Behavior, Weights) {
    let place = tempfile::tempdir().expect("a temporary folder");
    let folder = place.path().join("model");
    let weights = write(&Checkpoint::new(&folder).with_max_shard_bytes(8192)).expect("written");
    let mut files = files(&folder).expect("files");
    files.insert("tokenizer.json".into(), b"{\"a\": 1}".into());
    files.insert("README.md".into(), b"read me".into());
    files.insert("pytorch_model.bin".into(), vec![7; 1000]);
    files.insert("onnx/model.onnx".into(), vec![7; 1000]);
    let behavior = Behavior {
        files,
        ..Behavior::default()
    };
    (behavior, weights)
}

fn model(name: &str) -> HubModel {
    name.parse().expect("a name")
}

fn hub(server: &Server, cache: &TempDir) -> Hub {
    Hub::new(&server.address, cache.path().join("hub"))
}

fn cache() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn refused(hub: &Hub, name: &str, words: &[&str]) {
    let Err(error) = hub.download(&model(name), &mut |_| {}) else {
        panic!("downloaded; expected an error with {words:?}");
    };
    let message = error.to_string();
    for word in words {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
}

fn names(folder: &Path) -> Vec<String> {
    files(folder).expect("files").into_keys().collect()
}

#[test]
fn a_model_is_downloaded_once_and_then_found() {
    let (behavior, weights) = repository();
    let shards = behavior
        .files
        .keys()
        .filter(|name| name.ends_with(".safetensors"))
        .count();
    let server = Server::start(behavior);
    let cache = cache();
    let mut seen = BTreeMap::new();
    let folder = hub(&server, &cache)
        .download(&model("org/tiny"), &mut |download| {
            assert!(download.done <= download.bytes);
            seen.insert(download.file.to_owned(), (download.done, download.bytes));
        })
        .expect("downloaded");
    assert_eq!(load(&folder).expect("loaded"), weights);
    assert_eq!(seen.len(), shards + 3);
    assert!(seen.values().all(|(done, bytes)| done == bytes), "{seen:?}");
    let there = names(&folder);
    assert!(there.contains(&"tokenizer.json".to_owned()), "{there:?}");
    for unneeded in ["README.md", "pytorch_model.bin", "onnx"] {
        assert!(!there.contains(&unneeded.to_owned()), "{there:?}");
    }
    // The layout of Hugging Face's own cache.
    let expected = cache
        .path()
        .join("hub/models--org--tiny/snapshots")
        .join(COMMIT);
    assert_eq!(folder, expected);

    let before = server.requests("/resolve/");
    let again = hub(&server, &cache)
        .download(&model("org/tiny"), &mut |_| {})
        .expect("found");
    assert_eq!(again, folder);
    assert_eq!(server.requests("/resolve/"), before);

    // Another name of the same commit needs no file either.
    hub(&server, &cache)
        .download(&model("org/tiny@v1"), &mut |_| {})
        .expect("found");
    assert_eq!(server.requests("/resolve/"), before);

    // Without a connection, or with a server that is down, the cache serves.
    server.change(|behavior| behavior.status = Some(503));
    assert_eq!(
        hub(&server, &cache)
            .download(&model("org/tiny"), &mut |_| {})
            .expect("found"),
        folder
    );
    let unreachable = Hub::new("http://127.0.0.1:9", cache.path().join("hub"));
    assert_eq!(
        unreachable
            .download(&model("org/tiny"), &mut |_| {})
            .expect("found"),
        folder
    );
}

#[test]
fn a_connection_that_breaks_goes_on_where_it_stopped() {
    let (mut behavior, weights) = repository();
    behavior.breaks = 3;
    let server = Server::start(behavior);
    let cache = cache();
    let folder = hub(&server, &cache)
        .download(&model("org/tiny"), &mut |_| {})
        .expect("downloaded");
    assert_eq!(load(&folder).expect("loaded"), weights);
    let resumed = server
        .behavior
        .lock()
        .expect("not poisoned")
        .requests
        .iter()
        .any(|request| {
            request.starts_with("/storage/")
                && !request.ends_with("Some(0)")
                && !request.ends_with(&format!("Some({})", usize::MAX))
        });
    assert!(resumed, "no request for a rest");
}

#[test]
fn a_connection_that_always_breaks_is_an_error_and_leaves_nothing_that_looks_whole() {
    let (mut behavior, _) = repository();
    behavior.breaks = usize::MAX;
    behavior.ignores_ranges = true;
    let server = Server::start(behavior);
    let cache = cache();
    refused(&hub(&server, &cache), "org/tiny", &["org/tiny"]);
    server.change(|behavior| behavior.status = Some(503));
    refused(&hub(&server, &cache), "org/tiny", &["503"]);
}

#[test]
fn a_server_that_starts_over_when_asked_for_the_rest_does_no_harm() {
    let (mut behavior, weights) = repository();
    behavior.breaks = 1;
    behavior.ignores_ranges = true;
    let server = Server::start(behavior);
    let cache = cache();
    let folder = hub(&server, &cache)
        .download(&model("org/tiny"), &mut |_| {})
        .expect("downloaded");
    assert_eq!(load(&folder).expect("loaded"), weights);
}

#[test]
fn bytes_that_the_sum_is_not_of_are_refused() {
    let (mut behavior, weights) = repository();
    behavior.spoils = true;
    let server = Server::start(behavior);
    let cache = cache();
    refused(
        &hub(&server, &cache),
        "org/tiny",
        &["org/tiny", "model-00001", "SHA-256"],
    );
    server.change(|behavior| behavior.spoils = false);
    let folder = hub(&server, &cache)
        .download(&model("org/tiny"), &mut |_| {})
        .expect("downloaded");
    assert_eq!(load(&folder).expect("loaded"), weights);
}

#[test]
fn refusals_say_what_to_do() {
    let (mut behavior, _) = repository();
    behavior.token = Some("secret".into());
    let server = Server::start(behavior);
    let cache = cache();
    let hub = hub(&server, &cache);
    refused(&hub, "org/tiny", &["org/tiny", "401", "HF_TOKEN"]);
    refused(
        &hub.clone().with_token("wrong"),
        "org/tiny",
        &["401", "may not read"],
    );
    let hub = hub.with_token("secret");
    refused(&hub, "org/other", &["org/other", "404"]);
    refused(&hub, "org/tiny@v9", &["org/tiny@v9", "404"]);
    hub.download(&model("org/tiny"), &mut |_| {})
        .expect("downloaded");
    server.change(|behavior| behavior.status = Some(403));
    refused(&hub, "org/tiny", &["403", "conditions"]);
    let unreachable = Hub::new("http://127.0.0.1:9", cache.path().join("empty"));
    refused(&unreachable, "org/tiny", &["127.0.0.1:9"]);
}

#[test]
fn other_formats_and_hostile_answers_are_refused() {
    let (mut behavior, _) = repository();
    behavior
        .files
        .retain(|name, _| !name.ends_with(".index.json"));
    let server = Server::start(behavior);
    refused(&hub(&server, &cache()), "org/tiny", &["other formats"]);

    let (mut behavior, _) = repository();
    let index = json!({"weight_map": {"model.norm.weight": "../../../escaped.safetensors"}});
    behavior.files.insert(
        "model.safetensors.index.json".into(),
        index.to_string().into_bytes(),
    );
    let server = Server::start(behavior);
    refused(
        &hub(&server, &cache()),
        "org/tiny",
        &["escaped", "plain name"],
    );
}

#[test]
fn names_are_those_of_the_hub() {
    for (text, id, revision) in [
        ("org/name", "org/name", "main"),
        ("org/name-1.0_b@refs/pr/1", "org/name-1.0_b", "refs/pr/1"),
        ("org/name@v1.0", "org/name", "v1.0"),
    ] {
        let model = model(text);
        assert_eq!((model.id(), model.revision()), (id, revision));
    }
    for text in [
        "",
        "name",
        "a/b/c",
        "../x",
        "/etc",
        "a/",
        "a/b@",
        "a/b@../c",
        "a b/c",
        "./x",
        "a/..",
        "a/b?c",
        "org/na me",
    ] {
        let result = text.parse::<HubModel>();
        assert!(matches!(result, Err(Error::Hub { .. })), "{text:?}");
    }
}
