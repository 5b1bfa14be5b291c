//! `POST /v1/access_token`: the refresh grant (RFC 6749 §6) and the exchange of an authorization
//! code (RFC 6749 §4.1.3, RFC 7636 §4.5; Webex "Login with Webex").
//!
//! `oauth2` builds the request. Its reply types are not used: they fail on Webex's error bodies and
//! quote them, and a reply body may be a token.

use std::cell::RefCell;
use std::convert::Infallible;

use oauth2::basic::BasicClient;
use oauth2::http::StatusCode;
use oauth2::{
    AuthType, ClientId, HttpRequest, HttpResponse, PkceCodeVerifier, RedirectUrl, TokenUrl,
};

use super::{Client, Prepared};
use crate::token::{AuthorizationCode, ClientSecret, CodeVerifier, RefreshToken};

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

/// What the exchange of an authorization code needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CodeExchange<'a> {
    /// The client that the code was issued to.
    pub(crate) client_id: &'a str,
    /// Its secret.
    pub(crate) client_secret: &'a ClientSecret,
    /// The code to spend.
    pub(crate) code: &'a AuthorizationCode,
    /// What the code challenge was made of (RFC 7636).
    pub(crate) code_verifier: &'a CodeVerifier,
    /// The redirect URI of the authorization request, byte for byte.
    pub(crate) redirect_uri: &'a str,
}

impl Client {
    /// The refresh grant, client authentication in the body: that is what nearly all clients of
    /// Webex send.
    pub(crate) fn grant(&self, grant: Grant<'_>) -> Prepared {
        let client = BasicClient::new(ClientId::new(grant.client_id.to_owned()))
            .set_client_secret(secret_of(grant.client_secret))
            .set_auth_type(AuthType::RequestBody)
            .set_token_uri(TokenUrl::from_url(self.token_url()));
        let refresh_token = oauth2::RefreshToken::new(grant.refresh_token.expose().to_owned());
        let request = built(|take| {
            let _never_sent = client.exchange_refresh_token(&refresh_token).request(&take);
        });
        let secrets = vec![
            grant.client_secret.expose().into(),
            grant.refresh_token.expose().into(),
        ];
        Prepared::whole(request, secrets)
    }

    /// The exchange of an authorization code, client authentication in the body as above. PKCE is
    /// in addition to the client secret: Webex has no public clients.
    pub(crate) fn exchange_code(&self, exchange: CodeExchange<'_>) -> Prepared {
        let redirect_uri = RedirectUrl::new(exchange.redirect_uri.to_owned());
        let client = BasicClient::new(ClientId::new(exchange.client_id.to_owned()))
            .set_client_secret(secret_of(exchange.client_secret))
            .set_auth_type(AuthType::RequestBody)
            .set_redirect_uri(redirect_uri.expect("a redirect URI is a URL"))
            .set_token_uri(TokenUrl::from_url(self.token_url()));
        let code = oauth2::AuthorizationCode::new(exchange.code.expose().to_owned());
        let verifier = PkceCodeVerifier::new(exchange.code_verifier.expose().to_owned());
        let request = built(|take| {
            let exchange = client.exchange_code(code).set_pkce_verifier(verifier);
            let _never_sent = exchange.request(&take);
        });
        let secrets = vec![
            exchange.client_secret.expose().into(),
            exchange.code.expose().into(),
            exchange.code_verifier.expose().into(),
        ];
        Prepared::whole(request, secrets)
    }
}

pub(super) fn secret_of(client_secret: &ClientSecret) -> oauth2::ClientSecret {
    oauth2::ClientSecret::new(client_secret.expose().to_owned())
}

/// The request that `oauth2` builds when it is asked to send one, which is left to [`Client`].
///
/// It is given an answer that ends whatever it meant to do (RFC 8628 §3.5), and what it makes of
/// that is of no interest.
pub(super) fn built(
    ask: impl FnOnce(&dyn Fn(HttpRequest) -> Result<HttpResponse, Infallible>),
) -> HttpRequest {
    let built = RefCell::new(None);
    ask(&|request| {
        *built.borrow_mut() = Some(request);
        let mut answer = HttpResponse::new(br#"{"error":"access_denied"}"#.to_vec());
        *answer.status_mut() = StatusCode::BAD_REQUEST;
        Ok(answer)
    });
    built.into_inner().expect("oauth2 hands over one request")
}
