//! Gates, and what is counted while requests are held at them.

use webex_sandbox::{Endpoint, Position, Sandbox};

use crate::{
    client::{Connection, get},
    refresh, with,
};

#[test]
fn a_gate_holds_a_request_before_webex_acts() {
    let sandbox = with(|policy| policy.rotate = true);
    let tokens = sandbox.issue_service_app_tokens();
    let gate = sandbox.gate(Endpoint::ServiceAppRefresh);
    let mut connection = Connection::open(&sandbox);
    connection.start(&refresh(&sandbox, &tokens.refresh_token));
    gate.wait_for_request();
    assert_eq!(gate.waiting(), 1);
    assert!(sandbox.is_live_refresh_token(&tokens.refresh_token));
    assert_eq!(sandbox.requests()[0].status, None);
    gate.release();
    assert_eq!(connection.read().unwrap().status, 200);
    assert_eq!(gate.arrived(), 1);
}

#[test]
fn a_gate_holds_a_request_after_webex_acted() {
    let sandbox = with(|policy| policy.rotate = true);
    let tokens = sandbox.issue_service_app_tokens();
    let gate = sandbox.gate_at(Endpoint::AccessToken, Position::BeforeAnswering);
    let mut connection = Connection::open(&sandbox);
    connection.start(&refresh(&sandbox, &tokens.refresh_token));
    gate.wait_for_request();
    assert!(!sandbox.is_live_refresh_token(&tokens.refresh_token));
    drop(gate);
    assert_eq!(connection.read().unwrap().status, 200);
}

#[test]
fn requests_are_released_one_by_one_in_order_of_arrival() {
    let sandbox = Sandbox::start();
    let gate = sandbox.gate(Endpoint::PeopleMe);
    let mut first = Connection::open(&sandbox);
    first.start(&get("/v1/people/me"));
    gate.wait_for_request();
    let mut second = Connection::open(&sandbox);
    second.start(&get("/v1/people/me"));
    gate.wait_for_requests(2);
    gate.release_one();
    assert_eq!(first.read().unwrap().status, 401);
    assert_eq!(gate.waiting(), 1);
    gate.release_one();
    gate.release_one();
    assert_eq!(second.read().unwrap().status, 401);
    // The third release was for a request that had not arrived.
    assert_eq!(get("/v1/people/me").send(&sandbox).status, 401);
}

#[test]
fn a_request_whose_client_leaves_is_no_longer_held() {
    let sandbox = Sandbox::start();
    let gate = sandbox.gate(Endpoint::PeopleMe);
    let mut connection = Connection::open(&sandbox);
    connection.start(&get("/v1/people/me"));
    gate.wait_for_request();
    drop(connection);
    gate.wait_until_empty();
    assert_eq!(sandbox.requests()[0].status, None);
}

#[test]
fn two_refreshes_of_one_grant_at_once_are_an_overlap() {
    let sandbox = Sandbox::start();
    let tokens = sandbox.issue_service_app_tokens();
    let ask = refresh(&sandbox, &tokens.refresh_token);
    ask.send(&sandbox);
    ask.send(&sandbox);
    assert_eq!(sandbox.counts().overlapping_refreshes, 0, "one by one");

    let gate = sandbox.gate(Endpoint::AccessToken);
    let mut one = Connection::open(&sandbox);
    one.start(&ask);
    gate.wait_for_request();
    let mut other = Connection::open(&sandbox);
    let others = sandbox.issue_service_app_tokens();
    other.start(&refresh(&sandbox, &others.refresh_token));
    gate.wait_for_requests(2);
    assert_eq!(sandbox.counts().overlapping_refreshes, 0, "two grants");
    let mut third = Connection::open(&sandbox);
    third.start(&ask);
    gate.wait_for_requests(3);
    assert_eq!(sandbox.counts().overlapping_refreshes, 1);
    gate.release();
    for connection in [&mut one, &mut other, &mut third] {
        assert_eq!(connection.read().unwrap().status, 200);
    }
}

#[test]
fn a_rotated_grant_is_still_one_grant_when_it_overlaps() {
    let sandbox = with(|policy| policy.rotate = true);
    let tokens = sandbox.issue_service_app_tokens();
    let ask = refresh(&sandbox, &tokens.refresh_token);
    let gate = sandbox.gate_at(Endpoint::AccessToken, Position::BeforeAnswering);
    let mut one = Connection::open(&sandbox);
    one.start(&ask);
    gate.wait_for_request();
    let mut other = Connection::open(&sandbox);
    other.start(&ask);
    gate.wait_for_requests(2);
    let counts = sandbox.counts();
    assert_eq!(
        (counts.overlapping_refreshes, counts.reused_refresh_tokens),
        (1, 1)
    );
}
