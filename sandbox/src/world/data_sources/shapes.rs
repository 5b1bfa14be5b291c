//! Which fields of a data source a reply has, and how they are written.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::policy::{DataSourceShape, Policy, Timestamps};

/// The fields of a request.
pub(super) const REQUEST_FIELDS: [&str; 8] = [
    "audience",
    "errorMessage",
    "nonce",
    "schemaId",
    "status",
    "subject",
    "tokenLifetimeMinutes",
    "url",
];

/// The fields that Webex sets and no request does (`jwtToken`: the peer's other name of the JWS).
pub(super) const RESPONSE_FIELDS: [&str; 11] = [
    "DataSource",
    "applicationId",
    "createdAt",
    "createdBy",
    "id",
    "jwsToken",
    "jwtToken",
    "orgId",
    "tokenExpiryTime",
    "updatedAt",
    "updatedBy",
];

/// The field sets of the recordings and of the API reference.
pub(super) fn fields(shape: DataSourceShape, in_list: bool) -> &'static [&'static str] {
    match (shape, in_list) {
        (DataSourceShape::Recorded, _) => &[
            "id",
            "schemaId",
            "orgId",
            "applicationId",
            "status",
            "jwsToken",
            "tokenExpiryTime",
            "nonce",
            "createdBy",
            "createdAt",
            "url",
        ],
        (DataSourceShape::CcReadme, _) => &[
            "id",
            "schemaId",
            "orgId",
            "applicationId",
            "status",
            "jwsToken",
            "createdBy",
            "createdAt",
        ],
        (DataSourceShape::ByodsJs, _) => &[
            "id",
            "schemaId",
            "orgId",
            "applicationId",
            "status",
            "jwsToken",
            "createdBy",
            "createdAt",
            "updatedBy",
            "updatedAt",
            "errorMessage",
        ],
        (DataSourceShape::Oas, false) => &[
            "audience",
            "errorMessage",
            "id",
            "nonce",
            "schemaId",
            "status",
            "subject",
            "tokenLifetimeMinutes",
            "url",
        ],
        (DataSourceShape::Oas, true) => &[
            "DataSource",
            "applicationId",
            "createdAt",
            "createdBy",
            "jwsToken",
            "orgId",
        ],
        (DataSourceShape::Full, _) => &[
            "id",
            "audience",
            "subject",
            "nonce",
            "schemaId",
            "url",
            "tokenLifetimeMinutes",
            "status",
            "errorMessage",
            "orgId",
            "applicationId",
            "jwsToken",
            "tokenExpiryTime",
            "createdBy",
            "createdAt",
            "updatedBy",
            "updatedAt",
        ],
    }
}

/// Writes names and values as the switches say.
pub(super) fn respell(shown: &mut Map<String, Value>, policy: &Policy) {
    if policy.data_source_shape == DataSourceShape::ByodsJs && shown["errorMessage"] == "" {
        shown.remove("errorMessage");
    }
    if let Some(status) = shown.get_mut("status")
        && *status == DISABLED
    {
        *status = Value::from(policy.disabled_status.as_str());
    }
    if policy.lifetime_as_string
        && let Some(minutes) = shown.get_mut("tokenLifetimeMinutes")
    {
        *minutes = Value::from(minutes.to_string());
    }
    if let Some(jws) = shown.remove("jwsToken") {
        shown.insert(policy.jws_field.clone(), jws);
    }
}

/// The `status` of a data source that is delivered to.
pub(super) const ACTIVE: &str = "active";
/// The `status` of one that is not.
pub(super) const DISABLED: &str = "disabled";

pub(super) fn written(at: Timestamp, style: Timestamps) -> String {
    let format = match style {
        Timestamps::Zulu => "%Y-%m-%dT%H:%M:%S%.3fZ",
        Timestamps::Naive => "%Y-%m-%dT%H:%M:%S%.6f",
    };
    at.strftime(format).to_string()
}
