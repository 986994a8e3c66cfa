//! Durations as Go writes them: `30s`, `500ms`, `1h30m`, `1.5m`.

use std::time::Duration;

/// The text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a duration; write for instance 30s, 500ms, 5m or 1h30m")]
pub struct DurationError(String);

/// Reads a Go duration, which is also how `RUNNER_SCRIPT_TIMEOUT` is written. A bare number means seconds.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let problem = || DurationError(text.to_owned());
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(problem)?;
        let number: f64 = rest[..digits].parse().map_err(|_| problem())?;
        rest = &rest[digits..];
        let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..unit_end] {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(problem()),
        };
        rest = &rest[unit_end..];
        total = Duration::try_from_secs_f64(number * unit)
            .ok()
            .and_then(|part| total.checked_add(part))
            .ok_or_else(problem)?;
    }
    if text.is_empty() { Err(problem()) } else { Ok(total) }
}

/// Writes a duration the way Go prints one: `3s`, `1h0m0s`, `500ms`.
pub fn show(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds == 0 {
        return if duration.is_zero() { "0s".to_owned() } else { format!("{}ms", duration.as_secs_f64() * 1000.0) };
    }
    let fraction = duration.as_secs_f64() - Duration::from_secs(seconds / 60 * 60).as_secs_f64();
    let fraction = format!("{fraction:.3}");
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    match (seconds / 3600, seconds / 60 % 60) {
        (0, 0) => format!("{fraction}s"),
        (0, minutes) => format!("{minutes}m{fraction}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{fraction}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::{parse, show};

    #[test]
    fn durations_are_read_and_written_as_go_does() {
        for (text, shown) in
            [("30s", "30s"), ("1h30m", "1h30m0s"), ("500ms", "500ms"), ("1.5m", "1m30s"), ("90", "1m30s"), ("0", "0s")]
        {
            assert_eq!(parse(text).map(show), Ok(shown.to_owned()), "{text}");
        }
        for text in ["", "s", "3 s", "1x"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
