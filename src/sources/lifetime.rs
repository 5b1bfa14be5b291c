//! `tokenLifetimeMinutes`: how long the JWS of a data source lives.

use std::fmt;

use jiff::SignedDuration;

/// A number of whole minutes from 1 to 1440 (Webex "Data Sources").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenLifetime(u16);

/// A life that a JWS cannot be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenLifetimeError {
    /// Too short or too long.
    #[error("it must be from 1 to 1440 minutes (24h)")]
    OutOfRange,
    /// Webex counts whole minutes.
    #[error("it must be a whole number of minutes")]
    NotWhole,
}

impl TokenLifetime {
    /// The longest.
    pub const MAX: Self = Self(1440);

    /// A life of so many minutes.
    ///
    /// # Errors
    ///
    /// Fewer than 1, or more than 1440.
    pub fn minutes(minutes: i64) -> Result<Self, TokenLifetimeError> {
        u16::try_from(minutes)
            .ok()
            .filter(|minutes| (1..=Self::MAX.0).contains(minutes))
            .map(Self)
            .ok_or(TokenLifetimeError::OutOfRange)
    }

    /// A life of this duration.
    ///
    /// # Errors
    ///
    /// It is out of range, or has a fraction of a minute.
    pub fn of(duration: SignedDuration) -> Result<Self, TokenLifetimeError> {
        let lifetime = Self::minutes(duration.as_mins())?;
        if duration == lifetime.as_duration() {
            Ok(lifetime)
        } else if lifetime == Self::MAX {
            Err(TokenLifetimeError::OutOfRange)
        } else {
            Err(TokenLifetimeError::NotWhole)
        }
    }

    /// How many minutes.
    #[must_use]
    pub fn as_minutes(self) -> u16 {
        self.0
    }

    /// The same as a duration.
    #[must_use]
    pub fn as_duration(self) -> SignedDuration {
        SignedDuration::from_mins(self.0.into())
    }
}

impl fmt::Display for TokenLifetime {
    /// Such as `1440 minutes`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} minute{plural}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_minutes_from_1_to_1440() {
        let of = |seconds| TokenLifetime::of(SignedDuration::from_secs(seconds));
        assert_eq!(of(60), TokenLifetime::minutes(1));
        assert_eq!(of(86_400), Ok(TokenLifetime::MAX));
        assert_eq!(of(90), Err(TokenLifetimeError::NotWhole));
        for seconds in [i64::MIN, -60, 0, 59, 86_401, 86_460, i64::MAX] {
            assert_eq!(
                of(seconds),
                Err(TokenLifetimeError::OutOfRange),
                "{seconds}"
            );
        }
        assert_eq!(
            TokenLifetime::of(SignedDuration::new(60, 1)),
            Err(TokenLifetimeError::NotWhole)
        );
    }
}
