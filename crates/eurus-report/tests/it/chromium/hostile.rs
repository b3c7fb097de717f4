//! What a model wrote stays text in a real browser.

use eurus_report::trees;
use test_support::chromium::{Chromium, View};

use super::{Opened, assert_quiet, count, is, search, text, write};
use crate::trees_support::tree_of_text;

/// Each sets `title` of the document, loads from `localhost` or moves what stands around it, if it can.
pub const HOSTILE: [&str; 30] = [
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
    "<style>@import 'http://localhost:9/s.css'; * { display: none }</style>",
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

/// A page that takes the texts for markup and has no policy.
fn unguarded(body: &str) -> String {
    format!("<!doctype html><title>quiet</title><body>{body}")
}

#[test]
fn the_hostile_texts_are_armed_and_the_browser_tells_of_what_they_do() {
    let Some(browser) = Chromium::start() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("page.html");
    let mut harmless = Vec::new();
    for hostile in HOSTILE {
        write(&path, unguarded(hostile).as_bytes());
        let mut page = browser.open(&path, View::default()).expect("a page");
        // A page that leaves for another ends the call.
        let script = "new Promise(done => {
            const end = performance.now() + 400;
            const look = () => document.title !== 'quiet' || performance.now() > end ? done(document.title) : setTimeout(look, 10);
            requestAnimationFrame(() => requestAnimationFrame(look));
        })";
        let stays = page.evaluate(script).is_ok_and(|title| title == "quiet");
        if stays && page.requests().is_empty() && page.complaints().is_empty() {
            harmless.push(hostile);
        }
    }
    // What would do something in an attribute, a comment or a template, read twice or at a click; and what only looks odd.
    assert!(harmless.len() <= 11, "{harmless:#?}");
}

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
                format!(
                    ".trees-sources > noscript:nth-of-type({}) article",
                    number + 1
                )
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
