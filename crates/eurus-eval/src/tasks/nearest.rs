//! The name that was meant by one that is not there.

use ultrainteract::nearest::nearest;

/// The nearest of the known names, or all of them: the end of a message.
pub(super) fn meant(name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None if known.is_empty() => "there is none at all".to_owned(),
        None => format!("there are {}", known.join(", ")),
    }
}
