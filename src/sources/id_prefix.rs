//! Which data source an abbreviated id means. Pure.

use crate::ids::is_uuid;

/// An abbreviation that does not name one data source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoOneMeant {
    /// None begins with it.
    #[error("there is no data source {prefix}{}", if is_uuid(.prefix) { "" } else { "…" })]
    NotFound {
        /// As it was given.
        prefix: String,
    },
    /// Several begin with it.
    #[error("{prefix}… may be any of {}", shortened(.candidates))]
    Ambiguous {
        /// As it was given.
        prefix: String,
        /// The ids that begin with it, sorted.
        candidates: Vec<String>,
    },
}

/// The id that `prefix` abbreviates; case does not count.
///
/// # Errors
///
/// No id begins with it, or several do and none is just that.
pub fn resolve<'a>(
    prefix: &str,
    ids: impl IntoIterator<Item = &'a str>,
) -> Result<&'a str, NoOneMeant> {
    let begins = |id: &&str| {
        id.get(..prefix.len())
            .is_some_and(|beginning| beginning.eq_ignore_ascii_case(prefix))
    };
    let mut found: Vec<_> = ids.into_iter().filter(begins).collect();
    found.sort_unstable();
    found.dedup();
    if let Some(exact) = found.iter().find(|id| id.len() == prefix.len()) {
        return Ok(exact);
    }
    match found.as_slice() {
        [] => Err(NoOneMeant::NotFound {
            prefix: prefix.to_owned(),
        }),
        [only] => Ok(only),
        several => Err(NoOneMeant::Ambiguous {
            prefix: prefix.to_owned(),
            candidates: several.iter().map(|&id| id.to_owned()).collect(),
        }),
    }
}

fn shortened(candidates: &[String]) -> String {
    const MOST: usize = 5;
    let mut shown = candidates.iter().take(MOST).cloned().collect::<Vec<_>>();
    if candidates.len() > MOST {
        shown.push(format!("{} more", candidates.len() - MOST));
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: [&str; 4] = ["abc-1", "abc-2", "abd", "abcdef"];

    #[test]
    fn a_unique_beginning_will_do() {
        assert_eq!(resolve("abd", IDS), Ok("abd"));
        assert_eq!(resolve("ABC-2", IDS), Ok("abc-2"));
        assert_eq!(resolve("abcd", IDS), Ok("abcdef"));
        // Itself, although another begins with it.
        assert_eq!(resolve("ab", ["abc", "ab"]), Ok("ab"));
        assert_eq!(resolve("a", ["ab", "ab"]), Ok("ab"));
    }

    #[test]
    fn otherwise_it_is_said_why_not() {
        let message = |prefix| resolve(prefix, IDS).expect_err("not one").to_string();
        assert_eq!(message("abc"), "abc… may be any of abc-1, abc-2, abcdef");
        assert_eq!(message("x"), "there is no data source x…");
        assert_eq!(message("é"), "there is no data source é…");
        let full = "5397013b-7920-4ffc-807c-e8a3e0a18f43";
        assert_eq!(message(full), format!("there is no data source {full}"));
        assert!(resolve("", ["a"]).is_ok());
    }
}
