//! How long many trees take, and how much memory.

use std::time::Instant;

use eurus_report::trees::{Limits, TreeSource};
use test_support::chromium::View;
use ultrainteract::formats::write_jsonl;

use super::{Opened, is, text_of};
use crate::trees_support::grown_tree;

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
        let begun = Instant::now();
        let mut page = opened.page(View::default());
        assert!(is(
            &mut page,
            "document.querySelector('.trees').matches('.ready')"
        ));
        page.settle().expect("drawn");
        let ready = begun.elapsed();
        let since = "performance.getEntriesByType('navigation')[0]";
        let loaded = page
            .evaluate(&format!("{since}.loadEventEnd"))
            .expect("a time");
        let heap = page
            .evaluate("performance.memory.usedJSHeapSize / 1e6")
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
            .map(|(now, before)| now.saturating_sub(before) as f64 / 1e6);
        println!(
            "usable after {ready:.2?} (load event {loaded} ms), heap {heap} MB, processes +{memory:?} MB; search {searched:.2?} ({status}), step {stepped:.2?}"
        );
        page.call("Page.close", serde_json::json!({}))
            .expect("closed");
    }
}
