//! `data-sources`: manages data sources and keeps them alive.

use std::process::ExitCode;

use webex_tokens::cli;
use webex_tokens::config::Environment;

fn main() -> ExitCode {
    cli::data_sources(std::env::args_os(), Environment::capture())
}
