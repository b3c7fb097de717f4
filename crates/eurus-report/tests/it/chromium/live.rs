//! The page that follows runs, as its reader has it before him.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use eurus_report::live::{Server, Source};
use eurus_report::page;
use eurus_report::runs::Runs;
use serde_json::{Value, json};
use test_support::chromium::{Chromium, Page, View};

use super::{PHONE, assert_accessible, assert_fits, count, is, number, text, text_of};
use crate::fixture::*;

/// How long a test waits for what comes within seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// A run that goes on, its page, and a browser in which it is open.
struct Followed {
    page: Page,
    browser: Chromium,
    url: String,
    out: PathBuf,
    metrics: PathBuf,
    folder: tempfile::TempDir,
}

impl Followed {
    /// Beside another run, which is whole.
    fn new(events: &[Value], view: View) -> Option<Self> {
        let browser = Chromium::start()?;
        let folder = tempfile::tempdir().expect("a folder");
        let whole = preference_run(&folder.path().join("dpo"), &some_steps());
        let out = folder.path().join("kto");
        let way = folder.path().join("kto.snapshots");
        fs::create_dir(&way).expect("a folder");
        let metrics = way.join("metrics.jsonl");
        fs::write(&metrics, lines(events)).expect("written");
        let server = Server::bind(0, source(&[whole, out.clone()])).expect("a port");
        let address = server.address();
        std::thread::spawn(move || server.run());
        let url = format!("http://{address}/");
        let mut page = browser.open_url(&url, view).expect("a page");
        // A page that is loaded anew has it no more.
        page.evaluate("window.isTheSame = true").expect("set");
        Some(Self {
            page,
            browser,
            url,
            out,
            metrics,
            folder,
        })
    }

    fn append(&self, text: &str) {
        let mut file = File::options()
            .append(true)
            .open(&self.metrics)
            .expect("a file");
        file.write_all(text.as_bytes()).expect("written");
    }

    fn wait_for(&mut self, words: &str) {
        wait_until(
            &mut self.page,
            &format!("document.body.textContent.includes({})", json!(words)),
        );
        assert!(is(&mut self.page, "window.isTheSame"), "loaded anew");
    }

    fn assert_asked_for_its_page_alone(&mut self) {
        let requests = self.page.requests();
        assert!(requests.iter().all(|it| it.ends_with("/report.html")));
        assert_eq!(self.page.complaints(), [""; 0]);
    }
}

fn source(paths: &[PathBuf]) -> Source {
    let runs = Runs::open(paths).expect("runs");
    Source {
        title: page::title(&runs),
        runs,
        trees: None,
    }
}

/// Waits until an expression is true.
fn wait_until(page: &mut Page, expression: &str) {
    let began = Instant::now();
    while !is(page, expression) {
        assert!(began.elapsed() < PATIENCE, "not in time: {expression}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The beginning of a run whose page is longer than a window.
fn begun() -> Vec<Value> {
    let mut events: Vec<Value> = (1..=30).map(|it| step(it, 60)).collect();
    events.push(evaluated(30, &"It may be 5, or 4. ".repeat(400)));
    events
}

/// What the run that goes on wrote.
const SAMPLES: &str = "document.querySelectorAll('.samples')[1]";

/// How high its summary stands in the window, in pixels.
fn height_of_summary(page: &mut Page) -> i64 {
    let script =
        format!("Math.round({SAMPLES}.querySelector('summary').getBoundingClientRect().top)");
    number(page, &script)
}

#[test]
fn new_lines_come_by_themselves_and_the_reader_stays_where_he_is() {
    let Some(mut followed) = Followed::new(&begun(), View::default()) else {
        return;
    };
    let page = &mut followed.page;
    assert_eq!(text_of(page, ".live"), "live");
    // He has opened what two runs wrote, has scrolled in an answer, and stands at its summary with the keyboard.
    page.click(".samples summary").expect("clicked");
    page.evaluate(&format!("{SAMPLES}.querySelector('summary').focus()"))
        .expect("focused");
    page.press(" ").expect("pressed");
    let look = format!(
        "window.old = {SAMPLES}; old.scrollIntoView(); old.querySelectorAll('pre')[1].scrollTop = 70;"
    );
    page.evaluate(&look).expect("scrolled");
    let before = height_of_summary(page);

    // A warning and a judgement make the page longer above him, a step changes the charts.
    followed.append(&lines(&[
        step(31, 60),
        collapse(31),
        evaluated(31, &"It is 4. ".repeat(900)),
    ]));
    followed.wait_for("step 31 of 60 is the last");
    let page = &mut followed.page;
    assert!(text_of(page, "main").contains("the chosen reward falls"));
    assert!(text(page, &format!("{SAMPLES}.textContent")).contains("After step 31"));
    assert!(!is(page, "old.isConnected"), "it is a newer one");
    assert_eq!(count(page, ".samples details[open]"), 2);
    let moved = height_of_summary(page) - before;
    assert!(moved.abs() <= 1, "the page has moved by {moved} pixels");
    let focused = format!("document.activeElement === {SAMPLES}.querySelector('summary')");
    assert!(is(page, &focused));
    let scrolled = format!("{SAMPLES}.querySelectorAll('pre')[1].scrollTop");
    assert_eq!(number(page, &scrolled), 70);
    assert_eq!(text_of(page, ".live"), "live");
    assert_accessible(page);
    followed.assert_asked_for_its_page_alone();
}

#[test]
fn a_line_is_on_the_page_after_two_asks() {
    let Some(mut followed) = Followed::new(&begun(), PHONE) else {
        return;
    };
    let page = &mut followed.page;
    // One that was under way may have come before the line; they are a second apart.
    page.evaluate(
        "window.asked = () => performance.getEntriesByType('resource').length;\
         new MutationObserver(() => {\
           if (document.body.textContent.includes('step 31 of 60')) window.arrived ??= asked();\
         }).observe(document.querySelector('main'), { childList: true, subtree: true });",
    )
    .expect("watched");
    followed.append(&lines(&[step(31, 60)]));
    let asked = number(&mut followed.page, "asked()");
    followed.wait_for("step 31 of 60 is the last");
    let arrived = number(&mut followed.page, "arrived");
    assert!(arrived - asked <= 2, "{} asks", arrived - asked);
    assert_fits(&mut followed.page);
    followed.assert_asked_for_its_page_alone();
}

#[test]
fn what_is_selected_stays_until_it_is_let_go_of_and_the_rest_goes_on() {
    let Some(mut followed) = Followed::new(&begun(), View::default()) else {
        return;
    };
    // The steps in the table of runs.
    let cell = "[...document.querySelectorAll('td')].find(it => it.textContent === '30 of 60')";
    let select = format!("getSelection().selectAllChildren({cell})");
    followed.page.evaluate(&select).expect("selected");
    for (number, words) in [(31, "step 31 of 60"), (32, "step 32 of 60")] {
        followed.append(&lines(&[step(number, 60)]));
        followed.wait_for(words);
        let selected = text(&mut followed.page, "getSelection().toString()");
        assert_eq!(selected, "30 of 60");
    }
    followed
        .page
        .evaluate("getSelection().removeAllRanges()")
        .expect("let go");
    let there = cell.replace("30 of", "32 of");
    wait_until(&mut followed.page, &format!("{there} !== undefined"));
    followed.assert_asked_for_its_page_alone();
}

#[test]
fn a_run_that_was_killed_in_the_middle_of_a_line_is_told_and_goes_on() {
    let Some(mut followed) = Followed::new(&begun(), View::default()) else {
        return;
    };
    let line = lines(&[step(31, 60)]);
    followed.append(&line[..line.len() / 2]);
    followed.wait_for("the last line is not whole");
    assert!(text_of(&mut followed.page, "main").contains("step 30 of 60 is the last"));
    assert_eq!(text_of(&mut followed.page, ".live"), "live");
    // It goes on from an earlier snapshot, whose lines are those up to it.
    let again: Vec<Value> = (1..=20).map(|it| step(it, 60)).collect();
    fs::write(&followed.metrics, lines(&again)).expect("written");
    followed.wait_for("step 20 of 60 is the last");
    assert!(!text_of(&mut followed.page, "main").contains("not whole"));
    followed.append(&lines(&[step(21, 60)]));
    followed.wait_for("step 21 of 60 is the last");
    followed.assert_asked_for_its_page_alone();
}

#[test]
fn in_the_end_the_page_is_the_written_one_and_asks_no_more() {
    let Some(mut followed) = Followed::new(&begun(), View::default()) else {
        return;
    };
    let mut events = begun();
    events.extend((31..=60).map(|it| step(it, 60)));
    events.push(collapse(60));
    preference_run(&followed.out, &events);
    fs::remove_dir_all(followed.metrics.parent().expect("a folder")).expect("removed");
    wait_until(
        &mut followed.page,
        "document.querySelector('.live').textContent === 'complete'",
    );
    let parts = "[...document.querySelector('main').children].map(it => it.outerHTML).join('\\n')";
    let last = text(&mut followed.page, parts);
    let asked = followed.page.requests().len();
    followed
        .page
        .evaluate("new Promise(done => setTimeout(done, 2500))")
        .expect("waited");
    assert_eq!(followed.page.requests().len(), asked);
    followed.assert_asked_for_its_page_alone();

    let paths = [followed.folder.path().join("dpo"), followed.out.clone()];
    let written = followed.folder.path().join("page.html");
    source(&paths).report().write(&written).expect("written");
    let mut other = followed
        .browser
        .open(&written, View::default())
        .expect("a page");
    assert!(last == text(&mut other, parts), "the written page differs");
    let mut again = followed
        .browser
        .open_url(&followed.url, View::default())
        .expect("a page");
    assert_eq!(count(&mut again, "script"), 0);
    assert!(
        last == text(&mut again, parts),
        "the page loaded again differs"
    );
}
