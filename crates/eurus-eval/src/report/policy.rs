//! The content security policy of a page.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// A policy that forbids everything but this style and these scripts, to the byte; a page that follows a run may ask its own
/// server.
pub(super) fn of(style: &str, scripts: &[&str], follows: bool) -> String {
    let mut directives = vec![
        "default-src 'none'".to_owned(),
        format!("style-src {}", hash(style)),
    ];
    if !scripts.is_empty() {
        let hashes: Vec<String> = scripts.iter().map(|text| hash(text)).collect();
        directives.push(format!("script-src {}", hashes.join(" ")));
    }
    if follows {
        directives.push("connect-src 'self'".to_owned());
    }
    directives.extend(["base-uri 'none'", "form-action 'none'"].map(str::to_owned));
    directives.join("; ")
}

/// A source by its hash, as a policy names it.
fn hash(text: &str) -> String {
    format!(
        "'sha256-{}'",
        STANDARD.encode(Sha256::digest(text.as_bytes()))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_names_what_it_allows_by_its_hash() {
        // printf '' | openssl dgst -sha256 -binary | base64
        assert_eq!(
            hash(""),
            "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
        );
        let policy = of("a", &[], false);
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"));
        assert!(!policy.contains("script-src") && !policy.contains("connect-src"));
        assert!(of("", &["a", "b"], true).contains("connect-src 'self'"));
    }
}
