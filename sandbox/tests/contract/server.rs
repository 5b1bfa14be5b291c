//! The server itself: the log, the connections, ids of requests, its end.

use std::{collections::BTreeSet, net::TcpStream};

use serde_json::json;
use webex_sandbox::{Counts, Sandbox};

use crate::{
    client::{Connection, delete, get, put},
    mint, refresh, text,
};

#[test]
fn every_request_is_logged_as_it_came() {
    let sandbox = Sandbox::start();
    let tokens = sandbox.issue_service_app_tokens();
    refresh(&sandbox, &tokens.refresh_token)
        .header("User-Agent", "tests/1")
        .send(&sandbox);
    let personal = sandbox.issue_personal_access_token();
    mint(&sandbox, &personal).send(&sandbox);
    get("/v1/datasources/?max=5&q=a%20b").send(&sandbox);
    let log = sandbox.requests();
    assert_eq!(log[0].method, "POST");
    assert_eq!(log[0].path, "/v1/access_token");
    assert_eq!(log[0].headers["user-agent"], "tests/1");
    assert_eq!(log[0].form["refresh_token"], tokens.refresh_token);
    assert_eq!(log[0].status, Some(200));
    assert_eq!(log[0].json, None);
    assert!(log[0].at <= sandbox.now());
    assert_eq!(log[1].bearer(), Some(personal.as_str()));
    assert_eq!(
        log[1].json.as_ref().unwrap()["clientId"],
        sandbox.tenant().client_id
    );
    assert!(log[1].form.is_empty());
    assert!(!log[1].body.is_empty());
    assert_eq!(log[2].path, "/v1/datasources/");
    assert_eq!(log[2].query["q"], "a b");
    assert_eq!(log[2].status, Some(401));
}

#[test]
fn counts_add_up_and_are_cleared_with_the_log() {
    let sandbox = Sandbox::start();
    let tokens = sandbox.issue_service_app_tokens();
    refresh(&sandbox, &tokens.refresh_token).send(&sandbox);
    refresh(&sandbox, "never issued").send(&sandbox);
    mint(&sandbox, "garbage").send(&sandbox);
    get("/v1/dataSources").send(&sandbox);
    let counts = sandbox.counts();
    assert_eq!((counts.requests, counts.connections), (4, 4));
    assert_eq!((counts.refresh_requests, counts.refreshes), (2, 1));
    assert_eq!((counts.mint_requests, counts.mints), (1, 0));
    assert_eq!((counts.grants, counts.validations), (1, 1));
    sandbox.clear_requests();
    assert!(sandbox.requests().is_empty());
    assert_eq!(sandbox.counts(), Counts::default());
}

#[test]
fn a_connection_is_kept_alive_and_numbered() {
    let sandbox = Sandbox::start();
    let mut connection = Connection::open(&sandbox);
    for _ in 0..3 {
        assert_eq!(connection.send(&get("/v1/people/me")).unwrap().status, 401);
    }
    get("/v1/people/me").send(&sandbox);
    let numbers: Vec<u64> = sandbox.requests().iter().map(|it| it.connection).collect();
    assert_eq!(numbers, [1, 1, 1, 2]);
    assert_eq!(sandbox.counts().connections, 2);
}

#[test]
fn every_answer_has_a_tracking_id_of_its_own() {
    let sandbox = Sandbox::start();
    let token = sandbox.issue_service_app_tokens().access_token;
    let ids: BTreeSet<String> = [
        get("/v1/dataSources").bearer(&token),
        get("/v1/dataSources").bearer("garbage"),
        get("/nowhere"),
    ]
    .iter()
    .map(|ask| ask.send(&sandbox).header("trackingid").unwrap().to_owned())
    .collect();
    assert_eq!(ids.len(), 3);
}

#[test]
fn an_unknown_path_is_404_and_an_unknown_method_405() {
    let sandbox = Sandbox::start();
    let unknown = get("/v1/rooms").send(&sandbox);
    assert_eq!(unknown.status, 404);
    assert!(!text(&unknown, "/message").is_empty());
    for ask in [
        delete("/v1/people/me"),
        put("/v1/access_token").json(&json!({})),
    ] {
        let answer = ask.send(&sandbox);
        assert_eq!(answer.status, 405);
        assert!(!text(&answer, "/trackingId").is_empty());
    }
}

#[test]
fn dropping_it_closes_the_port_and_every_connection() {
    let sandbox = Sandbox::start();
    let mut connection = Connection::open(&sandbox);
    connection.send(&get("/v1/people/me"));
    let address = sandbox.address();
    drop(sandbox);
    assert!(TcpStream::connect(address).is_err());
    assert!(connection.read().is_none());
}

#[test]
fn a_load_test_keeps_counts_and_no_requests() {
    let sandbox = Sandbox::builder().forget_requests().start();
    get("/v1/people/me").send(&sandbox);
    assert!(sandbox.requests().is_empty());
    assert_eq!(sandbox.counts().requests, 1);
}

#[test]
fn a_port_of_choice_is_taken_or_refused() {
    let sandbox = Sandbox::start();
    let port = sandbox.address().port();
    assert!(Sandbox::builder().port(port).try_start().is_err());
}

#[test]
fn two_worlds_share_no_value() {
    let (one, other) = (Sandbox::start(), Sandbox::start());
    assert_ne!(one.tenant().client_id, other.tenant().client_id);
    assert_ne!(one.tenant().client_secret, other.tenant().client_secret);
    let token = one.issue_service_app_tokens().access_token;
    assert!(!other.is_live(&token));
    assert!(!format!("{one:?}").contains(&one.tenant().client_secret));
}

#[test]
fn switches_read_back_as_set() {
    let sandbox = Sandbox::start();
    sandbox.set_policy(|policy| policy.rotate = true);
    assert!(sandbox.policy().rotate);
}

#[test]
fn a_sandbox_is_shared_between_threads() {
    let sandbox = Sandbox::start();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| get("/v1/people/me").send(&sandbox));
        }
    });
    assert_eq!(sandbox.requests().len(), 4);
}
