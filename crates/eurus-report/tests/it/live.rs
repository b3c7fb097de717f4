//! The page that follows runs.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use eurus_report::Error;
use eurus_report::live::{Server, Source, TreeFiles};
use eurus_report::page;
use eurus_report::runs::Runs;
use eurus_report::trees::TreeSource;

use crate::fixture::*;
use crate::trees_support::tree_of_text;

fn source(paths: &[PathBuf]) -> Source {
    let runs = Runs::open(paths).unwrap();
    Source {
        title: page::title(&runs),
        runs,
        trees: None,
    }
}

/// Serves the page until the tests end.
fn serve(paths: &[PathBuf]) -> SocketAddr {
    let server = Server::bind(0, source(paths)).unwrap();
    let address = server.address();
    std::thread::spawn(move || server.run());
    address
}

struct Answer {
    head: String,
    body: String,
}

fn ask(address: SocketAddr, path: &str, headers: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    let host = if headers.contains("Host:") {
        String::new()
    } else {
        format!("Host: {address}\r\n")
    };
    let request = format!("GET {path} HTTP/1.1\r\n{host}{headers}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Answer {
        head: head.to_lowercase(),
        body: body.to_owned(),
    }
}

fn written(paths: &[PathBuf]) -> String {
    source(paths).report().to_html().unwrap()
}

#[test]
fn a_line_that_is_added_is_on_the_next_page_and_the_last_page_is_the_one_that_is_written() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("kto");
    let way = place.path().join("kto.snapshots");
    fs::create_dir(&way).unwrap();
    let metrics = way.join("metrics.jsonl");
    fs::write(&metrics, lines(&[step(1, 3)])).unwrap();
    let paths = [out.clone()];
    let address = serve(&paths);
    let first = ask(address, "/", "");
    assert!(first.head.starts_with("http/1.1 200") && first.head.contains("eurus-complete: 0"));
    assert!(
        first.body.contains("step 1 of 3 is the last"),
        "{}",
        first.body
    );
    assert!(
        first
            .body
            .contains("<noscript><meta http-equiv=\"refresh\" content=\"2\"></noscript>")
    );
    assert_eq!(ask(address, "/report.html", "").body, written(&paths));

    let mut file = fs::File::options().append(true).open(&metrics).unwrap();
    // Half of the line first: it does not count before it is whole.
    let line = lines(&[step(2, 3)]);
    let (half, rest) = line.split_at(40);
    file.write_all(half.as_bytes()).unwrap();
    assert!(
        ask(address, "/report.html", "")
            .body
            .contains("step 1 of 3 is the last")
    );
    file.write_all(rest.as_bytes()).unwrap();
    let second = ask(address, "/report.html", "");
    assert!(second.body.contains("step 2 of 3 is the last"));
    assert_eq!(second.body, written(&paths));

    preference_run(&out, &[step(1, 3), step(2, 3), step(3, 3)]);
    fs::remove_dir_all(&way).unwrap();
    let last = ask(address, "/", "");
    assert!(last.head.contains("eurus-complete: 1"), "{}", last.head);
    assert_eq!(last.body, written(&paths), "nothing is left to follow");
    assert!(!last.body.contains("<script"));
}

#[test]
fn a_page_that_is_known_is_not_sent_again() {
    let place = tempfile::tempdir().unwrap();
    let run = preference_run(place.path(), &some_steps());
    let address = serve(&[run]);
    let first = ask(address, "/report.html", "");
    let tag = first
        .head
        .lines()
        .find_map(|line| line.strip_prefix("etag: "))
        .unwrap()
        .to_owned();
    let again = ask(
        address,
        "/report.html",
        &format!("If-None-Match: {tag}\r\n"),
    );
    assert!(
        again.head.starts_with("http/1.1 304") && again.body.is_empty(),
        "{}",
        again.head
    );
}

#[test]
fn the_page_that_follows_may_ask_its_own_server_alone_and_runs_its_own_script_alone() {
    let place = tempfile::tempdir().unwrap();
    let metrics = place.path().join("metrics.jsonl");
    fs::write(&metrics, lines(&[step(1, 3)])).unwrap();
    let page = ask(serve(&[metrics]), "/", "").body;
    let policy = page
        .split("Content-Security-Policy\" content=\"")
        .nth(1)
        .unwrap();
    let policy = policy.split('"').next().unwrap();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    assert!(
        policy.contains("script-src 'sha256-") && policy.contains("connect-src 'self'"),
        "{policy}"
    );
    assert!(
        !policy.contains("unsafe") && !policy.contains('*'),
        "{policy}"
    );
    assert_eq!(page.matches("<script>").count(), 1);
}

#[test]
fn other_names_and_other_pages_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let address = serve(&[preference_run(place.path(), &some_steps())]);
    assert!(address.ip().is_loopback());
    let other = ask(address, "/", "Host: evil.example\r\n");
    assert!(other.head.starts_with("http/1.1 403"), "{}", other.head);
    for path in [
        "/../run.json",
        "/run.json",
        "/metrics.jsonl",
        "//",
        "/%2e%2e/run.json",
    ] {
        let answer = ask(address, path, "");
        assert!(
            answer.head.starts_with("http/1.1 404"),
            "{path}: {}",
            answer.head
        );
    }
}

#[test]
fn trees_are_read_from_their_files_as_they_are_asked_for() {
    let place = tempfile::tempdir().unwrap();
    let trees: Vec<String> = (0..5)
        .map(|number| {
            serde_json::to_string(&tree_of_text(&format!("tree number {number} <script>"))).unwrap()
        })
        .collect();
    let path = place.path().join("trees.jsonl");
    fs::write(&path, trees.join("\n")).unwrap();
    let files = TreeFiles {
        title: "Trees".to_owned(),
        source: TreeSource::open([path.to_str().unwrap()]).unwrap(),
        scores: Vec::new(),
        at_once: 2,
    };
    let source = Source {
        trees: Some(Arc::new(files)),
        ..source(&[])
    };
    let server = Server::bind(0, source).unwrap();
    let address = server.address();
    std::thread::spawn(move || server.run());
    let has = |from: &str, number: usize| {
        ask(address, from, "")
            .body
            .contains(&format!("tree number {number}"))
    };
    assert!(has("/trees", 0) && has("/trees", 1) && !has("/trees", 2));
    assert!(has("/trees?trees-from=4", 4) && !has("/trees?trees-from=4", 3));
    let first = ask(address, "/", "");
    assert!(first.head.contains("location: /trees"), "{}", first.head);
    for odd in [
        "/trees?trees-from=-1",
        "/trees?trees-from=x",
        "/trees?trees-from=99999999999999999999",
    ] {
        let answer = ask(address, odd, "");
        assert!(
            answer.head.starts_with("http/1.1 400"),
            "{odd}: {}",
            answer.head
        );
    }
    assert!(
        ask(address, "/trees?trees-from=18446744073709551615", "")
            .head
            .starts_with("http/1.1 200")
    );
    fs::remove_file(&path).unwrap();
    let gone = ask(address, "/trees", "");
    assert!(
        gone.head.starts_with("http/1.1 500") && gone.body.contains("trees.jsonl"),
        "{}",
        gone.body
    );
}

#[test]
fn a_connection_that_says_nothing_or_nonsense_disturbs_nobody() {
    let place = tempfile::tempdir().unwrap();
    let address = serve(&[preference_run(place.path(), &some_steps())]);
    let silent = TcpStream::connect(address).unwrap();
    let mut odd = TcpStream::connect(address).unwrap();
    odd.write_all(b"\0\xff\xfe nonsense\r\n\r\n").unwrap();
    assert!(ask(address, "/", "").head.starts_with("http/1.1 200"));
    drop(silent);
}

#[test]
fn a_port_in_use_is_named_with_what_to_do() {
    let place = tempfile::tempdir().unwrap();
    let paths = [preference_run(place.path(), &some_steps())];
    let first = Server::bind(0, source(&paths)).unwrap();
    let error = Server::bind(first.address().port(), source(&paths)).unwrap_err();
    assert!(matches!(error, Error::PortInUse { .. }));
    assert!(error.to_string().contains("--port"), "{error}");
}
