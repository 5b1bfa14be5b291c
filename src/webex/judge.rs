//! What a reply means: status and body in, [`Outcome`] out. Pure.
//!
//! Webex documents few of its error bodies (the ones of a dead refresh token and of a wrong client
//! secret are recorded nowhere), so status class decides first and text second, in both shapes that
//! are seen: Webex's own (`message`, `errors[].description`, `trackingId`) and RFC 6749 §5.2's
//! (`error`, `error_description`). A 4xx in neither shape was not written by Webex: something
//! between us and Webex answered, and says nothing about a token.
//!
//! No reply body is ever kept or shown. What is shown is Webex's own message, without control
//! characters, cut to a line, and withheld whole if it repeats any part of a secret.

#[cfg(any(test, fuzzing))]
pub(crate) mod properties;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use url::Url;

use secrecy::{ExposeSecret, SecretString};

use super::{Answer, Body, DeviceAuthorization, Exchange, NoAnswer, Reply};
use crate::backoff;
use crate::ladder::Outcome;
use crate::masked::masked_text;
use crate::token::{AccessToken, DeviceCode, Issued, RefreshToken, one_line, plain_line};

/// Which question a reply answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// `POST /v1/access_token` with `grant_type=refresh_token`.
    Grant,
    /// `POST /v1/access_token` with `grant_type=authorization_code`.
    Code,
    /// `POST /v1/device/authorize`.
    DeviceAuthorization,
    /// `POST /v1/device/token`.
    DevicePoll,
    /// `POST /v1/applications/{applicationId}/token`.
    Mint,
    /// `GET /v1/dataSources`: is the token accepted?
    Validation,
    /// `GET /v1/authorizations/tokenExpiry`.
    Expiry,
    /// A call of any other resource.
    Resource,
}

/// Why an outcome is what it is, where a caller would act differently on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A 2xx with what was asked for.
    Given,
    /// The credential is dead: `invalid_grant` and Webex's texts, or 401 for a bearer.
    DeadCredential,
    /// The client id or secret is wrong: `invalid_client` and Webex's texts.
    BadClient,
    /// The mint's input is wrong, or the application is unknown (400, 404).
    BadMintInput,
    /// 403: a scope, a role or an authorization is missing.
    NotAllowed,
    /// `tokenlimit_reached`: 750 live access tokens.
    TokenLimit,
    /// The redirect URI is not the one that is registered, or that was named before.
    BadRedirectUri,
    /// A scope is not registered with the integration.
    BadScope,
    /// The person has not decided yet.
    Undecided,
    /// The same, and the polls come too fast.
    SlowDown,
    /// The person has said no.
    Denied,
    /// 404 or 410: there is no such resource.
    NotFound,
    /// 423: this one resource is in somebody else's hands.
    Locked,
    /// 409 or 425: somebody else is at it.
    Conflict,
    /// Another refusal in Webex's or RFC 6749's shape.
    Refused,
    /// Webex is busy, down or in maintenance, and said so before acting.
    Busy,
    /// Webex failed, and may have acted.
    Failed,
    /// No connection, or no TLS.
    NotConnected,
    /// The connection ended, or time ran out, after the request was sent.
    NoAnswer,
    /// A 200 that is not what was asked for: no JSON, cut short, no `access_token`, too large.
    Unusable,
    /// A redirect or an error page: not from Webex. The host that answered is in the text.
    Intermediary,
    /// 407: a proxy wants other credentials.
    Proxy,
}

/// A judged reply.
#[derive(Clone, Debug)]
pub struct Judged {
    /// What it means for the climb.
    pub outcome: Outcome,
    /// Why.
    pub cause: Cause,
    /// What Webex said, or what went wrong: one line, without secrets. `None` where all is well.
    pub error: Option<String>,
    /// The status, where there was an answer.
    pub http_status: Option<u16>,
    /// Webex's `trackingId`, which its support asks for.
    pub tracking_id: Option<String>,
    /// How long Webex asks to wait.
    pub retry_after: Option<Duration>,
}

/// Judges the reply to a grant or a mint, and takes the tokens out of it.
#[must_use]
pub fn judge_tokens(
    question: Question,
    exchange: &Exchange,
    now: Timestamp,
) -> (Judged, Option<Issued>) {
    if let Reply::Answer(answer) = &exchange.reply
        && answer.is_success()
    {
        let issued = issued(answer, now);
        let judged = match &issued {
            Ok(_) => Judged::of(answer, Outcome::Issued, Cause::Given, None),
            Err(why) => Judged::of(answer, Outcome::Doubtful, Cause::Unusable, Some(why)),
        };
        let issued = issued.ok();
        let mut secrets = exchange.secrets.clone();
        if let Some(issued) = &issued {
            secrets.push(issued.access_token.expose().into());
            secrets.extend(issued.refresh_token.iter().map(|it| it.expose().into()));
        }
        return (judged.without(&secrets), issued);
    }
    (judge(question, exchange, now), None)
}

/// The scopes that a token reply names, if it does (RFC 6749 §5.1).
#[must_use]
pub fn granted_scopes(exchange: &Exchange) -> Option<Vec<String>> {
    let Reply::Answer(answer) = &exchange.reply else {
        return None;
    };
    let body = answer.json()?;
    let scopes = body.get("scope")?.as_str()?.split_whitespace();
    Some(scopes.map(str::to_owned).collect())
}

/// Judges the reply to `device/authorize`, and takes the codes out of it (RFC 8628 §3.2).
#[must_use]
pub fn judge_device_authorization(
    exchange: &Exchange,
    now: Timestamp,
) -> (Judged, Option<DeviceAuthorization>) {
    if let Reply::Answer(answer) = &exchange.reply
        && answer.is_success()
    {
        let authorization = device_authorization(answer, &exchange.secrets);
        let judged = if authorization.is_some() {
            Judged::of(answer, Outcome::Issued, Cause::Given, None)
        } else {
            let why = "the answer has no codes in it, or no address";
            Judged::of(answer, Outcome::GivenUp, Cause::Unusable, Some(why))
        };
        return (judged.without(&exchange.secrets), authorization);
    }
    (judge(Question::DeviceAuthorization, exchange, now), None)
}

/// Judges the reply to a validation.
#[must_use]
pub fn judge_validation(exchange: &Exchange, now: Timestamp) -> Judged {
    match &exchange.reply {
        Reply::Answer(answer) if answer.is_success() => match looks_like_json(answer) {
            Ok(()) => Judged::of(answer, Outcome::Accepted, Cause::Given, None),
            Err(why) => Judged::of(answer, Outcome::Unavailable, Cause::Unusable, Some(why)),
        }
        .without(&exchange.secrets),
        _ => judge(Question::Validation, exchange, now),
    }
}

/// Judges the reply to `tokenExpiry`, and takes the date out of it (milliseconds).
#[must_use]
pub fn judge_expiry(exchange: &Exchange, now: Timestamp) -> (Judged, Option<Timestamp>) {
    if let Reply::Answer(answer) = &exchange.reply
        && answer.is_success()
    {
        let millis = answer.json().and_then(|body| integer(body.get("exp")?));
        let expires_at = millis.and_then(|millis| Timestamp::from_millisecond(millis).ok());
        let judged = if expires_at.is_some() {
            Judged::of(answer, Outcome::Accepted, Cause::Given, None)
        } else {
            let why = "the answer has no expiry in it";
            Judged::of(answer, Outcome::Unavailable, Cause::Unusable, Some(why))
        };
        return (judged.without(&exchange.secrets), expires_at);
    }
    (judge(Question::Expiry, exchange, now), None)
}

/// Judges the reply to a call of a resource. A 2xx is an answer, whatever is in it: its body is the
/// caller's to read.
#[must_use]
pub fn judge_resource(exchange: &Exchange, now: Timestamp) -> Judged {
    match &exchange.reply {
        Reply::Answer(answer) if answer.is_success() => {
            let (outcome, cause, why) = match &answer.body {
                Body::Whole(_) => (Outcome::Accepted, Cause::Given, None),
                Body::TooLarge => {
                    let why = "the answer is over 32 MiB";
                    (Outcome::GivenUp, Cause::Unusable, Some(why))
                }
                Body::Beginning(_) | Body::CutShort(_) => {
                    let why = "the answer was cut short";
                    (Outcome::Doubtful, Cause::Unusable, Some(why))
                }
            };
            Judged::of(answer, outcome, cause, why).without(&exchange.secrets)
        }
        _ => judge(Question::Resource, exchange, now),
    }
}

/// Judges the reply to a request for the keys of an issuer, and takes the body out of it, or says
/// in one line why there is none.
///
/// # Errors
///
/// The issuer did not answer with a whole body.
pub fn judge_keys(exchange: &Exchange, now: Timestamp) -> Result<Vec<u8>, String> {
    if let Reply::Answer(answer) = &exchange.reply
        && answer.is_success()
    {
        return match &answer.body {
            Body::Whole(body) => Ok(body.clone()),
            Body::TooLarge => Err("the answer is over 1 MiB".to_owned()),
            Body::Beginning(_) | Body::CutShort(_) => Err("the answer was cut short".to_owned()),
        };
    }
    let judged = judge(Question::Resource, exchange, now);
    let why = judged.error.unwrap_or_else(|| "no reason given".to_owned());
    Err(match judged.http_status {
        Some(status) if !why.starts_with("HTTP ") => format!("HTTP {status}: {why}"),
        _ => why,
    })
}

impl Judged {
    fn of(answer: &Answer, outcome: Outcome, cause: Cause, error: Option<&str>) -> Self {
        Self {
            outcome,
            cause,
            error: error.map(str::to_owned),
            http_status: Some(answer.status),
            tracking_id: answer.tracking_id().map(str::to_owned),
            retry_after: None,
        }
    }

    /// The same, without a `trackingId` that repeats a secret.
    fn without(mut self, secrets: &[SecretString]) -> Self {
        self.tracking_id = self.tracking_id.filter(|id| !repeats_any(id, secrets));
        self
    }
}

/// Judges everything that is not a success.
fn judge(question: Question, exchange: &Exchange, now: Timestamp) -> Judged {
    let secrets = exchange.secrets.as_slice();
    let answer = match &exchange.reply {
        Reply::Answer(answer) => answer,
        Reply::NoAnswer(no_answer) => return judge_no_answer(no_answer, secrets),
    };
    let said = Said::in_answer(answer);
    let (outcome, cause) = classify(question, answer.status, &said);
    let error = match cause {
        Cause::Intermediary => answered_by_another(answer, secrets),
        Cause::Proxy => "a proxy asks for credentials (407)".to_owned(),
        _ => said
            .shown(secrets)
            .unwrap_or_else(|| format!("HTTP {}, without a reason given", answer.status)),
    };
    let retry_after = answer.retry_after.as_deref();
    Judged {
        retry_after: retry_after.and_then(|header| backoff::retry_after(header, now)),
        ..Judged::of(answer, outcome, cause, Some(&error)).without(secrets)
    }
}

fn judge_no_answer(no_answer: &NoAnswer, secrets: &[SecretString]) -> Judged {
    let (outcome, cause) = match no_answer {
        NoAnswer::NotConnected(_) => (Outcome::Unavailable, Cause::NotConnected),
        NoAnswer::ProxyRefused => (Outcome::ProxyRefused, Cause::Proxy),
        NoAnswer::TimedOut | NoAnswer::Dropped(_) => (Outcome::Doubtful, Cause::NoAnswer),
    };
    Judged {
        outcome,
        cause,
        error: Some(scrub(&no_answer.to_string(), secrets)),
        http_status: None,
        tracking_id: None,
        retry_after: None,
    }
}

/// The table: status class first, text second.
fn classify(question: Question, status: u16, said: &Said) -> (Outcome, Cause) {
    match status {
        407 => (Outcome::ProxyRefused, Cause::Proxy),
        _ if question == Question::DevicePoll && said.asks_to_slow_down(status) => {
            (Outcome::Unavailable, Cause::SlowDown)
        }
        _ if question == Question::DevicePoll && said.is_pending(status) => {
            (Outcome::Unavailable, Cause::Undecided)
        }
        _ if said.mentions_token_limit() => (Outcome::GivenUp, Cause::TokenLimit),
        423 if question == Question::Resource => (Outcome::Unavailable, Cause::Locked),
        404 | 410 if question == Question::Resource && said.is_empty => {
            (Outcome::GivenUp, Cause::NotFound)
        }
        423 | 429 | 503 => (Outcome::Unavailable, Cause::Busy),
        408 | 500..=599 => (Outcome::Doubtful, Cause::Failed),
        400..=499 if said.shape == Shape::Neither => (Outcome::Unavailable, Cause::Intermediary),
        400..=499 => classify_refusal(question, status, said),
        _ => (Outcome::Unavailable, Cause::Intermediary),
    }
}

/// A 4xx that Webex wrote.
fn classify_refusal(question: Question, status: u16, said: &Said) -> (Outcome, Cause) {
    match (question, status) {
        (Question::Grant, _) if said.speaks_of_dead_grant() => {
            (Outcome::Rejected, Cause::DeadCredential)
        }
        (Question::Grant, _) if said.speaks_of_client() => {
            (Outcome::Misconfigured, Cause::BadClient)
        }
        (Question::Code | Question::DevicePoll | Question::DeviceAuthorization, _) => {
            classify_refused_consent(question, said)
        }
        // The body has a client secret in it as well, and Webex leaves open which status it gets.
        (Question::Mint, 401) if said.speaks_of_client() => {
            (Outcome::Misconfigured, Cause::BadMintInput)
        }
        (Question::Mint | Question::Validation | Question::Expiry | Question::Resource, 401) => {
            (Outcome::Rejected, Cause::DeadCredential)
        }
        (Question::Mint, 400 | 404) => (Outcome::Misconfigured, Cause::BadMintInput),
        (Question::Mint | Question::Validation | Question::Expiry | Question::Resource, 403) => {
            (Outcome::Forbidden, Cause::NotAllowed)
        }
        (Question::Resource, 404 | 410) => (Outcome::GivenUp, Cause::NotFound),
        (Question::Resource, 409 | 425) => (Outcome::GivenUp, Cause::Conflict),
        // A look at a token that is refused for another reason says nothing about the token.
        (Question::Validation | Question::Expiry | Question::Resource, _) => {
            (Outcome::GivenUp, Cause::Refused)
        }
        (Question::Grant | Question::Mint, _) => (Outcome::Rejected, Cause::Refused),
    }
}

/// A 4xx to what a person's consent was to be exchanged for.
fn classify_refused_consent(question: Question, said: &Said) -> (Outcome, Cause) {
    let mentions = |word: &str| said.any(|text| text.contains(word));
    // RFC 6749 §5.2 has a redirect URI that differs under `invalid_grant`, too.
    if question == Question::Code && mentions("redirect") {
        (Outcome::Misconfigured, Cause::BadRedirectUri)
    } else if mentions("access_denied") {
        (Outcome::Rejected, Cause::Denied)
    } else if !mentions("invalid_grant") && said.speaks_of_client() {
        (Outcome::Misconfigured, Cause::BadClient)
    } else if mentions("scope") {
        (Outcome::Misconfigured, Cause::BadScope)
    } else if said.speaks_of_dead_code() {
        (Outcome::Rejected, Cause::DeadCredential)
    } else {
        (Outcome::Rejected, Cause::Refused)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Webex,
    Rfc6749,
    Neither,
}

/// What an error body says.
struct Said {
    shape: Shape,
    /// Whether there is no body at all.
    is_empty: bool,
    /// RFC 6749's `error`, or nothing.
    code: String,
    /// Messages and descriptions, each once, in order.
    texts: Vec<String>,
}

impl Said {
    fn in_answer(answer: &Answer) -> Self {
        let body = answer.json().unwrap_or_default();
        let mut texts: Vec<String> = Vec::new();
        let mut add = |value: Option<&Value>| {
            if let Some(text) = value.and_then(Value::as_str).map(str::trim)
                && !text.is_empty()
                && !texts.iter().any(|known| known == text)
            {
                texts.push(text.to_owned());
            }
        };
        let code = body.get("error").and_then(Value::as_str).unwrap_or("");
        add(body.get("error"));
        add(body.get("error_description"));
        add(body.get("message"));
        let errors = body.get("errors").and_then(Value::as_array);
        for error in errors.into_iter().flatten() {
            add(error.get("code"));
            add(error.get("description"));
            add(error.get("message"));
        }
        let is_webex = ["message", "trackingId"]
            .iter()
            .any(|key| body.get(*key).is_some_and(Value::is_string))
            || errors.is_some();
        // A reply without a body is Webex's own where its gateway has put a trackingId on it.
        let is_bare = answer.body.is_empty() && answer.tracking_header.is_some();
        let shape = match (code.is_empty(), is_webex || is_bare) {
            (false, _) => Shape::Rfc6749,
            (true, true) => Shape::Webex,
            (true, false) => Shape::Neither,
        };
        Self {
            shape,
            is_empty: answer.body.is_empty(),
            code: code.to_owned(),
            texts,
        }
    }

    fn any(&self, test: impl Fn(&str) -> bool) -> bool {
        self.texts.iter().any(|text| test(&text.to_lowercase()))
    }

    fn mentions_token_limit(&self) -> bool {
        self.any(|text| text.contains("tokenlimit_reached"))
    }

    fn speaks_of_dead_grant(&self) -> bool {
        match self.code.as_str() {
            "invalid_grant" | "invalid_refresh_token" => true,
            "invalid_client" | "unauthorized_client" => false,
            _ => self.any(|text| {
                let refresh_token =
                    text.contains("refresh token") || text.contains("refresh_token");
                let dead = ["expired", "revoked", "invalid", "not valid", "already used"];
                text.contains("invalid_grant")
                    || refresh_token && dead.iter().any(|word| text.contains(word))
            }),
        }
    }

    /// Webex says so by 429 as well, and by its text under any status.
    fn asks_to_slow_down(&self, status: u16) -> bool {
        status == 429 || self.any(|text| text.contains("slow_down"))
    }

    /// Webex answers 428 where RFC 8628 §3.5 has 400.
    fn is_pending(&self, status: u16) -> bool {
        status == 428 || self.any(|text| text.contains("authorization_pending"))
    }

    fn speaks_of_dead_code(&self) -> bool {
        self.any(|text| {
            let dead = [
                "expired",
                "invalid",
                "not valid",
                "already used",
                "used before",
            ];
            text.contains("invalid_grant")
                || text.contains("expired_token")
                || text.contains("code") && dead.iter().any(|word| text.contains(word))
        })
    }

    fn speaks_of_client(&self) -> bool {
        const WORDS: [&str; 8] = [
            "invalid_client",
            "client id",
            "client_id",
            "clientid",
            "client secret",
            "client_secret",
            "clientsecret",
            "client credentials",
        ];
        self.any(|text| WORDS.iter().any(|word| text.contains(word)))
    }

    fn shown(&self, secrets: &[SecretString]) -> Option<String> {
        (!self.texts.is_empty()).then(|| scrub(&self.texts.join("; "), secrets))
    }
}

fn answered_by_another(answer: &Answer, secrets: &[SecretString]) -> String {
    let host = &answer.host;
    match (answer.status, &answer.location_host) {
        (300..=399, Some(to)) => format!(
            "HTTP {} redirects from {host} to {}, which Webex does not do",
            answer.status,
            scrub(to, secrets)
        ),
        (status, _) => {
            format!("HTTP {status} from {host}, in a form that Webex does not use")
        }
    }
}

fn issued(answer: &Answer, now: Timestamp) -> Result<Issued, &'static str> {
    match &answer.body {
        Body::TooLarge => return Err("the answer is over 1 MiB; no token reply is"),
        Body::CutShort(_) => return Err("the answer was cut short"),
        Body::Whole(_) | Body::Beginning(_) => {}
    }
    let body = answer.json().ok_or("the answer is not a JSON object")?;
    let token = |key: &str| {
        let text = body.get(key).and_then(Value::as_str).unwrap_or_default();
        // Webex's are made of a part of what RFC 6749 §A.12 and §A.17 allow. One with anything else
        // in it no header carries, or no file gives back.
        let is_whole = text.bytes().all(|byte| byte.is_ascii_graphic());
        is_whole
            .then(|| Some(text.to_owned()).filter(|text| !text.is_empty()))
            .ok_or("the answer has a token with a character that no token has")
    };
    let lasts = |key: &str| {
        let seconds = integer(body.get(key)?).filter(|seconds| *seconds >= 0)?;
        // Beyond a century a date would overflow, and means "for ever" anyway.
        Some(SignedDuration::from_secs(seconds.min(100 * 366 * 86_400)))
    };
    Ok(Issued {
        access_token: AccessToken::new(
            token("access_token")?.ok_or("the answer has no access_token in it")?,
        ),
        expires_in: lasts("expires_in"),
        refresh_token: token("refresh_token")?.map(RefreshToken::new),
        refresh_token_expires_in: lasts("refresh_token_expires_in"),
        issued_at: now,
    })
}

/// The longest address that is shown, in bytes.
const MOST_OF_AN_ADDRESS: usize = 2048;

fn device_authorization(answer: &Answer, secrets: &[SecretString]) -> Option<DeviceAuthorization> {
    let body = answer.json()?;
    let device_code = DeviceCode::new(body.get("device_code").and_then(Value::as_str)?);
    let secrets = [secrets, &[device_code.closed()]].concat();
    let text = |key: &str| {
        let text = body.get(key).and_then(Value::as_str)?;
        let is_shown = !text.is_empty() && !repeats_any(text, &secrets);
        is_shown.then(|| plain_line(text))
    };
    let seconds = |key: &str| {
        let seconds = integer(body.get(key)?)?;
        u64::try_from(seconds).ok().map(Duration::from_secs)
    };
    // An address is shown whole, though the code in it looks like a token: it is there to be opened.
    let address = |key: &str| {
        let address = body.get(key).and_then(Value::as_str)?;
        let url = Url::parse(address).ok()?;
        let is_shown = address.len() <= MOST_OF_AN_ADDRESS
            && address.bytes().all(|byte| byte.is_ascii_graphic())
            && matches!(url.scheme(), "https" | "http")
            && !repeats_any(address, &secrets);
        is_shown.then(|| address.to_owned())
    };
    Some(DeviceAuthorization {
        device_code,
        user_code: text("user_code")?,
        verification_uri: address("verification_uri").or_else(|| address("verification_url"))?,
        verification_uri_complete: address("verification_uri_complete"),
        expires_in: seconds("expires_in"),
        interval: seconds("interval"),
    })
}

/// A whole number, written as a number or as a string.
fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a fraction of a second is dropped"
        )]
        Value::Number(number) => number.as_i64().or_else(|| Some(number.as_f64()? as i64)),
        _ => None,
    }
}

/// A list of ten thousand data sources is 10 MB: its beginning is enough to see that it is JSON.
fn looks_like_json(answer: &Answer) -> Result<(), &'static str> {
    let parsed = match &answer.body {
        Body::Whole(bytes) => serde_json::from_slice::<serde::de::IgnoredAny>(bytes),
        Body::Beginning(bytes) => {
            // A number that is cut off, such as `1.`, would not be seen to end.
            let in_number = |byte: &u8| b"+-.0123456789Ee".contains(byte);
            let numbers = bytes
                .iter()
                .rev()
                .take_while(|byte| in_number(byte))
                .count();
            let bytes = &bytes[..bytes.len() - numbers];
            match serde_json::from_slice::<serde::de::IgnoredAny>(bytes) {
                Err(error) if error.is_eof() => return Ok(()),
                other => other,
            }
        }
        Body::CutShort(_) => return Err("the answer was cut short"),
        Body::TooLarge => return Err("the answer is too large"),
    };
    parsed.map(drop).map_err(|_| "the answer is not JSON")
}

/// What is shown of a text that came over the network: one line of at most 300 characters, its URLs
/// without what is secret in them, nothing at all where the rest repeats eight or more characters of
/// a secret, and no word that looks like one.
pub(super) fn scrub(text: &str, secrets: &[SecretString]) -> String {
    let shown = masked_text(text);
    if repeats_any(&shown, secrets) {
        return "(what the server said is withheld: it repeats a secret)".to_owned();
    }
    one_line(&shown)
}

/// Whether `text` holds eight characters in a row of a secret, or all of a shorter one, in any case.
fn repeats_any(text: &str, secrets: &[SecretString]) -> bool {
    secrets.iter().any(|secret| {
        let bytes = secret.expose_secret().as_bytes();
        let width = bytes.len().min(8);
        width >= 4
            && bytes.windows(width).any(|piece| {
                text.as_bytes()
                    .windows(width)
                    .any(|here| here.eq_ignore_ascii_case(piece))
            })
    })
}

impl Answer {
    fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    fn json(&self) -> Option<Map<String, Value>> {
        match &self.body {
            Body::Whole(bytes) => serde_json::from_slice(bytes).ok(),
            Body::Beginning(_) | Body::TooLarge | Body::CutShort(_) => None,
        }
    }

    /// The `trackingId`, from the header; `None` where it is not made of what Webex's are made of.
    fn tracking_id(&self) -> Option<&str> {
        let id = self.tracking_header.as_deref().or(self.tracking_body())?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
        (id.len() <= 128 && !id.is_empty() && id.chars().all(plain)).then_some(id)
    }

    fn tracking_body(&self) -> Option<&str> {
        #[derive(serde::Deserialize)]
        struct Tracked<'a> {
            #[serde(rename = "trackingId", borrow)]
            tracking_id: &'a str,
        }
        match &self.body {
            Body::Whole(bytes) => serde_json::from_slice::<Tracked<'_>>(bytes)
                .ok()
                .map(|tracked| tracked.tracking_id),
            Body::Beginning(_) | Body::TooLarge | Body::CutShort(_) => None,
        }
    }
}

impl Body {
    fn is_empty(&self) -> bool {
        match self {
            Self::Whole(bytes) | Self::Beginning(bytes) | Self::CutShort(bytes) => bytes.is_empty(),
            Self::TooLarge => false,
        }
    }
}

#[cfg(test)]
mod tests;
