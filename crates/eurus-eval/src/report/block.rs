//! Markup of other crates in a page.

use serde::Serialize;

/// A part of a page that another crate makes. It stands in the page as it is: who makes it escapes what is text in it.
///
/// Styles and scripts are allowed by their hashes, so neither may change after they were given, and `html` has no attributes
/// `style` or `on...`, which the page's policy refuses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Block {
    /// The markup, for the body of the page, with a heading of the second level.
    pub html: String,
    /// The id of an element in it, for links from the list of sections.
    pub id: &'static str,
    /// Its name in the list of sections.
    pub title: &'static str,
    /// Its style; may be empty.
    pub style: &'static str,
    /// Its script, which the markup has in a `<script>` of its own, where it is to run; may be empty.
    pub script: &'static str,
}

/// What blocks bring to the page as a whole, each once.
#[derive(Debug, Clone, Default)]
pub(super) struct Extras {
    pub styles: Vec<&'static str>,
    /// Those that the page's policy allows.
    pub scripts: Vec<&'static str>,
    /// The one that asks the page's server for a newer page, at the end of this one.
    pub follows: Option<&'static str>,
}

impl Extras {
    pub fn add(&mut self, block: &Block) {
        add_once(&mut self.styles, block.style);
        add_once(&mut self.scripts, block.script);
    }

    /// These, with a script that follows a run.
    pub fn following(&self, script: &'static str) -> Self {
        let mut extras = self.clone();
        add_once(&mut extras.scripts, script);
        extras.follows = Some(script);
        extras
    }
}

fn add_once(known: &mut Vec<&'static str>, text: &'static str) {
    if !text.is_empty() && !known.contains(&text) {
        known.push(text);
    }
}
