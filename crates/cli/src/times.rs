//! Times as people write and read them.

use std::time::{SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What is taken, for every error.
const WRITE: &str =
    "write an age such as 90s, 15min, 2h, 3d or 1w, or a time such as 2026-11-23T08:00:00Z";

/// The Unix milliseconds that `text` names: an age, counted back from now, or a time with its date and zone.
pub(crate) fn moment(text: &str) -> Result<u64, String> {
    moment_at(text, (unix_s() * 1000.0) as u64)
}

fn moment_at(text: &str, now_ms: u64) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let is_age = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if is_age {
        return age_ms(digits, &text[digits.len()..])
            .and_then(|age| now_ms.checked_sub(age))
            .ok_or_else(|| format!("no such age; {WRITE}"));
    }
    let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| format!("no such time; {WRITE}"))?;
    u64::try_from(at.unix_timestamp_nanos() / 1_000_000)
        .map_err(|_| format!("a time before 1970; {WRITE}"))
}

/// `None`: no unit, one that is not known, or more than fits.
fn age_ms(digits: &str, unit: &str) -> Option<u64> {
    let unit_ms = match unit {
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 604_800_000,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit_ms)
}

/// The present, Unix seconds.
pub(crate) fn unix_s() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

/// Seconds, as people say them.
pub(crate) fn span(seconds: f64) -> String {
    match seconds.max(0.0) {
        s if s < 1.0 => format!("{:.0}ms", s * 1000.0),
        s if s < 120.0 => format!("{s:.1}s"),
        s if s < 7200.0 => format!("{:.0}min", s / 60.0),
        s => format!("{:.0}h", s / 3600.0),
    }
}

/// The time of the day, UTC.
pub(crate) fn clock(at_ms: u64) -> String {
    let s = at_ms / 1_000 % 86_400;
    let (h, m) = (s / 3_600, s / 60 % 60);
    format!("{h:02}:{m:02}:{:02}.{:03}", s % 60, at_ms % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-23T08:00:00Z.
    const NOW_MS: u64 = 1_795_420_800_000;

    #[test]
    fn an_age_counts_back_from_now_in_its_unit() {
        for (text, ago_s) in [
            ("0s", 0),
            ("90s", 90),
            ("15m", 900),
            ("15min", 900),
            ("2h", 7_200),
            ("3d", 259_200),
            ("1w", 604_800),
        ] {
            assert_eq!(moment_at(text, NOW_MS), Ok(NOW_MS - ago_s * 1000), "{text}");
        }
    }

    #[test]
    fn a_time_is_read_with_its_zone_and_its_milliseconds() {
        for text in ["2026-11-23T08:00:00Z", "2026-11-23T09:30:00+01:30"] {
            assert_eq!(moment_at(text, 0), Ok(NOW_MS), "{text}");
        }
        assert_eq!(moment_at("2026-11-23T08:00:00.25Z", 0), Ok(NOW_MS + 250));
    }

    #[test]
    fn what_is_neither_says_what_to_write() {
        for text in [
            "",
            "2",
            "h",
            "-2h",
            "2 h",
            "2y",
            "1.5h",
            "yesterday",
            "2026-11-23",
            "2026-11-23T08:00:00",
            "2026-13-23T08:00:00Z",
            "1969-12-31T23:59:59Z",
            "99999999999999999999s",
            "99999999w",
            "\u{662}h",
        ] {
            let refused = moment_at(text, NOW_MS);
            assert!(refused.is_err_and(|why| why.contains("2h, 3d")), "{text:?}");
        }
    }

    #[test]
    fn spans_read_naturally() {
        let seen = [-1.0, 0.0421, 3.25, 300.0, 90_000.0].map(span);
        assert_eq!(seen, ["0ms", "42ms", "3.2s", "5min", "25h"]);
    }

    #[test]
    fn times_are_of_the_day() {
        assert_eq!(clock(1_700_000_000_042), "22:13:20.042");
    }
}
