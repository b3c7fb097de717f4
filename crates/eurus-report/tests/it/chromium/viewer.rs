//! What one does in the viewer of trees, with the mouse and with keys alone.

use test_support::chromium::View;
use ultrainteract::PreferenceTree;

use super::{Opened, assert_quiet, count, is, number, press, search, text, text_of};
use crate::trees_support::grown_tree;

#[test]
fn search_and_filters_leave_the_trees_that_are_meant_and_sorting_orders_them() {
    let Some(opened) = Opened::grown(230, 2) else {
        return;
    };
    let mut page = opened.page(View::default());
    let rows = ".trees-list [role=option]";
    assert_eq!(count(&mut page, rows), 100);
    page.click("[name=after]").expect("clicked");
    page.click("[name=after]").expect("clicked");
    assert_eq!(count(&mut page, rows), 30);
    assert_eq!(text_of(&mut page, ".tree h3"), "problem-200");

    search(&mut page, "PROBLEM 17.");
    assert_eq!(count(&mut page, rows), 1);
    assert_eq!(text_of(&mut page, ".tree h3"), "problem-17");
    assert_eq!(text_of(&mut page, ".trees-status"), "1 of 230 trees");
    // What the page itself says is not searched, and neither is its markup; characters are those of the text.
    for (query, found) in [
        ("turn 1, node", 0),
        ("Observation", 0),
        ("class=", 0),
        ("amp", 0),
        ("<b>{apples}</b>", 100),
        ("\")", 100),
    ] {
        search(&mut page, query);
        assert_eq!(count(&mut page, rows), found, "{query}");
    }
    page.click("[type=reset]").expect("clicked");
    assert_eq!(count(&mut page, rows), 100);

    let trees: Vec<PreferenceTree> = (0..230).map(grown_tree).collect();
    let expected =
        |wanted: fn(&PreferenceTree) -> bool| trees.iter().filter(|it| wanted(it)).count();
    for (name, value, expected) in [
        (
            "task",
            "Logic",
            expected(|it| it.task().as_str() == "Logic"),
        ),
        ("dataset", "gsm8k", expected(|it| it.dataset() == "gsm8k")),
        ("depth", "3", expected(|it| it.turns() == 3)),
        ("verdict", "incorrect", expected(|it| it.pairs().is_empty())),
    ] {
        page.choose(&format!("[name={name}]"), value)
            .expect("chosen");
        assert_eq!(
            text_of(&mut page, ".trees-status"),
            format!("{expected} of 230 trees"),
            "{name}"
        );
        page.click("[type=reset]").expect("clicked");
    }

    page.choose("[name=column]", "2").expect("chosen");
    page.choose("[name=order]", "highest").expect("chosen");
    let highest = "[...document.querySelectorAll('.trees-list [role=option]')]\
        .map(it => Number(it.textContent.match(/B reward .* to (.\\d+\\.\\d\\d)/)[1].replace('−', '-')))";
    assert!(is(
        &mut page,
        &format!(
            "(v => v.length === 100 && v.every((it, at) => at === 0 || it <= v[at - 1]))({highest})"
        )
    ));
    assert_quiet(&mut page);
}

#[test]
fn one_click_leads_to_the_next_step_whose_number_is_against_its_verdict() {
    let Some(opened) = Opened::grown(40, 2) else {
        return;
    };
    let mut page = opened.page(View::default());
    let index = "JSON.parse(document.querySelector('.trees-index').textContent).trees";
    for (column, direction) in [(0, "A reward"), (3, "B log-ratio")] {
        page.choose("[name=column]", &column.to_string())
            .expect("chosen");
        let all = format!(
            "{index}.flatMap(it => it.columns[{column}][3].map(node => `${{it.id}}, node ${{node}}`))"
        );
        let total = number(&mut page, &format!("{all}.length"));
        assert!(total > 10);
        page.evaluate("document.querySelector('.trees-list [data-number=\"0\"]').click()")
            .expect("clicked");
        // All of them, and round again.
        for step in (0..total).chain([0]) {
            page.click("[name=disagreement]").expect("clicked");
            let place = text(&mut page, &format!("{all}[{step}]"));
            let status = text_of(&mut page, ".trees-status");
            assert_eq!(
                status,
                format!("Disagreement {} of {total}: tree {place}", step + 1)
            );
            let badge = format!(
                "document.querySelector('.nodes > .current').textContent.includes('{direction} against verdict')"
            );
            assert!(is(&mut page, &badge), "{place}");
            let visible = "(box => box.top >= 0 && box.bottom <= innerHeight)(document.querySelector('.nodes > .current .head').getBoundingClientRect())";
            assert!(is(&mut page, visible), "{place}");
        }
    }
    assert_quiet(&mut page);
}

#[test]
fn steps_fold_at_a_click_with_all_that_follows_them() {
    let trees = (0..40)
        .map(grown_tree)
        .filter(|it| it.turns() == 4)
        .collect();
    let Some(opened) = Opened::with(trees, 1) else {
        return;
    };
    let mut page = opened.page(View::default());
    let shown =
        "[...document.querySelectorAll('.nodes > li')].filter(it => it.checkVisibility()).length";
    let bodies = "[...document.querySelectorAll('.nodes > li > .body')].filter(it => it.checkVisibility()).length";
    let all = number(&mut page, shown);
    assert_eq!(number(&mut page, bodies), all);
    page.click(".nodes > li[data-node=\"1\"] > .head")
        .expect("clicked");
    assert!(number(&mut page, shown) < all);
    assert!(is(
        &mut page,
        "[...document.querySelectorAll('.nodes > li[data-level=\"3\"]')].every(it => it.hidden)"
    ));
    page.click(".nodes > li[data-node=\"1\"] > .head")
        .expect("clicked");
    assert_eq!(number(&mut page, shown), all);
    page.click("[name=fold]").expect("clicked");
    assert_eq!(number(&mut page, bodies), 1);
    page.click("[name=unfold]").expect("clicked");
    assert_eq!(number(&mut page, bodies), all);
    assert_quiet(&mut page);
}

#[test]
fn keys_alone_are_enough() {
    let trees = (0..60)
        .map(grown_tree)
        .filter(|it| it.turns() > 2)
        .collect();
    let Some(opened) = Opened::with(trees, 2) else {
        return;
    };
    let mut page = opened.page(View::default());
    let active = "document.activeElement";
    // From the top of the page with the tabulator alone: it comes to the search, the list and the tree.
    let mut roles = Vec::new();
    for _ in 0..30 {
        press(&mut page, &["Tab"]);
        roles.push(text(
            &mut page,
            &format!("{active}.name || {active}.getAttribute('role') || {active}.tagName"),
        ));
        let outlined = format!(
            "getComputedStyle({active}).outlineStyle !== 'none' || {active} === document.body"
        );
        assert!(is(&mut page, &outlined), "{roles:?}");
        if roles.last().is_some_and(|it| it == "treeitem") {
            break;
        }
    }
    for wanted in [
        "search",
        "task",
        "dataset",
        "verdict",
        "depth",
        "column",
        "order",
        "disagreement",
        "fold",
        "unfold",
        "option",
        "treeitem",
    ] {
        assert!(roles.iter().any(|it| it == wanted), "{wanted} in {roles:?}");
    }
    let node = format!("{active}.dataset.node ?? 'instruction'");
    assert_eq!(text(&mut page, &node), "instruction");
    press(&mut page, &["ArrowRight"]);
    assert!(is(&mut page, &format!("{active}.dataset.level === '2'")));
    press(&mut page, &["End"]);
    assert!(is(
        &mut page,
        &format!("{active} === [...document.querySelectorAll('.nodes > li')].at(-1)")
    ));
    let level = number(&mut page, &format!("Number({active}.dataset.level)"));
    press(&mut page, &["ArrowLeft", "ArrowLeft"]);
    assert_eq!(
        number(&mut page, &format!("Number({active}.dataset.level)")),
        level - 1
    );
    press(&mut page, &["Enter"]);
    assert!(is(&mut page, &format!("{active}.ariaExpanded === 'false'")));
    press(&mut page, &[" ", "Home", "ArrowDown", "ArrowUp"]);
    assert_eq!(text(&mut page, &node), "instruction");
    press(&mut page, &["f"]);
    assert_eq!(
        count(&mut page, ".nodes > li[aria-expanded=false]"),
        count(&mut page, ".nodes > li") - 1
    );
    press(&mut page, &["ArrowDown", "*"]);
    assert_eq!(
        count(
            &mut page,
            ".nodes > li[data-level=\"2\"][aria-expanded=false]"
        ),
        0
    );
    press(&mut page, &["u", "n"]);
    assert!(text_of(&mut page, ".trees-status").starts_with("Disagreement 1 of "));
    let first = text(&mut page, &node);
    press(&mut page, &["n", "p"]);
    assert_eq!(text(&mut page, &node), first);
    // To the list and through it.
    press(&mut page, &["Escape", "Home"]);
    let row = format!("{active}.dataset.number");
    assert_eq!(text(&mut page, &row), "0");
    press(&mut page, &["ArrowDown", "ArrowDown", "ArrowUp", "j", "k"]);
    assert_eq!(text(&mut page, &row), "1");
    press(&mut page, &["Enter"]);
    assert_eq!(text(&mut page, &node), "instruction");
    // To the search and back.
    press(&mut page, &["/"]);
    page.type_text("no such words").expect("typed");
    press(&mut page, &["Enter"]);
    assert_eq!(text_of(&mut page, ".trees-open"), "No tree is like this.");
    page.evaluate(
        "document.activeElement.matches('body') && document.querySelector('[name=search]').focus()",
    )
    .expect("focused");
    page.evaluate("document.querySelector('[name=search]').select()")
        .expect("selected");
    press(&mut page, &["Backspace"]);
    page.choose("[name=task]", "").expect("chosen");
    press(&mut page, &["Escape", "?"]);
    assert!(is(&mut page, "document.querySelector('.trees-keys').open"));
    assert_quiet(&mut page);
}
