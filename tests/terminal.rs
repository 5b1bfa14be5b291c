//! The terminal that other stories are told on, proved with a shell.

#![cfg(unix)]

mod support;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

use support::Story;
use support::pty::Pty;

/// A shell that runs `script`.
fn shell(story: &Story, script: &str) -> Command {
    let mut command = story.command("sh");
    command.args(["-c", script]);
    command
}

/// What a panic said.
fn words(panic: Box<dyn Any + Send>) -> String {
    *panic.downcast().expect("words")
}

#[test]
fn a_secret_is_asked_for_without_echo_and_leaves_no_trace() {
    let story = Story::new();
    let secret = story.tenant().client_secret;
    // The question comes first and the echo goes later, as some libraries do it.
    let script = "printf 'secret? '; stty -echo; read x; stty echo; echo; \
                  printf 'name? '; read y; echo \"${#x} characters, $y\"";
    let mut pty = Pty::start(&mut shell(&story, script));
    pty.expect("secret? ").secret_line(&secret);
    pty.expect("name? ").expect_echo(true).line("Ada");
    let told = pty.finish(&story);
    let last = format!("{} characters, Ada", secret.len());
    told.exits(0).says(&last);
    assert_eq!(
        told.transcript,
        format!("secret?\nname? Ada\n{last}\n"),
        "Enter after the secret is not echoed"
    );
}

#[test]
fn an_echoed_secret_is_found() {
    let story = Story::new();
    let secret = story.tenant().client_secret;
    for script in [
        "read x",
        // Erased from the screen, and yet it was shown.
        "stty -echo; read x; printf '%s\\r\\033[K' \"$x\"",
        // Nowhere on the screen: the window's title.
        "stty -echo; read x; printf '\\033]2;%s\\007' \"$x\"",
        // In pieces of different colors, and erased.
        "stty -echo; read x; printf '%s' \"$x\" | sed 's/...../&\\x1b[1m/g'; printf '\\r\\033[K'",
        // One character at a time, the last one first.
        "stty -echo; read x; printf '%s' \"$x\" | \
         awk '{ for (i = length($0); i > 0; i--) printf \"\\033[%dG%s\", i, substr($0, i, 1) }'",
    ] {
        let mut pty = Pty::start(&mut shell(&story, &format!("{script}; exit 0")));
        if script.starts_with("stty") {
            pty.expect_echo(false);
        }
        pty.line(&secret);
        let finished = catch_unwind(AssertUnwindSafe(|| drop(pty.finish(&story))));
        let said = words(finished.expect_err(script));
        assert!(said.contains("a piece of a secret"), "{script}: {said}");
    }
}

#[test]
fn ctrl_c_is_a_signal_from_the_controlling_terminal() {
    let story = Story::new();
    let script = "tty; echo ready >/dev/tty; exec cat";
    let mut pty = Pty::start(&mut shell(&story, script));
    pty.expect("ready").ctrl_c();
    pty.finish(&story).exits(130).says("/dev/");
}

#[test]
fn the_same_question_can_be_expected_twice() {
    let story = Story::new();
    let script = "printf 'port? '; read a; echo no; printf 'port? '; read b; echo \"$a then $b\"";
    let mut pty = Pty::start(&mut shell(&story, script));
    pty.expect("port? ").line("x");
    pty.expect("no").expect("port? ").line("3000");
    pty.expect("x then 3000");
    pty.finish(&story).exits(0);
}

#[test]
fn the_transcript_is_what_a_terminal_of_that_size_shows() {
    let story = Story::new();
    let script = "stty size; echo $TERM; printf '%070d\\n' 7; \
                  printf 'waiting 3 s'; printf '\\r\\033[8C\\033[1m2\\033[0m'; read x; \
                  for i in 1 2 3 4 5 6 7 8; do echo line $i; done";
    for term in ["dumb", "xterm-256color"] {
        let mut command = shell(&story, script);
        let mut pty = Pty::start_sized(command.env("TERM", term), 60, 8);
        pty.expect_on_screen("waiting 2 s").line("");
        let told = pty.finish(&story);
        // A long line is broken for the reader, and whole for `says`.
        told.says(&format!("{}7", "0".repeat(69)));
        told.says("waiting 3 s2");
        assert_eq!(
            told.transcript,
            format!(
                "8 60\n{term}\n{}\n{}7\nwaiting 2 s\nline 1\nline 2\nline 3\nline 4\nline 5\n\
                 line 6\nline 7\nline 8\n",
                "0".repeat(60),
                "0".repeat(9)
            )
        );
    }
}

#[test]
fn an_end_in_place_of_what_was_expected_is_told_with_the_transcript() {
    let story = Story::new();
    let mut pty = Pty::start(&mut shell(&story, "echo goodbye"));
    pty.expect("goodbye");
    // It was said once, and has been heard.
    let waited = catch_unwind(AssertUnwindSafe(|| {
        pty.expect("goodbye");
    }));
    let said = words(waited.expect_err("it has ended"));
    assert!(said.contains("\"goodbye\" was expected"), "{said}");
    assert!(said.ends_with("\ngoodbye\n"), "{said}");
}
