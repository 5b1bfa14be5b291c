//! Imports go one way: this reads the sources, so that `ARCHITECTURE.md` cannot drift from them.

use std::fs;
use std::path::{Path, PathBuf};

/// Who may import whom; what is not listed may import nothing of ours.
const IMPORTS: &[(&str, &[&str])] = &[
    (
        "cli",
        &[
            "manager",
            "consent",
            "setup",
            "sources",
            "authorized",
            "config",
            "ladder",
            "lifetime",
            "remedy",
            "clock",
            "store",
            "masked",
            "token",
            "ids",
        ],
    ),
    (
        "sources",
        &[
            "authorized",
            "manager",
            "webex",
            "store",
            "backoff",
            "clock",
            "remedy",
            "ids",
            "masked",
            "token",
        ],
    ),
    (
        "authorized",
        &[
            "manager", "webex", "ladder", "backoff", "remedy", "clock", "token",
        ],
    ),
    ("masked", &["token"]),
    ("setup", &["config", "remedy", "ids", "token"]),
    (
        "manager",
        &[
            "store", "webex", "config", "ladder", "lifetime", "backoff", "remedy", "clock", "token",
        ],
    ),
    ("store", &["token", "ids", "clock"]),
    (
        "webex",
        &["token", "ids", "masked", "ladder", "backoff", "clock"],
    ),
    ("consent", &["config", "token", "clock"]),
    ("config", &["token", "ids"]),
];

/// Pure: no I/O, no async, no clock, and no system underneath.
const PURE: &[&str] = &[
    "ladder.rs",
    "lifetime.rs",
    "masked.rs",
    "backoff.rs",
    "remedy.rs",
    "config/redirect_uri.rs",
    "consent/callback.rs",
    "consent/device.rs",
    "consent/page.rs",
    "consent/paste.rs",
    "sources/issuers.rs",
    "sources/journal.rs",
    "sources/jws.rs",
    "sources/masked.rs",
    "sources/roster.rs",
    "webex/judge.rs",
    "authorized/repeat.rs",
    "sources/data_source.rs",
    "sources/diff.rs",
    "sources/draft.rs",
    "sources/id_prefix.rs",
    "sources/issuers.rs",
    "sources/jws.rs",
    "sources/lifetime.rs",
    "sources/list.rs",
    "sources/masked.rs",
    "sources/roster.rs",
    "sources/schedule.rs",
    "sources/update.rs",
    "sources/urgency.rs",
    "store/dotenv_text.rs",
    "store/dotenv_text/notation.rs",
    "store/dotenv_text/readers.rs",
    "store/dotenv_text/shell.rs",
    "store/json_text.rs",
];
const IMPURE: &[&str] = &[
    "std::fs",
    "std::io",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "Instant",
    "SystemTime",
    "Timestamp::now",
    "async ",
    ".await",
    "tokio",
    "reqwest",
    "crate::clock",
    "Clock",
];

/// What has one home, or a few.
const AT_HOME: &[(&[&str], &[&str])] = &[
    (&["std::env"], &["config/environment.rs", "bin/"]),
    (
        &["SystemTime", "Timestamp::now", "clock_gettime"],
        &["clock.rs"],
    ),
    (
        &[".expose()"],
        &["store/", "webex/", "cli/mod.rs", "token.rs"],
    ),
    (&["reqwest"], &["webex/"]),
    (&["oauth2::"], &["webex/", "consent/authorization.rs"]),
    (&["use ring"], &["sources/jws.rs"]),
    (&["hyper"], &["consent/listener.rs"]),
    (&["anyhow"], &["cli/"]),
    (&["println!", "print!("], &["cli/"]),
];

/// What the programs have nothing of: tests, and what holds in them and under a fuzzer.
const TESTS: &[&str] = &["tests", "properties"];

/// Every source with its path below `src`, without comments and tests.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of sources") {
            let path: PathBuf = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .file_stem()
                .is_some_and(|name| !TESTS.iter().any(|it| name == *it))
            {
                let name = path.strip_prefix(&root).expect("below src");
                let name = name.to_string_lossy().replace('\\', "/");
                let text = fs::read_to_string(&path).expect("a source");
                sources.push((name, code(&text)));
            }
        }
    }
    assert!(sources.len() > 30, "the sources are elsewhere");
    sources
}

fn code(text: &str) -> String {
    let code = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or(text);
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The module a file belongs to: `store` for `store/lock.rs`, `token` for `token.rs`.
fn module(name: &str) -> &str {
    name.split(['/', '.']).next().unwrap_or(name)
}

/// The modules of ours that this code names as `crate::…`.
fn imports(code: &str) -> Vec<&str> {
    let paths = code.split("crate::").skip(1);
    let names = paths.map(|path| {
        path.split(|c: char| !c.is_alphanumeric() && c != '_')
            .next()
    });
    names.flatten().collect()
}

#[test]
fn imports_go_one_way() {
    for (name, code) in sources() {
        let module = module(&name);
        if matches!(module, "lib" | "bin") {
            continue;
        }
        let allowed = IMPORTS.iter().find(|(importer, _)| *importer == module);
        let allowed = allowed.map_or(&[][..], |(_, allowed)| allowed);
        for import in imports(&code) {
            assert!(
                import == module || allowed.contains(&import),
                "src/{name} imports `crate::{import}`"
            );
        }
    }
}

#[test]
fn the_binaries_know_the_command_lines_and_the_environment_alone() {
    for (name, code) in sources()
        .iter()
        .filter(|(name, _)| name.starts_with("bin/"))
    {
        let mut paths = code.split("webex_tokens::").skip(1);
        assert!(
            paths.all(|path| path.starts_with("cli;") || path.starts_with("config::Environment;")),
            "src/{name} imports something else"
        );
        assert!(code.lines().count() < 12, "src/{name} decides something");
    }
}

#[test]
fn what_is_pure_stays_pure() {
    let sources = sources();
    for pure in PURE {
        let found = sources.iter().find(|(name, _)| name == pure);
        let (_, code) = found.unwrap_or_else(|| panic!("src/{pure} is gone"));
        for word in IMPURE {
            assert!(!code.contains(word), "src/{pure} has `{word}` in it");
        }
    }
}

#[test]
fn what_has_a_home_is_found_there_alone() {
    for (words, homes) in AT_HOME {
        for (name, code) in sources() {
            if homes.iter().any(|home| name.starts_with(home)) {
                continue;
            }
            for word in *words {
                assert!(!code.contains(word), "src/{name} has `{word}` in it");
            }
        }
    }
}
