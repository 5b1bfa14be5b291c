//! What the command line gives, with the secrets in the files that it names.

use std::io::{self, Read as _};
use std::path::Path;

use secrecy::SecretString;

use crate::cli::arguments::{STANDARD_INPUT, SetupOauth};
use crate::config::{Problem, ProblemKind, Setting};
use crate::ids::{self, IdKind};
use crate::manager::{Report, RunOutcome};
use crate::remedy::Remedy;
use crate::setup::questions;
use crate::token::without_tokens;

/// What the command line gives, with the secrets in the files that it names.
pub(super) fn values(arguments: &SetupOauth) -> Result<Vec<(Setting, SecretString)>, Box<Report>> {
    let texts = [
        (Setting::ClientId, &arguments.client_id),
        (Setting::TargetOrgId, &arguments.target_org_id),
        (
            Setting::IntegrationClientId,
            &arguments.integration_client_id,
        ),
        (Setting::RedirectUri, &arguments.redirect_uri),
    ];
    let texts = texts
        .into_iter()
        .filter_map(|(setting, text)| Some((setting, text.as_deref()?)));
    let mut values = Vec::new();
    if let Some(app_id) = &arguments.app_id {
        let app_id = app_id.trim();
        values.push((Setting::AppId, SecretString::from(app_id)));
        if arguments.client_id.is_none()
            && let Ok(client_id) = ids::value(app_id, IdKind::Application)
        {
            values.push((Setting::ClientId, client_id.into()));
        }
    }
    for (given, text) in texts {
        let answers = questions::settings(given, text.trim().to_owned()).into_iter();
        // What is given in its own name is not overruled by what another value says of it.
        let is_to_be_taken =
            |(setting, _): &(Setting, String)| *setting == given || arguments.app_id.is_none();
        let answers = answers.filter(is_to_be_taken);
        values.extend(answers.map(|(setting, value)| (setting, SecretString::from(value))));
    }
    for (setting, path) in arguments.secret_files() {
        values.push((setting, secret_in(path)?));
    }
    Ok(values)
}

fn secret_in(path: &Path) -> Result<SecretString, Box<Report>> {
    /// As much as any file of settings may hold.
    const MOST: u64 = 1024 * 1024;
    let mut bytes = Vec::new();
    let read = if path == Path::new(STANDARD_INPUT) {
        io::stdin().lock().take(MOST + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MOST + 1).read_to_end(&mut bytes))
    };
    // Whoever took the option for one that takes the secret itself has it kept from the log.
    let shown = without_tokens(&path.display().to_string());
    if let Err(error) = read {
        let report = Report::bare(
            RunOutcome::Unreadable,
            format!("cannot read {shown}: {error}"),
        );
        let advice = "name a file that holds the secret alone, and that you may read".to_owned();
        let remedy = Some(Remedy::FixFile { advice });
        return Err(Box::new(Report { remedy, ..report }));
    }
    let is_too_large = bytes.len() as u64 > MOST;
    let kind = match String::from_utf8(bytes) {
        _ if is_too_large => ProblemKind::TooLarge,
        Ok(text) => return Ok(text.trim().to_owned().into()),
        Err(_) => ProblemKind::NotUtf8,
    };
    let problem = Problem::in_file(shown, None, kind);
    Err(Box::new(Report::misconfigured(vec![problem.to_string()])))
}
