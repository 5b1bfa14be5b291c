//! `check_token`: says where every credential stands.

use std::process::ExitCode;

use webex_tokens::cli;
use webex_tokens::config::Environment;

fn main() -> ExitCode {
    cli::check_token(std::env::args_os(), Environment::capture())
}
