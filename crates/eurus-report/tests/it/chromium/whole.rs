//! A page with all that a report can have: runs of training side by side, what they came to, and trees with scores.

use std::path::PathBuf;

use test_support::chromium::{Chromium, Page, View};

use super::hostile::HOSTILE;
use super::{PHONE, assert_accessible, assert_fits, assert_quiet, count, is, number, text, write};
use crate::trees_support::tree_of_text;
use crate::whole_support::{plain_page, runs_of_texts, write_page};

/// The parts that a page of everything has.
const PARTS: [(&str, i64); 7] = [
    ("h2", 11),
    (".table table", 9),
    (".panels svg", 30),
    (".mark", 10),
    (".dots svg", 3),
    (".samples details", 4),
    (".trees-list [role=option]", 40),
];

fn unfold_all(page: &mut Page) {
    page.evaluate("document.querySelectorAll('details').forEach(it => { it.open = true; })")
        .expect("unfolded");
    page.settle().expect("drawn");
}

#[test]
fn a_page_of_everything_fits_a_window_and_a_phone_is_accessible_light_and_dark_and_prints() {
    let Some(browser) = Chromium::start() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let path = plain_page(folder.path());
    let shots = std::env::var_os("EURUS_SHOTS").map(PathBuf::from);
    for (name, view) in [("1280", View::default()), ("390", PHONE)] {
        for dark in [false, true] {
            let mut page = browser.open(&path, View { dark, ..view }).expect("a page");
            for (selector, least) in PARTS {
                let found = count(&mut page, selector);
                assert!(found >= least, "{found} of {selector}");
            }
            assert_fits(&mut page);
            let shot = |page: &mut Page, part: &str| {
                let Some(folder) = &shots else { return };
                let colours = if dark { "dark" } else { "light" };
                let picture = page.screenshot(true).expect("a picture");
                write(
                    &folder.join(format!("whole-{name}-{colours}{part}.png")),
                    &picture,
                );
            };
            shot(&mut page, "");
            unfold_all(&mut page);
            assert_fits(&mut page);
            assert_accessible(&mut page);
            shot(&mut page, "-unfolded");
            let printed = page.print().expect("a document");
            assert!(printed.starts_with(b"%PDF") && printed.len() > 50_000);
            assert_quiet(&mut page);
        }
    }
}

#[test]
fn without_scripts_a_page_of_everything_is_there_all_the_same() {
    let Some(browser) = Chromium::start() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let path = plain_page(folder.path());
    let still = View {
        scripts: false,
        ..PHONE
    };
    let mut page = browser.open(&path, still).expect("a page");
    for (selector, least) in &PARTS[..6] {
        let found = count(&mut page, selector);
        assert!(found >= *least, "{found} of {selector}");
    }
    assert_eq!(count(&mut page, "article.tree"), 40);
    assert_fits(&mut page);
    assert_quiet(&mut page);
}

#[test]
fn nothing_runs_or_is_asked_for_whatever_names_settings_samples_and_answers_say() {
    let Some(browser) = Chromium::start() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let runs = runs_of_texts(folder.path(), &HOSTILE);
    let trees = HOSTILE.map(tree_of_text).to_vec();
    // What a file can be called.
    let names = [
        "<img src=x onerror=document.title='ran'>.jsonl",
        "\" autofocus onfocus=\"document.title='ran'.jsonl",
    ];
    let path = write_page(folder.path(), HOSTILE[0], &runs, trees, names);
    for view in [
        View::default(),
        PHONE,
        View {
            scripts: false,
            ..PHONE
        },
    ] {
        let mut page = browser.open(&path, view).expect("a page");
        unfold_all(&mut page);
        if view.scripts {
            for number in 0..HOSTILE.len() {
                let row = format!(".trees-list [data-number=\"{number}\"]");
                page.click(&row).expect("clicked");
            }
        }
        // Of what is asked for here the page has links to its sections alone.
        let foreign = "main :is(img, iframe, object, embed, link, meta, base, video, template, textarea, xmp, plaintext, math, \
                       mtext, marquee, style, a:not([href^=\"#section-\"], [href=\"#trees\"]), [onerror], [onload], [onfocus], \
                       [onmouseover], [ontoggle], [autofocus], [style], [src], [srcdoc])";
        assert_eq!(count(&mut page, foreign), 0);
        assert_eq!(count(&mut page, "form"), 1);
        assert_eq!(count(&mut page, "script"), 2, "the viewer and its index");
        assert_eq!(text(&mut page, "document.title"), HOSTILE[0]);
        for hostile in HOSTILE
            .iter()
            .filter(|it| it.chars().all(|c| c.is_ascii_graphic() || c == ' '))
        {
            let times = format!(
                "document.body.textContent.split({}).length - 1",
                serde_json::json!(hostile)
            );
            let times = number(&mut page, &times);
            assert!(times >= 20, "{hostile} is there {times} times");
        }
        assert!(is(
            &mut page,
            "[...document.querySelectorAll('main > *')].every(it => getComputedStyle(it).display !== 'none')"
        ));
        assert_fits(&mut page);
        assert_quiet(&mut page);
    }
}
