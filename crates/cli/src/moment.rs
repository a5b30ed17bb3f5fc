//! Points in time as people write them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Milliseconds since the epoch of `1764201600000`, `2026-11-27`, `2026-11-27T08:00:00.000`, with `Z` or an offset such
/// as `+01:00`. Without an offset the time is UTC, as Kafka's tools take it.
pub fn parse(text: &str) -> Result<i64, String> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().map_err(|_| format!("{text} is no time in milliseconds"));
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Ok(timestamp.as_millisecond());
    }
    let local: DateTime = text.parse().map_err(|_| {
        format!(
            "{text:?} is no time: milliseconds since 1970, or such as 2026-11-27T08:00:00.000 or 2026-11-27T08:00:00Z"
        )
    })?;
    let zoned = local.to_zoned(TimeZone::UTC).map_err(|e| format!("{text:?}: {e}"))?;
    Ok(zoned.timestamp().as_millisecond())
}

/// The other way round, in UTC; as a number where no calendar reaches.
pub fn shown(timestamp_ms: i64) -> String {
    Timestamp::from_millisecond(timestamp_ms).map_or_else(|_| timestamp_ms.to_string(), |t| format!("{t:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_several_forms() {
        for (text, ms) in [
            ("0", 0),
            ("1764230400000", 1_764_230_400_000),
            ("2025-11-27T08:00:00.000", 1_764_230_400_000),
            ("2025-11-27T08:00:00Z", 1_764_230_400_000),
            ("2025-11-27T09:00:00.000+01:00", 1_764_230_400_000),
            ("2025-11-27", 1_764_201_600_000),
        ] {
            assert_eq!(parse(text), Ok(ms), "{text}");
        }
        for bad in ["", "yesterday", "2025-13-01", "-5"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(shown(1_764_230_400_000), "2025-11-27T08:00:00.000Z");
    }
}
