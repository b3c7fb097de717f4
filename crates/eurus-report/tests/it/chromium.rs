//! The viewer in a real browser: what one does with mouse and keys, what it looks like, and that nothing runs or leaves.

use std::path::{Path, PathBuf};
use std::time::Instant;

use eurus_report::trees::{self, Limits, Scores, Section, TreeSource, Trees};
use tempfile::TempDir;
use test_support::chromium::{Chromium, Page, View};
use test_support::skip;
use ultrainteract::PreferenceTree;
use ultrainteract::formats::write_jsonl;

use crate::trees_support::{grown_tree, long_line, tree_of_text, write_scores};

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

fn assert_quiet(page: &mut Page) {
    assert_eq!(page.complaints(), [""; 0]);
    assert_eq!(page.requests(), [""; 0]);
}

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
            "{index}.flatMap(it => it.columns[{column}].against.map(node => `${{it.id}}, node ${{node}}`))"
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

#[test]
fn a_page_fits_a_window_and_a_phone_is_accessible_light_and_dark_and_prints() {
    let Some(opened) = Opened::grown(120, 2) else {
        return;
    };
    let shots = std::env::var_os("EURUS_SHOTS").map(PathBuf::from);
    for (name, view) in [("1280", View::default()), ("390", PHONE)] {
        for dark in [false, true] {
            let mut page = opened.page(View { dark, ..view });
            let overflow =
                "document.documentElement.scrollWidth - document.documentElement.clientWidth";
            assert_eq!(number(&mut page, overflow), 0, "{name}");
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
            assert_eq!(number(&mut page, overflow), 0, "{name}");
            let printed = page.print().expect("a document");
            assert!(printed.starts_with(b"%PDF") && printed.len() > 10_000);
            assert_quiet(&mut page);
        }
    }
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn assert_accessible(page: &mut Page) {
    match page.accessibility_faults() {
        Ok(faults) => assert_eq!(faults, [""; 0]),
        Err(problem) => skip(format_args!("no axe-core: {problem}")),
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
        let overflow =
            "document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(number(&mut page, overflow), 0);
        assert_quiet(&mut page);
    }
}

/// Each sets `title` of the document, loads from `localhost` or moves what stands around it, if it can.
const HOSTILE: [&str; 30] = [
    "<script>document.title='ran'</script>",
    "</script><script>document.title='ran'</script>",
    "</noscript><script>document.title='ran'</script>",
    "--></noscript><img src=x onerror=\"document.title='ran'\">",
    "<!--</noscript><script>document.title='ran'</script>-->",
    "</article></li></ol></noscript><iframe srcdoc=\"<script>parent.document.title='ran'</script>\"></iframe>",
    "<img src=http://localhost:9/i.png onerror=document.title='ran'>",
    "<svg onload=document.title='ran'><script>document.title='ran'</script></svg>",
    "<svg><style><img src=x onerror=document.title='ran'></style></svg>",
    "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=document.title='ran'&gt;\">",
    "<style>* { display: none } @import 'http://localhost:9/s.css';</style>",
    "</style><style>body { background: url(http://localhost:9/b.png) }</style>",
    "<link rel=stylesheet href=http://localhost:9/s.css><link rel=preload as=image href=http://localhost:9/p.png>",
    "<a href=\"javascript:document.title='ran'\" autofocus onfocus=\"document.title='ran'\">click</a>",
    "<iframe src=\"javascript:parent.document.title='ran'\"></iframe>",
    "<object data=http://localhost:9/o></object><embed src=http://localhost:9/e>",
    "<base href=http://localhost:9/><meta http-equiv=refresh content='0;url=http://localhost:9/'>",
    "<form action=http://localhost:9/ id=trees><button name=fold autofocus>x</button></form>",
    "<video src=http://localhost:9/v autoplay onerror=document.title='ran'></video>",
    "<details open ontoggle=document.title='ran'><summary>x</summary></details>",
    "<input autofocus onfocus=document.title='ran'><marquee onstart=document.title='ran'>",
    "\" onmouseover=\"document.title='ran'\" style=\"position:fixed;inset:0\" x=\"",
    "' autofocus onfocus='document.title=`ran`' tabindex='0",
    "&lt;script&gt;document.title='ran'&lt;/script&gt; &#60;img src=x onerror=alert(1)&#62;",
    "{{ 7 * 7 }} {% raw %} ${document.title='ran'} {{ config }}",
    "\u{202e}txt.exe\u{2066}\u{2067}\u{200f}<\u{2028}script>\u{2029}\u{feff}",
    "\0<\0script>document.title='ran'</\0script>\u{1}\u{b}\u{7f}\u{85}",
    "<template><script>document.title='ran'</script></template><textarea></textarea><plaintext>",
    "]]><![CDATA[<script>document.title='ran'</script>]]><?xml-stylesheet href='http://localhost:9/x.css'?>",
    "```\n</code></pre><script>document.title='ran'</script>\n```\n<xmp><script>document.title='ran'</script>",
];

#[test]
fn nothing_that_a_model_wrote_runs_or_is_asked_for() {
    let trees = HOSTILE.map(tree_of_text);
    let Some(opened) = Opened::with(trees.to_vec(), 1) else {
        return;
    };
    for scripts in [true, false] {
        let mut page = opened.page(View {
            scripts,
            ..View::default()
        });
        for (number, hostile) in HOSTILE.iter().enumerate() {
            if scripts {
                let row = format!(".trees-list [data-number=\"{number}\"]");
                page.click(&row).expect("clicked");
            }
            // The instruction, an action, its observation and critique, the last action.
            let article = if scripts {
                "article".to_owned()
            } else {
                format!(".trees-sources > :nth-child({}) article", number + 1)
            };
            let shown = trees::shown(hostile)
                .replace("```\n", "")
                .replace("\n```", "");
            let expected = serde_json::json!(shown.lines().collect::<Vec<_>>());
            let texts = format!(
                "{expected}.every(line => document.querySelector('{article}').textContent.split(line).length >= 7)"
            );
            assert!(is(&mut page, &texts), "{hostile} without its text");
        }
        let inside = "article :is(script, style, img, svg, iframe, object, embed, link, a, form, input, video, template, textarea)";
        assert_eq!(count(&mut page, inside), 0);
        if scripts {
            search(&mut page, "<script>");
            assert!(count(&mut page, ".trees-list [role=option]") > 5);
        }
        assert_eq!(
            text(&mut page, "document.title"),
            "What two reward models say"
        );
        assert_quiet(&mut page);
    }
    assert!(!opened.section.html.contains("<script>document"));
}

#[test]
fn a_megabyte_in_one_line_opens_and_is_shown_when_asked_for() {
    let trees = vec![tree_of_text(&long_line(1 << 20)), grown_tree(1)];
    let Some(opened) = Opened::with(trees, 0) else {
        return;
    };
    for view in [View::default(), PHONE] {
        let mut page = opened.page(view);
        let overflow =
            "document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(number(&mut page, overflow), 0);
        page.click("article .more").expect("clicked");
        let whole = "document.querySelector('.instruction .body > p').innerText.length";
        assert_eq!(number(&mut page, whole), (1 << 20) + 1);
        page.click(".trees-list [data-number=\"1\"]")
            .expect("clicked");
        assert_eq!(text_of(&mut page, ".tree h3"), "problem-1");
        assert_quiet(&mut page);
    }
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
