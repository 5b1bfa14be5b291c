//! `setup_oauth`: from nothing to a working `.env` in one sitting.

use std::process::ExitCode;

use webex_tokens::cli;
use webex_tokens::config::Environment;

fn main() -> ExitCode {
    cli::setup_oauth(std::env::args_os(), Environment::capture())
}
