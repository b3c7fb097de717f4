//! The viewer of preference trees: a part of a page in which one searches, filters, sorts, folds and compares.
//!
//! ```
//! use eurus_report::trees::{self, Trees};
//! use ultrainteract::{PreferenceTree, Task};
//!
//! let tree = PreferenceTree::new("p1", Task::MathCot, "toy", "Is 1 < 2?")?;
//! let section = trees::viewer(&Trees::all(vec![tree]), &[])?;
//! assert!(section.html.contains("Is 1 &lt; 2?"));
//! let page = trees::page("Trees of problem 1", &section)?;
//! assert!(page.starts_with("<!doctype html>"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The trees stand in the page once, as HTML in `<noscript>` elements. Where scripts run, a browser takes what is in such an
//! element for mere text, which costs it next to nothing, and the viewer's script makes elements of a tree when it is opened. The
//! script stands before the trees: the viewer is of use while the browser still reads them.
//! Where they do not run, the same text is the page: every tree, unfolded.
//!
//! What a model wrote is text everywhere: escaped in the page, and with what cannot be seen made visible ([`shown`]).

mod columns;
mod index;
mod judged;
mod page;
mod scores;
mod section;
mod source;
mod text;
mod view;

pub use page::page;
pub use scores::Scores;
pub use source::{Choice, Limits, TreeSource, Trees};
pub use text::shown;

use minijinja::Environment;
use minijinja::value::{Serde, Value};

use crate::error::{Error, Result};
use columns::Columns;
use index::Index;
use section::SectionView;
use view::TreeView;

/// The parameter of a page's address that says from which place on it shows trees of a [`Choice::Range`], from 0.
pub const FROM: &str = "trees-from";

/// Scores of how many models stand side by side.
pub const MOST_SCORES: usize = 2;

const SCRIPT: &str = include_str!("viewer.js");

const TEMPLATES: [(&str, &str); 2] = [
    ("section.html", include_str!("templates/section.html")),
    ("tree.html", include_str!("templates/tree.html")),
];

/// A part of a page, with what the page needs for it once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// A `<section>`, with the script in it.
    pub html: String,
    /// Rules for a `<style>`. They use the colours and fonts of the reports of `eurus-eval`, as custom properties.
    pub style: &'static str,
    /// The code of the script, for the page's policy.
    pub script: &'static str,
}

/// The viewer of some trees, with the scores of up to [`MOST_SCORES`] models.
///
/// Trees come in the given order. The actions to one history come one after the other, first those that nothing follows; what
/// follows an action comes below it.
///
/// # Errors
///
/// [`Error::TooManyScores`]; [`Error::OtherTrees`] and [`Error::NoScores`] for scores of other trees.
pub fn viewer(trees: &Trees, scores: &[Scores]) -> Result<Section> {
    if scores.len() > MOST_SCORES {
        return Err(Error::TooManyScores {
            found: scores.len(),
            most: MOST_SCORES,
        });
    }
    let columns = Columns::new(trees, scores)?;
    let mut environment = Environment::new();
    for (name, source) in TEMPLATES {
        environment.add_template(name, source)?;
    }
    let template = environment.get_template("tree.html")?;
    let mut index = Index::new(&columns);
    let mut sources = String::new();
    for (number, (place, tree)) in trees.trees.iter().enumerate() {
        let view = TreeView::new(*place, tree, &columns, number);
        index.push(&view, tree, &columns, number);
        sources += &template.render(Value::from(Serde(view)))?;
    }
    let section = SectionView::new(trees, &columns, scores, json_in_html(&index)?);
    let context = minijinja::context! {
        sources => Value::from_safe_string(sources),
        script => Value::from_safe_string(SCRIPT.to_owned()),
        ..Value::from(Serde(section))
    };
    Ok(Section {
        html: environment.get_template("section.html")?.render(context)?,
        style: include_str!("viewer.css"),
        script: SCRIPT,
    })
}

/// JSON that can stand in a `<script>`: nothing in it ends the element or a line.
fn json_in_html(value: &impl serde::Serialize) -> Result<String> {
    let json = serde_json::to_string(value)?;
    // These stand in strings alone, where an escape means the same.
    let escaped = json.replace('<', "\\u003c");
    Ok(escaped
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029"))
}
