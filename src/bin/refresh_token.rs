//! `refresh_token`: makes sure that `.env` holds an access token that Webex accepts.

use std::process::ExitCode;

use webex_tokens::cli;
use webex_tokens::config::Environment;

fn main() -> ExitCode {
    cli::refresh_token(std::env::args_os(), Environment::capture())
}
