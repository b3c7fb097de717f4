//! The viewer while the browser still reads the page.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use serde_json::json;
use test_support::chromium::View;

use super::{Opened, count, is, search, text_of};

/// Serves a page: what comes before `at` at once, the rest when it is told to.
fn serve_slowly(page: String, at: usize) -> (String, Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut lines = BufReader::new(stream.try_clone().expect("a stream")).lines();
        while lines
            .next()
            .is_some_and(|line| line.is_ok_and(|it| !it.is_empty()))
        {}
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\r\n",
            page.len()
        );
        let (first, rest) = page.split_at(at);
        for part in [&head, first] {
            stream.write_all(part.as_bytes()).expect("sent");
        }
        let _ = told.recv();
        stream.write_all(rest.as_bytes()).expect("sent");
    });
    (url, tell)
}

#[test]
fn the_viewer_is_of_use_before_all_trees_are_read() {
    let Some(opened) = Opened::grown(300, 1) else {
        return;
    };
    let html = std::fs::read_to_string(&opened.path).expect("a page");
    // In the middle of a tree.
    let at = html.match_indices("<article").nth(150).expect("trees").0 + 200;
    let (url, go_on) = serve_slowly(html, at);
    let mut page = opened
        .browser
        .open_url("about:blank", View::default())
        .expect("a page");
    page.call("Page.navigate", json!({"url": url}))
        .expect("begun");
    let begun = Instant::now();
    while !is(
        &mut page,
        "!!document.querySelector('.trees.ready article.tree')",
    ) {
        assert!(begun.elapsed() < Duration::from_secs(60), "not in time");
    }
    assert!(is(&mut page, "document.readyState === 'loading'"));
    assert_eq!(count(&mut page, ".trees-list [role=option]"), 100);
    page.click(".trees-list [data-number=\"7\"]")
        .expect("clicked");
    assert_eq!(text_of(&mut page, ".tree h3"), "problem-7");
    page.click("[name=fold]").expect("clicked");
    // What has come so far is searched.
    search(&mut page, "problem");
    assert_eq!(
        text_of(&mut page, ".trees-status"),
        "150 of 300 trees so far"
    );
    page.click("[type=reset]").expect("clicked");

    // The one that is half there, and one that is not there at all.
    page.press("/").expect("pressed");
    page.press("Escape").expect("pressed");
    for key in ["PageDown", "PageDown"] {
        page.press(key).expect("pressed");
    }
    let waits = "This tree is still being read.";
    assert_eq!(text_of(&mut page, ".trees-open"), waits);
    for key in ["n", "f", "Enter", "ArrowRight"] {
        page.press(key).expect("pressed");
    }
    page.click(".trees-list [data-number=\"203\"]")
        .expect("clicked");
    search(&mut page, "problem 299.");
    assert_eq!(text_of(&mut page, ".trees-status"), "0 of 300 trees so far");
    page.click("[type=reset]").expect("clicked");
    page.press("End").expect("pressed");

    go_on.send(()).expect("told");
    search(&mut page, "problem 299.");
    let all = "document.readyState === 'complete' && document.querySelector('.tree h3')?.textContent === 'problem-299'";
    while !is(&mut page, all) {
        assert!(begun.elapsed() < Duration::from_secs(60), "not in time");
    }
    assert_eq!(text_of(&mut page, ".trees-status"), "1 of 300 trees");
    assert_eq!(page.complaints(), [""; 0]);
}
