//! Is the model that answered the one that was asked.

/// Whether an answer's `model` names the model that was asked: the same name, compared without case and without a path
/// before it, or that name with a version behind it. `gpt-4o-2024-08-06` is `gpt-4o`; `gpt-4o-mini` is not.
pub(super) fn is_same_model(asked: &str, answered: &str) -> bool {
    let (asked, answered) = (base(asked), base(answered));
    let asked = asked.strip_suffix("-latest").unwrap_or(&asked);
    match answered.strip_prefix(asked) {
        Some("") => true,
        Some(rest) => is_version(rest),
        None => false,
    }
}

fn base(name: &str) -> String {
    let name = name.trim().trim_end_matches('/');
    name.rsplit('/').next().unwrap_or(name).to_lowercase()
}

/// `-2024-08-06`, `-0613`, `@20240229`, `:latest`, `-v2`, `-001`.
fn is_version(rest: &str) -> bool {
    let Some(version) = rest.strip_prefix(['-', '@', ':', '.']) else {
        return false;
    };
    let mut parts = version.split(['-', '.', '_']);
    parts.all(|part| {
        let digits = part.strip_prefix('v').unwrap_or(part);
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number || matches!(part, "latest" | "preview" | "stable" | "exp")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_or_a_path_is_the_same_model_and_another_size_is_not() {
        for (asked, answered) in [
            ("gpt-4o", "gpt-4o-2024-08-06"),
            ("gpt-4", "gpt-4-0613"),
            ("gpt-4o", "openai/gpt-4o"),
            ("meta-llama/Llama-3.1-8B", "llama-3.1-8b"),
            ("claude-3-5-sonnet-latest", "claude-3-5-sonnet-20241022"),
            ("llama3", "llama3:latest"),
            ("gemini-1.5-pro", "models/gemini-1.5-pro-002"),
        ] {
            assert!(is_same_model(asked, answered), "{asked} {answered}");
        }
        for (asked, answered) in [
            ("gpt-4o", "gpt-4o-mini"),
            ("gpt-4o", "gpt-4"),
            ("gpt-4", "gpt-4o"),
            ("gpt-4", "gpt-4-turbo-2024-04-09"),
            ("llama-3.1-8b", "llama-3.1-70b"),
            ("smollm2", ""),
        ] {
            assert!(!is_same_model(asked, answered), "{asked} {answered}");
        }
    }
}
