//! How this Webex behaves where the documentation is silent or sources disagree.
//!
//! Each field of [`Policy`] is one such point. The default is the best supported reading; a test
//! sets the other one and shows that its client copes.

use std::time::Duration;

use crate::reply::{ErrorShape, Refusal};

const DAY: Duration = Duration::from_hours(24);

/// What happens when a refresh token is presented that a rotation had replaced (RFC 9700 §4.14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// The request is refused as a dead grant; the grant itself lives on.
    Reject,
    /// The whole grant dies: the current refresh token and every access token of it.
    RevokeGrant,
}

/// What the mint call says about the refresh token. Webex documents "if applicable".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MintRefreshToken {
    /// The one already issued to the service app in that organization, with its remaining life;
    /// a new one when there is none.
    Existing,
    /// A new one each time. Earlier ones stay valid.
    New,
    /// No `refresh_token` field.
    Absent,
}

/// What happens to a `PUT` whose `nonce` is the one already stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepeatedNonce {
    /// The change is taken, the JWS stays as it was.
    KeepsJws,
    /// The change is taken and a new JWS is issued with the same `jti`.
    RenewsJws,
    /// 400 with [`Policy::nonce_repeated`]; nothing changes.
    Rejected,
}

/// Which fields a data source has in replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataSourceShape {
    /// The media-forking guide's recording: JWS, `tokenExpiryTime`, `nonce`, `url`.
    Recorded,
    /// The provider sample's recording: JWS, no `tokenExpiryTime`, `nonce` or `url`.
    CcReadme,
    /// The type of npm `@webex/byods`: as [`DataSourceShape::CcReadme`], with `updatedBy` and
    /// `updatedAt` once there was an update, and `errorMessage` where there is one.
    ByodsJs,
    /// The API reference: the request's fields and `status`, no JWS. In a list: `DataSource`,
    /// JWS and owner, no `id`.
    Oas,
    /// Every field that any source names.
    Full,
}

/// What happens to a `PUT` with fields that only replies have: `id`, `jwsToken`, `createdAt`, …
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseFields {
    /// They change nothing.
    Ignored,
    /// 400; nothing changes.
    Refused,
}

/// What a JWS is signed with when it is issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwsKey {
    /// The newest published key.
    Published,
    /// Another key, under a `kid` that is not published.
    Unpublished,
    /// Another key, under the `kid` of the published one: the signature does not verify.
    Forged,
}

/// How timestamps of data sources are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timestamps {
    /// `2024-10-31T02:13:25.776Z`
    Zulu,
    /// `2024-10-31T02:13:25.776000`: microseconds and no zone.
    Naive,
}

/// A limit on requests to `/dataSources`, in fixed windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests allowed in one window.
    pub requests: u32,
    /// The length of the window.
    pub window: Duration,
    /// Whether the 429 has a `Retry-After` with the seconds left in the window.
    pub retry_after: bool,
}

/// Every switch of the sandbox.
#[derive(Clone, Debug)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "independent switches, each named where it is set"
)]
pub struct Policy {
    /// A refresh replaces the refresh token (RFC 6749 §6). Default: no, as in every recording.
    pub rotate: bool,
    /// What presenting a replaced refresh token does.
    pub reuse: Reuse,
    /// A refresh restarts the refresh token's lifetime. Default: no.
    pub renew_refresh_lifetime: bool,
    /// A service app's refresh token keeps its end even so. Default: no.
    pub fixed_service_app_lifetime: bool,
    /// A refresh within this time of the last issue returns the same access token, its expiry
    /// unmoved (seen with 24 h). Default: never.
    pub reissue_within: Option<Duration>,
    /// A refresh reply has a `refresh_token`. Default: yes.
    pub refresh_token_in_refresh: bool,
    /// A new authorization by the same user returns the refresh token of the earlier one, its
    /// clock not reset (seen in the login guide's examples). Default: no.
    pub authorization_reuses_refresh_token: bool,
    /// Token replies have a `scope`. Default: no.
    pub scope_in_reply: bool,
    /// A refresh revokes the grant's earlier access tokens. Default: no.
    pub revoke_access_on_refresh: bool,
    /// Regenerating the client secret kills the service app's tokens. Default: no.
    pub secret_regeneration_revokes: bool,
    /// A service app's token with the mint scope may mint. Default: yes (newer reference page).
    pub service_app_may_mint: bool,
    /// What a mint says about the refresh token.
    pub mint_refresh_token: MintRefreshToken,

    /// Life of a service app's access token. Default: 14 days.
    pub service_app_access_life: Duration,
    /// Life of a service app's refresh token. Default: 90 days.
    pub service_app_refresh_life: Duration,
    /// Life of an integration's access token. Default: 14 days.
    pub integration_access_life: Duration,
    /// Life of an integration's refresh token. Default: 90 days.
    pub integration_refresh_life: Duration,
    /// Life of a personal access token. Default: 12 hours.
    pub personal_access_token_life: Duration,
    /// Life of an authorization code. Default: 5 minutes.
    pub code_life: Duration,
    /// Live access tokens a user or machine account may hold. Default: 750.
    pub token_limit: usize,

    /// A dead, spent or unknown refresh token.
    pub dead_grant: Refusal,
    /// An unknown client id or a wrong client secret at the token endpoint.
    pub bad_client: Refusal,
    /// An unknown, expired or used authorization code, or a `code_verifier` that does not match.
    pub bad_code: Refusal,
    /// A `redirect_uri` that differs from the authorization request's.
    pub redirect_mismatch: Refusal,
    /// A missing form field; the field's name is put after the description.
    pub missing_parameter: Refusal,
    /// The token limit is reached.
    pub too_many_tokens: Refusal,
    /// The mint call with a wrong client id or secret. Default: 400; 401 is as likely.
    pub mint_bad_secret: Refusal,
    /// The mint call for an app that no Full Admin has authorized in that organization.
    pub mint_not_authorized: Refusal,
    /// A missing, expired, revoked or unknown bearer token.
    pub unauthorized: Refusal,
    /// A live bearer token without the scope or role.
    pub forbidden: Refusal,
    /// A repeated nonce, where [`RepeatedNonce::Rejected`] is set.
    pub nonce_repeated: Refusal,

    /// Errors of the authorization endpoint come in the fragment of the redirect. Default: in the
    /// query.
    pub authorize_error_in_fragment: bool,
    /// Life of a device code. Default: 5 minutes.
    pub device_code_life: Duration,
    /// Least time between two polls of a device code. Default: 2 s.
    pub device_interval: Duration,
    /// The answer to a poll before the user has decided. Default: 428.
    pub device_pending: Refusal,
    /// The answer to a poll that comes too early. Default: 400; a client has met 429.
    pub device_slow_down: Refusal,

    /// Status of a successful registration: 200 (reference) or 201 (seen).
    pub register_status: u16,
    /// The fields of a data source in replies.
    pub data_source_shape: DataSourceShape,
    /// What a repeated nonce does.
    pub repeated_nonce: RepeatedNonce,
    /// What fields of a reply do in a `PUT`. Default: nothing.
    pub response_fields_in_put: ResponseFields,
    /// How timestamps of data sources are written.
    pub timestamps: Timestamps,
    /// The name of the JWS in replies. Default: `jwsToken`; a client looks for `jwtToken` too.
    pub jws_field: String,
    /// `tokenLifetimeMinutes` in replies is a string. Default: a number; older samples have a
    /// string.
    pub lifetime_as_string: bool,
    /// The `status` of a disabled data source, in replies and in requests. Default: `disabled`;
    /// older pages have `inactive`.
    pub disabled_status: String,
    /// What a JWS is signed with. One that was issued earlier stays as it is.
    pub jws_key: JwsKey,
    /// The `iss` of a JWS. One that was issued earlier stays as it is. Default: the identity
    /// broker of this sandbox, whose keys verify.
    pub jws_issuer: Option<String>,
    /// The limit on data-source requests. Default: none.
    pub rate_limit: Option<RateLimit>,
    /// Items on one page of the list, the next page named by a `Link` header (RFC 8288).
    /// Default: everything on one page.
    pub page_size: Option<usize>,
    /// The service app's data exchange domains: where a data source's `url` may point. Empty:
    /// anywhere. Default: `example.com`.
    pub data_exchange_domains: Vec<String>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            rotate: false,
            reuse: Reuse::Reject,
            renew_refresh_lifetime: false,
            fixed_service_app_lifetime: false,
            reissue_within: None,
            refresh_token_in_refresh: true,
            authorization_reuses_refresh_token: false,
            scope_in_reply: false,
            revoke_access_on_refresh: false,
            secret_regeneration_revokes: false,
            service_app_may_mint: true,
            mint_refresh_token: MintRefreshToken::Existing,
            service_app_access_life: 14 * DAY,
            service_app_refresh_life: 90 * DAY,
            integration_access_life: 14 * DAY,
            integration_refresh_life: 90 * DAY,
            personal_access_token_life: DAY / 2,
            code_life: Duration::from_mins(5),
            token_limit: 750,
            dead_grant: Refusal::new(
                400,
                "invalid_grant",
                "The refresh token provided is expired, revoked, malformed, or invalid.",
            ),
            bad_client: Refusal::new(401, "invalid_client", "Invalid client credentials"),
            bad_code: Refusal::new(
                400,
                "invalid_grant",
                "The authorization code provided is expired, used, or invalid.",
            ),
            redirect_mismatch: Refusal::new(
                400,
                "invalid_grant",
                "The redirect_uri does not match the one of the authorization request.",
            ),
            missing_parameter: Refusal::new(400, "invalid_request", "Missing required parameter"),
            too_many_tokens: Refusal::new(
                400,
                "tokenlimit_reached",
                "The number of active access tokens has reached its limit.",
            ),
            mint_bad_secret: Refusal::new(
                400,
                "The provided clientSecret is invalid",
                "Invalid client credentials",
            ),
            mint_not_authorized: Refusal::standard(403),
            unauthorized: Refusal::standard(401),
            forbidden: Refusal::standard(403).shape(ErrorShape::WebexWithoutErrors),
            nonce_repeated: Refusal::new(400, "", "The nonce has been used before."),
            authorize_error_in_fragment: false,
            device_code_life: Duration::from_mins(5),
            device_interval: Duration::from_secs(2),
            device_pending: Refusal::new(
                428,
                "authorization_pending",
                "The user has not yet completed the authorization.",
            ),
            device_slow_down: Refusal::new(400, "slow_down", "The client is polling too quickly."),
            register_status: 200,
            data_source_shape: DataSourceShape::Recorded,
            repeated_nonce: RepeatedNonce::KeepsJws,
            response_fields_in_put: ResponseFields::Ignored,
            timestamps: Timestamps::Zulu,
            jws_field: "jwsToken".to_owned(),
            lifetime_as_string: false,
            disabled_status: "disabled".to_owned(),
            jws_key: JwsKey::Published,
            jws_issuer: None,
            rate_limit: None,
            page_size: None,
            data_exchange_domains: vec!["example.com".to_owned()],
        }
    }
}
