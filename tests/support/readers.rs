//! The programs that read `.env`, as people run them: each is started once for a whole corpus and
//! prints NUL-ended fields, `@` and the name of a file, then `KEY=value` for all it read there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) type Values = BTreeMap<String, String>;

/// What a reader read in one file.
#[derive(Default)]
pub(crate) struct Reading {
    pub(crate) is_readable: bool,
    pub(crate) values: Values,
}

/// What a reader read, by name of file.
pub(crate) type Readings = BTreeMap<String, Reading>;

/// The readers, found where `scripts/test` puts them.
pub(crate) struct Readers {
    scripts: PathBuf,
    python: PathBuf,
    node_modules: PathBuf,
}

impl Readers {
    pub(crate) fn find() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let readers = Self {
            scripts: root.join("tests/readers"),
            python: root.join("target/readers/venv/bin/python"),
            node_modules: root.join("target/readers/node_modules"),
        };
        for needed in [&readers.python, &readers.node_modules.join("dotenv")] {
            assert!(
                needed.exists(),
                "{} is missing: run `scripts/test`, which installs it",
                needed.display()
            );
        }
        readers
    }

    pub(crate) fn read(
        &self,
        texts: &BTreeMap<String, String>,
    ) -> BTreeMap<&'static str, Readings> {
        let folder = tempfile::tempdir().expect("a folder for the texts");
        let elsewhere = tempfile::tempdir().expect("a folder to run in");
        for (name, text) in texts {
            write(&folder.path().join(name), text);
        }
        let start = |program: &Path, script: &str| {
            let mut command = Command::new(program);
            command.arg(self.scripts.join(script)).arg(folder.path());
            command.current_dir(elsewhere.path());
            command
        };
        let mut node = start(Path::new("node"), "read.js");
        node.arg(&self.node_modules);
        let mut bash = start(Path::new("/bin/bash"), "read.sh");
        bash.env_clear().arg(elsewhere.path());
        BTreeMap::from([
            ("dotenvy", dotenvy_readings(texts)),
            ("python-dotenv", readings(start(&self.python, "read.py"))),
            ("npm dotenv", readings(node)),
            ("bash", readings(bash)),
        ])
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "files for other programs to read"
)]
fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("a text is written");
}

/// Like the other readers, dotenvy is given the end of the last line.
fn dotenvy_readings(texts: &BTreeMap<String, String>) -> Readings {
    let reading = |text: &String| {
        let text = format!("{}\n", text.trim_start_matches('\u{feff}'));
        Reading {
            is_readable: true,
            values: dotenvy::from_read_iter(text.as_bytes()).flatten().collect(),
        }
    };
    texts
        .iter()
        .map(|(name, text)| (name.clone(), reading(text)))
        .collect()
}

fn readings(mut command: Command) -> Readings {
    command.stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().unwrap_or_else(|error| {
        panic!(
            "{} does not start ({error}): run `scripts/test`",
            command.get_program().display()
        )
    });
    assert!(output.status.success(), "{command:?}");
    let output = String::from_utf8(output.stdout).expect("readers print UTF-8");
    let mut readings = Readings::new();
    let mut name = String::new();
    for field in output.split_terminator('\0') {
        if let Some(file) = field.strip_prefix(['@', '!']) {
            file.clone_into(&mut name);
            let is_readable = field.starts_with('@');
            readings.entry(name.clone()).or_default().is_readable = is_readable;
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
