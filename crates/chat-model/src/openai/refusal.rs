//! What a status, or an error in a body, means.

use serde_json::Value;

use crate::Refusal;

/// What a server means with this status and body.
pub(super) fn refusal(status: u16, body: &str) -> Refusal {
    let body = body.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| body.contains(word));
    // A used-up quota has the status of a rate limit, but waiting does not help.
    if status == 402 || (matches!(status, 403 | 429) && says(&["insufficient_quota"])) {
        return Refusal::Quota;
    }
    let is_too_long = says(&[
        "context_length_exceeded",
        "exceed_context_size",
        "maximum context length",
        "context size",
        "context window",
        "prompt is too long",
        "too many tokens",
    ]);
    match status {
        413 => Refusal::TooLong,
        400 | 422 | 500 if is_too_long => Refusal::TooLong,
        400 if says(&["invalid_api_key", "api key not valid"]) => Refusal::Key,
        400 if says(&["model_not_found"]) => Refusal::NotFound,
        300..=399 => Refusal::Redirect,
        401 | 403 => Refusal::Key,
        404 => Refusal::NotFound,
        429 => Refusal::RateLimit,
        408 | 409 | 425 | 500..=599 => Refusal::ServerFault,
        _ => Refusal::Other,
    }
}

/// The status that an `error` object in a body of status 200 speaks of, if there is one: its own code where that is a
/// status, that of the words it uses, else 500, since an upstream's trouble is what such bodies mostly tell.
pub(super) fn hidden_status(body: &Value) -> Option<u16> {
    let error = body.get("error").filter(|error| !error.is_null())?;
    let code = error.get("code").or_else(|| error.get("status"));
    let number = code.and_then(|code| {
        code.as_u64()
            .or_else(|| code.as_str().and_then(|text| text.parse().ok()))
    });
    if let Some(status) = number.filter(|number| (400..600).contains(number)) {
        return u16::try_from(status).ok();
    }
    let words = error.to_string().to_lowercase();
    let status = [
        ("insufficient_quota", 402),
        ("invalid_api_key", 401),
        ("authentication_error", 401),
        ("permission", 403),
        ("model_not_found", 404),
        ("context_length_exceeded", 400),
        ("invalid_request", 400),
        ("rate_limit", 429),
    ]
    .iter()
    .find(|(word, _)| words.contains(word))
    .map_or(500, |(_, status)| *status);
    Some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_its_meaning() {
        for (status, body, meaning) in [
            (429, "slow down", Refusal::RateLimit),
            (429, r#"{"code": "insufficient_quota"}"#, Refusal::Quota),
            (529, "", Refusal::ServerFault),
            (409, "", Refusal::ServerFault),
            (425, "", Refusal::ServerFault),
            (401, "", Refusal::Key),
            (404, "", Refusal::NotFound),
            (400, "maximum context length is 2048", Refusal::TooLong),
            (
                400,
                r#"{"type":"exceed_context_size_error"}"#,
                Refusal::TooLong,
            ),
            (400, "no", Refusal::Other),
            (302, "", Refusal::Redirect),
        ] {
            assert_eq!(refusal(status, body), meaning, "{status} {body}");
        }
    }

    #[test]
    fn an_error_with_status_200_has_the_status_it_speaks_of() {
        let status = |text: &str| hidden_status(&serde_json::from_str(text).unwrap());
        assert_eq!(status(r#"{"error": {"message": "busy"}}"#), Some(500));
        assert_eq!(status(r#"{"error": {"code": 429}}"#), Some(429));
        assert_eq!(
            status(r#"{"error": {"code": "invalid_api_key"}}"#),
            Some(401)
        );
        assert_eq!(
            status(r#"{"error": {"type": "rate_limit_error"}}"#),
            Some(429)
        );
        assert_eq!(status(r#"{"error": "no"}"#), Some(500));
        assert_eq!(status(r#"{"error": null, "choices": []}"#), None);
        assert_eq!(status(r"[1, 2]"), None);
    }
}
