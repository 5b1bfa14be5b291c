//! `POST /v1/applications/{applicationId}/token`: mints a service-app token
//! (Webex "Service Apps" reference).

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde::Serialize;

use super::authorizations::authorized;
use super::{Client, Prepared, Reading};
use crate::token::{AccessToken, ClientSecret};

/// What a mint needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mint<'a> {
    /// The service app's id, as Webex spells it (base64).
    pub(crate) app_id: &'a str,
    /// The service app's client id.
    pub(crate) client_id: &'a str,
    /// The service app's client secret.
    pub(crate) client_secret: &'a ClientSecret,
    /// The organization whose Full Admin authorized the service app.
    pub(crate) target_org_id: &'a str,
    /// A personal access token, or an integration's, with the scope `spark:applications_token`.
    pub(crate) bearer: &'a AccessToken,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MintBody<'a> {
    client_id: &'a str,
    client_secret: &'a str,
    target_org_id: &'a str,
}

impl Client {
    /// A mint: every one that succeeds yields a fresh access token.
    pub(crate) fn mint(&self, mint: Mint<'_>) -> Prepared {
        let body = MintBody {
            client_id: mint.client_id,
            client_secret: mint.client_secret.expose(),
            target_org_id: mint.target_org_id,
        };
        let url = self.url(&["applications", mint.app_id, "token"]);
        let mut prepared = authorized(Method::POST, url, mint.bearer, Reading::Whole);
        let headers = prepared.request.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            "application/json".parse().expect("a header value"),
        );
        let body = serde_json::to_vec(&body).expect("strings always serialize");
        *prepared.request.body_mut() = Some(body.into());
        prepared.secrets.push(mint.client_secret.expose().into());
        prepared
    }
}
