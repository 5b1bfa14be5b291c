//! `setup_oauth --device` at a terminal: a code to enter elsewhere, and the wait for it.

#![cfg(unix)]

mod support;

use std::time::Duration;

use qrcode::{Color, EcLevel, QrCode};
use serde_json::Value;
use support::Story;
use support::pty::Pty;
use support::transcript::assert_transcript;
use support::wizard::*;
use webex_sandbox::{Endpoint, Fault, Policy};

/// A story in which all is typed already, and the device code lives this long.
fn set_up(life: Duration) -> Story {
    let story = first_day_with(Policy {
        device_code_life: life,
        ..Policy::default()
    });
    let tenant = story.tenant();
    story.write_config(&serde_json::json!({
        "serviceApp": story.service_app(),
        "tokenManager": { "integration": {
            "clientId": tenant.integration_client_id,
            "clientSecret": tenant.integration_client_secret,
        } },
    }));
    story
}

/// Reads the user code off the screen, where it still stands when the wait begins.
#[track_caller]
fn user_code(pty: &mut Pty) -> String {
    pty.expect("/verify").expect("left).");
    let screen = pty.screen();
    let mut lines = screen.lines().map(str::trim);
    let is_code = |line: &&str| line.len() == 6 && line.chars().all(|c| c.is_ascii_digit());
    lines
        .rfind(is_code)
        .unwrap_or_else(|| panic!("no user code on:\n{screen}"))
        .to_owned()
}

/// Asserts that the screen pictures this link as a QR code, light where the terminal is lit.
#[track_caller]
fn assert_pictured(pty: &Pty, link: &str) {
    let code = QrCode::with_error_correction_level(link, EcLevel::L).expect("a QR code");
    let modules: Vec<Vec<bool>> = code
        .to_colors()
        .chunks(code.width())
        .map(|row| row.iter().map(|color| *color == Color::Light).collect())
        .collect();
    let screen = pty.screen();
    let rows = screen.lines().filter(|line| line.contains('█'));
    let mut lit: Vec<Vec<bool>> = Vec::new();
    for row in rows {
        lit.push(row.chars().map(|c| "█▀".contains(c)).collect());
        lit.push(row.chars().map(|c| "█▄".contains(c)).collect());
    }
    // Around it lies a quiet zone of four modules.
    let inside: Vec<Vec<bool>> = lit
        .iter()
        .skip(4)
        .take(code.width())
        .map(|row| row.iter().skip(4).take(code.width()).copied().collect())
        .collect();
    assert_eq!(inside, modules, "{screen}");
}

/// The answers to the polls so far, and whether each came late enough after the one before.
fn polls(story: &Story) -> Vec<u16> {
    let requests = story.sandbox.requests();
    let polls: Vec<_> = requests
        .iter()
        .filter(|it| it.path == "/v1/device/token")
        .collect();
    for pair in polls.windows(2) {
        let pause = pair[1].at.duration_since(pair[0].at).expect("in order");
        assert!(pause >= story.sandbox.policy().device_interval, "{pause:?}");
    }
    polls
        .iter()
        .map(|it| it.status.expect("an answer"))
        .collect()
}

#[test]
fn a_code_is_shown_and_entered_elsewhere() {
    let story = set_up(Duration::from_mins(5));
    // As long as Webex's are.
    let link = format!(
        "https://oauth-helper-r.wbx2.com/verify?userCode={}",
        "0a".repeat(32)
    );
    let fault = Fault::with("verification_uri_complete", link.as_str());
    story.sandbox.script(Endpoint::DeviceAuthorize, [fault]);
    let mut command = story.setup(&["--device"]);
    let mut wizard = Wizard::sized(&story, &mut command, 80, 42);
    let code = user_code(&mut wizard);
    // A picture of the address, as there is room for it.
    assert_pictured(&wizard, &link);
    // It counts down by itself, on one line.
    wizard.expect_on_screen("4:5");
    story.sandbox.decide_device(&code, true);
    let told = wizard.finish();

    told.exits(0).says("ready: ");
    assert!(!told.transcript.contains("left)."), "{}", told.transcript);
    assert!(story.sandbox.is_live(&story.access_token()));
    let polls = polls(&story);
    assert_eq!(polls.last(), Some(&200));
    assert!(!polls.contains(&400), "none came too early");
}

#[test]
fn without_a_cursor_it_is_said_in_lines() {
    let story = set_up(Duration::from_mins(5));
    let mut command = story.setup(&["--device"]);
    let mut wizard = Wizard::of(&story, command.env("TERM", "dumb"));
    let code = user_code(&mut wizard);
    story.sandbox.decide_device(&code, true);
    let told = wizard.finish();

    told.exits(0);
    assert_transcript("device", &story, &told);
    assert!(!told.bytes.contains('\x1b') && !told.bytes.contains('▄'));
    assert_eq!(told.stream.matches("left).").count(), 1, "once a minute");
}

#[test]
fn a_small_terminal_has_no_room_for_a_picture() {
    for (columns, rows) in [(30, 60), (80, 24)] {
        let story = set_up(Duration::from_mins(5));
        let mut command = story.setup(&["--device"]);
        let mut wizard = Wizard::sized(&story, &mut command, columns, rows);
        let code = user_code(&mut wizard);
        story.sandbox.decide_device(&code, true);
        let told = wizard.finish();
        told.exits(0).says("/verify?userCode=");
        assert!(!told.stream.contains('▄'));
    }
}

#[test]
fn a_denial_is_told() {
    let story = set_up(Duration::from_mins(5));
    let before = story.read("token-config.json");
    let mut wizard = story.wizard(&["--device"]);
    let code = user_code(&mut wizard);
    story.sandbox.decide_device(&code, false);
    let told = wizard.finish();

    told.exits(77).says("the authorization was denied");
    assert_transcript("device_denied", &story, &told);
    let config = story.config();
    assert_eq!(
        config["tokenManager"]["integration"].get("refreshToken"),
        None
    );
    assert_ne!(before, "", "it was there");
}

#[test]
fn a_code_that_ends_is_told() {
    let story = set_up(Duration::from_secs(1));
    let told = story.wizard(&["--device"]).finish();
    told.exits(75).says("nobody answered within 1 second");
    assert!(polls(&story).is_empty(), "there was no time for one");

    // Webex may also say so first.
    let story = set_up(Duration::from_mins(5));
    let mut wizard = story.wizard(&["--device"]);
    user_code(&mut wizard);
    story.sandbox.advance(Duration::from_mins(6));
    let told = wizard.finish();
    told.exits(75).says("had expired");
    assert_eq!(polls(&story), [400]);
}

#[test]
fn a_device_that_is_not_registered_is_told() {
    let story = set_up(Duration::from_mins(5));
    let fault = Fault::status(400).error("invalid_request", "redirect URI is not registered");
    story.sandbox.script(Endpoint::DeviceAuthorize, [fault]);
    let told = story.wizard(&["--device"]).finish();
    told.exits(78).says("without --device");
}

#[test]
fn json_and_the_terminal_keep_apart() {
    let story = set_up(Duration::from_mins(5));
    let command = story.setup(&["--device", "--json"]);
    let mut shell = story.command("sh");
    shell
        .args(["-c", "exec \"$0\" \"$@\" >answer.json"])
        .arg(command.get_program())
        .args(command.get_args());
    let mut wizard = Wizard::of(&story, &mut shell);
    let code = user_code(&mut wizard);
    story.sandbox.decide_device(&code, false);
    wizard.finish().exits(77);
    let answer: Value = serde_json::from_str(&story.read("answer.json")).expect("JSON");
    assert_eq!(answer["outcome"], "denied");
}
