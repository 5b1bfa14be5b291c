//! Whether a JWS is its issuer's: the issuer is asked for its keys, if it is one of Webex's.

use super::DataSource;
use super::issuers::{UnknownIssuer, keys_url};
use super::jws::{Jws, KeySet, KeySetError, VerifyError};
use crate::authorized::AuthorizedClient;
use crate::webex::judge;

/// What is known of the signature of a data source's JWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signature {
    /// It is the issuer's.
    Verified,
    /// It is not known to be the issuer's, although all was at hand to tell.
    NotVerified(NotVerified),
    /// It was not looked at.
    NotChecked(NotChecked),
}

/// Why a signature is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotVerified {
    /// The JWS does not say whose it is.
    #[error("the JWS names no issuer")]
    NoIssuer,
    /// It is somebody's whose keys are not asked for.
    #[error(transparent)]
    UnknownIssuer(#[from] UnknownIssuer),
    /// The keys do not fit, or the JWS is none.
    #[error(transparent)]
    Refused(#[from] VerifyError),
}

/// Why a signature was not looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotChecked {
    /// There is none.
    #[error("Webex's answer has no JWS in it")]
    NoJws,
    /// The issuer's keys could not be had.
    #[error("cannot get the keys of {host}: {why}")]
    NoKeys {
        /// The issuer's host.
        host: String,
        /// What went wrong, in one line.
        why: String,
    },
    /// What the issuer published is no key set.
    #[error(transparent)]
    KeySet(#[from] KeySetError),
}

impl Signature {
    /// The name in `--json`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::NotVerified(_) => "not_verified",
            Self::NotChecked(_) => "not_checked",
        }
    }
}

/// Verifies the JWS of a data source against the keys that its issuer publishes now: one request,
/// without a token.
pub async fn verify(calls: &AuthorizedClient, source: &DataSource) -> Signature {
    let Some(token) = source.jws_token() else {
        return Signature::NotChecked(NotChecked::NoJws);
    };
    let issuer = match Jws::decode(token) {
        Ok(jws) => jws.issuer().map(str::to_owned),
        Err(error) => return Signature::NotVerified(VerifyError::from(error).into()),
    };
    let Some(issuer) = issuer else {
        return Signature::NotVerified(NotVerified::NoIssuer);
    };
    let url = match keys_url(&issuer, calls.base_url()) {
        Ok(url) => url,
        Err(error) => return Signature::NotVerified(error.into()),
    };
    let host = url.host_str().unwrap_or_default().to_owned();
    let asked = calls.client().send(calls.client().keys(url));
    let keys = tokio::select! {
        biased;
        () = calls.limits().reached() => Err("the run is over".to_owned()),
        exchange = asked => judge::judge_keys(&exchange, calls.clock().now()),
    };
    let keys = match keys {
        Ok(keys) => keys,
        Err(why) => return Signature::NotChecked(NotChecked::NoKeys { host, why }),
    };
    match KeySet::parse(&keys).map(|keys| keys.verify(token)) {
        Ok(Ok(())) => Signature::Verified,
        Ok(Err(error)) => Signature::NotVerified(error.into()),
        Err(error) => Signature::NotChecked(error.into()),
    }
}
