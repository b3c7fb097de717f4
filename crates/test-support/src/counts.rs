/// How often a test repeats what it does: `short`, or what the environment says, as `.ci/long` does.
///
/// # Panics
///
/// When the variable is set to something that is no number.
pub fn count(variable: &str, short: usize) -> usize {
    let Some(value) = std::env::var_os(variable) else {
        return short;
    };
    let value = value.to_string_lossy();
    value
        .parse()
        .unwrap_or_else(|_| panic!("{variable} is `{value}`, no number"))
}
