//! The programs that read `.env`, as people run them: each is started once for a whole corpus and
//! prints NUL-ended fields, `@` and the name of a file, or `!` if it finds fault with that file,
//! then `KEY=value` for all it read there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::torture;

pub(crate) type Values = BTreeMap<String, String>;

/// What a reader read in one file.
#[derive(Default)]
pub(crate) struct Reading {
    /// Whether it found fault with some of it.
    pub(crate) complains: bool,
    pub(crate) values: Values,
}

/// What a reader read, by name of file.
pub(crate) type Readings = BTreeMap<String, Reading>;

/// The readers that the editor answers for.
pub(crate) const ANSWERED_FOR: [&str; 4] = ["dotenvy", "python-dotenv", "npm dotenv", "bash"];

/// Where the readers are found.
pub(crate) struct Readers {
    scripts: PathBuf,
    python: PathBuf,
    node_modules: PathBuf,
    ruby: PathBuf,
    /// Built by `scripts/torture`, and read with only there: its toolchain is large.
    godotenv: Option<PathBuf>,
}

impl Readers {
    /// The readers where `scripts/test` puts them.
    pub(crate) fn find() -> Self {
        Self::found(None)
    }

    /// The same, and under `scripts/torture` the one that it builds.
    pub(crate) fn find_all() -> Self {
        let godotenv = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/readers/godotenv");
        Self::found(torture::is_on().then_some(godotenv))
    }

    fn found(godotenv: Option<PathBuf>) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let readers = Self {
            scripts: root.join("tests/readers"),
            python: root.join("target/readers/venv/bin/python"),
            node_modules: root.join("target/readers/node_modules"),
            ruby: PathBuf::from("/usr/bin/ruby"),
            godotenv,
        };
        let dotenv = readers.node_modules.join("dotenv");
        let needed = [&readers.python, &dotenv, &readers.ruby];
        for needed in needed.into_iter().chain(&readers.godotenv) {
            assert!(
                needed.exists(),
                "{} is missing: run `scripts/test` or `scripts/torture`, which installs it",
                needed.display()
            );
        }
        readers
    }

    /// What each reader reads in each of `texts`.
    pub(crate) fn read(
        &self,
        texts: &BTreeMap<String, String>,
    ) -> BTreeMap<&'static str, Readings> {
        let folder = tempfile::tempdir().expect("a folder for the texts");
        let elsewhere = tempfile::tempdir().expect("a folder to run in");
        for (name, text) in texts {
            write(&folder.path().join(name), text);
        }
        let command = |program: &Path, script: Option<&str>| {
            let mut command = Command::new(program);
            command.args(script.map(|script| self.scripts.join(script)));
            command.arg(folder.path()).current_dir(elsewhere.path());
            command
        };
        let mut node = command(Path::new("node"), Some("read.js"));
        node.arg(&self.node_modules);
        let mut bash = command(Path::new("/bin/bash"), Some("read.sh"));
        bash.env_clear().arg(elsewhere.path());
        let mut ruby = command(&self.ruby, Some("read.rb"));
        // It runs what stands in `$(…)`, and complains of what it does not find.
        ruby.env_clear().env("PATH", "/nonexistent");
        ruby.stderr(Stdio::null());
        let python = command(&self.python, Some("read.py"));
        let mut commands = vec![
            ("python-dotenv", python),
            ("npm dotenv", node),
            ("bash", bash),
            ("Ruby dotenv", ruby),
        ];
        if let Some(godotenv) = &self.godotenv {
            let mut godotenv = command(godotenv, None);
            godotenv.env_clear();
            commands.push(("godotenv", godotenv));
        }
        let started: Vec<_> = commands
            .into_iter()
            .map(|(name, command)| (name, start(command)))
            .collect();
        let mut readings = BTreeMap::from([("dotenvy", dotenvy_readings(texts))]);
        for (name, child) in started {
            let read = readings_of(name, child);
            assert_eq!(read.len(), texts.len(), "{name} has read every file");
            readings.insert(name, read);
        }
        readings
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "files for other programs to read"
)]
fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("a text is written");
}

/// Read as `dotenvy::dotenv()` does, which knows byte order marks.
fn dotenvy_readings(texts: &BTreeMap<String, String>) -> Readings {
    let reading = |text: &String| {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reading = Reading::default();
        for assignment in dotenvy::from_read_iter(text.as_bytes()) {
            match assignment {
                Ok((key, value)) => drop(reading.values.insert(key, value)),
                Err(_) => reading.complains = true,
            }
        }
        reading
    };
    texts
        .iter()
        .map(|(name, text)| (name.clone(), reading(text)))
        .collect()
}

fn start(mut command: Command) -> Child {
    let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    started.unwrap_or_else(|error| {
        panic!(
            "{} does not start ({error}): run `scripts/test`",
            command.get_program().display()
        )
    })
}

fn readings_of(reader: &str, child: Child) -> Readings {
    let output = child.wait_with_output().expect("a reader ends");
    assert!(output.status.success(), "{reader} has failed");
    let output = String::from_utf8(output.stdout).expect("readers print UTF-8");
    let mut readings = Readings::new();
    let mut name = String::new();
    for field in output.split_terminator('\0') {
        if let Some(file) = field.strip_prefix(['@', '!']) {
            file.clone_into(&mut name);
            readings.entry(name.clone()).or_default().complains = field.starts_with('!');
        } else {
            let (key, value) = field.split_once('=').expect("a field is KEY=value");
            let is_of_the_shell = ["PWD", "OLDPWD", "SHLVL", "_"].contains(&key);
            let reading = readings.get_mut(&name).expect("a file is named first");
            if !is_of_the_shell {
                reading.values.insert(key.to_owned(), value.to_owned());
            }
        }
    }
    readings
}
