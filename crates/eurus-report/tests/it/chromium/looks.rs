//! What the viewer of trees looks like: wide and narrow, light and dark, printed, without scripts, with texts of any length.

use std::path::PathBuf;

use test_support::chromium::{Page, View};

use super::{
    Opened, PHONE, assert_accessible, assert_fits, assert_quiet, count, is, number, text_of, write,
};
use crate::trees_support::{grown_tree, long_line, tree_of_text};

#[test]
fn a_page_fits_a_window_and_a_phone_is_accessible_light_and_dark_and_prints() {
    let Some(opened) = Opened::grown(120, 2) else {
        return;
    };
    let shots = std::env::var_os("EURUS_SHOTS").map(PathBuf::from);
    for (name, view) in [("1280", View::default()), ("390", PHONE)] {
        for dark in [false, true] {
            let mut page = opened.page(View { dark, ..view });
            assert_fits(&mut page);
            let shot = |page: &mut Page, part: &str| {
                let Some(folder) = &shots else { return };
                let colours = if dark { "dark" } else { "light" };
                let picture = page.screenshot(false).expect("a picture");
                write(
                    &folder.join(format!("trees-{name}-{colours}{part}.png")),
                    &picture,
                );
            };
            shot(&mut page, "");
            page.click(".trees-numbers summary").expect("clicked");
            page.click(".trees-keys summary").expect("clicked");
            assert_accessible(&mut page);
            page.click("[name=disagreement]").expect("clicked");
            shot(&mut page, "-step");
            page.click("[name=fold]").expect("clicked");
            assert_accessible(&mut page);
            shot(&mut page, "-folded");
            assert_fits(&mut page);
            let printed = page.print().expect("a document");
            assert!(printed.starts_with(b"%PDF") && printed.len() > 10_000);
            page.call(
                "Emulation.setEmulatedMedia",
                serde_json::json!({"media": "print"}),
            )
            .expect("printed");
            shot(&mut page, "-print");
            assert_quiet(&mut page);
        }
    }
}

#[test]
fn without_scripts_all_trees_are_there_unfolded() {
    let Some(opened) = Opened::grown(30, 1) else {
        return;
    };
    for view in [View::default(), PHONE] {
        let mut page = opened.page(View {
            scripts: false,
            ..view
        });
        assert_eq!(count(&mut page, "article.tree"), 30);
        assert!(is(
            &mut page,
            "[...document.querySelectorAll('.tree .body')].every(it => it.checkVisibility())"
        ));
        assert!(!is(
            &mut page,
            "document.querySelector('.trees-controls').checkVisibility()"
        ));
        assert_fits(&mut page);
        assert_quiet(&mut page);
    }
}

#[test]
fn a_megabyte_in_one_line_opens_and_is_shown_when_asked_for() {
    let trees = vec![tree_of_text(&long_line(1 << 20)), grown_tree(1)];
    let Some(opened) = Opened::with(trees, 0) else {
        return;
    };
    for view in [View::default(), PHONE] {
        let mut page = opened.page(view);
        assert_fits(&mut page);
        page.click("article .more").expect("clicked");
        let whole = "document.querySelector('.instruction .body > p').innerText.length";
        assert_eq!(number(&mut page, whole), (1 << 20) + 1);
        page.click(".trees-list [data-number=\"1\"]")
            .expect("clicked");
        assert_eq!(text_of(&mut page, ".tree h3"), "problem-1");
        assert_quiet(&mut page);
    }
}
