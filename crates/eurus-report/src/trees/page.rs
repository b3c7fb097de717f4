//! A page with the viewer alone.

use eurus_eval::report::Report;

use super::Section;
use crate::error::Result;

/// A whole page with one section. It loads nothing: a content security policy forbids all but the page's own style and script,
/// which it names by their hashes.
///
/// # Errors
///
/// [`Error::Page`](crate::Error::Page), which would be a fault of this crate.
pub fn page(title: &str, section: &Section) -> Result<String> {
    let mut report = Report::new(title);
    Ok(report.block(section.clone().into()).to_html()?)
}
