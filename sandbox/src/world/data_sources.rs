//! `/dataSources` and `/dataSources/schemas`: registering, reading, changing and deleting.
//!
//! A JWS is signed when it is first shown, by a signer that the caller brings, so that seeding
//! thousands of data sources costs nothing.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Grant, READ_SCOPE, WRITE_SCOPE, World};
use crate::{
    policy::{DataSourceShape, RepeatedNonce, Timestamps},
    reply::{Refusal, Reply},
};

/// Signs claims into a compact JWS.
pub(crate) type Signer<'s> = &'s dyn Fn(&Value) -> String;

/// Which page of the list is asked for: the index of its first item.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Page {
    pub(crate) first: usize,
}

/// The schemas that Webex publishes: id, protocol, service type.
const SCHEMAS: [(&str, &str, &str); 5] = [
    (
        "5397013b-7920-4ffc-807c-e8a3e0a18f43",
        "gRPC",
        "VoiceVirtualAgent",
    ),
    (
        "a38a10b7-43e4-4676-a076-a7d6dce9387d",
        "WebSocket",
        "VoiceVirtualAgent",
    ),
    (
        "523e1b7f-4693-47bc-b84e-a7b7a505fb0b",
        "gRPC",
        "ConversationAudioForking",
    ),
    (
        "1b2b7077-dbcd-4732-b2f9-296f9168168a",
        "gRPC",
        "MediaIntelligenceForking",
    ),
    ("78efc775-dccb-45ca-9acf-989a4a59f788", "gRPC", "webService"),
];

/// The longest life of a JWS.
const MAX_LIFETIME_MINUTES: u64 = 1440;

pub(super) struct DataSource {
    id: String,
    settings: Settings,
    created_at: Timestamp,
    created_by: String,
    updated: Option<(Timestamp, String)>,
    jws: Jws,
}

/// What a request says about a data source.
struct Settings {
    audience: String,
    subject: String,
    nonce: String,
    schema_id: String,
    url: String,
    lifetime_minutes: u64,
    status: String,
    error_message: String,
}

struct Jws {
    claims: Value,
    expires_at: Timestamp,
    signed: Option<String>,
}

impl World {
    /// Puts `count` active data sources into the world and returns their ids.
    pub(crate) fn seed_data_sources(&mut self, count: usize, now: Timestamp) -> Vec<String> {
        let domain = self
            .policy
            .data_exchange_domains
            .first()
            .map_or("example.com", String::as_str)
            .to_owned();
        (0..count)
            .map(|index| {
                let settings = Settings {
                    audience: "AppOne".to_owned(),
                    subject: "callAudioData".to_owned(),
                    nonce: self.entropy.uuid(),
                    schema_id: SCHEMAS[0].0.to_owned(),
                    url: format!("https://{domain}/receiver/{index}"),
                    lifetime_minutes: MAX_LIFETIME_MINUTES,
                    status: "active".to_owned(),
                    error_message: String::new(),
                };
                self.add_data_source(settings, now)
            })
            .collect()
    }

    /// Registers a data source outside HTTP, and returns its id.
    pub(crate) fn add(&mut self, body: &Value, now: Timestamp) -> Result<String, Refusal> {
        let settings = self.settings(Some(body), None)?;
        Ok(self.add_data_source(settings, now))
    }

    /// The claims of the first page's data sources that have never been shown.
    pub(crate) fn unsigned_claims(&self) -> Vec<Value> {
        self.data_sources
            .iter()
            .take(self.policy.page_size.unwrap_or(usize::MAX))
            .filter(|source| source.jws.signed.is_none())
            .map(|source| source.jws.claims.clone())
            .collect()
    }

    /// Takes signatures made elsewhere, for those claims that are still unsigned and unchanged.
    pub(crate) fn take_signatures(&mut self, claims: &[Value], signed: Vec<String>) {
        let mut unsigned = self
            .data_sources
            .iter_mut()
            .filter(|source| source.jws.signed.is_none());
        for (claims, signed) in claims.iter().zip(signed) {
            if let Some(source) = unsigned.find(|source| source.jws.claims == *claims) {
                source.jws.signed = Some(signed);
            }
        }
    }

    /// Whether any data source exists.
    pub(crate) fn has_data_sources(&self) -> bool {
        !self.data_sources.is_empty()
    }

    /// A data source as [`DataSourceShape::Full`] shows it, outside HTTP.
    pub(crate) fn data_source(&mut self, id: &str, sign: Signer<'_>) -> Option<Value> {
        let index = self.find(id).ok()?;
        Some(self.show(index, DataSourceShape::Full, false, sign))
    }

    /// `GET /dataSources`.
    pub(crate) fn list_data_sources(
        &mut self,
        bearer: Option<&str>,
        page: Page,
        sign: Signer<'_>,
        now: Timestamp,
    ) -> Reply {
        if let Err(refusal) = self.check_access(bearer, READ_SCOPE, now) {
            return refusal;
        }
        let first = page.first.min(self.data_sources.len());
        let size = self.policy.page_size.unwrap_or(usize::MAX).max(1);
        let last = first.saturating_add(size).min(self.data_sources.len());
        let shape = self.policy.data_source_shape;
        let items: Vec<Value> = (first..last)
            .map(|index| self.show(index, shape, true, sign))
            .collect();
        let reply = Reply::json(200, json!({ "items": items }));
        if last < self.data_sources.len() {
            let next = format!("{}/v1/dataSources?cursor={last}", self.origin);
            reply.header("link", format!("<{next}>; rel=\"next\""))
        } else {
            reply
        }
    }

    /// `POST /dataSources`.
    pub(crate) fn register_data_source(
        &mut self,
        bearer: Option<&str>,
        body: Option<&Value>,
        sign: Signer<'_>,
        now: Timestamp,
    ) -> Reply {
        if let Err(refusal) = self.check_access(bearer, WRITE_SCOPE, now) {
            return refusal;
        }
        let result = self.settings(body, None).map(|settings| {
            self.add_data_source(settings, now);
            let index = self.data_sources.len() - 1;
            let shape = self.policy.data_source_shape;
            let body = self.show(index, shape, false, sign);
            Reply::json(self.policy.register_status, body)
        });
        Reply::from(result)
    }

    /// `GET /dataSources/{id}`.
    pub(crate) fn read_data_source(
        &mut self,
        bearer: Option<&str>,
        id: &str,
        sign: Signer<'_>,
        now: Timestamp,
    ) -> Reply {
        if let Err(refusal) = self.check_access(bearer, READ_SCOPE, now) {
            return refusal;
        }
        let shape = self.policy.data_source_shape;
        let result = self
            .find(id)
            .map(|index| Reply::json(200, self.show(index, shape, false, sign)));
        Reply::from(result)
    }

    /// `PUT /dataSources/{id}`: a full replacement.
    pub(crate) fn update_data_source(
        &mut self,
        bearer: Option<&str>,
        id: &str,
        body: Option<&Value>,
        sign: Signer<'_>,
        now: Timestamp,
    ) -> Reply {
        if let Err(refusal) = self.check_access(bearer, WRITE_SCOPE, now) {
            return refusal;
        }
        let shape = self.policy.data_source_shape;
        let result = self
            .find(id)
            .and_then(|index| self.replace(index, body, now).map(|()| index))
            .map(|index| Reply::json(200, self.show(index, shape, false, sign)));
        Reply::from(result)
    }

    /// `DELETE /dataSources/{id}`.
    pub(crate) fn delete_data_source(
        &mut self,
        bearer: Option<&str>,
        id: &str,
        now: Timestamp,
    ) -> Reply {
        if let Err(refusal) = self.check_access(bearer, WRITE_SCOPE, now) {
            return refusal;
        }
        let result = self.find(id).map(|index| {
            self.data_sources.remove(index);
            Reply::empty(204)
        });
        Reply::from(result)
    }

    /// `GET /dataSources/schemas`, and one of them where an id is given. Any live token will do.
    pub(crate) fn schemas(
        &mut self,
        bearer: Option<&str>,
        id: Option<&str>,
        now: Timestamp,
    ) -> Reply {
        let all = || SCHEMAS.iter().map(schema);
        let result = self.authenticate(bearer, now).and_then(|_| match id {
            None => Ok(Reply::json(
                200,
                json!({ "items": all().collect::<Vec<_>>() }),
            )),
            Some(id) => all()
                .find(|schema| schema["id"] == id)
                .map(|schema| Reply::json(200, schema))
                .ok_or_else(|| Refusal::standard(404)),
        });
        Reply::from(result)
    }

    /// Bearer, scope, kind of grant and rate limit.
    fn check_access(
        &mut self,
        bearer: Option<&str>,
        scope: &str,
        now: Timestamp,
    ) -> Result<(), Reply> {
        let grant = self
            .authorize_bearer(bearer, scope, now)
            .map_err(Reply::from)?;
        if grant.kind != Grant::ServiceApp {
            return Err(self.policy.forbidden.clone().into());
        }
        self.check_rate(now)
    }

    fn check_rate(&mut self, now: Timestamp) -> Result<(), Reply> {
        let Some(limit) = self.policy.rate_limit else {
            return Ok(());
        };
        let (start, used) = match self.rate_window {
            Some((start, used)) if now < start + limit.window => (start, used),
            _ => (now, 0),
        };
        self.rate_window = Some((start, used + 1));
        if used < limit.requests {
            return Ok(());
        }
        let reply = Reply::from(Refusal::standard(429));
        let left = (start + limit.window).duration_since(now);
        let seconds = (left.as_millis() + 999) / 1000;
        Err(if limit.retry_after {
            reply.header("retry-after", seconds.to_string())
        } else {
            reply
        })
    }

    fn find(&self, id: &str) -> Result<usize, Refusal> {
        self.data_sources
            .iter()
            .position(|source| source.id == id)
            .ok_or_else(|| Refusal::standard(404))
    }

    fn add_data_source(&mut self, settings: Settings, now: Timestamp) -> String {
        let id = self.entropy.uuid();
        let jws = self.jws(&settings, now);
        self.data_sources.push(DataSource {
            id: id.clone(),
            settings,
            created_at: now,
            created_by: self.machine_account.clone(),
            updated: None,
            jws,
        });
        id
    }

    fn replace(
        &mut self,
        index: usize,
        body: Option<&Value>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let settings = self.settings(body, Some(&self.data_sources[index].settings))?;
        let is_repeated = settings.nonce == self.data_sources[index].settings.nonce;
        if is_repeated && self.policy.repeated_nonce == RepeatedNonce::Rejected {
            return Err(self.policy.nonce_repeated.clone());
        }
        let jws = self.jws(&settings, now);
        let keeps = is_repeated && self.policy.repeated_nonce == RepeatedNonce::KeepsJws;
        let updater = self.machine_account.clone();
        let source = &mut self.data_sources[index];
        source.settings = settings;
        source.updated = Some((now, updater));
        if !keeps {
            source.jws = jws;
        }
        Ok(())
    }

    /// Reads and judges a request body. `stored` is what an update replaces.
    fn settings(
        &self,
        body: Option<&Value>,
        stored: Option<&Settings>,
    ) -> Result<Settings, Refusal> {
        let body = body
            .and_then(Value::as_object)
            .ok_or_else(|| Refusal::standard(400))?;
        let text = |name: &str| match body.get(name) {
            Some(Value::String(value)) if !value.is_empty() => Ok(value.clone()),
            Some(_) => Err(invalid(&format!("{name} must be a string"))),
            None => Err(invalid(&format!("{name} is required"))),
        };
        let lifetime_minutes = body
            .get("tokenLifetimeMinutes")
            .ok_or_else(|| invalid("tokenLifetimeMinutes is required"))?
            .as_u64()
            .filter(|minutes| (1..=MAX_LIFETIME_MINUTES).contains(minutes))
            .ok_or_else(|| invalid("tokenLifetimeMinutes must be a number from 1 to 1440"))?;
        let schema_id = text("schemaId")?;
        if !SCHEMAS.iter().any(|(id, ..)| *id == schema_id) {
            return Err(invalid("schemaId is not known"));
        }
        let url = text("url")?;
        self.check_url(&url)?;
        let (status, error_message) = match stored {
            None => ("active".to_owned(), String::new()),
            Some(stored) => status(body, stored)?,
        };
        Ok(Settings {
            audience: text("audience")?,
            subject: text("subject")?,
            nonce: text("nonce")?,
            schema_id,
            url,
            lifetime_minutes,
            status,
            error_message,
        })
    }

    /// `https` or `wss`, to a host inside a data exchange domain.
    fn check_url(&self, url: &str) -> Result<(), Refusal> {
        let rest = url
            .strip_prefix("https://")
            .or_else(|| url.strip_prefix("wss://"))
            .ok_or_else(|| invalid("url must start with https:// or wss://"))?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        let host = host.split(':').next().unwrap_or_default();
        let domains = &self.policy.data_exchange_domains;
        let is_inside = domains.is_empty()
            || domains.iter().any(|domain| {
                host.strip_suffix(domain.as_str())
                    .is_some_and(|front| front.is_empty() || front.ends_with('.'))
            });
        if host.is_empty() || !is_inside {
            return Err(invalid(
                "url is not within the data exchange domain of the service app",
            ));
        }
        Ok(())
    }

    fn jws(&self, settings: &Settings, now: Timestamp) -> Jws {
        let expires_at = now + Duration::from_secs(settings.lifetime_minutes * 60);
        Jws {
            claims: json!({
                "aud": settings.audience,
                "sub": settings.subject,
                "iss": self.issuer,
                "iat": now.as_second(),
                "exp": expires_at.as_second(),
                "jti": settings.nonce,
                "com.cisco.datasource.url": settings.url,
                "com.cisco.datasource.schema.uuid": settings.schema_id,
                "com.cisco.org.uuid": self.tenant.target_org_uuid,
            }),
            expires_at,
            signed: None,
        }
    }

    /// A data source as a reply shows it.
    fn show(
        &mut self,
        index: usize,
        shape: DataSourceShape,
        in_list: bool,
        sign: Signer<'_>,
    ) -> Value {
        let style = self.policy.timestamps;
        let source = &mut self.data_sources[index];
        let jws = source
            .jws
            .signed
            .get_or_insert_with(|| sign(&source.jws.claims))
            .clone();
        let settings = &source.settings;
        let updated = source.updated.as_ref();
        let everything = json!({
            "DataSource": "",
            "id": source.id,
            "audience": settings.audience,
            "subject": settings.subject,
            "nonce": settings.nonce,
            "schemaId": settings.schema_id,
            "url": settings.url,
            "tokenLifetimeMinutes": settings.lifetime_minutes,
            "status": settings.status,
            "errorMessage": settings.error_message,
            "orgId": self.tenant.target_org_uuid,
            "applicationId": self.tenant.client_id,
            "jwsToken": jws,
            "tokenExpiryTime": written(source.jws.expires_at, style),
            "createdBy": source.created_by,
            "createdAt": written(source.created_at, style),
            "updatedBy": updated.map(|(_, by)| by),
            "updatedAt": updated.map(|(at, _)| written(*at, style)),
        });
        let Value::Object(everything) = everything else {
            return Value::Null;
        };
        let fields = fields(shape, in_list);
        Value::Object(
            everything
                .into_iter()
                .filter(|(name, value)| fields.contains(&name.as_str()) && !value.is_null())
                .collect(),
        )
    }
}

/// The field sets of the recordings and of the API reference.
fn fields(shape: DataSourceShape, in_list: bool) -> &'static [&'static str] {
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

/// `status` and `errorMessage` of an update. Disabling asks for a message.
fn status(body: &Map<String, Value>, stored: &Settings) -> Result<(String, String), Refusal> {
    let status = match body.get("status") {
        None => stored.status.as_str(),
        Some(Value::String(status)) if status == "active" || status == "disabled" => status,
        Some(_) => return Err(invalid("status must be active or disabled")),
    };
    let message = body
        .get("errorMessage")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if status == "disabled" && message.is_empty() {
        return Err(invalid("errorMessage is required"));
    }
    Ok((status.to_owned(), message.to_owned()))
}

fn schema(&(id, protocol, service_type): &(&str, &str, &str)) -> Value {
    json!({
        "id": id,
        "appType": "serviceApp",
        "createdAt": "2024-03-04T05:06:07.890Z",
        "protocol": protocol,
        "serviceType": service_type,
        "url": format!("https://github.com/webex/dataSourceSchemas/tree/main/{id}"),
    })
}

fn invalid(description: &str) -> Refusal {
    Refusal::new(400, description, "Invalid request")
}

fn written(at: Timestamp, style: Timestamps) -> String {
    let format = match style {
        Timestamps::Zulu => "%Y-%m-%dT%H:%M:%S%.3fZ",
        Timestamps::Naive => "%Y-%m-%dT%H:%M:%S%.6f",
    };
    at.strftime(format).to_string()
}
