//! The name that was meant by one that is not there.

/// The nearest of the known names, or all of them: the end of a message.
pub(super) fn meant(name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None if known.is_empty() => "there is none at all".to_owned(),
        None => format!("there are {}", known.join(", ")),
    }
}

/// The known name that differs least from `name`, if it is near enough to be a slip of it.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let name = name.to_lowercase();
    known
        .iter()
        .filter_map(|known| {
            let distance = strsim::damerau_levenshtein(&name, &known.to_lowercase());
            let longest = name.chars().count().max(known.chars().count());
            (3 * distance <= longest).then_some((distance, *known))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// Adds the nearest known name to what serde says of an unknown one: "unknown field `a`, expected one of `b`, `c`".
pub(super) fn with_nearest(message: &str) -> String {
    let message = message.trim_end();
    let starts = ["unknown field `", "unknown variant `"];
    let Some(start) = starts.iter().find_map(|start| message.find(start)) else {
        return message.to_owned();
    };
    let names: Vec<&str> = message[start..].split('`').skip(1).step_by(2).collect();
    let found = names
        .split_first()
        .and_then(|(unknown, known)| nearest(unknown, known));
    match found {
        Some(name) => format!("{message}; did you mean `{name}`?"),
        None => message.to_owned(),
    }
}
