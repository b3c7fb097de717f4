//! How long many trees take, and how much memory.

use std::time::{Duration, Instant};

use eurus_report::trees::{Limits, TreeSource};
use serde_json::json;
use test_support::chromium::{Page, View};
use ultrainteract::formats::write_jsonl;

use super::{Opened, is, text, text_of};
use crate::trees_support::grown_tree;

/// Notes, in milliseconds since the page was asked for, when a frame first showed the list with an open tree, and when all was
/// read.
const STAMPS: &str = "window.stamps = {};
    const look = () => {
      if (document.querySelector('.trees.ready article.tree')) stamps.usable = performance.now();
      else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
    addEventListener('load', () => { stamps.read = performance.now(); });";

/// Load of the machine over the last minute, where it is told.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

fn open_with_stamps(opened: &Opened) -> Page {
    let blank = opened.browser.open_url("about:blank", View::default());
    let mut page = blank.expect("a page");
    page.call(
        "Page.addScriptToEvaluateOnNewDocument",
        json!({"source": STAMPS}),
    )
    .expect("added");
    let url = format!("file://{}", opened.path.display());
    page.call("Page.navigate", json!({"url": url}))
        .expect("begun");
    let begun = Instant::now();
    while !is(&mut page, "window.stamps?.read > 0 && stamps.usable > 0") {
        assert!(begun.elapsed() < Duration::from_secs(300), "not in time");
        std::thread::sleep(Duration::from_millis(20));
    }
    page
}

/// Prints what it measures, and asserts nothing of time: `cargo test -p eurus-report --test it ten_thousand -- --ignored --nocapture`.
#[test]
#[ignore = "measures for a minute; run it by hand"]
#[allow(clippy::print_stdout, reason = "the numbers are the result")]
fn ten_thousand_trees_open() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("trees.jsonl");
    write_jsonl(&file, (0..12_000).map(grown_tree)).expect("trees");
    let source = TreeSource::open([file.display().to_string()]).expect("a file");
    let begun = Instant::now();
    let trees = source.draw(&Limits::default()).expect("trees");
    let Some(opened) = Opened::of(trees, 2) else {
        return;
    };
    println!("drawn and written in {:.2?}", begun.elapsed());
    let bytes = std::fs::metadata(&opened.path).expect("a file").len();
    let before = opened.browser.memory_bytes();
    println!("page of {:.1} MB", bytes as f64 / 1e6);
    for _ in 0..5 {
        let mut page = open_with_stamps(&opened);
        let stamps = text(
            &mut page,
            "`usable after ${Math.round(stamps.usable)} ms, all read after ${Math.round(stamps.read)} ms`",
        );
        let heap = page
            .evaluate("Math.round(performance.memory.usedJSHeapSize / 1e6)")
            .expect("memory");
        let searching = Instant::now();
        page.evaluate("(it => { it.value = 'apples = 7'; it.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true})); })(document.querySelector('[name=search]'))").expect("searched");
        let searched = searching.elapsed();
        let status = text_of(&mut page, ".trees-status");
        let stepping = Instant::now();
        page.click("[name=disagreement]").expect("clicked");
        let stepped = stepping.elapsed();
        let memory = opened
            .browser
            .memory_bytes()
            .zip(before)
            .map_or("?".to_owned(), |(now, before)| {
                (now.saturating_sub(before) / 1_000_000).to_string()
            });
        println!(
            "{stamps}, heap {heap} MB, processes +{memory} MB; search {searched:.2?} ({status}), step {stepped:.2?}; load {}",
            load()
        );
        page.call("Page.close", json!({})).expect("closed");
    }
}
