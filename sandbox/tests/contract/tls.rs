//! TLS with certificates made at start.

use webex_sandbox::{Sandbox, Tls};

use crate::client::{get, send_tls};

fn sandbox(tls: Tls) -> Sandbox {
    Sandbox::builder().tls(tls).start()
}

#[test]
fn the_trusted_certificate_is_good_for_localhost_and_the_address() {
    let sandbox = sandbox(Tls::Trusted);
    let port = sandbox.address().port();
    assert_eq!(sandbox.base_url(), format!("https://localhost:{port}/v1"));
    for host in ["localhost", "127.0.0.1"] {
        let answers = send_tls(
            &sandbox,
            host,
            &[get("/v1/people/me"), get("/v1/people/me")],
        );
        let statuses: Vec<u16> = answers.unwrap().iter().map(|it| it.status).collect();
        assert_eq!(statuses, [401, 401]);
    }
    let numbers: Vec<u64> = sandbox.requests().iter().map(|it| it.connection).collect();
    assert_eq!(numbers, [1, 1, 2, 2], "kept alive over TLS");
}

#[test]
fn every_bad_certificate_is_bad_in_its_own_way() {
    for (tls, reason) in [
        (Tls::WrongName, "not valid for name"),
        (Tls::Expired, "expired"),
        (Tls::UnknownCa, "UnknownIssuer"),
    ] {
        let sandbox = sandbox(tls);
        let error = send_tls(&sandbox, "localhost", &[get("/v1/people/me")]).unwrap_err();
        assert!(error.contains(reason), "{tls:?}: {error}");
        assert!(sandbox.requests().is_empty());
    }
}

#[test]
fn plain_http_has_no_ca() {
    let sandbox = sandbox(Tls::Off);
    assert_eq!(sandbox.ca_pem(), None);
    assert_eq!(
        sandbox.base_url(),
        format!("http://{}/v1", sandbox.address())
    );
}
