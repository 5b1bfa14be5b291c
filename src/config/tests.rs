//! The rules of the settings, from the sources to the finished values.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::*;
use crate::ids;

const CLIENT_ID: &str = "C0ffee00112233445566778899aabbccddeeff0";
const ORG_ID: &str = "1eb65fdf-9643-417f-9974-ad72cae0e10f";
/// The encoded id of that organization.
const ORGANIZATION: &str =
    "Y2lzY29zcGFyazovL3VzL09SR0FOSVpBVElPTi8xZWI2NWZkZi05NjQzLTQxN2YtOTk3NC1hZDcyY2FlMGUxMGY";

/// The sources of one run.
#[derive(Default)]
struct Run {
    sources: Sources,
    dotenv: BTreeMap<String, String>,
    config: Option<Json>,
    saved: Seeds,
}

impl Run {
    fn config(config: Json) -> Self {
        Self {
            config: Some(config),
            ..Self::default()
        }
    }

    fn environment(mut self, variables: &[(&str, &str)]) -> Self {
        self.sources.environment = variables.iter().copied().collect();
        self
    }

    fn dotenv(mut self, variables: &[(&str, &str)]) -> Self {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        self.dotenv = variables.iter().map(owned).collect();
        self
    }

    fn flag(mut self, url: &str) -> Self {
        self.sources.flags.api_base_url = Some(url.to_owned());
        self
    }

    fn saved(mut self, personal_access_token: &str, refresh_token: &str) -> Self {
        self.saved = Seeds {
            personal_access_token: Some(Fingerprint::of(personal_access_token)),
            integration_refresh_token: Some(Fingerprint::of(refresh_token)),
        };
        self
    }

    fn dotenv_layer(&self) -> DotenvLayer {
        // As if the variables stood there in alphabetical order.
        let line_of = |name: &str| Some(1 + self.dotenv.keys().position(|key| key == name)?);
        DotenvLayer::new(".env", &self.dotenv, line_of)
    }

    fn config_layer(&self) -> ConfigLayer {
        let Some(root) = &self.config else {
            return ConfigLayer::absent("token-config.json");
        };
        let text = serde_json::to_string_pretty(root).expect("JSON");
        // In this layout the indentation tells how deep a line is.
        let line_of = |path: &[&str]| {
            path.iter().enumerate().try_fold(1, |above, (depth, key)| {
                let indent = "  ".repeat(depth + 1);
                let line = text
                    .lines()
                    .skip(above)
                    .take_while(|line| line.starts_with(&indent))
                    .position(|line| line.starts_with(&format!("{indent}\"{key}\":")))?;
                Some(above + line + 1)
            })
        };
        ConfigLayer::new("token-config.json", root, line_of)
    }

    fn settings(&self) -> Settings {
        self.sources
            .resolve(&self.dotenv_layer(), &self.config_layer(), &self.saved)
    }

    /// The problems, without what to do about them.
    fn problems(&self) -> Vec<String> {
        let what = |problem: &Problem| {
            let line = problem.to_string();
            line.split_once("; ")
                .map_or(line.clone(), |(what, _)| what.to_owned())
        };
        self.settings().problems.iter().map(what).collect()
    }
}

/// A complete service app, and whatever `more` says.
fn app_and(more: &Json) -> Json {
    let mut root = json!({"serviceApp": {
        "clientId": CLIENT_ID, "clientSecret": "app-secret", "targetOrgId": ORG_ID,
    }});
    for (section, keys) in more.as_object().expect("an object") {
        for (key, value) in keys.as_object().expect("an object") {
            root[section][key] = value.clone();
        }
    }
    root
}

fn token_manager(keys: &Json) -> Json {
    app_and(&json!({"tokenManager": keys}))
}

fn personal_access_token(settings: &Settings) -> Option<(&str, Origin)> {
    let token = settings.personal_access_token.as_ref()?;
    Some((token.value.expose(), token.origin))
}

fn refresh_token(settings: &Settings) -> Option<(&str, Origin)> {
    let token = settings.integration.as_ref()?.refresh_token.as_ref()?;
    Some((token.value.expose(), token.origin))
}

#[test]
fn a_complete_configuration_has_no_problems() {
    let run = Run::config(token_manager(&json!({
        "personalAccessToken": "\n pat ",
        "integration": {"clientId": "Cint", "clientSecret": "int-secret", "refreshToken": "int"},
        "unknown": [1, 2],
    })));
    let settings = run.settings();
    assert_eq!(settings.problems, []);
    let app = settings.service_app.as_ref().expect("a service app");
    assert_eq!(app.client_id, CLIENT_ID);
    assert_eq!(app.client_secret.expose(), "app-secret");
    let mint = MintTarget {
        app_id: ids::application_id(CLIENT_ID),
        target_org_id: ORG_ID.to_owned(),
    };
    assert_eq!(settings.mint, Some(mint));
    assert_eq!(
        personal_access_token(&settings),
        Some(("pat", Origin::ConfigFile))
    );
    assert_eq!(refresh_token(&settings), Some(("int", Origin::ConfigFile)));
}

#[test]
fn a_container_needs_no_file() {
    let run = Run::default().environment(&[
        ("WEBEX_SERVICE_APP_ID", CLIENT_ID),
        ("WEBEX_SERVICE_APP_CLIENT_ID", CLIENT_ID),
        ("WEBEX_SERVICE_APP_CLIENT_SECRET", "app-secret"),
        ("WEBEX_TARGET_ORG_ID", ORGANIZATION),
        ("WEBEX_PERSONAL_ACCESS_TOKEN", "pat"),
        ("WEBEX_INTEGRATION_CLIENT_ID", "Cint"),
        ("WEBEX_INTEGRATION_CLIENT_SECRET", "int-secret"),
        ("WEBEX_INTEGRATION_REFRESH_TOKEN", "int"),
    ]);
    let settings = run.settings();
    assert_eq!(settings.problems, []);
    let mint = settings.mint.as_ref().expect("a mint");
    assert_eq!(mint.app_id, ids::application_id(CLIENT_ID));
    assert_eq!(mint.target_org_id, ORGANIZATION);
    assert_eq!(
        personal_access_token(&settings),
        Some(("pat", Origin::Environment))
    );
    let integration = settings.integration.as_ref().expect("an integration");
    assert_eq!(integration.client_id, "Cint");
    assert_eq!(refresh_token(&settings), Some(("int", Origin::Environment)));
}

#[test]
fn flag_over_environment_over_dotenv_over_file_over_default() {
    const URL: &str = "WEBEX_API_BASE_URL";
    const PAT: &str = "WEBEX_PERSONAL_ACCESS_TOKEN";
    let file = || Run::config(token_manager(&json!({"personalAccessToken": "file"})));
    let url = |run: Run| run.settings().api.expect("a URL").url().to_string();
    let token = |run: Run| {
        let settings = run.settings();
        personal_access_token(&settings).map(|(token, origin)| (token.to_owned(), origin))
    };
    let from = |token: &str, origin| Some((token.to_owned(), origin));

    assert_eq!(url(file()), ApiBase::DEFAULT);
    assert_eq!(url(file().dotenv(&[(URL, "https://d")])), "https://d/");
    let both = || {
        file()
            .dotenv(&[(URL, "https://d")])
            .environment(&[(URL, "https://e")])
    };
    assert_eq!(url(both()), "https://e/");
    assert_eq!(url(both().flag("https://f")), "https://f/");

    assert_eq!(token(file()), from("file", Origin::ConfigFile));
    assert_eq!(
        token(file().dotenv(&[(PAT, "d")])),
        from("d", Origin::Dotenv)
    );
    let both = file().dotenv(&[(PAT, "d")]).environment(&[(PAT, "e")]);
    assert_eq!(token(both), from("e", Origin::Environment));
    for empty in ["", " \n"] {
        let both = file().dotenv(&[(PAT, empty)]).environment(&[(PAT, empty)]);
        assert_eq!(token(both), from("file", Origin::ConfigFile));
        let both = file().dotenv(&[(PAT, "d")]).environment(&[(PAT, empty)]);
        assert_eq!(token(both), from("d", Origin::Dotenv));
    }
}

#[test]
fn the_last_word_counts_even_where_the_file_is_wrong() {
    let run = Run::config(app_and(&json!({"serviceApp": {"clientSecret": 7}})));
    assert_eq!(
        run.problems(),
        ["token-config.json:4: serviceApp.clientSecret: not a text in double quotes"]
    );
    let run = run.environment(&[("WEBEX_SERVICE_APP_CLIENT_SECRET", "app-secret")]);
    assert_eq!(run.problems(), [""; 0]);
}

#[test]
fn the_paths_of_the_files_have_an_order_too() {
    let mut run = Run::default();
    assert_eq!(run.sources.env_file(), PathBuf::from(".env"));
    assert_eq!(
        run.sources.config_file(&run.dotenv_layer()),
        PathBuf::from("token-config.json")
    );
    run = run.dotenv(&[
        ("WEBEX_TOKEN_CONFIG", "d.json"),
        ("WEBEX_ENV_FILE", "ignored"),
    ]);
    assert_eq!(run.sources.env_file(), PathBuf::from(".env"));
    assert_eq!(
        run.sources.config_file(&run.dotenv_layer()),
        PathBuf::from("d.json")
    );
    run = run.environment(&[
        ("WEBEX_TOKEN_CONFIG", "e.json"),
        ("WEBEX_ENV_FILE", "e.env"),
    ]);
    assert_eq!(run.sources.env_file(), PathBuf::from("e.env"));
    assert_eq!(
        run.sources.config_file(&run.dotenv_layer()),
        PathBuf::from("e.json")
    );
    run.sources.flags.config = Some("f.json".into());
    run.sources.flags.env_file = Some("f.env".into());
    assert_eq!(run.sources.env_file(), PathBuf::from("f.env"));
    assert_eq!(
        run.sources.config_file(&run.dotenv_layer()),
        PathBuf::from("f.json")
    );
}

#[test]
fn the_managed_variables_are_no_settings() {
    let managed = [
        ("WEBEX_SERVICE_APP_ACCESS_TOKEN", "canary"),
        ("WEBEX_SERVICE_APP_REFRESH_TOKEN", "canary"),
        ("WEBEX_REAUTHORIZATION_REQUIRED", "2026-01-01T00:00:00Z"),
    ];
    let run = Run::default().environment(&managed).dotenv(&managed);
    let problems = run.settings().problems;
    assert!(matches!(&problems[..], [one] if one.kind == ProblemKind::NoConfiguration));
}

#[test]
fn a_seed_is_used_until_something_newer_is_saved_for_it() {
    use Origin::{ConfigFile, Dotenv, Environment};

    let file = |token: &str| {
        Run::config(token_manager(&json!({
            "personalAccessToken": token,
            "integration": {"clientId": "Cint", "clientSecret": "s", "refreshToken": token},
        })))
    };
    let names = [
        "WEBEX_PERSONAL_ACCESS_TOKEN",
        "WEBEX_INTEGRATION_REFRESH_TOKEN",
    ];
    let seeds = |seed| names.map(|name| (name, seed));
    // (saved for, in the file, environment, .env) → (used, from, the seed)
    let table = [
        ("", "file", "", "", "file", ConfigFile, None),
        ("", "file", "seed", "", "seed", Environment, Some("seed")),
        ("", "file", "", "seed", "seed", Dotenv, Some("seed")),
        ("seed", "file", "seed", "", "file", ConfigFile, Some("seed")),
        (
            "seed",
            "file",
            " seed\n",
            "",
            "file",
            ConfigFile,
            Some("seed"),
        ),
        ("seed", "file", "", "seed", "file", ConfigFile, Some("seed")),
        (
            "seed",
            "file",
            "seed",
            "old",
            "file",
            ConfigFile,
            Some("seed"),
        ),
        ("seed", "file", "new", "", "new", Environment, Some("new")),
        (
            "seed",
            "file",
            "new",
            "seed",
            "new",
            Environment,
            Some("new"),
        ),
        ("seed", "file", "", "", "file", ConfigFile, None),
        ("seed", "", "seed", "", "seed", Environment, Some("seed")),
        (
            "seed",
            "YOUR_TOKEN",
            "seed",
            "",
            "seed",
            Environment,
            Some("seed"),
        ),
    ];
    for row in table {
        let (saved, file_has, environment, dotenv, used, origin, seed) = row;
        let run = file(file_has)
            .environment(&seeds(environment))
            .dotenv(&seeds(dotenv))
            .saved(saved, saved);
        let settings = run.settings();
        let seed = seed.map(Fingerprint::of);
        assert_eq!(
            personal_access_token(&settings),
            Some((used, origin)),
            "{row:?}"
        );
        assert_eq!(
            settings.personal_access_token.expect("a token").seed,
            seed,
            "{row:?}"
        );
        let integration = settings.integration.expect("an integration");
        let token = integration.refresh_token.expect("a token");
        assert_eq!(
            (token.value.expose(), token.origin),
            (used, origin),
            "{row:?}"
        );
        assert_eq!(token.seed, seed, "{row:?}");
        assert_eq!(settings.problems, [], "{row:?}");
    }
}

#[test]
fn the_first_spelling_that_holds_anything_is_in_use() {
    let ours =
        json!({"integration": {"clientId": "C1", "clientSecret": "s1", "refreshToken": "r1"}});
    let plain = json!({"clientId": "C2", "clientSecret": "s2", "refreshToken": "r2"});
    let oauth =
        json!({"oauthClientId": "C3", "oauthClientSecret": "s3", "oauthRefreshToken": "r3"});
    let empty = json!({"integration": {"clientId": "", "clientSecret": null, "refreshToken": " "}});
    let table = [
        (vec![&ours], Spelling::Integration, "r1"),
        (vec![&plain], Spelling::Plain, "r2"),
        (vec![&oauth], Spelling::OAuth, "r3"),
        (vec![&ours, &plain, &oauth], Spelling::Integration, "r1"),
        (vec![&plain, &oauth], Spelling::Plain, "r2"),
        (vec![&empty, &oauth], Spelling::OAuth, "r3"),
    ];
    for (parts, spelling, token) in table {
        let mut keys = json!({});
        for part in parts {
            for (key, value) in part.as_object().expect("an object") {
                keys[key] = value.clone();
            }
        }
        let settings = Run::config(token_manager(&keys)).settings();
        assert_eq!(settings.problems, [], "{keys}");
        assert_eq!(
            refresh_token(&settings),
            Some((token, Origin::ConfigFile)),
            "{keys}"
        );
        assert!(settings.integration.is_some(), "{keys}");
        let found = ConfigLayer::new("c.json", &token_manager(&keys), |_| None).spelling();
        assert_eq!(found, spelling, "{keys}");
        let root = token_manager(&keys);
        let written = found
            .refresh_token_path()
            .iter()
            .fold(&root, |value, key| &value[key]);
        assert_eq!(written, token);
    }
    let settings = Run::config(token_manager(&empty)).settings();
    assert!(settings.integration.is_none());
    assert_eq!(settings.problems, []);
}

#[test]
fn all_that_is_needed_is_asked_for_at_once() {
    let integration = |keys: &Json| token_manager(&json!({"integration": keys}));
    let table = [
        (
            json!({"serviceApp": {"clientId": ""}, "tokenManager": {"personalAccessToken": "pat"}}),
            vec![
                "token-config.json:2: serviceApp.clientSecret: missing",
                "token-config.json:2: serviceApp.targetOrgId: missing",
                "token-config.json:3: serviceApp.clientId: empty",
            ],
        ),
        (
            json!({"tokenManager": {}}),
            vec![
                "token-config.json: serviceApp.clientId: missing",
                "token-config.json: serviceApp.clientSecret: missing",
            ],
        ),
        (
            app_and(&json!({"serviceApp": {"targetOrgId": null}})),
            vec![],
        ),
        (
            app_and(
                &json!({"serviceApp": {"targetOrgId": null}, "tokenManager": {"clientId": "C", "clientSecret": "s"}}),
            ),
            vec!["token-config.json:5: serviceApp.targetOrgId: missing"],
        ),
        (
            integration(&json!({"clientId": "C", "clientSecret": "s"})),
            vec![],
        ),
        (
            integration(&json!({"clientId": "C"})),
            vec!["token-config.json:8: tokenManager.integration.clientSecret: missing"],
        ),
        (
            integration(&json!({"clientSecret": "s", "refreshToken": "r", "clientId": ""})),
            vec!["token-config.json:9: tokenManager.integration.clientId: empty"],
        ),
        (
            token_manager(&json!({"oauthRefreshToken": "r"})),
            vec![
                "token-config.json:7: tokenManager.oauthClientId: missing",
                "token-config.json:7: tokenManager.oauthClientSecret: missing",
            ],
        ),
    ];
    for (config, problems) in table {
        assert_eq!(Run::config(config.clone()).problems(), problems, "{config}");
    }
    let run = Run::config(app_and(&json!({"serviceApp": {"clientSecret": ""}})));
    assert_eq!(
        run.problems(),
        ["token-config.json:4: serviceApp.clientSecret: empty"]
    );
    assert!(run.settings().mint.is_none());
    let run = Run::config(json!({"serviceApp": {"appId": "Cother", "clientId": CLIENT_ID}}));
    assert_eq!(
        run.problems(),
        [
            "token-config.json:2: serviceApp.clientSecret: missing",
            "token-config.json:3: serviceApp.appId: the id of another application than the one \
             with this client id",
        ]
    );
    let container = Run::default().environment(&[("WEBEX_SERVICE_APP_CLIENT_ID", CLIENT_ID)]);
    assert_eq!(
        container.problems(),
        ["environment: WEBEX_SERVICE_APP_CLIENT_SECRET: missing"]
    );
}

#[test]
fn without_any_configuration_one_problem_says_so() {
    let run = Run::default().environment(&[("WEBEX_API_BASE_URL", "http://localhost:1")]);
    assert_eq!(
        run.problems(),
        [
            "token-config.json: no configuration: there is no such file, and no WEBEX_… variable is set"
        ]
    );
}

#[test]
fn what_is_missing_from_a_file_that_cannot_be_understood_is_not_known() {
    let mut run = Run::config(json!({"serviceApp": ["canary"]}));
    assert_eq!(
        run.problems(),
        ["token-config.json:2: serviceApp: not a JSON object"]
    );
    run.config = Some(json!({"tokenManager": {"integration": "canary"}}));
    assert_eq!(
        run.problems(),
        ["token-config.json:3: tokenManager.integration: not a JSON object"]
    );
    for root in [json!("canary"), json!([]), json!(null)] {
        run.config = Some(root);
        let problems = run.settings().problems;
        assert!(matches!(&problems[..], [one] if one.kind == ProblemKind::NotAnObject));
    }
    let kind = ProblemKind::NotJson { column: 7 };
    let broken = ConfigLayer::broken("c.json", Some(3), kind.clone());
    let variables = [
        ("WEBEX_SERVICE_APP_CLIENT_ID", "C"),
        ("WEBEX_SERVICE_APP_CLIENT_SECRET", "s"),
    ];
    let run = Run::default().environment(&variables);
    let settings = run
        .sources
        .resolve(&run.dotenv_layer(), &broken, &Seeds::default());
    assert_eq!(
        settings.problems,
        [Problem::in_file("c.json", Some(3), kind)]
    );
    assert!(settings.service_app.is_some());

    let broken = DotenvLayer::broken(".env", Some(2), ProblemKind::UnclosedQuote);
    let absent = ConfigLayer::absent("c.json");
    let settings = Sources::default().resolve(&broken, &absent, &Seeds::default());
    let problem = Problem::in_file(".env", Some(2), ProblemKind::UnclosedQuote);
    assert_eq!(settings.problems, [problem]);
}

#[test]
fn ids_have_to_fit() {
    let encoded = ids::application_id(CLIENT_ID);
    let other = ids::application_id("Cother");
    let table = [
        ("appId", encoded.as_str(), None),
        ("appId", CLIENT_ID, None),
        (
            "appId",
            &other,
            Some("the id of another application than the one with this client id"),
        ),
        (
            "appId",
            "Cother",
            Some("the id of another application than the one with this client id"),
        ),
        (
            "appId",
            ORGANIZATION,
            Some("this is the id of a Webex organization, not of an application"),
        ),
        ("clientId", &encoded, None),
        (
            "clientId",
            ORGANIZATION,
            Some("this is the id of a Webex organization, not of an application"),
        ),
        ("targetOrgId", ORGANIZATION, None),
        (
            "targetOrgId",
            &encoded,
            Some("this is the id of a Webex application, not of an organization"),
        ),
    ];
    for (key, value, problem) in table {
        let run = Run::config(app_and(&json!({"serviceApp": {key: value}})));
        let problems = run.problems();
        match problem {
            None => {
                assert_eq!(problems, [""; 0], "{key}: {value}");
                let settings = run.settings();
                assert_eq!(settings.mint.expect("a mint").app_id, encoded);
                assert_eq!(
                    settings.service_app.expect("a service app").client_id,
                    CLIENT_ID
                );
            }
            Some(problem) => {
                assert!(
                    problems.len() == 1 && problems[0].contains(problem),
                    "{problems:?}"
                );
                assert!(run.settings().mint.is_none());
                assert_eq!(run.settings().service_app.is_some(), key != "clientId");
            }
        }
    }
}

#[test]
fn a_problem_names_the_source_the_value_came_from() {
    let config = token_manager(&json!({"oauthClientId": "YOUR_ID", "oauthClientSecret": "s"}));
    let run = Run::config(config)
        .environment(&[("WEBEX_SERVICE_APP_CLIENT_SECRET", "<canary>")])
        .dotenv(&[("A", ""), ("WEBEX_PERSONAL_ACCESS_TOKEN", "ca nary")])
        .flag("http://user:canary@evil.example");
    assert_eq!(
        run.problems(),
        [
            "command line: --api-base-url: has user info in it",
            "environment: WEBEX_SERVICE_APP_CLIENT_SECRET: still the template's placeholder",
            ".env:2: WEBEX_PERSONAL_ACCESS_TOKEN: has a space, a line break or another character \
             inside that cannot be part of it",
            "token-config.json:8: tokenManager.oauthClientId: still the template's placeholder",
        ]
    );
    assert_eq!(
        run.settings().api.as_ref().err(),
        run.settings().problems.first()
    );
    let remedies: Vec<_> = run
        .settings()
        .problems
        .into_iter()
        .map(|problem| problem.remedy)
        .collect();
    assert!(remedies[1].contains("developer.webex.com"), "{remedies:?}");
}

#[test]
fn an_empty_flag_is_not_passed_over() {
    assert_eq!(
        Run::config(app_and(&json!({}))).flag(" ").problems(),
        ["command line: --api-base-url: empty"]
    );
}

#[test]
fn a_proxy_matters_unless_webex_is_on_this_machine() {
    let run = || Run::config(app_and(&json!({}))).environment(&[("HTTPS_PROXY", "socks5://p")]);
    assert_eq!(
        run().problems(),
        ["environment: HTTPS_PROXY: not the URL of an http or https proxy"]
    );
    assert_eq!(run().flag("http://localhost:1").problems(), [""; 0]);
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_utf_8_is_named() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let mut run = Run::config(app_and(&json!({})));
    let value = OsStr::from_bytes(b"canary\xff");
    run.sources.environment = [("WEBEX_TARGET_ORG_ID", value)].into_iter().collect();
    assert_eq!(
        run.problems(),
        ["environment: WEBEX_TARGET_ORG_ID: not UTF-8"]
    );
}

#[test]
fn the_template_asks_for_what_is_required_and_for_nothing_else() {
    let template = include_str!("../../token-config.json.template");
    let mut run = Run::config(serde_json::from_str(template).expect("the template is JSON"));
    assert_eq!(
        run.problems(),
        [
            "token-config.json:4: serviceApp.clientId: still the template's placeholder",
            "token-config.json:5: serviceApp.clientSecret: still the template's placeholder",
            "token-config.json:6: serviceApp.targetOrgId: still the template's placeholder",
        ]
    );
    let app = &mut run.config.as_mut().expect("a file")["serviceApp"];
    app["clientId"] = CLIENT_ID.into();
    app["clientSecret"] = "app-secret".into();
    app["targetOrgId"] = ORG_ID.into();
    assert_eq!(run.problems(), [""; 0]);
    assert!(run.settings().integration.is_none());
}

#[test]
fn no_problem_repeats_what_was_pasted() {
    let person = "Y2lzY29zcGFyazovL3VzL1BFT1BMRS9jYW5hcnk";
    let pasted = [
        "<canary>",
        "'canary'",
        "canary canary",
        "http://canary/",
        person,
    ];
    for variable in setting::Setting::ALL.map(setting::Setting::variable) {
        for value in pasted {
            for run in [
                Run::default().environment(&[(variable, value)]),
                Run::default().dotenv(&[(variable, value)]),
            ] {
                let problems = run.settings().problems;
                let lines: Vec<_> = problems.iter().map(Problem::to_string).collect();
                let shown = format!("{lines:?} {problems:?}");
                assert!(!shown.contains("canary"), "{shown}");
                assert!(!shown.contains(person), "{shown}");
            }
        }
    }
}

#[test]
fn nothing_shows_a_secret() {
    let run = Run::config(app_and(&json!({
        "serviceApp": {"clientSecret": "canary-1"},
        "tokenManager": {
            "personalAccessToken": "canary-2",
            "integration": {"clientId": "C", "clientSecret": "canary-3", "refreshToken": "canary-4"},
        },
    })))
    .environment(&[
        ("WEBEX_PERSONAL_ACCESS_TOKEN", "canary-5"),
        ("ALL_PROXY", "http://user:canary-6@proxy"),
    ])
    .dotenv(&[("WEBEX_INTEGRATION_REFRESH_TOKEN", "canary-7")])
    .flag("https://user:canary-8@webexapis.com/v1");
    let shown = format!(
        "{:?} {:?} {:?} {:?} {:?} {:?}",
        run.sources,
        run.sources.proxies(),
        run.dotenv_layer(),
        run.config_layer(),
        layer::Layer::flags(&run.sources.flags),
        run.settings(),
    );
    assert!(!shown.contains("canary"), "{shown}");
}
