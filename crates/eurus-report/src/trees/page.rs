//! A page with the viewer alone.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use minijinja::value::Value;
use minijinja::{Environment, context};
use sha2::{Digest, Sha256};

use super::Section;
use crate::error::Result;

/// A whole page with one section. It loads nothing: a content security policy forbids all but the page's own style and script,
/// which it names by their hashes.
///
/// # Errors
///
/// [`Error::Template`](crate::Error::Template), which would be a fault of this crate.
pub fn page(title: &str, section: &Section) -> Result<String> {
    // As the elements have them.
    let style = format!("\n{}{}", eurus_eval::report::STYLE, section.style);
    let script = format!("\n{}", section.script);
    let mut environment = Environment::new();
    environment.add_template("page.html", include_str!("templates/page.html"))?;
    let page = context! {
        title => title,
        style_hash => hash(&style),
        script_hash => hash(&script),
        style => Value::from_safe_string(style),
        script => Value::from_safe_string(script),
        section => Value::from_safe_string(section.html.clone()),
    };
    Ok(environment.get_template("page.html")?.render(page)?)
}

/// The hash of an element's text, as a content security policy spells it.
fn hash(text: &str) -> Value {
    let digest = BASE64_STANDARD.encode(Sha256::digest(text.as_bytes()));
    // Base64 has `+` and `/`, which need no escape in an attribute.
    Value::from_safe_string(format!("sha256-{digest}"))
}
