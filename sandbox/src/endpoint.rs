//! Which endpoint a request is for.

use std::collections::BTreeMap;

/// What a fault or a gate is attached to. A request is matched by the most specific one first:
/// [`Endpoint::ServiceAppRefresh`] before [`Endpoint::AccessToken`] before [`Endpoint::Any`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// Every request.
    Any,
    /// `POST /access_token`, whatever the grant.
    AccessToken,
    /// `POST /access_token` with `grant_type=refresh_token` and the service app's client id.
    ServiceAppRefresh,
    /// `POST /access_token` with `grant_type=refresh_token` and the integration's client id.
    IntegrationRefresh,
    /// `POST /access_token` with `grant_type=authorization_code`.
    CodeExchange,
    /// `GET /authorize` and its forms.
    Authorize,
    /// `POST /device/authorize`.
    DeviceAuthorize,
    /// `POST /device/token`.
    DeviceToken,
    /// The page where a user code is typed in.
    Verify,
    /// `POST /applications/{id}/token`.
    Mint,
    /// `GET /authorizations/tokenExpiry`.
    TokenExpiry,
    /// `GET /people/me`.
    PeopleMe,
    /// `GET /dataSources`: the list, which validates a token.
    DataSources,
    /// `POST /dataSources`.
    RegisterDataSource,
    /// `GET /dataSources/{id}`.
    ReadDataSource,
    /// `PUT /dataSources/{id}`.
    UpdateDataSource,
    /// `DELETE /dataSources/{id}`.
    DeleteDataSource,
    /// `GET /dataSources/schemas` and `/dataSources/schemas/{id}`.
    Schemas,
    /// `GET /idb/oauth2/v2/keys/verificationjwk`.
    VerificationKeys,
}

impl Endpoint {
    /// The endpoints that match a request, the most specific first. `path` is canonical.
    pub(crate) fn of(
        method: &str,
        path: &str,
        client_id: &str,
        form: &BTreeMap<String, String>,
        service_app: &str,
    ) -> Vec<Self> {
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let grant_type = form.get("grant_type").map_or("", String::as_str);
        let mut matching = match (method, segments.as_slice()) {
            (_, ["v1", "access_token"]) => match grant_type {
                "refresh_token" if client_id == service_app => {
                    vec![Self::ServiceAppRefresh, Self::AccessToken]
                }
                "refresh_token" => vec![Self::IntegrationRefresh, Self::AccessToken],
                "authorization_code" => vec![Self::CodeExchange, Self::AccessToken],
                _ => vec![Self::AccessToken],
            },
            (_, ["v1", "authorize", ..]) => vec![Self::Authorize],
            (_, ["v1", "device", "authorize"]) => vec![Self::DeviceAuthorize],
            (_, ["v1", "device", "token"]) => vec![Self::DeviceToken],
            (_, ["verify"]) => vec![Self::Verify],
            (_, ["v1", "applications", _, "token"]) => vec![Self::Mint],
            (_, ["v1", "authorizations", "tokenExpiry"]) => vec![Self::TokenExpiry],
            (_, ["v1", "people", "me"]) => vec![Self::PeopleMe],
            (_, ["v1", "dataSources", "schemas", ..]) => vec![Self::Schemas],
            ("GET", ["v1", "dataSources"]) => vec![Self::DataSources],
            ("POST", ["v1", "dataSources"]) => vec![Self::RegisterDataSource],
            ("GET", ["v1", "dataSources", _]) => vec![Self::ReadDataSource],
            ("PUT", ["v1", "dataSources", _]) => vec![Self::UpdateDataSource],
            ("DELETE", ["v1", "dataSources", _]) => vec![Self::DeleteDataSource],
            (_, ["idb", "oauth2", "v2", "keys", "verificationjwk"]) => {
                vec![Self::VerificationKeys]
            }
            _ => Vec::new(),
        };
        matching.push(Self::Any);
        matching
    }
}

/// One spelling for each path: no trailing slash, `dataSources` in any case.
pub(crate) fn canonical_path(path: &str) -> String {
    path.trim_end_matches('/')
        .split('/')
        .map(|segment| {
            if segment.eq_ignore_ascii_case("dataSources") {
                "dataSources"
            } else {
                segment
            }
        })
        .collect::<Vec<_>>()
        .join("/")
}
