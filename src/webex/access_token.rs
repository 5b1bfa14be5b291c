//! `POST /v1/access_token`: the refresh grant (RFC 6749 §6; Webex "Login with Webex").
//!
//! `oauth2` builds the request. Its reply types are not used: they fail on Webex's error bodies and
//! quote them, and a reply body may be a token.

use std::cell::RefCell;

use oauth2::basic::BasicClient;
use oauth2::{AuthType, ClientId, HttpRequest, HttpResponse, TokenUrl};

use super::{Client, Prepared, Reading};
use crate::token::{ClientSecret, RefreshToken};

/// What a refresh grant needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grant<'a> {
    /// The client that the refresh token was issued to.
    pub(crate) client_id: &'a str,
    /// Its secret.
    pub(crate) client_secret: &'a ClientSecret,
    /// The token to spend.
    pub(crate) refresh_token: &'a RefreshToken,
}

/// Stops `oauth2` where it would send the request.
#[derive(Debug, thiserror::Error)]
#[error("the request is sent elsewhere")]
struct SentElsewhere;

impl Client {
    /// The refresh grant, client authentication in the body: that is what nearly all clients of
    /// Webex send.
    pub(crate) fn grant(&self, grant: Grant<'_>) -> Prepared {
        let client = BasicClient::new(ClientId::new(grant.client_id.to_owned()))
            .set_client_secret(oauth2::ClientSecret::new(
                grant.client_secret.expose().to_owned(),
            ))
            .set_auth_type(AuthType::RequestBody)
            .set_token_uri(TokenUrl::from_url(self.token_url()));
        let refresh_token = oauth2::RefreshToken::new(grant.refresh_token.expose().to_owned());
        let built = RefCell::new(None);
        let take = |request: HttpRequest| -> Result<HttpResponse, SentElsewhere> {
            *built.borrow_mut() = Some(request);
            Err(SentElsewhere)
        };
        let _never_sent = client.exchange_refresh_token(&refresh_token).request(&take);
        let request = built.into_inner().expect("oauth2 hands over one request");
        Prepared {
            request: request.try_into().expect("a well-formed request"),
            reading: Reading::Whole,
            secrets: vec![
                grant.client_secret.expose().into(),
                grant.refresh_token.expose().into(),
            ],
        }
    }
}
