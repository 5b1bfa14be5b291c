//! What a person has read at a terminal, as a snapshot: a changed one is a reviewed change to the
//! product.
//!
//! Times, ports, paths, ids and what is drawn by lot are redacted; everything else is a promise.

use super::pty::{Pty, PtyTold};
use super::{REFRESH_TOKEN, Story};

/// What differs from run to run, and what stands for it. A terminal may break a line anywhere.
const FILTERS: [(&str, &str); 11] = [
    (r"127\.0\.0\.1:\d+", "[HOST]"),
    (r"localhost:\d+", "localhost:[PORT]"),
    (r"port \d+", "port [PORT]"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "[TIME]"),
    (r"\d{4}-\d\d-\d\d\s+\d\d:\d\d UTC", "[DATE]"),
    (
        r"\bin\s+\d+\s+(?:days|hours|minutes|seconds?)\b",
        "in [SPAN]",
    ),
    (r"(?:ROUTER|ROUTERGW)_[0-9a-f-]{36}", "[TRACKING ID]"),
    (r"\(\d+:\d\d left\)", "([LEFT] left)"),
    (r"userCode=[0-9a-f]+(?:\n[0-9a-f]+)*", "userCode=[CODE]"),
    (r"  \d{6}\n", "  [CODE]\n"),
    (
        r"taken by\s+\S+\s+\(process\s+\d+\)",
        "taken by [PROGRAM] (process [PID])",
    ),
];

/// The filters, with those for what this story alone knows.
fn filters(story: &Story) -> Vec<(String, String)> {
    let tenant = story.tenant();
    let folder = story.folder().to_string_lossy();
    let program = REFRESH_TOKEN;
    let base_url = story.sandbox.base_url();
    let known = [
        (
            format!("0 * * * *  cd {folder} && {program} --quiet && ./job"),
            "0 * * * *  cd [FOLDER] && [PROGRAMS]/refresh_token --quiet && ./job",
        ),
        (
            format!("WorkingDirectory={folder}"),
            "WorkingDirectory=[FOLDER]",
        ),
        (
            format!("ExecStartPre={program}"),
            "ExecStartPre=[PROGRAMS]/refresh_token",
        ),
        (tenant.app_id, "[APP-ID]"),
        (tenant.client_id, "[CLIENT-ID]"),
        (tenant.integration_client_id, "[INTEGRATION-CLIENT-ID]"),
        (tenant.target_org_id, "[ORGANIZATION-ID]"),
        (tenant.target_org_uuid, "[ORGANIZATION-UUID]"),
        (tenant.developer_id, "[PERSON-ID]"),
    ];
    let url = format!(r"{}(?:\S+\n)+", broken(&format!("{base_url}/authorize?")));
    let known = known.map(|(text, name)| (broken(&text), name.to_owned()));
    let fixed = FILTERS.map(|(pattern, name)| (pattern.to_owned(), name.to_owned()));
    let mut filters = vec![(url, "[AUTHORIZATION URL]\n".to_owned())];
    filters.extend(known.into_iter().chain(fixed));
    filters
}

/// A pattern for a text that may be broken anywhere.
fn broken(text: &str) -> String {
    let character = |c: char| match c {
        ' ' => r"\s+".to_owned(),
        c if c.is_alphanumeric() => c.to_string(),
        c => format!(r"\x{{{:x}}}", u32::from(c)),
    };
    let characters: Vec<_> = text.chars().map(character).collect();
    characters.join(r"\n?")
}

/// Asserts what a person at `setup_oauth` has read in the end, and the exit code.
#[track_caller]
pub(crate) fn assert_transcript(name: &str, story: &Story, told: &PtyTold) {
    assert_transcript_with(&format!("setup_{name}"), story, told, &[]);
}

/// The same of any program, with names for texts that this story alone knows.
#[track_caller]
pub(crate) fn assert_transcript_with(
    name: &str,
    story: &Story,
    told: &PtyTold,
    known: &[(&str, &str)],
) {
    let shown = format!("{}exit code {}\n", told.transcript, told.code);
    assert_shown(name, story, &shown, known);
}

/// Asserts what stands on the screen now.
#[track_caller]
pub(crate) fn assert_screen(name: &str, story: &Story, pty: &Pty, known: &[(&str, &str)]) {
    let screen = pty.screen();
    let lines: Vec<_> = screen.lines().map(str::trim_end).collect();
    assert_shown(name, story, &(lines.join("\n") + "\n"), known);
}

#[track_caller]
fn assert_shown(name: &str, story: &Story, shown: &str, known: &[(&str, &str)]) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_snapshot_path("../snapshots");
    for (text, name) in known {
        settings.add_filter(&broken(text), *name);
    }
    for (pattern, name) in filters(story) {
        settings.add_filter(&pattern, name);
    }
    settings.bind(|| insta::assert_snapshot!(name, shown));
}
