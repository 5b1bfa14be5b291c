//! The example that a newcomer runs first, from their side.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The example as cargo has built it: it builds examples along with the tests.
fn example(arguments: &[&str]) -> Output {
    let binaries = Path::new(env!("CARGO_BIN_EXE_refresh_token")).parent();
    let path: PathBuf = binaries.expect("a folder").join("examples/sandbox");
    let output = Command::new(&path).args(arguments).output();
    output.unwrap_or_else(|error| panic!("build the examples first: {}: {error}", path.display()))
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("text")
}

#[test]
fn the_story_climbs_every_rung_and_falls_off_the_last() {
    let output = example(&[]);

    let told = stdout(&output);
    assert!(output.status.success(), "{told}");
    let mut rest = told;
    for beat in [
        "valid: ",
        "from the service-app refresh token",
        "from the personal access token",
        "renewable: ",
        "[exit code 1]",
        "from the integration refresh token",
        "[exit code 77]",
        "WEBEX_REAUTHORIZATION_REQUIRED=",
        "from the personal access token",
        "[exit code 0]",
        "[Webex saw no request]",
    ] {
        let Some(at) = rest.find(beat) else {
            panic!("{beat:?} does not come next in:\n{told}");
        };
        rest = &rest[at + beat.len()..];
    }
    let complaint = std::str::from_utf8(&output.stderr).expect("text");
    assert!(complaint.starts_with("error: "), "{complaint}");
    assert!(!complaint.contains("warning"), "{complaint}");
}

#[test]
fn what_the_narrator_says_fits_a_narrow_terminal() {
    let output = example(&[]);

    let by_a_program = |line: &str| line.contains(": ") || line.starts_with("  ");
    for line in stdout(&output).lines().filter(|line| !by_a_program(line)) {
        assert!(line.len() <= 60, "{line}");
    }
}

#[test]
fn one_command_answers_alone_and_its_exit_code_is_the_examples() {
    let valid = example(&["refresh_token", "--json"]);
    assert_eq!(valid.status.code(), Some(0));
    let json: serde_json::Value =
        serde_json::from_slice(&valid.stdout).expect("nothing but one document");
    assert_eq!(json["outcome"], "valid");

    let forced = example(&["refresh_token", "--force", "--json"]);
    assert!(stdout(&forced).contains(r#""refreshed""#));

    let status = example(&["check_token"]);
    assert_eq!(status.status.code(), Some(0));
    assert!(stdout(&status).starts_with("valid: "));

    for wrong in [
        &["refresh_token", "--no-such-flag"][..],
        &["no_such_program"],
    ] {
        assert_eq!(example(wrong).status.code(), Some(2), "{wrong:?}");
    }
}
