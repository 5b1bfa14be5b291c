//! Tables: columns that fit into a terminal, and whole values where nothing limits them. Pure.
//!
//! Columns are given in the order of their worth: those that do not fit are left out from the end.

use unicode_width::UnicodeWidthChar as _;

use crate::cli::output::{Palette, Style};

/// What stands between two columns.
const GAP: &str = "  ";

/// Where nothing limits the columns, none is padded for the sake of a value that is wider.
const WIDEST: usize = 200;

/// What stands for what is left out.
const ELLIPSIS: char = '…';

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) head: &'static str,
    pub(super) fit: Fit,
}

/// How a column becomes narrower.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fit {
    /// It does not.
    Whole,
    /// Its values lose their ends, and keep at least this many columns of the terminal.
    End(usize),
    /// Its values lose their middles, likewise.
    Middle(usize),
    /// Its values are abbreviated to just so many characters, or are whole.
    Prefix(usize),
}

/// A value, in a style.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) style: Option<Style>,
}

impl Cell {
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            style: None,
        }
    }

    pub(super) fn styled(style: Style, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            style: Some(style),
        }
    }
}

/// The table, a line a row. No line is wider than `limit`.
pub(super) fn table<const N: usize>(
    columns: [Column; N],
    rows: &[[Cell; N]],
    limit: Option<usize>,
    palette: Palette,
) -> String {
    let heads = columns.map(|column| Cell::styled(Style::Faint, column.head));
    let mut natural = heads.each_ref().map(|head| wide(&head.text));
    for row in rows {
        for (natural, cell) in natural.iter_mut().zip(row) {
            *natural = (*natural).max(wide(&cell.text));
        }
    }
    let widths = widths(&columns, &natural, limit);
    let mut text = String::new();
    for row in std::iter::once(&heads).chain(rows) {
        let mut padding = 0;
        for ((column, cell), &width) in columns.iter().zip(row).zip(&widths) {
            text.extend(std::iter::repeat_n(' ', padding));
            let shown = match limit {
                Some(_) => column.fit.fitted(&cell.text, width),
                None => cell.text.clone(),
            };
            padding = GAP.len() + width.saturating_sub(wide(&shown));
            match cell.style {
                Some(style) => text += &palette.paint(style, &shown),
                None => text += &shown,
            }
        }
        text.push('\n');
    }
    text
}

/// How wide each column is; those beyond the end are left out.
fn widths(columns: &[Column], natural: &[usize], width: Option<usize>) -> Vec<usize> {
    let Some(width) = width else {
        return natural.iter().map(|&natural| natural.min(WIDEST)).collect();
    };
    let mut widths: Vec<usize> = Vec::new();
    let mut spare = width;
    for (column, &natural) in columns.iter().zip(natural) {
        let least = match column.fit {
            Fit::Whole => natural,
            Fit::End(least) | Fit::Middle(least) | Fit::Prefix(least) => {
                natural.min(least.max(wide(column.head)))
            }
        };
        let needed = match widths.last() {
            Some(_) => GAP.len() + least,
            None => least.min(width),
        };
        let Some(left) = spare.checked_sub(needed) else {
            break;
        };
        spare = left;
        widths.push(least.min(width));
    }
    // Texts grow as far as there is room, those first that lack least; then ids, which are of use
    // abbreviated or whole.
    let is_prefix = |at: usize| matches!(columns[at].fit, Fit::Prefix(_));
    let mut order: Vec<_> = (0..widths.len()).collect();
    order.sort_by_key(|&at| (is_prefix(at), natural[at] - widths[at]));
    for at in order {
        let wanted = natural[at] - widths[at];
        if wanted <= spare || !is_prefix(at) {
            let more = wanted.min(spare);
            widths[at] += more;
            spare -= more;
        }
    }
    widths
}

impl Fit {
    /// The text in at most `width` columns of the terminal.
    pub(super) fn fitted(self, text: &str, width: usize) -> String {
        if wide(text) <= width {
            return text.to_owned();
        }
        let room = width.saturating_sub(1);
        match self {
            Self::Prefix(_) => beginning(text, width).to_owned(),
            Self::Whole | Self::End(_) if width == 0 => String::new(),
            Self::Whole | Self::End(_) => format!("{}{ELLIPSIS}", beginning(text, room)),
            Self::Middle(_) => {
                let behind = room / 2;
                let before = beginning(text, room - behind);
                format!("{before}{ELLIPSIS}{}", end(text, behind))
            }
        }
    }
}

/// How many columns of a terminal a text takes.
pub(super) fn wide(text: &str) -> usize {
    text.chars().map(width_of).sum()
}

fn width_of(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// As much of the beginning as fits.
fn beginning(text: &str, width: usize) -> &str {
    let mut taken = 0;
    let cut = text.char_indices().find(|&(_, c)| {
        taken += width_of(c);
        taken > width
    });
    cut.map_or(text, |(at, _)| &text[..at])
}

/// As much of the end as fits.
fn end(text: &str, width: usize) -> &str {
    let mut taken = 0;
    let cut = text.char_indices().rev().find(|&(_, c)| {
        taken += width_of(c);
        taken > width
    });
    cut.map_or(text, |(at, c)| &text[at + c.len_utf8()..])
}

#[cfg(test)]
mod tests {
    use clap::ColorChoice;
    use proptest::prelude::*;

    use super::*;

    const COLUMNS: [Column; 4] = [
        Column {
            head: "ID",
            fit: Fit::Prefix(8),
        },
        Column {
            head: "STATE",
            fit: Fit::Whole,
        },
        Column {
            head: "NAME",
            fit: Fit::End(6),
        },
        Column {
            head: "URL",
            fit: Fit::Middle(10),
        },
    ];

    fn palette(choice: ColorChoice) -> Palette {
        Palette::choose(choice, false, &std::io::stdin())
    }

    fn shown(rows: &[[Cell; 4]], width: Option<usize>) -> String {
        table(COLUMNS, rows, width, palette(ColorChoice::Never))
    }

    fn row(texts: [&str; 4]) -> [Cell; 4] {
        texts.map(Cell::plain)
    }

    fn rows() -> [[Cell; 4]; 2] {
        [
            row(["0123456789abcdef", "fine", "Voice", "https://a.example/1"]),
            row([
                "f123456789abcdef",
                "gone",
                "Forking",
                "wss://b.example/path/2",
            ]),
        ]
    }

    #[test]
    fn without_a_width_all_is_shown() {
        let expected = "\
ID                STATE  NAME     URL
0123456789abcdef  fine   Voice    https://a.example/1
f123456789abcdef  gone   Forking  wss://b.example/path/2
";
        assert_eq!(shown(&rows(), None), expected);
        assert_eq!(shown(&rows(), Some(56)), expected);
    }

    #[test]
    fn ids_are_abbreviated_first_and_then_texts_are_cut() {
        let expected = "\
ID        STATE  NAME     URL
01234567  fine   Voice    https://a.example/1
f1234567  gone   Forking  wss://b.example/path/2
";
        assert_eq!(shown(&rows(), Some(55)), expected);
        let expected = "\
ID        STATE  NAME     URL
01234567  fine   Voice    https…ple/1
f1234567  gone   Forking  wss:/…ath/2
";
        assert_eq!(shown(&rows(), Some(37)), expected);
    }

    #[test]
    fn columns_that_do_not_fit_are_left_out_from_the_end() {
        let expected = "\
ID        STATE  NAME
01234567  fine   Voice
f1234567  gone   Forki…
";
        assert_eq!(shown(&rows(), Some(23)), expected);
        let expected = "ID        STATE\n01234567  fine\nf1234567  gone\n";
        assert_eq!(shown(&rows(), Some(22)), expected);
        assert_eq!(shown(&rows(), Some(4)), "ID\n0123\nf123\n");
    }

    #[test]
    fn what_counts_is_the_width_on_the_terminal() {
        let rows = [
            row(["0", "電話", "e\u{301}te\u{301}", "x"]),
            row(["1", "a", "b", "y"]),
        ];
        let expected =
            "ID  STATE  NAME  URL\n0   電話   e\u{301}te\u{301}   x\n1   a      b     y\n";
        assert_eq!(shown(&rows, None), expected);
        assert_eq!(Fit::End(1).fitted("電話番号", 4), "電…");
        assert_eq!(Fit::Middle(1).fitted("電話番号", 6), "電…号");
    }

    #[test]
    fn padding_is_not_painted_and_nothing_follows_the_last_column() {
        let mut rows = rows();
        rows[0][1] = Cell::styled(Style::Good, "ok");
        let shown = table(COLUMNS, &rows, Some(40), palette(ColorChoice::Always));
        let line = shown.lines().nth(1).expect("a row");
        assert!(
            line.contains("\u{1b}[1m\u{1b}[32mok\u{1b}[0m     Voice"),
            "{line:?}"
        );
        assert!(!shown.contains(" \n"));
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_terminal(
            texts in prop::collection::vec(prop::array::uniform4("[a-z電é\u{301}]{0,30}"), 0..4),
            width in 1..120_usize,
        ) {
            let rows: Vec<_> = texts.into_iter().map(|texts| texts.map(Cell::plain)).collect();
            let shown = shown(&rows, Some(width));
            prop_assert_eq!(shown.lines().count(), rows.len() + 1);
            for line in shown.lines() {
                prop_assert!(wide(line) <= width, "{:?}", line);
            }
        }
    }
}
