//! `/dataSources` and `/dataSources/schemas`: registering, reading, changing and deleting.
//!
//! A JWS is signed when it is first shown, by a signer that the caller brings, so that seeding
//! thousands of data sources costs nothing. With which key, and in whose name, is settled when it
//! is issued.

mod shapes;
mod shelf;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use self::shapes::{ACTIVE, DISABLED, REQUEST_FIELDS, RESPONSE_FIELDS, fields, respell, written};
pub(super) use self::shelf::Shelf;
use super::{Grant, READ_SCOPE, WRITE_SCOPE, World};
use crate::{
    policy::{DataSourceShape, JwsKey, RepeatedNonce, ResponseFields},
    reply::{Refusal, Reply},
};

/// Signs claims into a compact JWS.
pub(crate) type Signer<'s> = &'s dyn Fn(&Unsigned) -> String;

/// A JWS before it is signed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Unsigned {
    pub(crate) claims: Value,
    pub(crate) key: SigningKey,
}

/// The key of a JWS: the one that was the published key after so many rotations, or a stand-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SigningKey {
    pub(crate) rotations: usize,
    pub(crate) kind: JwsKey,
}

/// Which page of the list is asked for: the place of its first item.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Page {
    pub(crate) first: u64,
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
    is_disabled: bool,
    error_message: String,
    /// Fields that no page names, kept so that a client which loses them in an update is found out.
    unknown: Map<String, Value>,
}

struct Jws {
    unsigned: Unsigned,
    issued_at: Timestamp,
    expires_at: Timestamp,
    signed: Option<String>,
}

impl DataSource {
    /// Moves all that has happened to it into the past.
    fn age(&mut self, by: Duration) {
        self.created_at -= by;
        if let Some((at, _)) = &mut self.updated {
            *at -= by;
        }
        self.jws.age(by);
    }
}

impl Jws {
    fn new(claims: Value, key: SigningKey, issued_at: Timestamp, life: Duration) -> Self {
        let mut jws = Self {
            unsigned: Unsigned { claims, key },
            issued_at,
            expires_at: issued_at + life,
            signed: None,
        };
        jws.date();
        jws
    }

    fn age(&mut self, by: Duration) {
        self.issued_at -= by;
        self.expires_at -= by;
        self.date();
    }

    /// Writes the dates into the claims, which are then to be signed anew.
    fn date(&mut self) {
        self.unsigned.claims["iat"] = self.issued_at.as_second().into();
        self.unsigned.claims["exp"] = self.expires_at.as_second().into();
        self.signed = None;
    }
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
                    is_disabled: false,
                    error_message: String::new(),
                    unknown: Map::new(),
                };
                let place = self.add_data_source(settings, now);
                self.data_sources.at(place).id.clone()
            })
            .collect()
    }

    /// Registers a data source outside HTTP, and returns its id.
    pub(crate) fn add(&mut self, body: &Value, now: Timestamp) -> Result<String, Refusal> {
        let settings = self.settings(Some(body), None)?;
        let place = self.add_data_source(settings, now);
        Ok(self.data_sources.at(place).id.clone())
    }

    /// The same under an id that is given.
    pub(crate) fn add_as(&mut self, id: &str, body: &Value, now: Timestamp) -> Result<(), Refusal> {
        let settings = self.settings(Some(body), None)?;
        self.put_data_source(id.to_owned(), settings, now);
        Ok(())
    }

    /// Disables a data source outside HTTP. False if there is none.
    pub(crate) fn disable_data_source(&mut self, id: &str, error_message: &str) -> bool {
        let place = self.data_sources.find(id);
        if let Some(place) = place {
            let settings = &mut self.data_sources.at(place).settings;
            settings.is_disabled = true;
            error_message.clone_into(&mut settings.error_message);
        }
        place.is_some()
    }

    /// Moves the dates of a data source and of its JWS into the past. False if there is none.
    pub(crate) fn age_data_source(&mut self, id: &str, by: Duration) -> bool {
        let place = self.data_sources.find(id);
        if let Some(place) = place {
            self.data_sources.at(place).age(by);
        }
        place.is_some()
    }

    /// Moves the dates of every data source and of its JWS into the past.
    pub(crate) fn age_data_sources(&mut self, by: Duration) {
        for source in self.data_sources.iter_mut() {
            source.age(by);
        }
    }

    /// Publishes a new key beside the old ones, and signs with it from now on.
    pub(crate) fn rotate_jws_key(&mut self) {
        self.jws_key_rotations += 1;
    }

    /// What a JWS that is issued now is signed with.
    pub(crate) fn signing_key(&self) -> SigningKey {
        SigningKey {
            rotations: self.jws_key_rotations,
            kind: self.policy.jws_key,
        }
    }

    /// Each JWS of the first page that has never been shown, with the place of its data source.
    pub(crate) fn unsigned(&self) -> Vec<(u64, Unsigned)> {
        self.data_sources
            .iter()
            .take(self.policy.page_size.unwrap_or(usize::MAX))
            .filter(|(_, source)| source.jws.signed.is_none())
            .map(|(place, source)| (place, source.jws.unsigned.clone()))
            .collect()
    }

    /// Takes signatures made elsewhere, for those that are still unsigned and unchanged.
    pub(crate) fn take_signatures(&mut self, unsigned: &[(u64, Unsigned)], signed: Vec<String>) {
        for ((place, unsigned), signed) in unsigned.iter().zip(signed) {
            if let Some(source) = self.data_sources.get(*place)
                && source.jws.unsigned == *unsigned
            {
                source.jws.signed.get_or_insert(signed);
            }
        }
    }

    /// Whether any data source exists.
    pub(crate) fn has_data_sources(&self) -> bool {
        !self.data_sources.is_empty()
    }

    /// A data source with the fields of [`DataSourceShape::Full`] under their usual names, outside
    /// HTTP.
    pub(crate) fn data_source(&mut self, id: &str, sign: Signer<'_>) -> Option<Value> {
        let place = self.data_sources.find(id)?;
        let mut shown = self.facts(place, fields(DataSourceShape::Full, false), sign);
        shown.extend(self.data_sources.at(place).settings.unknown.clone());
        Some(Value::Object(shown))
    }

    /// `jwsToken`, `nonce` and `url` of each data source whose JWS has been shown.
    pub(crate) fn shown_data_sources(&self) -> Vec<Value> {
        let shown = self.data_sources.iter().filter_map(|(_, source)| {
            let token = source.jws.signed.as_ref()?;
            let Settings { nonce, url, .. } = &source.settings;
            Some(json!({ "jwsToken": token, "nonce": nonce, "url": url }))
        });
        shown.collect()
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
        let size = self.policy.page_size.unwrap_or(usize::MAX).max(1);
        let (places, next) = self.data_sources.page(page.first, size);
        let items: Vec<Value> = places
            .into_iter()
            .map(|place| self.show(place, true, sign))
            .collect();
        let reply = Reply::json(200, json!({ "items": items }));
        match next {
            None => reply,
            Some(next) => {
                let next = format!("{}/v1/dataSources?cursor={next}", self.origin);
                reply.header("link", format!("<{next}>; rel=\"next\""))
            }
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
            let place = self.add_data_source(settings, now);
            let body = self.show(place, false, sign);
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
        let result = self
            .find(id)
            .map(|place| Reply::json(200, self.show(place, false, sign)));
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
        let result = self
            .find(id)
            .and_then(|place| self.replace(place, body, now).map(|()| place))
            .map(|place| Reply::json(200, self.show(place, false, sign)));
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
        if self.data_sources.remove(id) {
            Reply::empty(204)
        } else {
            Refusal::standard(404).into()
        }
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

    fn find(&self, id: &str) -> Result<u64, Refusal> {
        let place = self.data_sources.find(id);
        place.ok_or_else(|| Refusal::standard(404))
    }

    /// Registers a data source and returns its place.
    fn add_data_source(&mut self, settings: Settings, now: Timestamp) -> u64 {
        let id = self.entropy.uuid();
        self.put_data_source(id, settings, now)
    }

    fn put_data_source(&mut self, id: String, settings: Settings, now: Timestamp) -> u64 {
        let jws = self.jws(&settings, now);
        self.data_sources.push(DataSource {
            id,
            settings,
            created_at: now,
            created_by: self.machine_account.clone(),
            updated: None,
            jws,
        })
    }

    fn replace(&mut self, place: u64, body: Option<&Value>, now: Timestamp) -> Result<(), Refusal> {
        let stored = &self.data_sources.at(place).settings;
        let (nonce, was_disabled) = (stored.nonce.clone(), stored.is_disabled);
        let settings = self.settings(body, Some(was_disabled))?;
        let is_repeated = settings.nonce == nonce;
        if is_repeated && self.policy.repeated_nonce == RepeatedNonce::Rejected {
            return Err(self.policy.nonce_repeated.clone());
        }
        let jws = self.jws(&settings, now);
        let keeps = is_repeated && self.policy.repeated_nonce == RepeatedNonce::KeepsJws;
        let updater = self.machine_account.clone();
        let source = self.data_sources.at(place);
        source.settings = settings;
        source.updated = Some((now, updater));
        if !keeps {
            source.jws = jws;
        }
        Ok(())
    }

    /// Reads and judges a request body. An update says whether what it replaces is disabled.
    fn settings(
        &self,
        body: Option<&Value>,
        was_disabled: Option<bool>,
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
        let (is_disabled, error_message) = match was_disabled {
            None => (false, String::new()),
            Some(was_disabled) => {
                self.check_response_fields(body)?;
                self.status(body, was_disabled)?
            }
        };
        let is_known = |name: &str| REQUEST_FIELDS.contains(&name) || self.is_response_field(name);
        let unknown = body.iter().filter(|(name, _)| !is_known(name));
        let unknown = unknown.map(|(name, value)| (name.clone(), value.clone()));
        Ok(Settings {
            audience: text("audience")?,
            subject: text("subject")?,
            nonce: text("nonce")?,
            schema_id,
            url,
            lifetime_minutes,
            is_disabled,
            error_message,
            unknown: unknown.collect(),
        })
    }

    /// Fields of a reply have no place in a request. Whether they are refused there is not
    /// documented.
    fn check_response_fields(&self, body: &Map<String, Value>) -> Result<(), Refusal> {
        let mut names = body.keys().filter(|name| self.is_response_field(name));
        match (self.policy.response_fields_in_put, names.next()) {
            (ResponseFields::Refused, Some(name)) => Err(invalid(&format!("{name} cannot be set"))),
            _ => Ok(()),
        }
    }

    fn is_response_field(&self, name: &str) -> bool {
        RESPONSE_FIELDS.contains(&name) || name == self.policy.jws_field
    }

    /// `status` and `errorMessage` of an update. Disabling asks for a message.
    fn status(
        &self,
        body: &Map<String, Value>,
        was_disabled: bool,
    ) -> Result<(bool, String), Refusal> {
        let disabled = &self.policy.disabled_status;
        let is_disabled = match body.get("status") {
            None => was_disabled,
            Some(Value::String(status)) if status == ACTIVE => false,
            Some(Value::String(status)) if status == disabled => true,
            Some(_) => return Err(invalid(&format!("status must be {ACTIVE} or {disabled}"))),
        };
        let message = body
            .get("errorMessage")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if is_disabled && message.is_empty() {
            return Err(invalid("errorMessage is required"));
        }
        Ok((is_disabled, message.to_owned()))
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
        let claims = json!({
            "aud": settings.audience,
            "sub": settings.subject,
            "iss": self.policy.jws_issuer.as_ref().unwrap_or(&self.issuer),
            "jti": settings.nonce,
            "com.cisco.datasource.url": settings.url,
            "com.cisco.datasource.schema.uuid": settings.schema_id,
            "com.cisco.org.uuid": self.tenant.target_org_uuid,
        });
        let life = Duration::from_secs(settings.lifetime_minutes * 60);
        Jws::new(claims, self.signing_key(), now, life)
    }

    /// A data source as a reply shows it.
    fn show(&mut self, place: u64, in_list: bool, sign: Signer<'_>) -> Value {
        let fields = fields(self.policy.data_source_shape, in_list);
        let mut shown = self.facts(place, fields, sign);
        respell(&mut shown, &self.policy);
        shown.extend(self.data_sources.at(place).settings.unknown.clone());
        Value::Object(shown)
    }

    /// Those fields of a data source that are asked for and there.
    fn facts(&mut self, place: u64, fields: &[&str], sign: Signer<'_>) -> Map<String, Value> {
        let style = self.policy.timestamps;
        let source = self.data_sources.at(place);
        let jws = &mut source.jws;
        if fields.contains(&"jwsToken") {
            jws.signed.get_or_insert_with(|| sign(&jws.unsigned));
        }
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
            "status": if settings.is_disabled { DISABLED } else { ACTIVE },
            "errorMessage": settings.error_message,
            "orgId": self.tenant.target_org_uuid,
            "applicationId": self.tenant.client_id,
            "jwsToken": source.jws.signed,
            "tokenExpiryTime": written(source.jws.expires_at, style),
            "createdBy": source.created_by,
            "createdAt": written(source.created_at, style),
            "updatedBy": updated.map(|(_, by)| by),
            "updatedAt": updated.map(|(at, _)| written(*at, style)),
        });
        let Value::Object(everything) = everything else {
            return Map::new();
        };
        everything
            .into_iter()
            .filter(|(name, value)| fields.contains(&name.as_str()) && !value.is_null())
            .collect()
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;

    #[test]
    fn signatures_made_elsewhere_are_taken_whatever_has_changed_meanwhile() {
        let now = Timestamp::UNIX_EPOCH;
        let mut world = World::new([7; 32], "http://sandbox", Policy::default());
        let ids = world.seed_data_sources(4, now);
        let unsigned = world.unsigned();
        let signed = (0..4).map(|n| format!("elsewhere {n}")).collect();
        world.data_sources.remove(&ids[0]);
        world.age_data_source(&ids[2], Duration::from_secs(1));
        world.take_signatures(&unsigned, signed);

        let shown = ids.iter().map(|id| {
            let source = world.data_source(id, &|_| "here".to_owned())?;
            source["jwsToken"].as_str().map(str::to_owned)
        });
        let shown: Vec<_> = shown.collect();
        let shown: Vec<_> = shown.iter().map(Option::as_deref).collect();
        assert_eq!(
            shown,
            [None, Some("elsewhere 1"), Some("here"), Some("elsewhere 3")]
        );
    }
}
