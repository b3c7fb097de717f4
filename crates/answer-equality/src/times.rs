//! Times of day.

use crate::expression::Work;
use crate::quantity::Quantity;

/// A time of day; without a half of the day it may be either.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time {
    /// Since midnight, or since noon or midnight where the half is not known.
    seconds: u32,
    half_known: bool,
    /// Written with minutes.
    minutes: bool,
}

impl Time {
    /// `3:00 PM`, `15:00`, `7 am`.
    pub fn parse(text: &str) -> Option<Self> {
        let lower = text
            .trim()
            .to_lowercase()
            .replace("a.m.", "am")
            .replace("p.m.", "pm");
        let lower = lower.replace("a.m", "am").replace("p.m", "pm");
        let (clock, half) = match (lower.strip_suffix("am"), lower.strip_suffix("pm")) {
            (Some(clock), _) => (clock, Some(0)),
            (_, Some(clock)) => (clock, Some(12)),
            _ => (lower.as_str(), None),
        };
        let clock = clock.trim();
        let parts: Vec<&str> = clock.split(':').collect();
        let digits = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
        let minutes = parts.len() > 1;
        let shape = (1..=3).contains(&parts.len())
            && (1..=2).contains(&parts[0].len())
            && parts[1..].iter().all(|part| part.len() == 2)
            && parts.iter().all(digits);
        if !shape || (half.is_none() && !minutes) {
            return None;
        }
        let number = |place: usize| parts.get(place).map_or(Some(0), |part| part.parse().ok());
        let (hour, minute, second): (u32, u32, u32) = (number(0)?, number(1)?, number(2)?);
        let most = if half.is_some() { 12 } else { 24 };
        if hour > most || minute > 59 || second > 59 {
            return None;
        }
        let hour = match half {
            Some(half) => hour % 12 + half,
            None => hour,
        };
        Some(Self {
            seconds: hour * 3600 + minute * 60 + second,
            half_known: half.is_some() || hour > 12 || hour == 0,
            minutes,
        })
    }

    /// Whether a time is the hour that a number says, if one of both is a time with its half of the day.
    pub fn is_hour(given: &str, truth: &str, work: &Work) -> Option<bool> {
        let (time, number) = match (Self::parse(given), Self::parse(truth)) {
            (Some(time), None) => (time, truth),
            (None, Some(time)) => (time, given),
            _ => return None,
        };
        let hour = Quantity::parse(number, work)?.number.value.to_f64()?;
        let on_the_hour = time.seconds.is_multiple_of(3600) && (time.half_known || !time.minutes);
        let apart = f64::from(time.seconds / 3600) - hour;
        Some(on_the_hour && (0.0..=24.0).contains(&hour) && apart % 12.0 == 0.0)
    }
}

impl PartialEq for Time {
    fn eq(&self, other: &Self) -> bool {
        const HALF: u32 = 12 * 3600;
        match self.half_known && other.half_known {
            true => self.seconds == other.seconds,
            false => self.seconds % HALF == other.seconds % HALF,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_compared_by_the_clock() {
        let same = |a, b| Time::parse(a).expect("a time") == Time::parse(b).expect("a time");
        assert!(same("3:00 PM", "3 pm"));
        assert!(same("15:00", "3 p.m."));
        assert!(same("3:00", "3 pm"));
        assert!(!same("7 am", "7 pm"));
        assert!(!same("12:00", "1:00"));
        for text in ["7", "25:00", "3:5", "13 pm", "am", "1:2:3", ":"] {
            assert!(Time::parse(text).is_none(), "{text}");
        }
        assert_eq!(Time::is_hour("7 am", "7", &Work::default()), Some(true));
        assert_eq!(Time::is_hour("12:30", "12", &Work::default()), Some(false));
    }
}
