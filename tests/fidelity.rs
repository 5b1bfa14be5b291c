//! The editor of `.env` and the readers people use: dotenvy, python-dotenv, npm dotenv and bash;
//! Ruby dotenv and godotenv.
//!
//! A corpus of files is edited as the programs edit them. Of each file, either every byte that is
//! not ours stays, and the first four readers, the real ones, read the new values of our keys and
//! all other variables as before; or it is refused, because the readers part ways in it as it is.
//! The editor does not answer for the other two: how often they agree is counted.

#![cfg(unix)]

mod support;

#[path = "fidelity/corpus.rs"]
mod corpus;
#[path = "fidelity/kept.rs"]
mod kept;

use std::collections::BTreeMap;
use std::path::Path;

use corpus::{Corpus, FOLLOWER};
use jiff::Timestamp;
use kept::{Written, is_kept};
use support::readers::{ANSWERED_FOR, Readers, Reading, Readings, Values};
use support::torture::{self, Ledger};
use support::{ACCESS_TOKEN_KEY, FLAG_KEY, REFRESH_TOKEN, REFRESH_TOKEN_KEY, Story};
use webex_tokens::store::{Flag, dotenv_with};
use webex_tokens::token::{AccessToken, Issued, RefreshToken};

const KEYS: [&str; 3] = [ACCESS_TOKEN_KEY, REFRESH_TOKEN_KEY, FLAG_KEY];
/// Files that are read in one go.
const BATCH: u64 = 500;

#[test]
fn every_reader_reads_what_was_written_and_all_else_as_before() {
    let readers = Readers::find_all();
    let mut tally = Tally::default();

    let mut crossed = BTreeMap::new();
    for (index, (name, text)) in corpus::crossed().into_iter().enumerate() {
        for n in 0..torture::size(1, 2) {
            let case = Case::new(&text, tokens_of_any_form(index + 2 * n));
            crossed.insert(format!("{name}-{n}"), case);
        }
    }
    tally.add(&readers, &crossed);
    assert_eq!(tally.refused, 0, "plain files can be edited");

    let by_hand = corpus::by_hand().into_iter();
    let by_hand = by_hand.map(|(name, text)| (name, Case::new(&text, tokens())));
    tally.add(&readers, &by_hand.collect());

    let mut ledger = Ledger::of("fidelity", Path::new(REFRESH_TOKEN));
    let seeds = torture::size(300, 20_000);
    for first in (0..seeds).step_by(usize::try_from(BATCH).expect("a small number")) {
        let step = first.to_string();
        if ledger.has(&step) {
            tally.earlier += 1;
            continue;
        }
        let batch = first..seeds.min(first + BATCH);
        let generated = batch.map(|seed| {
            let (name, text) = corpus::generated(seed);
            (name, Case::new(&text, one_of_all_edits(seed)))
        });
        tally.add(&readers, &generated.collect());
        tally.passes();
        ledger.note(&step);
    }
    tally.passes();
    tally.tell();
}

#[test]
fn refresh_token_saves_it_or_refuses_before_anything_is_sent() {
    let readers = Readers::find_all();
    let mut cases = BTreeMap::new();
    let mut after = Corpus::new();
    let mut refused = Corpus::new();
    let every = torture::size(9, 1);
    for (name, text) in corpus::by_hand().into_iter().step_by(every) {
        let story = Story::new();
        let pat = story.sandbox.issue_personal_access_token();
        story.configured_with(Some(&pat), None).write_env(&text);
        let told = story.refresh_token(&[]);
        if told.code == 78 {
            // A look at the stored token spends nothing.
            let requests = story.requests();
            let is_spent = requests.iter().any(|it| it != "GET /v1/dataSources");
            assert!(!is_spent, "{name}: {requests:?}");
            assert_eq!(story.env(), text, "{name}");
            refused.insert(name, text);
            continue;
        }
        told.exits(0);
        let edited = story.env();
        let issued = issued_in(&edited);
        assert!(story.sandbox.is_live(&issued[0]), "{name}");
        let wanted = issued.map(|token| Wanted::As(Written::bare(&token)));
        let [access, refresh] = wanted;
        let case = Case::new(&text, [access, refresh, Wanted::Absent]);
        assert_eq!(
            case.is_kept(&edited),
            Ok(()),
            "{name}: {text:?}\n  -> {edited:?}"
        );
        cases.insert(name.clone(), case);
        after.insert(name, edited);
    }
    let mut tally = Tally::default();
    tally.judge_refused(&readers.read(&refused), &refused);
    let before = cases.iter();
    let before = before.map(|(name, case)| (name.clone(), case.before.clone()));
    tally.judge_edited(
        &readers.read(&before.collect()),
        &readers.read(&after),
        &cases,
        &after,
    );
    tally.files = cases.len() + refused.len();
    tally.passes();
    tally.tell();
}

/// The tokens that dotenvy reads in a file.
fn issued_in(text: &str) -> [String; 2] {
    let text = format!("{}\n", text.trim_start_matches('\u{feff}'));
    let values: Values = dotenvy::from_read_iter(text.as_bytes()).flatten().collect();
    [ACCESS_TOKEN_KEY, REFRESH_TOKEN_KEY].map(|key| values[key].clone())
}

/// What a key of ours is to be.
enum Wanted {
    As(Written),
    Absent,
    Untouched,
}

/// What Webex issues.
fn tokens() -> [Wanted; 3] {
    let access = Written::bare("NmZjYjY0NTUtYmE3My00_P0A1_2f7e8c");
    let refresh = Written::bare("MTQ0YzU1_PE93_0a1b2c-x");
    [Wanted::As(access), Wanted::As(refresh), Wanted::Absent]
}

/// Values that need every notation there is.
fn tokens_of_any_form(n: usize) -> [Wanted; 3] {
    let [access, refresh] = match n % 5 {
        0 => [Written::bare("Zm9v_-.~+/=="), Written::bare("=-x")],
        1 => [
            Written::new("it's new", &["\"it's new\""]),
            Written::new("", &["", "''"]),
        ],
        2 => [
            Written::new(
                "a b#c $d `e` \"f\" \\g (h) <i> & é",
                &["'a b#c $d `e` \"f\" \\g (h) <i> & é'"],
            ),
            Written::new("~x", &["'~x'"]),
        ],
        3 => [
            Written::new("pa$HOME", &["'pa$HOME'"]),
            Written::new("$x-", &["'$x-'"]),
        ],
        _ => [
            Written::new("two\nlines # c", &["'two\nlines # c'"]),
            Written::new("{\"a\": 1}", &["'{\"a\": 1}'"]),
        ],
    };
    [Wanted::As(access), Wanted::As(refresh), Wanted::Absent]
}

/// A refresh, a mint that returned no refresh token, and the flag alone.
fn one_of_all_edits(n: u64) -> [Wanted; 3] {
    let [access, refresh, _] = tokens();
    match n % 4 {
        0 | 1 => tokens(),
        2 => [access, Wanted::Untouched, Wanted::Absent],
        _ if n % 8 == 3 => {
            let since = Wanted::As(Written::bare("2026-02-03T04:05:06Z"));
            [Wanted::Untouched, Wanted::Untouched, since]
        }
        _ => [
            access,
            refresh,
            Wanted::As(Written::bare("2026-02-03T04:05:06Z")),
        ],
    }
}

/// One edit of one file.
struct Case {
    before: String,
    /// In the order of `KEYS`.
    wanted: [Wanted; 3],
}

impl Case {
    fn new(before: &str, wanted: [Wanted; 3]) -> Self {
        let before = before.to_owned();
        Self { before, wanted }
    }

    fn set(&self) -> Vec<(&'static str, &Written)> {
        let keys = KEYS.into_iter().zip(&self.wanted);
        keys.filter_map(|(key, wanted)| match wanted {
            Wanted::As(written) => Some((key, written)),
            Wanted::Absent | Wanted::Untouched => None,
        })
        .collect()
    }

    /// The file as the programs would write it, unless they refuse to.
    fn edited(&self) -> Option<String> {
        let set: BTreeMap<_, _> = self.set().into_iter().collect();
        let value = |key| set.get(key).map(|written| written.value.clone());
        let issued = value(ACCESS_TOKEN_KEY).map(|access_token| Issued {
            access_token: AccessToken::new(access_token),
            expires_in: None,
            refresh_token: value(REFRESH_TOKEN_KEY).map(RefreshToken::new),
            refresh_token_expires_in: None,
            issued_at: Timestamp::UNIX_EPOCH,
        });
        let flag = value(FLAG_KEY).map_or(Flag::Down, Flag::Up);
        dotenv_with(&self.before, issued.as_ref(), &flag).ok()
    }

    /// Whether no new value goes over two lines, which some readers do not follow and no token does.
    fn is_in_one_line(&self) -> bool {
        let mut set = self.set().into_iter();
        set.all(|(_, written)| !written.value.contains('\n'))
    }

    fn is_kept(&self, edited: &str) -> Result<(), String> {
        let is_flag_down = matches!(self.wanted[2], Wanted::Absent);
        is_kept(&self.before, edited, &self.set(), is_flag_down)
    }

    /// Whether a reader that read `then` before the edit and `now` after it read what it should.
    fn is_read(&self, then: &Reading, now: &Reading, is_bash: bool) -> bool {
        // Our old value may be what a reader found fault with; bash reads no further than that.
        // White space at the very end is an error to dotenvy until a line follows.
        let is_completed = self.before.ends_with([' ', '\t']);
        let is_repaired = then.complains && (is_bash || !now.complains || is_completed);
        let are_ours = KEYS.iter().zip(&self.wanted).all(|(key, wanted)| {
            let (old, new) = (then.values.get(*key), now.values.get(*key));
            match wanted {
                Wanted::As(_) if is_bash && now.complains && old.is_none() && new.is_none() => true,
                Wanted::As(written) => new == Some(&written.value),
                Wanted::Absent => new.is_none(),
                Wanted::Untouched => is_repaired || old == new,
            }
        });
        are_ours && (is_repaired || others(then) == others(now))
    }
}

/// All that neither is ours nor follows it. A carriage return alone may put a follower into the value
/// of another variable.
fn others(reading: &Reading) -> Values {
    let mut values = reading.values.clone();
    values.retain(|key, value| {
        let is_follower = key.starts_with(FOLLOWER) || value.contains(FOLLOWER);
        !KEYS.contains(&key.as_str()) && !is_follower
    });
    values
}

/// What came of a corpus.
#[derive(Default)]
struct Tally {
    /// Batches that an earlier run has done.
    earlier: usize,
    files: usize,
    refused: usize,
    readings: usize,
    /// How the readers fare that the editor does not answer for.
    counts: BTreeMap<&'static str, Count>,
    wrong: Vec<String>,
}

#[derive(Default)]
struct Count {
    agrees: usize,
    /// Disagrees in files that it did not read like dotenvy before they were edited.
    was_odd: usize,
    parts: usize,
}

/// What each reader read in each file.
type ByReader = BTreeMap<&'static str, Readings>;

impl Tally {
    fn add(&mut self, readers: &Readers, cases: &BTreeMap<String, Case>) {
        let mut before = Corpus::new();
        let mut after = Corpus::new();
        let mut refused = Corpus::new();
        for (name, case) in cases {
            before.insert(name.clone(), case.before.clone());
            match case.edited() {
                Some(edited) => after.insert(name.clone(), edited),
                None => refused.insert(name.clone(), case.before.clone()),
            };
        }
        let then = readers.read(&before);
        self.files += cases.len();
        self.judge_refused(&then, &refused);
        self.judge_edited(&then, &readers.read(&after), cases, &after);
    }

    /// A file is refused only if readers part ways in it, or one of them finds fault with it.
    fn judge_refused(&mut self, then: &ByReader, refused: &Corpus) {
        self.refused += refused.len();
        for (name, text) in refused {
            let readings = ANSWERED_FOR.map(|reader| &then[reader][name]);
            let ours = readings.map(|reading| KEYS.map(|key| reading.values.get(key)));
            let is_faulty = readings.iter().any(|reading| reading.complains);
            // In the first line, the mark belongs to a name for some readers, and not for others.
            let is_marked = |key| {
                text.starts_with('\u{feff}')
                    && text.lines().next().is_some_and(|first| first.contains(key))
            };
            let is_marked = KEYS.into_iter().any(is_marked);
            // What a shell runs is not followed.
            let is_opaque = text.contains('`');
            // Within a line, these end it for some readers alone.
            let is_split = text
                .replace("\r\n", "")
                .contains(['\r', '\u{2028}', '\u{2029}']);
            let may_differ = is_faulty || is_marked || is_opaque || is_split;
            if !may_differ && ours.iter().all(|it| *it == ours[0]) {
                self.wrong
                    .push(format!("{name}: refused without need: {text:?}"));
            }
        }
    }

    fn judge_edited(
        &mut self,
        then: &ByReader,
        now: &ByReader,
        cases: &BTreeMap<String, Case>,
        after: &Corpus,
    ) {
        for (name, edited) in after {
            let case = &cases[name];
            let texts = format!("{:?}\n  -> {edited:?}", case.before);
            if let Err(what) = case.is_kept(edited) {
                self.wrong.push(format!("{name}: {what}: {texts}"));
            }
            for (&reader, readings) in now {
                let (old, new) = (&then[reader][name], &readings[name]);
                let is_read = case.is_read(old, new, reader == "bash");
                let is_usual = !old.complains && old.values == then["dotenvy"][name].values;
                self.readings += 1;
                if ANSWERED_FOR.contains(&reader) {
                    if !is_read {
                        let (old, new) = (&old.values, &new.values);
                        let values = format!("{reader} read {old:?}, reads {new:?}");
                        self.wrong.push(format!("{name}: {values}: {texts}"));
                    }
                    continue;
                }
                if !case.is_in_one_line() {
                    continue;
                }
                let count = self.counts.entry(reader).or_default();
                *match (is_read, is_usual) {
                    (true, _) => &mut count.agrees,
                    (false, false) => &mut count.was_odd,
                    (false, true) => &mut count.parts,
                } += 1;
            }
        }
    }

    #[track_caller]
    fn passes(&self) {
        let wrong = &self.wrong;
        assert!(
            wrong.is_empty(),
            "{} wrong:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
    }

    #[expect(clippy::print_stdout, reason = "the figures of this proof")]
    fn tell(&self) {
        let counts: Vec<_> = self
            .counts
            .iter()
            .map(|(reader, count)| {
                let Count {
                    agrees,
                    was_odd,
                    parts,
                } = count;
                format!("; {reader} agrees on {agrees}, not on {was_odd} odd and {parts} plain")
            })
            .collect();
        let earlier = match self.earlier {
            0 => String::new(),
            done => format!("; {done} batches of {BATCH} were done before"),
        };
        println!(
            "fidelity: {} files, {} edited, {} refused, {} readings, 0 wrong{}{earlier}",
            self.files,
            self.files - self.refused,
            self.refused,
            self.readings,
            counts.concat()
        );
    }
}
