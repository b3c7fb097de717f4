//! How long a server asks to wait.

use std::time::{Duration, SystemTime};

use ureq::http::HeaderMap;

/// The wait that the headers of a refusal ask for: `retry-after-ms`, else `Retry-After` (seconds or a date), else the time
/// to the reset of the limit on requests or tokens that is used up.
pub(super) fn asked_wait(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| Some(headers.get(name)?.to_str().ok()?.trim());
    if let Some(wait) = text("retry-after-ms").and_then(|text| seconds(text, 1e-3)) {
        return Some(wait);
    }
    if let Some(text) = text("retry-after") {
        if let Some(wait) = seconds(text, 1.0) {
            return Some(wait);
        }
        if let Ok(date) = httpdate::parse_http_date(text) {
            return Some(date.duration_since(now).unwrap_or_default());
        }
    }
    let limits: Vec<(bool, Duration)> = ["requests", "tokens"]
        .iter()
        .filter_map(|what| {
            let reset = text(&format!("x-ratelimit-reset-{what}")).and_then(units)?;
            let left = text(&format!("x-ratelimit-remaining-{what}"));
            let is_used_up = left.is_some_and(|left| left.parse::<f64>().is_ok_and(|n| n <= 0.0));
            Some((is_used_up, reset))
        })
        .collect();
    let used_up = limits.iter().filter(|(is_used_up, _)| *is_used_up);
    // Where neither is said to be used up, nobody knows which one refused: the sooner reset tells.
    (used_up.map(|(_, reset)| *reset).max()).or(limits.iter().map(|(_, reset)| *reset).min())
}

fn seconds(text: &str, unit: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse::<f64>().ok()? * unit).ok()
}

/// A span as OpenAI writes it: `20ms`, `1.5s`, `6m0s`, `1h2m`; a number alone is seconds.
fn units(text: &str) -> Option<Duration> {
    if let Some(wait) = seconds(text, 1.0) {
        return Some(wait);
    }
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (value, tail) = rest.split_at(number);
        let letters = tail
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let unit = match unit {
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        sum = sum.checked_add(seconds(value, unit)?)?;
        rest = tail;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_of(lines: &[(&'static str, &str)]) -> Option<f64> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.insert(*name, value.parse().unwrap());
        }
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        asked_wait(&headers, now).map(|wait| wait.as_secs_f64())
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_or_milliseconds() {
        let after = |value| wait_of(&[("retry-after", value)]);
        assert_eq!(after("7"), Some(7.0));
        assert_eq!(after("0.5"), Some(0.5));
        assert_eq!(after("Sun, 06 Nov 1994 08:50:00 GMT"), Some(23.0));
        assert_eq!(after("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0.0));
        assert_eq!(after("soon"), None);
        assert_eq!(after("-3"), None);
        assert_eq!(after("1e300"), None);
        let both = [("retry-after", "2"), ("retry-after-ms", "1500")];
        assert_eq!(wait_of(&both), Some(1.5));
    }

    #[test]
    fn the_limit_that_is_used_up_says_how_long() {
        let requests = ("x-ratelimit-reset-requests", "2s");
        let tokens = ("x-ratelimit-reset-tokens", "6m0.5s");
        assert_eq!(wait_of(&[requests]), Some(2.0));
        assert_eq!(wait_of(&[tokens]), Some(360.5));
        assert_eq!(wait_of(&[requests, tokens]), Some(2.0));
        let none_left = ("x-ratelimit-remaining-tokens", "0");
        assert_eq!(wait_of(&[requests, tokens, none_left]), Some(360.5));
        assert_eq!(
            wait_of(&[("x-ratelimit-reset-requests", "20ms")]),
            Some(0.02)
        );
        assert_eq!(wait_of(&[("x-ratelimit-reset-requests", "12")]), Some(12.0));
        assert_eq!(wait_of(&[("x-ratelimit-reset-requests", "2 moons")]), None);
    }
}
