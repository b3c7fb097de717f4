//! Texts that models and others wrote, wherever a run has a text.

use std::collections::BTreeSet;
use std::fs;

use scraper::{ElementRef, Html, Selector};
use serde_json::json;

use crate::fixture::*;

const TEXTS: [&str; 12] = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "</style><style>* { display: none }</style>",
    "<img src=x onerror=alert(1)>",
    "\" onload=\"alert(1)\" x=\"",
    "' onfocus='alert(1)' autofocus='",
    "<a href=\"javascript:alert(1)\">here</a>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "</title></svg></figure></main><iframe src=//evil.example></iframe>",
    "{{ 7 * 7 }}{% include 'page.html' %}",
    "<!-- --><![CDATA[ ]]>\u{202e}txet\u{2066}\0\u{1b}[31m",
    "&lt;script&gt;&#60;b&#62;",
];

/// Elements and attributes that the templates have.
const ELEMENTS: [&str; 48] = [
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "main",
    "h1",
    "h2",
    "nav",
    "ol",
    "ul",
    "li",
    "a",
    "p",
    "figure",
    "figcaption",
    "b",
    "bdi",
    "div",
    "table",
    "caption",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "svg",
    "desc",
    "path",
    "text",
    "g",
    "circle",
    "details",
    "summary",
    "dl",
    "dt",
    "dd",
    "pre",
    "code",
    "i",
    "span",
    "fieldset",
    "legend",
    "label",
    "input",
    "noscript",
    "br",
];

/// Checks that a page has no element and no attribute that came of a text.
pub fn ensure_harmless(html: &str, about: &str) {
    let page = Html::parse_document(html);
    for element in page.select(&Selector::parse("*").unwrap()) {
        let name = element.value().name();
        assert!(ELEMENTS.contains(&name), "{about}: <{name}>");
        for (attribute, value) in element.value().attrs() {
            let is_harmless =
                !attribute.starts_with("on") && !["style", "src", "autofocus"].contains(&attribute);
            assert!(is_harmless, "{about}: {attribute}={value} at <{name}>");
            let is_link = attribute == "href";
            assert!(
                !is_link || value.starts_with("#section-"),
                "{about}: {attribute}={value}"
            );
        }
    }
    let styles = page.select(&Selector::parse("style").unwrap()).count();
    assert_eq!(styles, 1, "{about}");
    assert!(
        !texts_of(&page, "style").contains("display: none }</style"),
        "{about}"
    );
}

fn texts_of(page: &Html, selector: &str) -> String {
    let selector = Selector::parse(selector).unwrap();
    page.select(&selector)
        .flat_map(|it: ElementRef| it.text().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

#[test]
fn a_text_of_a_run_is_text_on_the_page_wherever_it_stands() {
    for text in TEXTS {
        let place = tempfile::tempdir().unwrap();
        let trained = preference_run(&place.path().join("run"), &events_of_text(text));
        let mut record = record(text, text);
        record["model"] = text.into();
        record["options"][text] = json!([text, {text: text}]);
        fs::write(trained.join("run.json"), record.to_string()).unwrap();
        let mut summary = summary(text, text, 20);
        summary.notes = vec![text.to_owned()];
        summary.reported = text.to_owned();
        summary.settings[0].name = text.to_owned();
        let evaluated = evaluation(&place.path().join("eval"), &summary);
        fs::write(evaluated.join("rerank.json"), reranking(text).to_string()).unwrap();
        let quick = place.path().join("quick");
        fs::create_dir(&quick).unwrap();
        fs::write(quick.join("metrics.jsonl"), lines(&events_of_text(text))).unwrap();
        let measures = json!({"measures": {text: 0.5}});
        fs::write(quick.join("summary.json"), measures.to_string()).unwrap();

        let html = html(&[trained, evaluated, quick]);
        ensure_harmless(&html, text);
        let page = Html::parse_document(&html);
        let shown: BTreeSet<char> = texts_of(&page, "dd pre").chars().collect();
        let visible = text.chars().filter(|it| it.is_ascii_graphic());
        for character in visible {
            assert!(
                shown.contains(&character),
                "{character} of {text} is not shown"
            );
        }
        assert!(!html.contains(['\0', '\u{1b}', '\u{202e}']), "{text}");
    }
}

#[test]
fn a_megabyte_in_one_line_is_cut_and_said() {
    let place = tempfile::tempdir().unwrap();
    let long = "<b>".repeat(400_000);
    let run = preference_run(place.path(), &[step(1, 1), evaluated(1, &long)]);
    let html = html(&[run]);
    ensure_harmless(&html, "a megabyte");
    assert!(
        html.len() < 1_000_000 && html.contains("more characters)"),
        "{} bytes",
        html.len()
    );
}
