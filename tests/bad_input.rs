//! Bad input: a message that names file, key and line and says what to do, and every file as it
//! was.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::{CHECK_TOKEN, REFRESH_TOKEN, REFRESH_TOKEN_KEY, Story};

/// Something that must never be repeated in a message.
const CANARY: &str = "NzY1Y2FuYXJ5LXNlY3JldA";

/// All that is in the story's folder.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("a name").path();
        if path.is_dir() {
            files.extend(self::files(&path));
            files.insert(path, Vec::new());
        } else {
            let contents = fs::read(&path).expect("a file is read");
            files.insert(path, contents);
        }
    }
    files
}

/// Runs `refresh_token`, as text and as JSON, and asserts that it ends with `code`, says all of
/// `says`, asks nothing and changes nothing.
#[track_caller]
fn refuses(story: &Story, arguments: &[&str], code: i32, says: &[&str]) {
    let before = files(story.folder());
    let told = story.refresh_token(arguments);
    let document = story.refresh_token(&[arguments, &["--json"]].concat());
    told.exits(code);
    document.exits(code);
    assert_eq!(told.stdout, "");
    assert_eq!(document.stderr, "");
    let json = document.json();
    let message = json["message"].as_str().expect("a text");
    assert!(json["remedy"].is_string(), "{json:#}");
    for text in says {
        told.says(text);
        let remedy = json["remedy"].as_str().expect("a text");
        assert!(
            message.contains(text) || remedy.contains(text),
            "{text:?} is not in:\n{json:#}"
        );
    }
    for text in [&told.stderr, &document.stdout] {
        assert!(!text.contains(CANARY), "{text}");
    }
    assert!(story.requests().is_empty(), "{:?}", story.requests());
    assert!(files(story.folder()) == before, "a file has changed");
}

/// A refresh token that works, so that nothing but the settings stands in the way.
fn due() -> Story {
    let story = Story::new();
    let tokens = story.sandbox.issue_service_app_tokens();
    story.configured().stored("", &tokens.refresh_token);
    story
}

// The configuration.

#[test]
fn no_configuration_at_all() {
    let story = due();
    fs::remove_file(story.path("token-config.json")).unwrap();
    refuses(
        &story,
        &[],
        78,
        &[
            "token-config.json: no configuration",
            "run `setup_oauth`",
            "WEBEX_SERVICE_APP_CLIENT_ID",
        ],
    );
}

#[test]
fn a_configuration_that_is_not_json() {
    let story = due();
    let table = [
        (
            "{\n  \"serviceApp\": {\n    \"clientId\": NzY1Y2FuYXJ5LXNlY3JldA\n",
            3,
        ),
        (
            "{\n  \"serviceApp\": {\n    \"clientSecret\": \"NzY1Y2FuYXJ5LXNlY3JldA\n  }\n}\n",
            3,
        ),
        ("{\"serviceApp\": {}}\n\nNzY1Y2FuYXJ5LXNlY3JldA", 3),
    ];
    for (text, line) in table {
        story.write("token-config.json", text);
        let place = format!("token-config.json:{line}: not JSON");
        refuses(&story, &[], 78, &[&place, "comma"]);
    }
    // An editor that was cut short leaves a file with nothing in it.
    for text in ["", " \n"] {
        story.write("token-config.json", text);
        refuses(&story, &[], 78, &["serviceApp.clientId: missing"]);
    }
    for text in ["[]", "\"NzY1Y2FuYXJ5LXNlY3JldA\"", "3"] {
        story.write("token-config.json", text);
        refuses(&story, &[], 78, &["token-config.json:1: not a JSON object"]);
    }
    story.write("token-config.json", b"{\n\"a\": \"\xff\"}");
    refuses(&story, &[], 78, &["token-config.json", "UTF-8", "line 2"]);
    story.write("token-config.json", " ".repeat((1 << 20) + 1));
    refuses(&story, &[], 78, &["token-config.json", "1 MiB"]);
}

#[test]
fn everything_that_is_missing_or_empty_is_named_at_once() {
    let story = due();
    let pat = story.sandbox.issue_personal_access_token();
    story.write(
        "token-config.json",
        format!(
            "{{\n  \"serviceApp\": {{\n    \"clientSecret\": \"\",\n    \"targetOrgId\": \" \"\n  }},\n  \
             \"tokenManager\": {{\n    \"personalAccessToken\": \"{pat}\",\n    \"integration\": {{\n      \
             \"clientId\": 7,\n      \"refreshToken\": \"{CANARY}{CANARY}\"\n    }}\n  }}\n}}\n"
        ),
    );
    refuses(
        &story,
        &[],
        78,
        &[
            "token-config.json:2: serviceApp.clientId: missing",
            "token-config.json:3: serviceApp.clientSecret: empty",
            "token-config.json:4: serviceApp.targetOrgId: empty",
            "token-config.json:9: tokenManager.integration.clientId: not a text",
            "token-config.json:8: tokenManager.integration.clientSecret: missing",
            "My Webex Apps",
        ],
    );
}

#[test]
fn the_template_as_it_is_shipped() {
    let story = due();
    let template = include_str!("../token-config.json.template");
    story.write("token-config.json", template);
    let line = |key: &str| {
        1 + template
            .lines()
            .position(|line| line.contains(key))
            .unwrap()
    };
    let says = [
        format!(
            "token-config.json:{}: serviceApp.clientId: still",
            line("clientId")
        ),
        format!(
            "token-config.json:{}: serviceApp.clientSecret: still",
            line("clientSecret")
        ),
        format!(
            "token-config.json:{}: serviceApp.targetOrgId: still",
            line("targetOrgId")
        ),
    ];
    let says: Vec<_> = says.iter().map(String::as_str).collect();
    refuses(&story, &[], 78, &says);
}

#[test]
fn placeholders_from_the_wild() {
    for placeholder in [
        "YOUR_CLIENT_SECRET",
        "<client secret>",
        "changeme",
        "xxxx",
        "TODO",
    ] {
        let story = due();
        let mut app = story.service_app();
        app["clientSecret"] = placeholder.into();
        story.write_config(&json!({ "serviceApp": app }));
        refuses(
            &story,
            &[],
            78,
            &["serviceApp.clientSecret: still the template's placeholder"],
        );
    }
}

#[test]
fn a_wrong_value_in_env_or_in_the_environment_is_named_by_its_variable() {
    let story = due();
    let env = story.env();
    story.write_env(format!(
        "# one\n{env}WEBEX_SERVICE_APP_CLIENT_SECRET=<secret>\n"
    ));
    refuses(
        &story,
        &[],
        78,
        &[".env:3: WEBEX_SERVICE_APP_CLIENT_SECRET: still"],
    );

    story.write_env(&env);
    let before = files(story.folder());
    let mut command = story.command(REFRESH_TOKEN);
    command.env("WEBEX_TARGET_ORG_ID", "not an id");
    let told = story.run(&mut command);
    told.exits(78).says("environment: WEBEX_TARGET_ORG_ID");
    assert!(files(story.folder()) == before);
}

#[test]
fn http_to_another_machine() {
    let story = due();
    let env = story.env();
    story.write_env(format!("{env}WEBEX_API_BASE_URL=http://webex.example/v1\n"));
    let before = files(story.folder());
    let mut command = story.command(REFRESH_TOKEN);
    command.env_remove("WEBEX_API_BASE_URL");
    let told = story.run(&mut command);
    told.exits(78)
        .says(".env:2: WEBEX_API_BASE_URL")
        .says("https://");
    assert!(files(story.folder()) == before);
    refuses(
        &story,
        &["--api-base-url=http://webex.example/v1"],
        78,
        &["command line: --api-base-url", "https://"],
    );
}

// `.env`.

#[test]
fn an_env_file_that_is_no_text() {
    let story = due();
    let env = story.env();
    story.write_env([env.as_bytes(), b"OTHER=caf\xe9\n"].concat());
    refuses(&story, &[], 78, &[".env", "UTF-8", "line 2"]);
    story.write_env(format!("{env}#{}\n", "x".repeat(1 << 20)));
    refuses(&story, &[], 78, &[".env", "1 MiB"]);
}

#[test]
fn an_env_file_with_an_unclosed_quote() {
    let story = due();
    let env = story.env();
    for quote in ["'", "\""] {
        story.write_env(format!("# first\n{env}OTHER={quote}{CANARY}\nNEXT=1\n"));
        refuses(&story, &[], 78, &[".env:3: ", "quot"]);
    }
}

// Files that are none.

#[test]
fn a_directory_in_the_place_of_a_file() {
    let story = due();
    fs::create_dir(story.path("folder")).unwrap();
    refuses(
        &story,
        &["--env-file", "folder"],
        74,
        &["folder is a directory", "regular file"],
    );
    refuses(
        &story,
        &["--config", "folder"],
        74,
        &["folder is a directory", "regular file"],
    );
}

#[test]
fn a_missing_folder() {
    let story = due();
    refuses(
        &story,
        &["--env-file", "none/.env"],
        74,
        &["the folder none does not exist", "create the folder"],
    );
    refuses(
        &story,
        &["--config", "none/token-config.json"],
        74,
        &["the folder none does not exist", "create the folder"],
    );
}

#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_read() {
    for name in [".env", "token-config.json"] {
        let story = due();
        let before = files(story.folder());
        support::disk::set_mode(&story.path(name), 0o200);
        let mut command = support::disk::powerless(&story, REFRESH_TOKEN);
        let told = story.run(command.arg("--json"));
        let json = told.exits(74).outcome("unreadable");
        assert!(
            json["message"]
                .as_str()
                .is_some_and(|text| text.contains(name))
        );
        assert!(
            json["remedy"]
                .as_str()
                .is_some_and(|text| text.contains("read the file"))
        );
        support::disk::set_mode(&story.path(name), 0o600);
        assert!(files(story.folder()) == before);
        assert!(story.requests().is_empty());
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_in_the_place_of_a_file_is_not_waited_for() {
    let story = due();
    let status = std::process::Command::new("mkfifo")
        .arg(story.path("pipe"))
        .status();
    assert!(status.expect("`mkfifo` is installed").success());
    for option in ["--env-file", "--config"] {
        let told = story.refresh_token(&[option, "pipe"]);
        told.exits(74).says("pipe is not a regular file");
    }
    assert!(story.requests().is_empty());
}

#[test]
fn a_missing_env_file_is_created() {
    let story = Story::new();
    let pat = story.sandbox.issue_personal_access_token();
    story.configured_with(Some(&pat), None);

    story.refresh_token(&[]).exits(0);

    assert!(story.sandbox.is_live(&story.access_token()));
    assert!(story.env_value(REFRESH_TOKEN_KEY).is_some());
}

// A valid token needs no settings.

#[test]
fn a_valid_token_only_warns_of_what_the_next_climb_will_lack() {
    let story = Story::new();
    let tokens = story.sandbox.issue_service_app_tokens();
    story.stored(&tokens.access_token, &tokens.refresh_token);
    let table = [
        (None, "no configuration"),
        (Some("{"), "token-config.json:1: not JSON"),
        (Some("{}"), "serviceApp.clientId: missing"),
        (
            Some("{\"serviceApp\": {\"clientId\": \"<client id>\", \"clientSecret\": \"\"}}"),
            "serviceApp.clientSecret: empty",
        ),
    ];
    for (config, says) in table {
        if let Some(config) = config {
            story.write("token-config.json", config);
        }
        let before = files(story.folder());
        let told = story.refresh_token(&[]);
        told.exits(0).says("warning: ").says(says);
        assert!(told.stderr.contains(says), "{}", told.stderr);
        let json = story.refresh_token(&["--json"]).exits(0).outcome("valid");
        assert!(
            json["warnings"]
                .to_string()
                .contains(&says.replace('"', "\\\"")),
            "{json:#}"
        );
        assert!(files(story.folder()) == before);
    }
    // A configuration that is no file at all is no different.
    fs::create_dir(story.path("folder")).unwrap();
    for path in ["folder", "none/token-config.json"] {
        let json = story
            .refresh_token(&["--json", "--config", path])
            .exits(0)
            .outcome("valid");
        let warnings = json["warnings"].to_string();
        let folder = path.split('/').next().expect("a name");
        assert!(warnings.contains(folder), "{warnings}");
    }
}

// The command line.

#[test]
fn a_wrong_command_line() {
    let story = due();
    let before = files(story.folder());
    let table: [(&[&str], &str); 11] = [
        (&["--min-validity", "10"], "--min-validity"),
        (&["--min-validity", "-1h"], "-1"),
        (&["--deadline", "0s"], "--deadline"),
        (&["--deadline", "soon"], "--deadline"),
        (&["--lock-timeout", "1x"], "--lock-timeout"),
        (&["--print-token", "--json"], "--json"),
        (&["--print-token", "--plan"], "--plan"),
        (&["-v", "-q"], "cannot be used with"),
        (&["--color", "blue"], "--color"),
        (&["--offline"], "--offline"),
        (&["token"], "token"),
    ];
    for (arguments, says) in table {
        let told = story.refresh_token(arguments);
        told.exits(2);
        assert!(told.stderr.contains(says), "{arguments:?}: {}", told.stderr);
        assert_eq!(told.stdout, "");
    }
    story.check_token(&["--force"]).exits(2);
    assert!(story.requests().is_empty());
    assert!(files(story.folder()) == before);
}

#[test]
fn a_reader_that_has_gone_changes_nothing() {
    let story = due();
    let table: [(&str, &[&str]); 5] = [
        (REFRESH_TOKEN, &["--help"]),
        (REFRESH_TOKEN, &["--plan", "--json"]),
        (REFRESH_TOKEN, &["--json"]),
        (REFRESH_TOKEN, &["--force", "-vv"]),
        (CHECK_TOKEN, &["--json"]),
    ];
    for (program, arguments) in table {
        assert_eq!(unread(&story, program, arguments), Some(0), "{arguments:?}");
    }
    assert!(story.sandbox.is_live(&story.access_token()));
    assert_eq!(unread(&story, REFRESH_TOKEN, &["--force=1"]), Some(2));
    fs::remove_file(story.path("token-config.json")).unwrap();
    story.write_env("");
    assert_eq!(unread(&story, REFRESH_TOKEN, &["-vv"]), Some(78));
    assert_eq!(unread(&story, CHECK_TOKEN, &[]), Some(78));
}

/// How a program ends whose output and errors nobody reads any more.
fn unread(story: &Story, program: &str, arguments: &[&str]) -> Option<i32> {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut child = story
        .command(program)
        .args(arguments)
        .stdout(writer.try_clone().expect("a pipe"))
        .stderr(writer)
        .spawn()
        .expect("the program starts");
    child.wait().expect("the program ends").code()
}

// The other program.

#[test]
fn check_token_says_the_same_and_changes_nothing() {
    let story = due();
    fs::remove_file(story.path("token-config.json")).unwrap();
    let before = files(story.folder());
    story
        .check_token(&[])
        .exits(78)
        .says("token-config.json: no configuration");
    let json: Value = story.check_token(&["--json"]).exits(78).json();
    assert_eq!(json["outcome"], "misconfigured");
    story
        .check_token(&["--env-file", "none/.env"])
        .exits(74)
        .says("the folder none does not exist");
    assert!(files(story.folder()) == before);
}
