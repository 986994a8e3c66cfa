//! Times as people read them, and as a site writes them in its configuration.

use std::time::Duration;

const YEAR: Duration = Duration::from_hours(365 * 24);

/// `1h 30m`
pub fn time_in_words(time: Duration) -> String {
    jiff::SignedDuration::try_from(time).map_or_else(|_| format!("{}s", time.as_secs()), |time| format!("{time:#}"))
}

/// To the minute: an expectation is no more exact than that. Behind jobs without a limit it is decades ahead.
pub fn about_in_words(time: Duration) -> String {
    if time > YEAR {
        return "more than a year".to_owned();
    }
    time_in_words(Duration::from_mins(time.as_secs().div_ceil(60)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_said_as_a_site_writes_it_and_an_expectation_to_the_minute() {
        for (seconds, exact, about) in [
            (1, "1s", "1m"),
            (60, "1m", "1m"),
            (5401, "1h 30m 1s", "1h 31m"),
            (24 * 3600, "24h", "24h"),
            (366 * 24 * 3600, "8784h", "more than a year"),
            (u64::MAX, "18446744073709551615s", "more than a year"),
        ] {
            let time = Duration::from_secs(seconds);
            assert_eq!((time_in_words(time).as_str(), about_in_words(time).as_str()), (exact, about));
        }
    }
}
