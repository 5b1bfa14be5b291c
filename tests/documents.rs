//! The documents agree with the code: what a reader finds in one is so in the other.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use clap::Command as CommandLine;
use serde_json::Value;
use webex_tokens::cli;
use webex_tokens::config::env_vars::{self, Home};
use webex_tokens::manager::{CredentialState, RunOutcome, StatusOutcome};
use webex_tokens::remedy::ExitStatus;
use webex_tokens::sources::draft::Draft;
use webex_tokens::sources::journal::{Entry, Operation, Outcome};

const README: &str = include_str!("../README.md");
const CHANGELOG: &str = include_str!("../CHANGELOG.md");
const ENV_EXAMPLE: &str = include_str!("../.env.example");
const TEMPLATE: &str = include_str!("../token-config.json.template");

const RUN_OUTCOMES: [RunOutcome; 8] = [
    RunOutcome::Valid,
    RunOutcome::Refreshed,
    RunOutcome::Kept,
    RunOutcome::Unavailable,
    RunOutcome::ReauthorizationRequired,
    RunOutcome::Misconfigured,
    RunOutcome::NotSaved,
    RunOutcome::Unreadable,
];

const STATUS_OUTCOMES: [StatusOutcome; 6] = [
    StatusOutcome::Valid,
    StatusOutcome::Renewable,
    StatusOutcome::ReauthorizationRequired,
    StatusOutcome::Misconfigured,
    StatusOutcome::Unavailable,
    StatusOutcome::Unreadable,
];

const EXIT_STATUSES: [ExitStatus; 7] = [
    ExitStatus::Works,
    ExitStatus::No,
    ExitStatus::Usage,
    ExitStatus::File,
    ExitStatus::Passing,
    ExitStatus::Reauthorize,
    ExitStatus::Configuration,
];

/// The command lines of all programs.
fn command_lines() -> [CommandLine; 4] {
    [
        cli::refresh_token_command(),
        cli::setup_oauth_command(),
        cli::check_token_command(),
        cli::data_sources_command(),
    ]
}

/// The same, each followed by those of its commands.
fn command_lines_and_commands() -> Vec<CommandLine> {
    let with_its_commands = |mut program: CommandLine| {
        // Its commands take its flags.
        program.build();
        let commands = program
            .get_subcommands()
            .filter(|it| it.get_name() != "help");
        let commands: Vec<_> = commands.cloned().collect();
        std::iter::once(program).chain(commands)
    };
    command_lines()
        .into_iter()
        .flat_map(with_its_commands)
        .collect()
}

/// The names that this source gives to the variants of a type, in its method `name`.
#[track_caller]
fn names(source: &'static str, of: &str) -> BTreeSet<&'static str> {
    let (_, below) = source
        .split_once(&format!("\nimpl {of} {{\n"))
        .unwrap_or_else(|| panic!("{of} is elsewhere"));
    let (_, below) = below.split_once("fn name(").expect("its names");
    let body = below.split("\n    }\n").next().unwrap_or_default();
    body.split('"').skip(1).step_by(2).collect()
}

/// The texts in quotes that stand right behind `mark` in this source.
fn quoted_behind(mark: &str, source: &str) -> BTreeSet<String> {
    let source = source.split_whitespace().collect::<Vec<_>>().join(" ");
    let behind = source.split(mark).skip(1);
    let texts = behind.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
    texts.map(str::to_owned).collect()
}

/// The part of the README below this heading, down to the next of its level.
#[track_caller]
fn section(heading: &str) -> &'static str {
    let (_, below) = README
        .split_once(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("the README has no section {heading}"));
    below.split("\n## ").next().unwrap_or(below)
}

/// What stands between backticks.
fn quoted(text: &str) -> BTreeSet<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The cells of every row of every table.
fn rows(section: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = section.lines().filter(|line| line.starts_with("| "));
    lines.map(|line| {
        let cells = line.trim_matches('|').split(" | ");
        cells.map(|cell| cell.trim_matches([' ', '|'])).collect()
    })
}

#[test]
fn the_readme_names_every_variable_where_it_belongs() {
    let settings = quoted(section("Settings"));
    let files = quoted(section("Files"));
    for variable in env_vars::ALL {
        let there = match variable.home {
            Home::Managed => &files,
            Home::Setting | Home::Process => &settings,
        };
        assert!(there.contains(variable.name), "{}", variable.name);
    }
}

#[test]
fn the_readme_names_no_variable_that_there_is_not() {
    let is_known = |name: &str| env_vars::ALL.iter().any(|variable| variable.name == name);
    let words = README.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    for word in words.filter(|word| word.starts_with("WEBEX_")) {
        assert!(is_known(word), "{word}");
    }
}

#[test]
fn the_example_names_every_variable_that_a_dotenv_file_can_hold() {
    for variable in env_vars::ALL {
        let line = format!("{}=", variable.name);
        let is_there = ENV_EXAMPLE
            .lines()
            .any(|it| it.trim_start_matches("# ") == line);
        assert_eq!(
            is_there,
            variable.home != Home::Process,
            "{}",
            variable.name
        );
    }
}

#[test]
fn the_readme_has_every_flag_and_the_help_has_every_one_of_the_readmes() {
    for mut command in command_lines_and_commands() {
        let help = command.render_long_help().to_string();
        let settings = section("Settings");
        for argument in command.get_arguments() {
            if let Some(long) = argument.get_long() {
                assert!(settings.contains(&format!("--{long}")), "--{long}");
                assert!(help.contains(&format!("--{long}")), "--{long}");
            }
        }
    }
    let flags = README
        .split_whitespace()
        .filter(|word| word.starts_with("`--"));
    for flag in flags {
        let flag = flag.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let is_ours = command_lines_and_commands().iter().any(|command| {
            command
                .get_arguments()
                .any(|it| it.get_long() == Some(flag))
        });
        // The first two are clap's, the others the sandbox's.
        let is_usual = ["help", "version", "port", "tls", "data-sources"].contains(&flag);
        assert!(is_ours || is_usual, "--{flag}");
    }
}

#[test]
fn every_outcome_is_in_the_readme() {
    let json = section("`--json`");
    let (run, others) = json
        .split_once("\n`setup_oauth --json`")
        .expect("a part for each program");
    let (setup, others) = others
        .split_once("\n`check_token --json`")
        .expect("a part for each program");
    let (check, _) = others
        .split_once("\n`data-sources … --json`")
        .expect("a part for each program");
    let (run, setup, check) = (quoted(run), quoted(setup), quoted(check));
    for outcome in RUN_OUTCOMES {
        assert!(run.contains(outcome.name()), "{}", outcome.name());
    }
    assert!(run.contains("plan"));
    let of_its_own = names(include_str!("../src/cli/setup/end.rs"), "Outcome");
    assert!(of_its_own.contains("ready"), "{of_its_own:?}");
    let failures = RUN_OUTCOMES.iter().filter(|outcome| !outcome.works());
    let valid = RunOutcome::Valid.name();
    for outcome in of_its_own
        .into_iter()
        .chain(failures.map(|outcome| outcome.name()))
        .chain([valid])
    {
        assert!(setup.contains(outcome), "{outcome}");
    }
    for outcome in STATUS_OUTCOMES {
        assert!(check.contains(outcome.name()), "{}", outcome.name());
    }
    for state in [
        CredentialState::Absent,
        CredentialState::Valid,
        CredentialState::Due,
        CredentialState::Expired,
        CredentialState::Rejected,
        CredentialState::Forbidden,
        CredentialState::Unknown,
    ] {
        assert!(check.contains(state.name()), "{}", state.name());
    }
}

#[test]
fn everything_that_data_sources_can_answer_is_in_the_readme() {
    let json = section("`--json`");
    let (_, below) = json
        .split_once("\n`data-sources … --json`")
        .expect("a part for each program");
    let described = quoted(below);
    let mut answers = BTreeSet::new();
    let mut take = |of_these: BTreeSet<String>, one_of_them: &str| {
        assert!(of_these.contains(one_of_them), "{of_these:?}");
        answers.extend(of_these);
    };

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/data_sources");
    let mut commands = String::new();
    for entry in fs::read_dir(folder).expect("the commands") {
        commands += &fs::read_to_string(entry.expect("a command").path()).expect("a source");
    }
    take(quoted_behind("outcome: ", &commands), "shown");
    take(quoted_behind("Done::new(", &commands), "registered");
    take(quoted_behind("Trouble::new(", &commands), "unknown_schema");
    let trouble = include_str!("../src/cli/data_sources/trouble.rs");
    take(quoted_behind("Self::new(", trouble), "declined");
    let watch = include_str!("../src/cli/data_sources/watch.rs");
    take(quoted_behind("Self::new(", watch), "token_renewed");
    let extend = include_str!("../src/cli/data_sources/extend.rs");
    take(quoted_behind("=> (", extend), "extended");
    take(quoted_behind("; (", extend), "not_due");
    take(
        quoted_behind("let outcome = match exit { ExitStatus::Works => ", extend),
        "extended",
    );
    take(quoted_behind("_ => ", extend), "incomplete");

    let owned = |names: BTreeSet<&str>| names.into_iter().map(str::to_owned).collect();
    let of = |source, of| owned(names(source, of));
    let client = include_str!("../src/sources/client.rs");
    take(of(client, "SourceError"), "ambiguous");
    let authorized = include_str!("../src/authorized/mod.rs");
    take(of(authorized, "FailureKind"), "proxy_refused");
    take(
        of(include_str!("../src/sources/urgency.rs"), "Urgency"),
        "ending",
    );
    take(
        of(include_str!("../src/sources/keys.rs"), "Signature"),
        "not_verified",
    );
    // The words that people read have spaces.
    answers.retain(|answer| !answer.contains(' '));
    for answer in answers {
        assert!(described.contains(answer.as_str()), "{answer}");
    }
}

#[test]
fn every_command_is_in_the_readme() {
    let commands: BTreeSet<_> = rows(section("Data sources"))
        .flat_map(|cells| quoted(cells[0]))
        .filter_map(|text| text.split(' ').next())
        .collect();
    for command in cli::data_sources_command().get_subcommands() {
        assert!(commands.contains(command.get_name()), "{command}");
    }
}

#[test]
fn what_the_readme_registers_from_a_file_can_be_registered() {
    let (_, below) = section("Data sources")
        .split_once("\n### Registering\n")
        .expect("a part for it");
    let example = fenced(below, "json");
    let draft = Draft::parse(example).expect("a registration");
    draft.registration().expect("nothing is missing");
}

#[test]
fn the_readme_shows_a_line_of_the_operation_log_as_it_is_written() {
    let (_, below) = section("Data sources")
        .split_once("\n### The operation log\n")
        .expect("a part for it");
    let example: Value = serde_json::from_str(fenced(below, "json")).expect("JSON");
    let text = |name: &str| example[name].as_str().expect("a text");
    let entry = Entry {
        time: text("time").parse().expect("a time"),
        operation: Operation::Extend,
        outcome: Outcome::Done,
        id: Some(text("id")),
        before: example["before"].as_object(),
        after: example["after"].as_object(),
        tracking_id: Some(text("trackingId")),
    };
    let written = entry.line();
    let mut line: Value = serde_json::from_str(&written).expect("JSON");
    // A nonce is told as a fingerprint, and the example has that already.
    for moment in ["before", "after"] {
        assert!(
            line[moment]["nonce"]
                .as_str()
                .expect("a text")
                .starts_with("sha256:")
        );
        line[moment]["nonce"] = example[moment]["nonce"].clone();
    }
    assert_eq!(example, line);
    let start = "{\"version\":1,\"time\":\"";
    assert!(
        written.starts_with(start) && below.contains(start),
        "{written}"
    );
}

/// What stands in the first block of this language.
#[track_caller]
fn fenced<'a>(text: &'a str, language: &str) -> &'a str {
    let (_, below) = text
        .split_once(&format!("```{language}\n"))
        .expect("an example");
    below.split("```").next().unwrap_or_default()
}

#[test]
fn every_step_of_an_attempt_and_what_can_come_of_it_is_in_the_readme() {
    let described = quoted(section("`--json`"));
    let asked = names(include_str!("../src/manager/report.rs"), "Step");
    let climbed = names(include_str!("../src/ladder.rs"), "Request");
    assert!(asked.contains("device_token") && climbed.contains("mint"));
    let came_of_it = names(include_str!("../src/ladder.rs"), "Outcome");
    assert!(came_of_it.contains("doubtful"));
    for name in asked.iter().chain(&climbed).chain(&came_of_it) {
        assert!(described.contains(name), "{name}");
    }
}

#[test]
fn every_field_of_the_snapshots_is_in_the_readme() {
    let json = section("`--json`");
    let snapshots = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots");
    let mut documents = 0;
    for entry in fs::read_dir(snapshots).expect("the snapshots") {
        let path = entry.expect("a snapshot").path();
        if !path.to_string_lossy().ends_with("_json.snap") {
            continue;
        }
        documents += 1;
        let text = fs::read_to_string(path).expect("a snapshot");
        let mut of_webex = None;
        for line in text.lines() {
            let key = line.trim().strip_prefix('"');
            let key = key.and_then(|line| line.split_once("\": "));
            let indented = line.len() - line.trim_start().len();
            if of_webex.is_some_and(|outside| indented <= outside) {
                of_webex = None;
            }
            let Some((key, value)) = key.filter(|_| of_webex.is_none()) else {
                continue;
            };
            assert!(json.contains(key), "{key}");
            // These have the fields of Webex's own, unknown ones included.
            let is_of_webex = ["dataSource", "header", "claims", "before", "after"].contains(&key);
            if is_of_webex && value == "{" {
                of_webex = Some(indented);
            }
        }
    }
    assert!(documents > 10, "the snapshots are elsewhere");
}

#[test]
fn every_exit_code_is_in_the_readme_and_in_the_help() {
    let codes: BTreeSet<_> = EXIT_STATUSES
        .iter()
        .map(|status| (*status as u8).to_string())
        .collect();
    let described: BTreeSet<_> = rows(section("Exit codes"))
        .map(|cells| cells[0].to_owned())
        .filter(|cell| cell != "Code")
        .collect();
    assert_eq!(described, codes);

    let in_help = |help: String| -> BTreeSet<String> {
        let (_, below) = help.split_once("Exit codes:\n").expect("a list of them");
        let codes = below
            .lines()
            .filter_map(|line| line.split_whitespace().next());
        codes.map(str::to_owned).collect()
    };
    for mut command in [cli::check_token_command(), cli::data_sources_command()] {
        let help = command.render_long_help().to_string();
        assert_eq!(in_help(help), codes);
        let help = command.render_help().to_string();
        assert_eq!(in_help(help), codes);
    }
    let mut without_renewable = codes;
    without_renewable.remove("1");
    for mut command in [cli::refresh_token_command(), cli::setup_oauth_command()] {
        let help = command.render_long_help().to_string();
        assert_eq!(in_help(help), without_renewable);
        let help = command.render_help().to_string();
        assert_eq!(in_help(help), without_renewable);
    }
}

#[test]
fn the_messages_that_the_readme_explains_are_still_given() {
    let mut sources = String::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                sources += &fs::read_to_string(path).expect("a source");
            }
        }
    }
    // A literal may be continued on the next line.
    let sources: String = sources.replace("\\\n", " ");
    let sources = sources.split_whitespace().collect::<Vec<_>>().join(" ");
    let labels = ["service-app refresh token", "personal access token"];
    for cells in rows(section("When something is wrong")) {
        let message = cells.iter().find(|cell| cell.starts_with('`'));
        for message in message.into_iter().flat_map(|message| quoted(message)) {
            let parts = message.split('…').flat_map(|part| part.split(" N "));
            for part in parts.flat_map(|part| part.split(": ")) {
                let part = part.trim();
                assert!(
                    labels.contains(&part) || sources.contains(part),
                    "nothing says {part:?}"
                );
            }
        }
    }
}

#[test]
fn the_changelog_says_what_is_not_released_yet() {
    let (_, unreleased) = CHANGELOG
        .split_once("\n## [Unreleased]\n")
        .expect("a section for what is not released");
    let entries = unreleased.split("\n## ").next().unwrap_or_default();
    assert!(entries.contains("\n- "), "it is empty");
}

#[test]
fn the_template_is_json_and_what_the_readme_shows() {
    let template: Value = serde_json::from_str(TEMPLATE).expect("JSON");
    let example = fenced(section("From a Webex account to a scheduled job"), "json");
    let example: Value = serde_json::from_str(example).expect("JSON");
    assert_eq!(shape(&template), shape(&example));
}

/// The keys of a document and of all in it.
fn shape(value: &Value) -> Vec<String> {
    let Some(object) = value.as_object() else {
        return Vec::new();
    };
    let fields = object.iter().flat_map(|(key, value)| {
        let inner = shape(value)
            .into_iter()
            .map(move |it| format!("{key}.{it}"));
        std::iter::once(key.clone()).chain(inner)
    });
    fields.collect()
}

#[test]
fn what_holds_secrets_and_what_is_ours_is_ignored_by_git() {
    let ignored = |name: &str| {
        let status = Command::new("git")
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["check-ignore", "--quiet", "--no-index", name])
            .status();
        status.expect("git runs").success()
    };
    for name in [
        ".env",
        ".env.production",
        ".env.lock",
        ".env.state.json",
        ".env.pending",
        ".env.rescue.json",
        ".env.tmp.1",
        "token-config.json",
        "token-config.json.lock",
        "token-config.json.state.json",
        "token-config.json.pending",
        "token-config.json.rescue.json",
        "data-sources.log",
        "data-sources.log.1",
        "deeper/data-sources.log",
        "deeper/.env",
        "target/debug/refresh_token",
        "target/debug/setup_oauth",
        "target/debug/data-sources",
    ] {
        assert!(ignored(name), "{name} could be committed");
    }
    for name in [
        ".env.example",
        "token-config.json.template",
        "Cargo.lock",
        "README.md",
        "tests/snapshots/valid.snap",
    ] {
        assert!(!ignored(name), "{name} is left out");
    }
}
