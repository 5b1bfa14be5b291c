//! The editor of `.env` and the readers people use: dotenvy, python-dotenv, npm dotenv, bash.
//!
//! A corpus holds every form of our own line beside every oddity that other lines can have. Each
//! file is edited, and each reader, the real one, reads it before and after: our keys have the new
//! values, all others the ones they had.

#![cfg(unix)]

mod support;

use std::collections::BTreeMap;

use support::readers::{Readers, Reading, Values};
use webex_tokens::store::dotenv_text::{Edit, edit};

const ACCESS: &str = "WEBEX_SERVICE_APP_ACCESS_TOKEN";
const REFRESH: &str = "WEBEX_SERVICE_APP_REFRESH_TOKEN";
const FLAG: &str = "WEBEX_REAUTHORIZATION_REQUIRED";
/// Substitutes our key, and so changes with it.
const FOLLOWER: &str = "FOLLOWER";

/// How the access token may stand in the file; `K` is its name.
const OURS: [&str; 18] = [
    "",
    "K=old",
    "K=",
    "export K=old",
    "  \texport  K=old",
    "K = old",
    "K= 'old' # it's a comment",
    "K='it # is' # c",
    "K=\"old\"",
    "K=\"two\nlines # K=no\n\" # c",
    "K='two\n\nlines'",
    "K=old\nK=older # c",
    "K=<paste the token here>",
    "K=# paste the token here",
    "K=two words",
    "K=$(cat token)",
    "K=`old`",
    "K=a#b",
];

/// What may stand beside it; `K` is the name of our key.
const OTHERS: [&str; 40] = [
    "A=1",
    "",
    "# K=no, it's \"a comment",
    "  # K=no",
    "OLD_K=1\nK_OLD=2\nK.x=3",
    "A=K",
    "A=rotate K weekly",
    "A=x-K=1",
    "A=1 # K=no",
    "A='1' # K=no, it's",
    "A='\nK=no\n'",
    "A=\"\nK=no\n\" # c",
    "A=\"a \\\" K=no\"",
    "export A=1",
    "  export   A='x y'",
    "A = 1",
    "A= x",
    "A=x y z",
    "A=https://h/?a=b&c=d",
    "A=a;b",
    "A=f(x)",
    "A=<you>",
    "A=1 | x",
    "A={\"a\": [1, 2]}",
    "A='{\"a\": \"it\"}'",
    "A=a#b",
    "A=#b",
    "A=$HOME/x:${HOME:-y}",
    "FOLLOWER=\"Bearer ${K}\"",
    "FOLLOWER=$K",
    "A=$(echo 'K=no')",
    "A=`x`",
    "A=C:\\dir\\name",
    "A='C:\\dir'",
    "A=\"tab\\tnl\\n\"",
    "A=é\u{a0}\u{2028}ü",
    "A=(1 2 3)",
    "A: b",
    "NAME_ALONE",
    "A=\"-----BEGIN X-----\nabc/+=\n-----END X-----\n\"",
];

/// Values of the access and the refresh token.
const VALUES: [[&str; 2]; 4] = [
    ["Zm9v_-.~+/==", "=-x"],
    ["it's new", ""],
    ["a b#c $d `e` \"f\" \\g (h) <i> & é", "~x"],
    ["two\nlines # c", "{\"a\": 1}"],
];

fn corpus() -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    for (i, ours) in OURS.iter().enumerate() {
        for (j, other) in OTHERS.iter().enumerate() {
            let n = i * OTHERS.len() + j;
            let next = OTHERS[(j + 7 * i + 1) % OTHERS.len()];
            let flag = ["", "\nF='2026-01-01T00:00:00Z'", "\nexport F=x # c"][n % 3];
            let body = match i + n % 2 {
                0 => format!("{other}\n{next}"),
                k if k % 2 == 0 => format!("{other}\n{ours}{flag}\n{next}"),
                _ => format!("{other}\n{next}{flag}\n{ours}"),
            };
            let body = body.replace('K', ACCESS).replace("F=", &format!("{FLAG}="));
            let line_ending = if n % 5 < 2 { "\r\n" } else { "\n" };
            // After a byte order mark, `#` begins no comment for bash.
            let mark = if n.is_multiple_of(11) && !body.starts_with('#') {
                "\u{feff}"
            } else {
                ""
            };
            let last = if n.is_multiple_of(4) { "" } else { "\n" };
            let text = format!("{mark}{body}{last}").replace('\n', line_ending);
            texts.insert(format!("{n:04}"), text);
        }
    }
    texts
}

#[test]
fn every_reader_reads_what_was_written_and_all_else_as_before() {
    let readers = Readers::find();
    let before = corpus();
    let mut after = BTreeMap::new();
    for (index, (name, text)) in before.iter().enumerate() {
        for n in [index % VALUES.len(), (index + 2) % VALUES.len()] {
            let [access, refresh] = VALUES[n];
            let edits = [
                (ACCESS, Edit::Set(access)),
                (REFRESH, Edit::Set(refresh)),
                (FLAG, Edit::Remove),
            ];
            let edited = edit(text, &edits).unwrap_or_else(|error| panic!("{text:?}: {error:?}"));
            after.insert(format!("{name}-{n}"), edited);
        }
    }
    let read_before = readers.read(&before);
    let read_after = readers.read(&after);
    let mut wrong = Vec::new();
    for (reader, readings) in &read_after {
        assert_eq!(readings.len(), after.len(), "{reader} read every file");
        for (name, now) in readings {
            let (original, n) = name.split_once('-').expect("a name has two parts");
            let then = &read_before[reader][original];
            let new = VALUES[n.parse::<usize>().expect("a number")];
            if !is_as_it_should_be(then, now, new) {
                wrong.push(format!(
                    "{reader}: {:?}\n  -> {:?}",
                    before[original], after[name]
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(before.len() >= 500, "{} files", before.len());
}

/// A text that is no shell text stays none, and bash is no party to it.
fn is_as_it_should_be(then: &Reading, now: &Reading, [access, refresh]: [&str; 2]) -> bool {
    if !now.is_readable {
        return !then.is_readable;
    }
    let value = |key| now.values.get(key).map(String::as_str);
    let ours = [value(ACCESS), value(REFRESH), value(FLAG)];
    ours == [Some(access), Some(refresh), None]
        && (!then.is_readable || others(then) == others(now))
}

fn others(reading: &Reading) -> Values {
    let mut values = reading.values.clone();
    values.retain(|key, _| ![ACCESS, REFRESH, FLAG, FOLLOWER].contains(&key.as_str()));
    values
}
