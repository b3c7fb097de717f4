//! Pages in a real browser. What is shared here is of use for any page.

mod hostile;
#[cfg(feature = "live")]
mod live;
mod looks;
mod measured;
mod slow;
mod viewer;
mod whole;

use std::path::{Path, PathBuf};

use eurus_report::trees::{self, Scores, Section, Trees};
use tempfile::TempDir;
use test_support::chromium::{Chromium, Page, View};
use test_support::skip;
use ultrainteract::PreferenceTree;

use crate::trees_support::{grown_tree, write_scores};

const PHONE: View = View {
    width: 390,
    height: 844,
    dark: false,
    scripts: true,
};

/// A browser, and a page of trees with scores of some models.
struct Opened {
    browser: Chromium,
    section: Section,
    path: PathBuf,
    _folder: TempDir,
}

impl Opened {
    fn with(trees: Vec<PreferenceTree>, models: u64) -> Option<Self> {
        Self::of(Trees::all(trees), models)
    }

    fn of(trees: Trees, models: u64) -> Option<Self> {
        let browser = Chromium::start()?;
        let folder = tempfile::tempdir().expect("a folder");
        let scores: Vec<Scores> = (0..models)
            .map(|model| {
                let path = folder.path().join(format!("model-{model}.jsonl"));
                write_scores(&path, trees.trees.iter().map(|it| &it.1), model);
                Scores::read(path).expect("scores")
            })
            .collect();
        let section = trees::viewer(&trees, &scores).expect("a section");
        let path = folder.path().join("page.html");
        let page = trees::page("What two reward models say", &section).expect("a page");
        std::fs::write(&path, page).expect("written");
        Some(Self {
            browser,
            section,
            path,
            _folder: folder,
        })
    }

    fn grown(count: u64, models: u64) -> Option<Self> {
        Self::with((0..count).map(grown_tree).collect(), models)
    }

    fn page(&self, view: View) -> Page {
        self.browser.open(&self.path, view).expect("a page")
    }
}

fn number(page: &mut Page, expression: &str) -> i64 {
    let value = page.evaluate(expression).expect("a value");
    value
        .as_i64()
        .unwrap_or_else(|| panic!("{expression} is {value}"))
}

fn text(page: &mut Page, expression: &str) -> String {
    let value = page.evaluate(expression).expect("a value");
    let text = value.as_str().map(str::to_owned);
    text.unwrap_or_else(|| panic!("{expression} is {value}"))
}

fn text_of(page: &mut Page, selector: &str) -> String {
    text(
        page,
        &format!("document.querySelector('{selector}').textContent"),
    )
}

fn count(page: &mut Page, selector: &str) -> i64 {
    number(
        page,
        &format!("document.querySelectorAll('{selector}').length"),
    )
}

fn is(page: &mut Page, expression: &str) -> bool {
    page.evaluate(expression).expect("a value") == true
}

fn press(page: &mut Page, keys: &[&str]) {
    for key in keys {
        page.press(key).expect("pressed");
    }
}

/// The search waits until one has typed.
fn search(page: &mut Page, query: &str) {
    page.click("[name=search]").expect("clicked");
    page.evaluate("document.activeElement.select()")
        .expect("selected");
    page.type_text(query).expect("typed");
    page.evaluate("new Promise(done => setTimeout(done, 200))")
        .expect("waited");
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn assert_quiet(page: &mut Page) {
    assert_eq!(page.complaints(), [""; 0]);
    assert_eq!(page.requests(), [""; 0]);
}

fn assert_accessible(page: &mut Page) {
    match page.accessibility_faults() {
        Ok(faults) => assert_eq!(faults, [""; 0]),
        Err(problem) => skip(format_args!("no axe-core: {problem}")),
    }
}

/// How many pixels the page is wider than its window.
fn overflow(page: &mut Page) -> i64 {
    number(
        page,
        "document.documentElement.scrollWidth - document.documentElement.clientWidth",
    )
}

/// Nothing makes the page wider than its window; what does is named.
fn assert_fits(page: &mut Page) {
    let wide = "[...document.querySelectorAll('main *')]\
        .filter(it => !it.closest('.scroll, pre, svg') && it.getBoundingClientRect().right > innerWidth)\
        .slice(0, 3).map(it => it.outerHTML.slice(0, 200)).join('\\n')";
    let wide = text(page, wide);
    assert_eq!(overflow(page), 0, "{wide}");
}
