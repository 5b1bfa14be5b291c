//! Ctrl-C, Ctrl-D and signals while `setup_oauth` asks and waits: the terminal is left as it was
//! found, the files as they were or complete, and nobody listens any more.

#![cfg(unix)]

mod support;

use std::collections::BTreeMap;
use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use support::Story;
use support::wizard::*;
use webex_sandbox::Endpoint;

/// What a person, or the system, ends it with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    CtrlC,
    Signal(Signal, i32),
}

const ENDS: [End; 4] = [
    End::CtrlC,
    End::Signal(Signal::INT, 130),
    End::Signal(Signal::TERM, 143),
    End::Signal(Signal::HUP, 129),
];

impl End {
    fn comes_to(self, wizard: &mut Wizard<'_>) {
        match self {
            Self::CtrlC => drop(wizard.ctrl_c()),
            Self::Signal(signal, _) => {
                let id = i32::try_from(wizard.id()).expect("a process id");
                let id = Pid::from_raw(id).expect("a process id");
                kill_process(id, signal).expect("it runs");
            }
        }
    }

    fn code(self) -> i32 {
        match self {
            Self::CtrlC => 130,
            Self::Signal(_, code) => code,
        }
    }
}

/// Every file of the folder, byte for byte.
fn files(story: &Story) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(story.folder()).expect("a folder");
    let entries = entries.map(|entry| entry.expect("an entry"));
    let named = entries.map(|entry| {
        let name = entry.file_name().into_string().expect("a name");
        let bytes = fs::read(entry.path()).expect("a file");
        (name, bytes)
    });
    named.collect()
}

/// The questions of a first day, in order.
const QUESTIONS: [&str; 6] = [
    CLIENT_ID,
    CLIENT_SECRET,
    ORGANIZATION_ID,
    WAY,
    INTEGRATION_CLIENT_ID,
    INTEGRATION_CLIENT_SECRET,
];

/// Answers what comes before the question at `index`, and waits for it.
#[track_caller]
fn up_to_question(wizard: &mut Wizard<'_>, story: &Story, index: usize) {
    let tenant = story.tenant();
    for question in &QUESTIONS[..index] {
        match *question {
            CLIENT_ID => wizard.answer(CLIENT_ID, &tenant.client_id),
            CLIENT_SECRET => wizard.answer(CLIENT_SECRET, &tenant.client_secret),
            ORGANIZATION_ID => wizard.answer(ORGANIZATION_ID, &tenant.target_org_id),
            WAY => wizard.choose_integration(),
            _ => wizard.answer(INTEGRATION_CLIENT_ID, &tenant.integration_client_id),
        };
    }
    wizard.expect(QUESTIONS[index]);
    // The question stands and takes keys from now on.
    wizard.expect_echo(false);
}

#[test]
fn an_end_at_any_question_leaves_what_was_there() {
    for end in ENDS {
        for (index, question) in QUESTIONS.iter().enumerate() {
            let story = first_day();
            let mut wizard = story.wizard(&[]);
            up_to_question(&mut wizard, &story, index);
            let before = files(&story);
            // Half an answer, which is not taken.
            wizard.keys("C0ffee");
            end.comes_to(&mut wizard);
            wizard.expect_echo(true);
            wizard.finish().exits(end.code());

            assert_eq!(files(&story), before, "{end:?} at {question}");
            // The service app's values are written together, once the last of them is there.
            assert_eq!(story.exists("token-config.json"), index >= 3);
            assert!(!story.exists(".env"));
            assert_eq!(story.requests(), [""; 0]);
        }
    }
}

#[test]
fn ctrl_c_at_a_plain_question_ends_it_too() {
    for (index, secret) in [(0, false), (1, true)] {
        for end in ENDS {
            let story = first_day();
            let mut command = story.setup(&[]);
            let mut wizard = Wizard::of(&story, command.env("TERM", "dumb"));
            if index == 1 {
                wizard.answer(CLIENT_ID, &story.tenant().client_id);
            }
            wizard.expect(QUESTIONS[index]).expect_echo(!secret);
            end.comes_to(&mut wizard);
            wizard.expect_echo(true);
            wizard.finish().exits(end.code());
            assert_eq!(files(&story), BTreeMap::new());
        }
    }
}

#[test]
fn ctrl_d_is_a_good_bye() {
    for term in ["xterm-256color", "dumb"] {
        let story = first_day();
        let mut command = story.setup(&[]);
        let mut wizard = Wizard::of(&story, command.env("TERM", term));
        wizard.expect(CLIENT_ID).expect_echo(term == "dumb");
        wizard.key(0x04);
        wizard.expect_echo(true);
        wizard.finish().exits(130);
        assert_eq!(files(&story), BTreeMap::new());
    }
}

#[test]
fn ctrl_d_ends_the_wait() {
    let story = first_day();
    let mut wizard = story.wizard(&[]);
    wizard.up_to_consent();
    wizard.authorization_url();
    let before = files(&story);
    wizard.key(0x04).expect_echo(true);
    wizard.finish().exits(130);
    assert_eq!(files(&story), before);
}

#[test]
fn an_end_while_the_answer_is_waited_for_leaves_nobody_listening() {
    for end in ENDS {
        let story = first_day();
        let mut wizard = story.wizard(&[]);
        wizard.up_to_consent();
        wizard.authorization_url();
        let before = files(&story);
        let redirect_uri = story.tenant().redirect_uri;
        assert!(is_listened_on(&redirect_uri));
        end.comes_to(&mut wizard);
        wizard.expect_echo(true);
        wizard.finish().exits(end.code());

        assert_eq!(files(&story), before, "{end:?}");
        assert!(!is_listened_on(&redirect_uri));
        assert_eq!(story.requests(), [""; 0]);
    }
}

#[test]
fn an_end_while_the_code_is_exchanged_comes_after_the_save() {
    for end in ENDS {
        let story = first_day();
        let gate = story.sandbox.gate(Endpoint::CodeExchange);
        let mut wizard = story.wizard(&["-v"]);
        wizard.up_to_consent();
        let page = wizard.allow();
        gate.wait_for_request();
        end.comes_to(&mut wizard);
        wizard.expect("told to stop");
        gate.release();
        wizard.finish().exits(end.code());

        let config = story.config();
        let saved = &config["tokenManager"]["integration"]["refreshToken"];
        let saved = saved.as_str().expect("what was issued");
        assert!(story.sandbox.is_live_refresh_token(saved));
        assert_eq!(story.sandbox.counts().mint_requests, 0);
        let page = page.join().expect("a page");
        assert!(page.contains("ended before it was done"), "{page}");
        // And that is enough for the next run.
        story.wizard(&[]).finish().exits(0);
    }
}

#[test]
fn an_end_between_two_polls_leaves_what_was_there() {
    for end in ENDS {
        let story = first_day();
        let mut wizard = story.wizard(&["--device"]);
        wizard.up_to_consent();
        wizard.expect("/verify").expect("left).");
        let before = files(&story);
        end.comes_to(&mut wizard);
        wizard.finish().exits(end.code());
        assert_eq!(files(&story), before, "{end:?}");
    }
}

#[test]
fn a_second_ctrl_c_does_not_wait_and_leaves_the_echo() {
    let story = first_day();
    let gate = story.sandbox.gate(Endpoint::CodeExchange);
    let mut wizard = story.wizard(&["-v"]);
    wizard.up_to_consent();
    let _page = wizard.allow();
    gate.wait_for_request();
    wizard.ctrl_c().expect("told to stop");
    wizard.ctrl_c().expect_echo(true);
    wizard.finish().exits(130);
    assert!(!story.exists(".env"));
}
