//! The menu of `data-sources`: what a person sees, chooses and leaves, and what becomes of it.

#![cfg(unix)]

mod support;

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use support::data_sources::{story, without_dates};
use support::pty::{Pty, PtyTold};
use support::transcript::{assert_screen, assert_transcript_with};
use support::{DATA_SOURCES, Story, assert_no_piece};
use webex_sandbox::{Endpoint, Fault};

const HOUR: Duration = Duration::from_hours(1);

/// A wait that no deadline allows.
const FAR: &str = "86400";

const VIRTUAL_AGENT: &str = "5397013b-7920-4ffc-807c-e8a3e0a18f43";
const AUDIO_FORKING: &str = "523e1b7f-4693-47bc-b84e-a7b7a505fb0b";

/// The data source that expires first, and the others.
const FIRST: &str = "3b1f6c0a-9d24-4e7b-8f15-2c60d9a7e431";
const SECOND: &str = "94ad07e1-3c5b-4296-a8f3-6b1e20d4c97f";
const THIRD: &str = "1d47a2f0-58c3-4b1e-9a6d-7e20c4f3b815";

/// The questions, as they are asked.
const NEXT: &str = "What next?";
const WHICH: &str = "Which one?";
const CHANGE: &str = "What is to change?";
const ID: &str = "ID, or its beginning:";
/// What stands below the choices, once all of them are there.
const CHOOSE: &str = "Enter to choose]";
const WAITING: &str = "asking Webex…";

/// What the menu offers, from above.
const LOOK: usize = 0;
const UPDATE: usize = 1;
const EXTEND: usize = 2;
const EXTEND_ALL: usize = 3;
const REGISTER: usize = 4;
const LIST_AGAIN: usize = 5;
const QUIT: usize = 6;
/// What follows a command.
const BACK: usize = 0;
const ENOUGH: usize = 1;

/// Keys that leave a question: Ctrl-C, Ctrl-D and Esc.
const LEAVING: [&str; 3] = ["\x03", "\x04", "\x1b"];

/// What no terminal may show of the first data source's URL.
const HIDDEN: [&str; 2] = ["hunter2hunter2", "notforyoureyes"];

/// Webex refuses what it is asked.
fn refused() -> Fault {
    Fault::status(400).error("because", "the moon is full")
}

/// Webex is down for longer than anybody waits.
fn down() -> Fault {
    Fault::status(503).header("Retry-After", FAR)
}

impl Story {
    /// The menu on a terminal of this size.
    fn menu(&self, columns: u16, rows: u16) -> Pty {
        Pty::start_sized(&mut self.command(DATA_SOURCES), columns, rows)
    }

    fn usual_menu(&self) -> Pty {
        self.menu(80, 24)
    }

    /// Three data sources: one has little time left, one is due, one is fresh.
    fn three(&self) -> &Self {
        let [userinfo, query] = HIDDEN;
        let url = format!("wss://desk:{userinfo}@desk.example.com/agent?key={query}");
        for (id, audience, schema, url, age) in [
            (
                THIRD,
                "NightLine",
                VIRTUAL_AGENT,
                "https://n.example.com/1",
                0,
            ),
            (FIRST, "FrontDesk", VIRTUAL_AGENT, url.as_str(), 21),
            (
                SECOND,
                "Claims",
                AUDIO_FORKING,
                "https://c.example.com/2",
                14,
            ),
        ] {
            let body = json!({
                "audience": audience,
                "subject": "callAudioData",
                "nonce": "first",
                "schemaId": schema,
                "url": url,
                "tokenLifetimeMinutes": 1440,
            });
            self.sandbox.register_data_source_as(id, &body);
            self.sandbox.age_data_source(id, age * HOUR);
        }
        self.sandbox.clear_requests();
        self
    }

    /// Asserts that nothing was changed.
    #[track_caller]
    fn unchanged(&self) {
        let changes = ["PUT", "DELETE"].map(|method| self.count(method));
        assert_eq!(changes, [0; 2]);
        assert!(self.bodies("POST", "/v1/dataSources").is_empty());
    }

    /// Waits for the end, and searches all that was shown for what nobody may see.
    #[track_caller]
    fn end(&self, person: Pty) -> PtyTold {
        let seen = person.finish(self);
        for id in [FIRST, SECOND, THIRD] {
            let source = self.sandbox.data_source(id).unwrap_or_default();
            let jws = source["jwsToken"].as_str().unwrap_or_default();
            assert_no_piece(&seen.bytes, jws.rsplit('.').next().unwrap_or_default());
        }
        for hidden in HIDDEN {
            assert_no_piece(&seen.bytes, hidden);
        }
        seen
    }
}

impl Pty {
    /// Waits for a question with choices, and takes the one that is so many below the first.
    #[track_caller]
    fn choose(&mut self, question: &str, below: usize) -> &mut Self {
        self.is_asked(question);
        self.keys(&("\x1b[B".repeat(below) + "\r"))
    }

    /// Waits for a question with choices.
    #[track_caller]
    fn is_asked(&mut self, question: &str) -> &mut Self {
        self.expect(question).expect(CHOOSE)
    }

    fn send(&self, signal: Signal) {
        let pid = i32::try_from(self.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process"), signal).expect("it is ours");
    }

    /// The first line of the screen.
    fn top(&self) -> String {
        let screen = self.screen();
        screen.lines().next().unwrap_or_default().to_owned()
    }
}

impl PtyTold {
    /// Asserts that the terminal is as it was: no bracketed paste, and a cursor.
    #[track_caller]
    fn leaves_the_terminal_alone(&self) -> &Self {
        for (on, off) in [("\x1b[?2004h", "\x1b[?2004l"), ("\x1b[?25l", "\x1b[?25h")] {
            let at = |escape| self.bytes.rfind(escape);
            assert!(at(on) <= at(off), "{:?}", self.bytes);
        }
        self
    }
}

#[test]
fn screens_of_every_width() {
    for columns in [40, 60, 80, 160] {
        let story = story();
        let mut person = story.three().menu(columns, 24);
        let screen = |person: &Pty, name: &str| {
            assert_screen(&format!("menu_{columns}_{name}"), &story, person, &[]);
        };
        person.is_asked(NEXT);
        screen(&person, "start");
        person.keys("\x1b[B\r").is_asked(WHICH);
        screen(&person, "which");
        person.keys("\r").is_asked(CHANGE);
        screen(&person, "change");
        person.keys("\r").expect("Audience:").line("BackDesk");
        person.expect("Change it?").expect("(y/N)");
        screen(&person, "confirm");
        person.line("").is_asked(NEXT);
        screen(&person, "declined");
        person.keys("\r").choose(NEXT, REGISTER).is_asked("Schema");
        screen(&person, "register");
        person.keys("\x1b").choose(NEXT, QUIT);
        story.end(person).exits(0).leaves_the_terminal_alone();
        story.unchanged();
    }
}

#[test]
fn every_choice_does_what_its_command_does() {
    let story = story();
    let mut person = story.three().usual_menu();
    let [first, second, third] = [FIRST, SECOND, THIRD].map(|id| story.source(id));

    person.choose(NEXT, LOOK).choose(WHICH, 0);
    person.expect(FIRST).expect("signature").expect("verified");
    story.unchanged();

    person.choose(NEXT, BACK).choose(NEXT, EXTEND);
    person
        .choose(WHICH, 2)
        .expect(&format!("extended  {THIRD}"));
    person.expect("1 extended").is_asked(NEXT);
    assert_ne!(story.source(THIRD)["nonce"], third["nonce"]);
    assert_eq!(story.count("PUT"), 1);

    person.keys("\r").choose(NEXT, EXTEND_ALL);
    person.expect("2 extended, 1 not due").is_asked(NEXT);
    for before in [first, second] {
        let after = story.source(before["id"].as_str().expect("an id"));
        assert_ne!(after["nonce"], before["nonce"]);
        assert_eq!(without_dates(&after), without_dates(&before));
    }
    assert_eq!(story.count("PUT"), 3);

    person.keys("\r").choose(NEXT, REGISTER).choose("Schema", 0);
    person.expect("URL").line("wss://new.example.com/in");
    person.expect("Audience").line("NewApp");
    person.expect("Subject").line("callAudioData");
    person.expect("How long").line("");
    person.expect("registered").is_asked(NEXT);
    assert_eq!(story.count("POST"), 1);
    let body = &story.bodies("POST", "/v1/dataSources")[0];
    assert_eq!(body["url"], "wss://new.example.com/in");

    person.keys("\r").expect("NewApp").is_asked(NEXT);
    let asked = story.requests().len();
    person.keys(&"\x1b[B".repeat(LIST_AGAIN)).line("");
    person.expect("NewApp").is_asked(NEXT);
    let again = story.requests()[asked..].join(", ");
    assert!(again.contains("GET /v1/dataSources"), "{again}");
    person.keys(&"\x1b[B".repeat(QUIT)).line("");
    story.end(person).exits(0).leaves_the_terminal_alone();
    assert_eq!(story.log().len(), 4);
}

#[test]
fn whoever_has_read_a_result_may_quit() {
    let story = story();
    let mut person = story.three().usual_menu();
    person.choose(NEXT, EXTEND_ALL).choose(NEXT, ENOUGH);
    story.end(person).exits(0);
}

#[test]
fn an_update_sends_what_was_shown_and_nothing_else() {
    let story = story();
    let mut person = story.three().usual_menu();
    let mut expected = without_dates(&story.source(THIRD));
    let changes: [(usize, &str, &str, &str, Value); 3] = [
        (0, "Audience:", "DayLine", "audience", "DayLine".into()),
        (1, "Subject:", "other", "subject", "other".into()),
        (
            3,
            "URL:",
            "wss://d.example.com/3",
            "url",
            "wss://d.example.com/3".into(),
        ),
    ];
    let count = changes.len();
    for (below, question, answer, field, value) in changes {
        person.choose(NEXT, UPDATE).choose(WHICH, 2);
        person.choose(CHANGE, below).expect(question).line(answer);
        let told = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
        person.expect(&format!("- {field}: {}", told(&expected[field])));
        person.expect(&format!("+ {field}: {}", told(&value)));
        let puts = story.count("PUT");
        person.expect("Change it?").line("y");
        person
            .expect(&format!("updated {THIRD}"))
            .choose(NEXT, BACK);
        assert_eq!(story.count("PUT"), puts + 1);
        expected[field] = value;
        assert_eq!(without_dates(&story.source(THIRD)), expected);
    }

    person
        .choose(NEXT, UPDATE)
        .choose(WHICH, 2)
        .choose(CHANGE, 2);
    person.choose("Schema", 0).expect("Change it?").line("y");
    person.expect("updated").choose(NEXT, BACK);
    expected["schemaId"] = AUDIO_FORKING.into();
    assert_eq!(without_dates(&story.source(THIRD)), expected);

    person
        .choose(NEXT, UPDATE)
        .choose(WHICH, 2)
        .choose(CHANGE, 5);
    person.expect("Why").line("It moves");
    person.expect("disabled").choose(NEXT, BACK);
    assert_eq!(story.source(THIRD)["status"], "disabled");
    assert_eq!(story.source(THIRD)["errorMessage"], "It moves");
    person
        .choose(NEXT, UPDATE)
        .choose(WHICH, 2)
        .choose(CHANGE, 6);
    person.expect("enabled").choose(NEXT, BACK);
    assert_eq!(story.source(THIRD)["status"], "active");

    person
        .choose(NEXT, UPDATE)
        .choose(WHICH, 2)
        .choose(CHANGE, 4);
    let question = "How long each JWS lives, such as 24h:";
    person.expect(question).line("25h").expect("Not that: ");
    person.expect(question).line("90m");
    person.expect("Change it?").line("y");
    person.expect("updated").choose(NEXT, BACK);
    assert_eq!(story.source(THIRD)["tokenLifetimeMinutes"], 90);

    person.choose(NEXT, QUIT);
    story.end(person).exits(0);
    assert_eq!(story.updates(THIRD).len(), count + 4);
    assert_eq!(story.count("PUT"), count + 4);
}

#[test]
fn a_question_that_is_left_leads_back_to_the_menu() {
    for key in LEAVING {
        let story = story();
        let mut person = story.three().usual_menu();
        person.choose(NEXT, LOOK).is_asked(WHICH).keys(key);
        person.choose(NEXT, EXTEND).is_asked(WHICH).keys(key);
        person.choose(NEXT, UPDATE).choose(WHICH, 0);
        person.is_asked(CHANGE).keys(key);
        person
            .choose(NEXT, UPDATE)
            .choose(WHICH, 0)
            .choose(CHANGE, 0);
        person.expect("Audience:").expect_echo(false).keys(key);
        person
            .choose(NEXT, UPDATE)
            .choose(WHICH, 0)
            .choose(CHANGE, 0);
        person.expect("Audience:").line("x");
        person.expect("(y/N)").keys(key);
        person
            .choose(NEXT, UPDATE)
            .choose(WHICH, 0)
            .choose(CHANGE, 2);
        person.is_asked("Schema").keys(key);
        person.choose(NEXT, REGISTER).is_asked("Schema").keys(key);
        person.choose(NEXT, REGISTER).choose("Schema", 0);
        person.expect("URL of").expect_echo(false).keys(key);
        person.is_asked(NEXT).keys(key);
        let seen = story.end(person);
        seen.exits(130).says("Ended.").leaves_the_terminal_alone();
        assert!(!seen.stream.contains("error:"), "{}", seen.stream);
        story.unchanged();
    }
}

#[test]
fn a_menu_that_is_left_says_so_on_a_line_of_its_own() {
    for key in LEAVING {
        // The menu reaches down to the last line.
        let story = story();
        let mut person = story.three().menu(80, 15);
        person.is_asked(NEXT).keys(key);
        person.expect("Ended.").expect_echo(true);
        let seen = story.end(person);
        seen.exits(130).leaves_the_terminal_alone();
        let last = seen.transcript.lines().last();
        assert_eq!(last, Some("Ended."), "{}", seen.transcript);
    }
}

#[test]
fn a_result_that_is_left_leads_back_to_the_menu() {
    for key in LEAVING {
        let story = story();
        let mut person = story.three().usual_menu();
        person.choose(NEXT, EXTEND_ALL).is_asked(NEXT).keys(key);
        person.choose(NEXT, QUIT);
        story.end(person).exits(0);
    }
}

#[test]
fn a_signal_ends_the_menu_wherever_it_is() {
    for term in ["xterm-256color", "dumb"] {
        let story = story();
        story.three();
        let start = || Pty::start(story.command(DATA_SOURCES).env("TERM", term));
        let end = |person: Pty| {
            let seen = story.end(person);
            seen.exits(143).says("Ended.").leaves_the_terminal_alone();
            let last = seen.transcript.lines().last();
            assert_eq!(last, Some("Ended."), "{}", seen.transcript);
        };
        let mut person = start();
        person
            .expect("quit")
            .expect(if term == "dumb" { "[1]:" } else { CHOOSE });
        person.send(Signal::TERM);
        person.expect("Ended.").expect_echo(true);
        end(person);

        let gate = story.sandbox.gate(Endpoint::DataSources);
        let mut command = story.command(DATA_SOURCES);
        let mut person = Pty::start(command.arg("-v").env("TERM", term));
        person.expect(WAITING);
        gate.wait_for_request();
        person.send(Signal::TERM);
        person.expect("told to stop");
        drop(gate);
        end(person);
        story.unchanged();
    }
}

#[test]
fn waiting_for_webex_is_told_and_the_note_disappears() {
    let story = story();
    let mut person = {
        let gate = story.three().sandbox.gate(Endpoint::DataSources);
        let mut person = story.usual_menu();
        gate.wait_for_request();
        person.expect_on_screen(WAITING);
        person
    };
    person.is_asked(NEXT);
    assert!(!person.screen().contains(WAITING), "{}", person.screen());

    let gate = story.sandbox.gate(Endpoint::ReadDataSource);
    person.keys("\r").choose(WHICH, 0);
    gate.wait_for_request();
    person.expect_on_screen(WAITING);
    drop(gate);
    person.expect("signature").is_asked(NEXT);
    let told = |person: &Pty| person.screen().matches(WAITING).count();
    assert_eq!(told(&person), 0, "{}", person.screen());

    person.keys("\r").choose(NEXT, UPDATE).choose(WHICH, 2);
    person.choose(CHANGE, 0).expect("Audience:").line("x");
    person.expect("Change it?");
    assert_eq!(told(&person), 0, "{}", person.screen());
    let gate = story.sandbox.gate(Endpoint::UpdateDataSource);
    person.line("y");
    gate.wait_for_request();
    person.expect_on_screen(WAITING);
    drop(gate);
    person.expect("updated").choose(NEXT, ENOUGH);
    let seen = story.end(person);
    seen.exits(0);
    assert!(!seen.transcript.contains(WAITING), "{}", seen.transcript);
}

#[test]
fn keys_pressed_while_webex_is_asked_choose_nothing() {
    let story = story();
    let gate = story.three().sandbox.gate(Endpoint::DataSources);
    let mut person = story.usual_menu();
    gate.wait_for_request();
    person.expect(WAITING).line("").expect("\n");
    drop(gate);
    person.choose(NEXT, QUIT);
    story.end(person).exits(0);
}

#[test]
fn the_list_is_drawn_anew_in_its_place() {
    let story = story();
    let mut command = story.three().command("/bin/sh");
    let script = "echo what was there before; exec \"$0\"";
    let mut person = Pty::start(command.args(["-c", script, DATA_SOURCES]));
    person.is_asked(NEXT);
    for left in [9, 8, 7] {
        story.sandbox.age_data_source(SECOND, HOUR);
        person.keys(&"\x1b[B".repeat(LIST_AGAIN)).line("");
        person.expect(&format!("{left} hours left")).is_asked(NEXT);
        assert!(person.top().starts_with("ID "), "{}", person.screen());
        assert_eq!(person.screen().matches("TIME LEFT").count(), 1);
    }
    person.keys(&"\x1b[B".repeat(QUIT)).line("");
    let seen = story.end(person);
    seen.exits(0);
    let kept = seen.transcript.contains("what was there before");
    assert!(kept, "{}", seen.transcript);
}

#[test]
fn of_many_data_sources_those_are_listed_that_fit() {
    let story = story();
    let ids = story.sandbox.seed_data_sources(300);
    for (columns, rows) in [(80, 24), (40, 24), (80, 40)] {
        let mut person = story.menu(columns, rows);
        person.is_asked(NEXT);
        let screen = person.screen();
        assert!(person.top().starts_with("ID "), "{screen}");
        let told = screen.lines().find_map(|line| line.strip_prefix("… and "));
        let more = told.and_then(|line| line.strip_suffix(" more"));
        let more: usize = more.expect("a count").parse().expect("a number");
        let listed = ids.iter().filter(|id| screen.contains(&id[..8])).count();
        assert_eq!(listed + more, 300, "{screen}");
        assert!(listed + 15 >= usize::from(rows), "{screen}");
        // The choice to see all of them is the last but one.
        person.keys(&"\x1b[B".repeat(QUIT)).line("");
        person.is_asked(NEXT);
        person.keys("\r").choose(NEXT, QUIT + 1);
        let seen = story.end(person);
        seen.exits(0);
        for id in &ids {
            assert!(seen.stream.contains(&id[..8]), "{id}");
        }
    }
}

#[test]
fn of_more_than_twenty_the_id_is_asked_for() {
    let story = story();
    story.sandbox.seed_data_sources(19);
    let last = story.sandbox.seed_data_sources(1).remove(0);
    let mut person = story.menu(80, 60);
    person.choose(NEXT, LOOK).is_asked(WHICH);
    story
        .sandbox
        .register_data_source_as(FIRST, &story.source(&last));
    person.keys("\x1b");
    person.choose(NEXT, LOOK).expect(ID).line("");
    person.expect("Not that: it is empty").expect(ID).line("zz");
    person
        .expect("Not that: there is no data source zz…")
        .expect(ID);
    person.line(&FIRST.to_uppercase()[..13]);
    person.expect(FIRST).choose(NEXT, ENOUGH);
    story.end(person).exits(0);
    story.unchanged();
}

#[test]
fn where_nothing_is_registered_something_can_be() {
    let story = story();
    let mut person = story.usual_menu();
    person.is_asked(NEXT);
    assert_screen("menu_empty", &story, &person, &[]);
    person.keys("\r").is_asked("Schema").keys("\x1b");
    person.choose(NEXT, 2);
    story.end(person).exits(0);
}

#[test]
fn trouble_from_the_start_ends_it() {
    for (code, is_down) in [(75, true), (78, false)] {
        let story = story();
        let webex = &story.three().sandbox;
        if is_down {
            webex.script_always(Endpoint::DataSources, down());
        } else {
            webex.deauthorize_service_app();
        }
        let seen = story.end(story.usual_menu());
        seen.exits(code).says("error:");
        assert!(!seen.stream.contains(NEXT), "{}", seen.stream);
        // The screen is left as it was.
        assert!(!seen.bytes.contains("\x1b[2J"), "{:?}", seen.bytes);
    }
}

#[test]
fn trouble_in_the_middle_is_told_and_the_menu_goes_on() {
    let story = story();
    let mut person = story.three().usual_menu();
    person.is_asked(NEXT);
    story
        .sandbox
        .script_always(Endpoint::DataSources, refused());
    person.keys(&"\x1b[B".repeat(LIST_AGAIN)).line("");
    person.expect("error:").is_asked(NEXT);
    assert_screen("menu_refused", &story, &person, &[]);
    story.sandbox.clear_faults();
    // What is offered is to list again, or to quit.
    person.keys("\r").expect("TIME LEFT").is_asked(NEXT);

    story
        .sandbox
        .script_always(Endpoint::ReadDataSource, refused());
    person.keys("\r").choose(WHICH, 0);
    person.expect(&format!("error: cannot show {FIRST}"));
    person.is_asked(NEXT);
    story.sandbox.clear_faults();

    person.keys("\r").is_asked(NEXT);
    story.sandbox.deauthorize_service_app();
    person.keys(&"\x1b[B".repeat(LIST_AGAIN)).line("");
    person.expect("error:").is_asked(NEXT);
    story.sandbox.reauthorize_service_app();
    person.keys("\x1b[B\r");
    story.end(person).exits(0).leaves_the_terminal_alone();
    story.unchanged();
}

#[test]
fn on_a_terminal_without_a_cursor_it_is_plain_lines() {
    let story = story();
    let mut command = story.three().command(DATA_SOURCES);
    let mut person = Pty::start(command.env("TERM", "dumb"));
    person
        .expect("[1]:")
        .line("8")
        .expect("a number from 1 to 7");
    person
        .expect("[1]:")
        .line("3")
        .expect(WHICH)
        .expect("[1]:")
        .line("2");
    person.expect("1 extended").expect("[1]:").line("");
    person.expect(NEXT).expect("[1]:").line("2");
    person.expect(WHICH).expect("[1]:").key(4);
    person.expect(NEXT).expect("[1]:").line("7");
    let seen = story.end(person);
    seen.exits(0);
    assert!(!seen.bytes.contains('\x1b'), "{:?}", seen.bytes);
    assert_transcript_with("menu_dumb", &story, &seen, &[]);
    assert_eq!(story.count("PUT"), 1);
}

#[test]
fn no_color_leaves_the_words() {
    let story = story();
    let mut command = story.three().command(DATA_SOURCES);
    let mut person = Pty::start(command.env("NO_COLOR", "1"));
    person.choose(NEXT, EXTEND_ALL).choose(NEXT, ENOUGH);
    let seen = story.end(person);
    seen.exits(0).says("due").says("done:");
    for color in 30..=38 {
        for end in ['m', ';'] {
            let escape = format!("\x1b[{color}{end}");
            assert!(!seen.bytes.contains(&escape), "{:?}", seen.bytes);
        }
    }
}

#[test]
fn a_window_that_changes_is_drawn_as_it_is() {
    let story = story();
    // In plain lines, where no key is lost when a signal arrives with it.
    let mut command = story.three().command(DATA_SOURCES);
    let mut person = Pty::start_sized(command.env("TERM", "dumb"), 160, 24);
    person.expect("OAUTH\n").expect("[1]:");
    person.resize(60, 24).line("6");
    person.expect("SERVICE\n").expect("[1]:").line("7");
    story.end(person).exits(0);
}

#[test]
fn without_a_person_there_is_no_menu() {
    let story = story();
    story.three();
    let advice = "data-sources --help";
    story.data_sources(&[]).exits(2).says(advice);
    for flag in ["--json", "--quiet"] {
        let person = Pty::start(story.command(DATA_SOURCES).arg(flag));
        story.end(person).exits(2).says(advice);
    }
    for redirection in [">out", "</dev/null", "2>out"] {
        let mut command = story.command("/bin/sh");
        let script = format!("\"$0\" {redirection}");
        let person = Pty::start(command.args(["-c", &script, DATA_SOURCES]));
        story.end(person).exits(2);
    }
    assert!(story.requests().is_empty());
}
