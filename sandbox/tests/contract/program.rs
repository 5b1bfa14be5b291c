//! The binary.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use serde_json::Value;

#[test]
fn the_program_prints_a_config_that_works_and_serves() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_webex-sandbox"))
        .args(["--port", "0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        lines.push(line.unwrap());
        if lines.last().unwrap().starts_with("Ctrl-C") {
            break;
        }
    }
    let value = |key: &str| {
        let prefix = format!("{key}=");
        let line = lines.iter().find_map(|line| line.strip_prefix(&prefix));
        line.unwrap_or_else(|| panic!("no {key} in {lines:#?}"))
    };
    let json: String = lines
        .iter()
        .skip_while(|line| *line != "{")
        .take_while(|line| !line.is_empty())
        .flat_map(|line| [line, "\n"])
        .collect();
    let config: Value = serde_json::from_str(&json).unwrap();
    let app = &config["serviceApp"];
    for field in ["appId", "clientId", "clientSecret", "targetOrgId"] {
        assert!(app[field].is_string(), "{config}");
    }
    assert!(config["tokenManager"]["integration"]["refreshToken"].is_string());

    let address = value("WEBEX_API_BASE_URL")
        .strip_prefix("http://")
        .unwrap()
        .strip_suffix("/v1")
        .unwrap();
    let answer = crate::client::get("/v1/dataSources")
        .bearer(value("WEBEX_SERVICE_APP_ACCESS_TOKEN"))
        .send_to(address);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(answer.status, 200);
}
