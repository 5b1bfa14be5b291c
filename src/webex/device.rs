//! `POST /v1/device/authorize` and `/v1/device/token`: the device authorization grant (RFC 8628;
//! Webex "Login with Webex", "Device Grant Flow").
//!
//! Webex departs from the standard: the first request has no client authentication, the second
//! wants HTTP Basic and the client id in its body as well, and "not yet" is status 428. So `oauth2`
//! builds the requests, and [`super::judge`] reads the answers.

use std::time::Duration;

use oauth2::basic::BasicClient;
use oauth2::{
    AuthType, ClientId, DeviceAuthorizationUrl, Scope, StandardDeviceAuthorizationResponse,
    TokenUrl,
};
use serde_json::json;

use super::access_token::{built, secret_of};
use super::{Client, Prepared};
use crate::token::{ClientSecret, DeviceCode};

/// What a poll needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DevicePoll<'a> {
    /// The client that the device code was issued to.
    pub(crate) client_id: &'a str,
    /// Its secret.
    pub(crate) client_secret: &'a ClientSecret,
    /// The device code.
    pub(crate) device_code: &'a DeviceCode,
}

/// What a person needs to decide, and a program to ask how they did (RFC 8628 §3.2).
#[derive(Clone, Debug)]
pub struct DeviceAuthorization {
    /// The code to poll with.
    pub device_code: DeviceCode,
    /// The code that the person enters.
    pub user_code: String,
    /// Where they enter it.
    pub verification_uri: String,
    /// The same with the code in it.
    pub verification_uri_complete: Option<String>,
    /// How long the codes live, where Webex says so.
    pub expires_in: Option<Duration>,
    /// How long to wait between two polls, where Webex says so.
    pub interval: Option<Duration>,
}

impl Client {
    /// Asks for a device code and a user code.
    pub(crate) fn device_authorize(&self, client_id: &str, scope: &str) -> Prepared {
        let client = BasicClient::new(ClientId::new(client_id.to_owned()))
            .set_auth_type(AuthType::RequestBody)
            .set_device_authorization_url(DeviceAuthorizationUrl::from_url(
                self.url(&["device", "authorize"]),
            ));
        let request = built(|take| {
            let exchange = client.exchange_device_code();
            let exchange = exchange.add_scope(Scope::new(scope.to_owned()));
            let _never_sent =
                exchange.request::<_, oauth2::EmptyExtraDeviceAuthorizationFields>(&take);
        });
        Prepared::whole(request, Vec::new())
    }

    /// Asks whether the person has decided.
    pub(crate) fn device_token(&self, poll: DevicePoll<'_>) -> Prepared {
        let client = BasicClient::new(ClientId::new(poll.client_id.to_owned()))
            .set_client_secret(secret_of(poll.client_secret))
            .set_auth_type(AuthType::BasicAuth)
            .set_token_uri(TokenUrl::from_url(self.url(&["device", "token"])));
        // What `oauth2` takes the device code from; nothing else of it is sent.
        let authorization: StandardDeviceAuthorizationResponse = serde_json::from_value(json!({
            "device_code": poll.device_code.expose(),
            "user_code": "",
            "verification_uri": "https://webexapis.com",
            "expires_in": 1,
        }))
        .expect("the fields of RFC 8628 §3.2");
        let request = built(|take| {
            let poll = client
                .exchange_device_access_token(&authorization)
                .add_extra_param("client_id", poll.client_id);
            let _never_sent = poll.request(&take, |_| {}, None);
        });
        let secrets = vec![
            poll.client_secret.expose().into(),
            poll.device_code.expose().into(),
        ];
        Prepared::whole(request, secrets)
    }
}
