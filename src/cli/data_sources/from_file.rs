//! `--from FILE`: a registration in JSON.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::trouble::Trouble;
use crate::cli::arguments::STANDARD_INPUT;
use crate::cli::dialogue::on_a_thread;
use crate::manager::Limits;
use crate::remedy::ExitStatus;
use crate::sources::draft::{Draft, Fault};
use crate::token::without_tokens;

/// What the file says.
pub(super) async fn read(path: &Path, limits: &Limits) -> Result<Draft, Trouble> {
    /// As much as any file of settings may hold.
    const MOST: u64 = 1024 * 1024;
    let is_stdin = path == Path::new(STANDARD_INPUT);
    let shown = if is_stdin {
        "standard input".to_owned()
    } else {
        without_tokens(&path.display().to_string())
    };
    let path = path.to_owned();
    // It may be a pipe that nobody writes into.
    let read = on_a_thread(limits, move || {
        let mut bytes = Vec::new();
        let read = if is_stdin {
            io::stdin().lock().take(MOST + 1).read_to_end(&mut bytes)
        } else {
            File::open(path).and_then(|file| file.take(MOST + 1).read_to_end(&mut bytes))
        };
        Ok(read.map(|_| bytes))
    });
    let bytes = read.await?.map_err(|error| {
        let message = format!("cannot read {shown}: {error}");
        Trouble::new("unreadable", message, None, ExitStatus::File)
            .advising("name a file that you may read, or - for standard input")
    })?;
    let is_too_large = bytes.len() as u64 > MOST;
    let text = match String::from_utf8(bytes) {
        _ if is_too_large => return Err(malformed(vec![format!("{shown}: larger than 1 MiB")])),
        Ok(text) => text,
        Err(error) => {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = good.split(|byte| *byte == b'\n').count();
            return Err(malformed(vec![format!("{shown}:{line}: not UTF-8")]));
        }
    };
    let faults = |faults: Vec<Fault>| {
        let faults = faults.iter();
        malformed(faults.map(|fault| fault.told(&shown)).collect())
    };
    Draft::parse(&text).map_err(faults)
}

fn malformed(problems: Vec<String>) -> Trouble {
    let message = "this cannot be registered, and nothing was sent";
    Trouble::new("misconfigured", message, None, ExitStatus::Configuration)
        .advising("correct what is listed, then run this again")
        .listing(problems)
}
