//! What must hold of an edit, whatever the text and the value were.

/// Panics unless every piece of `before` stands in `after` as it stood, in order, but for the
/// values of these paths, and for what had no content; and unless no more was added than the paths.
pub(crate) fn assert_edited(before: &str, after: &str, paths: &[&[&str]]) {
    let mark = |text: &str| text.starts_with('\u{feff}');
    assert_eq!(mark(before), mark(after), "the byte order mark");
    let (was, is) = (pieces(super::body(before)), pieces(super::body(after)));
    let names: Vec<&str> = paths.concat();
    let mut at = 0;
    for (index, piece) in was.iter().enumerate() {
        if is_value_of(&was, index, &names) {
            at += 1;
        } else if let Some(found) = is[at.min(is.len())..].iter().position(|it| it == piece) {
            // White space that is gone is not to be found farther on.
            at += if found > 0 && is_in_nothing(&was, index) {
                0
            } else {
                found + 1
            };
        } else {
            assert!(
                is_in_nothing(&was, index),
                "the piece {piece:?} of {before:?} is lost in {after:?}"
            );
        }
    }
    let count = |pieces: &[&str]| pieces.iter().filter(|piece| !is_blank(piece)).count();
    // Of each path, at most a comma, and for each key the key, a colon and two braces.
    let most: usize = paths.iter().map(|path| 1 + 4 * path.len()).sum();
    assert!(
        count(&is) <= count(&was) + most,
        "{before:?} became {after:?}"
    );
}

/// White space, punctuation, texts, and other words, each by itself.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => text_length(rest),
            '{' | '}' | '[' | ']' | ',' | ':' => 1,
            _ if is_space(first) => rest.find(|c| !is_space(c)).unwrap_or(rest.len()),
            _ => {
                let is_over = |c| is_space(c) || "\"{}[],:".contains(c);
                rest.find(is_over).unwrap_or(rest.len())
            }
        };
        let (piece, behind) = rest.split_at(length);
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

fn text_length(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Whether the piece is the value of a key with one of these names.
fn is_value_of(pieces: &[&str], index: usize, names: &[&str]) -> bool {
    let mut before = pieces[..index]
        .iter()
        .rev()
        .filter(|piece| !is_blank(piece));
    let (Some(&":"), Some(key)) = (before.next(), before.next()) else {
        return false;
    };
    let key: Result<String, _> = serde_json::from_str(key);
    key.is_ok_and(|key| names.contains(&key.as_str()))
}

/// Whether the piece is white space in an empty object, or in a text without content.
fn is_in_nothing(pieces: &[&str], index: usize) -> bool {
    let before = index.checked_sub(1).map(|before| pieces[before]);
    let after = pieces.get(index + 1).copied();
    let is_empty = matches!((before, after), (Some("{"), Some("}")));
    is_blank(pieces[index]) && (is_empty || pieces.iter().all(|piece| is_blank(piece)))
}

fn is_blank(piece: &str) -> bool {
    piece.chars().all(char::is_whitespace)
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}
