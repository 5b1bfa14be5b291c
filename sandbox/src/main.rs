//! `webex-sandbox`: serves a local Webex until it is interrupted, and prints what a client needs.

use std::{io::Write, net::Ipv4Addr, process::ExitCode};

use clap::Parser;
use webex_sandbox::{IssuedTokens, Sandbox, Tls};

/// Serve a local Webex to try OAuth and data-source clients against.
///
/// Prints the content of a `.env` and of a `token-config.json` for it, then serves until Ctrl-C.
#[derive(Parser)]
#[command(
    version,
    after_help = "Examples:\n  webex-sandbox\n  webex-sandbox --port 8080 --data-sources 3"
)]
struct Args {
    /// Port on 127.0.0.1; 0 takes any free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// How many data sources there are.
    #[arg(long, value_name = "N", default_value_t = 0)]
    data_sources: usize,
    /// Serve https and print the CA to trust.
    #[arg(long)]
    tls: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!(
                "webex-sandbox: cannot serve on {}: {error}",
                Ipv4Addr::LOCALHOST
            );
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> std::io::Result<()> {
    let tls = if args.tls { Tls::Trusted } else { Tls::Off };
    let sandbox = Sandbox::builder().port(args.port).tls(tls).try_start()?;
    sandbox.seed_data_sources(args.data_sources);
    let mut out = std::io::stdout().lock();
    out.write_all(instructions(&sandbox).as_bytes())?;
    out.flush()?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(tokio::signal::ctrl_c())
}

/// What to put where, as text.
fn instructions(sandbox: &Sandbox) -> String {
    let tokens = sandbox.issue_service_app_tokens();
    let mut text = format!(
        "A local Webex serves at {base}\n\n\
         .env\n----\n{env}\n\
         token-config.json\n-----------------\n{config}\n",
        base = sandbox.base_url(),
        env = env(sandbox, &tokens),
        config = config(sandbox),
    );
    if let Some(ca) = sandbox.ca_pem() {
        text.push_str("\nCA, for the file that SSL_CERT_FILE names\n");
        text.push_str("-----------------------------------------\n");
        text.push_str(ca);
    }
    text.push_str("\nCtrl-C ends it.\n");
    text
}

fn env(sandbox: &Sandbox, tokens: &IssuedTokens) -> String {
    format!(
        "WEBEX_API_BASE_URL={}\n\
         WEBEX_SERVICE_APP_ACCESS_TOKEN={}\n\
         WEBEX_SERVICE_APP_REFRESH_TOKEN={}\n",
        sandbox.base_url(),
        tokens.access_token,
        tokens.refresh_token
    )
}

fn config(sandbox: &Sandbox) -> String {
    let tenant = sandbox.tenant();
    let integration = sandbox.issue_integration_tokens();
    let config = serde_json::json!({
        "serviceApp": {
            "appId": tenant.app_id,
            "clientId": tenant.client_id,
            "clientSecret": tenant.client_secret,
            "targetOrgId": tenant.target_org_id,
        },
        "tokenManager": {
            "personalAccessToken": sandbox.issue_personal_access_token(),
            "integration": {
                "clientId": tenant.integration_client_id,
                "clientSecret": tenant.integration_client_secret,
                "refreshToken": integration.refresh_token,
            },
        },
    });
    format!("{config:#}\n")
}
