//! Durations as they are written on a command line.

use jiff::SignedDuration;

/// A text that is no duration, or one that makes no sense where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not whole numbers with units, the larger unit first.
    #[error("write a duration as 90s, 5m, 36h or 14d, or several of them as 1h30m")]
    Malformed,
    /// Longer than a hundred years.
    #[error("a duration is at most 36500d")]
    TooLong,
    /// Zero, where that would mean nothing.
    #[error("this duration must be longer than zero")]
    Zero,
}

/// No longer than this, so that adding one to a date cannot overflow.
const LONGEST: i64 = 36_500 * 24 * 60 * 60;

/// The units in the order in which they may follow each other, and their seconds.
const UNITS: [(char, i64); 4] = [('d', 24 * 60 * 60), ('h', 60 * 60), ('m', 60), ('s', 1)];

/// Parses `90s`, `5m`, `36h`, `14d`, and sums such as `1h30m`. A day has 24 hours.
///
/// # Errors
///
/// The text is not of this form, or longer than a hundred years.
pub fn duration(text: &str) -> Result<SignedDuration, DurationError> {
    use DurationError::*;
    let mut seconds = 0_i64;
    let mut units = UNITS.iter();
    let mut rest = text;
    while !rest.is_empty() || text.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .filter(|&digits| digits > 0)
            .ok_or(Malformed)?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.chars().next().ok_or(Malformed)?;
        let (_, scale) = units.find(|(name, _)| *name == unit).ok_or(Malformed)?;
        rest = &tail[unit.len_utf8()..];
        seconds = number
            .parse::<i64>()
            .ok()
            .and_then(|number| number.checked_mul(*scale)?.checked_add(seconds))
            .filter(|seconds| *seconds <= LONGEST)
            .ok_or(TooLong)?;
    }
    Ok(SignedDuration::from_secs(seconds))
}

/// Parses as [`duration`] does, and refuses zero.
///
/// # Errors
///
/// As [`duration`], or the duration is zero.
pub fn positive_duration(text: &str) -> Result<SignedDuration, DurationError> {
    match duration(text)? {
        SignedDuration::ZERO => Err(DurationError::Zero),
        duration => Ok(duration),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_whole_numbers_with_units_the_larger_first() {
        use DurationError::*;
        let table = [
            ("90s", Ok(90)),
            ("5m", Ok(300)),
            ("36h", Ok(129_600)),
            ("14d", Ok(1_209_600)),
            ("1h30m", Ok(5400)),
            ("1d1h1m1s", Ok(90_061)),
            ("007s", Ok(7)),
            ("0s", Ok(0)),
            ("36500d", Ok(LONGEST)),
            ("36500d1s", Err(TooLong)),
            ("9223372036854775807d", Err(TooLong)),
            ("99999999999999999999s", Err(TooLong)),
            ("", Err(Malformed)),
            ("90", Err(Malformed)),
            ("s", Err(Malformed)),
            ("1.5h", Err(Malformed)),
            ("-1h", Err(Malformed)),
            ("+1h", Err(Malformed)),
            ("1 h", Err(Malformed)),
            (" 1h", Err(Malformed)),
            ("1h ", Err(Malformed)),
            ("1h30", Err(Malformed)),
            ("30m1h", Err(Malformed)),
            ("1h1h", Err(Malformed)),
            ("1M", Err(Malformed)),
            ("1mo", Err(Malformed)),
            ("2w", Err(Malformed)),
            ("1µ", Err(Malformed)),
            ("PT1H", Err(Malformed)),
            ("٣s", Err(Malformed)),
        ];
        for (text, expected) in table {
            assert_eq!(
                duration(text),
                expected.map(SignedDuration::from_secs),
                "{text}"
            );
        }
    }

    #[test]
    fn where_zero_means_nothing_it_is_refused() {
        assert_eq!(positive_duration("0h0s"), Err(DurationError::Zero));
        assert_eq!(positive_duration("1s"), Ok(SignedDuration::from_secs(1)));
        assert_eq!(positive_duration("1"), Err(DurationError::Malformed));
    }
}
