//! Whose JWS may be one of Webex's, and where their keys are published. Pure.
//!
//! The issuer is read out of the very token that is to be verified, so that following it anywhere
//! would let a forger vouch for themselves. What is compared is the URL as parsed.

use url::{Host, Url};

use crate::masked::masked_text;
use crate::token::one_line;

/// The identity brokers whose tokens Webex's own receiver accepts.
const BROKERS: [&str; 6] = [
    "idbroker.webex.com",
    "idbroker-eu.webex.com",
    "idbroker-b-us.webex.com",
    "idbroker-ca.webex.com",
    "idbrokerbts.webex.com",
    "idbrokerbts-eu.webex.com",
];

/// An issuer that is not known to be Webex.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the issuer `{issuer}` is none of Webex's")]
pub struct UnknownIssuer {
    /// What the JWS says, as it may be shown.
    pub issuer: String,
}

/// Where the keys of `issuer` are published.
///
/// Besides Webex's identity brokers, an issuer on the origin of `api_base` is known where that is
/// this machine itself: a local Webex signs with keys of its own.
///
/// # Errors
///
/// The issuer is not known; nothing may be fetched from it.
pub fn keys_url(issuer: &str, api_base: &Url) -> Result<Url, UnknownIssuer> {
    let known = Url::parse(issuer)
        .ok()
        .filter(|url| is_plain(url) && (is_broker(url) || is_local(url, api_base)));
    let mut url = known.ok_or_else(|| UnknownIssuer {
        issuer: one_line(&masked_text(issuer)),
    })?;
    let path = url.path().trim_end_matches('/');
    let path = format!("{path}/oauth2/v2/keys/verificationjwk");
    url.set_path(&path);
    Ok(url)
}

/// Whether there is nothing in it but an origin and a path.
fn is_plain(url: &Url) -> bool {
    url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
}

fn is_broker(url: &Url) -> bool {
    url.scheme() == "https"
        && url.port().is_none()
        && url.host_str().is_some_and(|host| BROKERS.contains(&host))
        && matches!(url.path(), "/idb" | "/idb/")
}

fn is_local(url: &Url, api_base: &Url) -> bool {
    let is_loopback = match api_base.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    is_loopback && url.origin() == api_base.origin()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(issuer: &str, api_base: &str) -> Result<String, UnknownIssuer> {
        let api_base = Url::parse(api_base).expect("a URL");
        keys_url(issuer, &api_base).map(String::from)
    }

    const WEBEX: &str = "https://webexapis.com/v1";

    #[test]
    fn each_of_webexs_brokers_publishes_its_keys() {
        for broker in [
            "idbroker",
            "idbroker-eu",
            "idbroker-b-us",
            "idbroker-ca",
            "idbrokerbts",
            "idbrokerbts-eu",
        ] {
            let expected = format!("https://{broker}.webex.com/idb/oauth2/v2/keys/verificationjwk");
            for issuer in [
                format!("https://{broker}.webex.com/idb"),
                format!("https://{broker}.webex.com/idb/"),
                format!("https://{broker}.webex.com:443/idb"),
                format!("HTTPS://{}.Webex.COM/idb", broker.to_uppercase()),
            ] {
                assert_eq!(keys(&issuer, WEBEX).as_ref(), Ok(&expected), "{issuer}");
            }
        }
    }

    #[test]
    fn whoever_looks_like_a_broker_is_not_one() {
        for issuer in [
            "",
            "idbroker.webex.com/idb",
            "http://idbroker.webex.com/idb",
            "wss://idbroker.webex.com/idb",
            "https://idbroker.webex.com",
            "https://idbroker.webex.com/IDB",
            "https://idbroker.webex.com/idb2",
            "https://idbroker.webex.com/idb//",
            "https://idbroker.webex.com/idb/x",
            "https://idbroker.webex.com/x/idb",
            "https://idbroker.webex.com/idb?a",
            "https://idbroker.webex.com/idb#a",
            "https://idbroker.webex.com:8443/idb",
            "https://idbroker.webex.com.evil.example/idb",
            "https://idbroker.webex.com./idb",
            "https://evil.idbroker.webex.com/idb",
            "https://idbroker-f.webex.com/idb",
            "https://webexapis.com/idb",
            "https://u@idbroker.webex.com/idb",
            "https://u:p@idbroker.webex.com/idb",
            "https://idbroker.webex.com@evil.example/idb",
            "https://evil.example/https://idbroker.webex.com/idb",
            "https://evil.example#@idbroker.webex.com/idb",
            "https://evil.example\\@idbroker.webex.com/idb",
            // The API is not this machine, so that no issuer is beside it.
            "https://webexapis.com/v1",
            "http://127.0.0.1:8080/idb",
        ] {
            assert!(keys(issuer, WEBEX).is_err(), "{issuer}");
        }
    }

    #[test]
    fn a_local_webex_signs_with_its_own_keys() {
        for (base, issuer) in [
            ("http://127.0.0.1:8080/v1", "http://127.0.0.1:8080/idb"),
            ("http://127.0.0.1:8080/v1", "http://2130706433:8080/idb/"),
            ("https://localhost/v1", "https://localhost:443/idb"),
            ("http://[::1]:8080", "http://[::1]:8080/idb"),
        ] {
            let keys = keys(issuer, base).expect(issuer);
            assert!(
                keys.ends_with("/idb/oauth2/v2/keys/verificationjwk"),
                "{keys}"
            );
        }
        let base = "http://127.0.0.1:8080/v1";
        for issuer in [
            "https://127.0.0.1:8080/idb",
            "http://127.0.0.1:8081/idb",
            "http://127.0.0.2:8080/idb",
            "http://localhost:8080/idb",
            "http://u@127.0.0.1:8080/idb",
            "http://127.0.0.1:8080/idb?a",
            "http://127.0.0.1:8080/idb#a",
        ] {
            assert!(keys(issuer, base).is_err(), "{issuer}");
        }
        for base in [
            "http://192.0.2.1:8080/v1",
            "https://localhost.evil.example/v1",
        ] {
            let issuer = base.replace("v1", "idb");
            assert!(keys(&issuer, base).is_err(), "{issuer}");
        }
        assert!(keys("https://idbroker.webex.com/idb", base).is_ok());
        assert!(keys("data:a", "data:b").is_err());
    }

    #[test]
    fn what_is_said_of_an_issuer_is_one_line_without_secrets() {
        let issuer = "https://u:canary@evil.example/idb?canary\n\u{1b}[2J";
        let error = keys(issuer, WEBEX).expect_err("unknown");
        assert_eq!(
            error.to_string(),
            "the issuer `https://***@evil.example/idb?***` is none of Webex's"
        );
        assert!(!format!("{error:?}").contains("canary"));
    }

    proptest! {
        #[test]
        fn keys_come_from_a_known_host_alone(
            issuer in "(https://)?[a-z@./\\\\]{0,3}idbroker(-eu)?\\.webex\\.com[a-z@:./#?\\\\]{0,4}(/idb)?/?|\\PC*"
        ) {
            if let Ok(keys) = keys(&issuer, WEBEX) {
                prop_assert!(
                    BROKERS.iter().any(|broker| {
                        keys == format!("https://{broker}/idb/oauth2/v2/keys/verificationjwk")
                    }),
                    "{}", keys
                );
            }
        }
    }
}
