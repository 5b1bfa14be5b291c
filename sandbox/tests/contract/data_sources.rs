//! `/dataSources`, its schemas and the JWS: API description, with the recordings of the provider samples.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde_json::{Value, json};
use webex_sandbox::{
    DataSourceShape, Grant, READ_SCOPE, RateLimit, Refusal, RepeatedNonce, Sandbox, Timestamps,
};

use crate::{
    client::{Answer, Ask, delete, get, post, put},
    text, with,
};

const LIST: &str = "/v1/dataSources";
const SCHEMA: &str = "5397013b-7920-4ffc-807c-e8a3e0a18f43";

fn body() -> Value {
    json!({
        "audience": "AppOne",
        "nonce": "nonce-1",
        "schemaId": SCHEMA,
        "subject": "callAudioData",
        "tokenLifetimeMinutes": 60,
        "url": "https://receiver.example.com/ds",
    })
}

/// The body with some fields set, or removed where null.
fn changed(changes: &Value) -> Value {
    let mut body = body();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(body.as_object_mut().unwrap().remove(name)),
            value => body[name] = value.clone(),
        }
    }
    body
}

fn token(sandbox: &Sandbox) -> String {
    sandbox.issue_service_app_tokens().access_token
}

fn send(sandbox: &Sandbox, ask: Ask) -> Answer {
    ask.bearer(&token(sandbox)).send(sandbox)
}

/// Registers the ordinary body and returns the id.
fn registered(sandbox: &Sandbox) -> String {
    text(&send(sandbox, post(LIST).json(&body())), "/id")
}

fn at(id: &str) -> String {
    format!("{LIST}/{id}")
}

/// The header and the claims of a JWS.
fn decoded(jws: &str) -> (Value, Value) {
    let parts: Vec<Value> = jws
        .split('.')
        .take(2)
        .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
        .collect();
    (parts[0].clone(), parts[1].clone())
}

#[test]
fn a_data_source_is_registered_read_updated_and_deleted() {
    let sandbox = Sandbox::start();
    let made = send(&sandbox, post(LIST).json(&body()));
    assert_eq!(made.status, 200);
    let id = text(&made, "/id");
    let read = send(&sandbox, get(&at(&id)));
    assert_eq!(read.json(), made.json());
    let list = send(&sandbox, get(LIST)).json();
    assert_eq!(list, json!({"items": [made.json()]}));

    sandbox.advance(Duration::from_mins(30));
    let update = changed(&json!({"nonce": "nonce-2", "tokenLifetimeMinutes": 1440}));
    let updated = send(&sandbox, put(&at(&id)).json(&update));
    assert_eq!(updated.status, 200);
    assert_ne!(text(&updated, "/jwsToken"), text(&made, "/jwsToken"));
    assert_eq!(text(&updated, "/createdAt"), text(&made, "/createdAt"));

    let deleted = send(&sandbox, delete(&at(&id)));
    assert_eq!((deleted.status, deleted.body.len()), (204, 0));
    assert_eq!(send(&sandbox, get(&at(&id))).status, 404);
    assert_eq!(send(&sandbox, put(&at(&id)).json(&update)).status, 404);
    assert_eq!(send(&sandbox, delete(&at(&id))).status, 404);
}

#[test]
fn paths_are_found_in_lower_case_and_with_a_trailing_slash() {
    // The API description writes the slash; provider samples write lower case.
    let sandbox = Sandbox::start();
    let id = registered(&sandbox);
    for path in [
        "/v1/dataSources/".to_owned(),
        "/v1/datasources".to_owned(),
        "/v1/datasources/schemas/".to_owned(),
        format!("/v1/datasources/{id}"),
    ] {
        assert_eq!(send(&sandbox, get(&path)).status, 200, "{path}");
    }
}

#[test]
fn registration_may_answer_201() {
    let sandbox = with(|policy| policy.register_status = 201);
    assert_eq!(send(&sandbox, post(LIST).json(&body())).status, 201);
}

#[test]
fn the_jws_has_the_documented_claims_and_verifies_with_the_published_key() {
    let sandbox = Sandbox::start();
    let made = send(&sandbox, post(LIST).json(&body()));
    let jws = text(&made, "/jwsToken");
    let (header, claims) = decoded(&jws);
    assert_eq!(header["typ"], "JWT");
    assert_eq!(header["alg"], "RS256");
    assert_eq!(claims["aud"], "AppOne");
    assert_eq!(claims["sub"], "callAudioData");
    assert_eq!(claims["jti"], "nonce-1");
    assert_eq!(claims["iss"], format!("{}/idb", sandbox.origin()));
    assert_eq!(
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        3600
    );
    assert_eq!(
        claims["com.cisco.datasource.url"],
        "https://receiver.example.com/ds"
    );
    assert_eq!(claims["com.cisco.datasource.schema.uuid"], SCHEMA);
    assert_eq!(
        claims["com.cisco.org.uuid"],
        sandbox.tenant().target_org_uuid
    );

    let keys = get("/idb/oauth2/v2/keys/verificationjwk")
        .send(&sandbox)
        .json();
    let key = &keys["keys"][0];
    assert_eq!(key["kid"], header["kid"]);
    assert_eq!((&key["kty"], &key["use"]), (&json!("RSA"), &json!("sig")));
    let part = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
    let (signed, signature) = jws.rsplit_once('.').unwrap();
    RsaPublicKeyComponents {
        n: part("n"),
        e: part("e"),
    }
    .verify(
        &RSA_PKCS1_2048_8192_SHA256,
        signed.as_bytes(),
        &URL_SAFE_NO_PAD.decode(signature).unwrap(),
    )
    .expect("a signature that verifies");
}

#[test]
fn replies_have_the_fields_of_the_recording_that_is_chosen() {
    let sandbox = Sandbox::start();
    let id = registered(&sandbox);
    let fields = |json: &Value| {
        let mut fields: Vec<String> = json.as_object().unwrap().keys().cloned().collect();
        fields.sort();
        fields.join(" ")
    };
    for (shape, one, listed) in [
        (
            DataSourceShape::Recorded,
            "applicationId createdAt createdBy id jwsToken nonce orgId schemaId status \
             tokenExpiryTime url",
            None,
        ),
        (
            DataSourceShape::CcReadme,
            "applicationId createdAt createdBy id jwsToken orgId schemaId status",
            None,
        ),
        (
            DataSourceShape::Oas,
            "audience errorMessage id nonce schemaId status subject tokenLifetimeMinutes url",
            Some("DataSource applicationId createdAt createdBy jwsToken orgId"),
        ),
        (
            DataSourceShape::Full,
            "applicationId audience createdAt createdBy errorMessage id jwsToken nonce orgId \
             schemaId status subject tokenExpiryTime tokenLifetimeMinutes url",
            None,
        ),
    ] {
        sandbox.set_policy(|policy| policy.data_source_shape = shape);
        let json = send(&sandbox, get(&at(&id))).json();
        assert_eq!(fields(&json), one, "{shape:?}");
        let list = send(&sandbox, get(LIST)).json();
        assert_eq!(
            fields(&list["items"][0]),
            listed.unwrap_or(one),
            "{shape:?}"
        );
    }
    let full = sandbox.data_source(&id).unwrap();
    assert_eq!(full["audience"], "AppOne");
    assert_eq!(full["orgId"], sandbox.tenant().target_org_uuid);
    assert_eq!(full["applicationId"], sandbox.tenant().client_id);
}

#[test]
fn a_repeated_nonce_keeps_the_jws_renews_it_or_is_rejected() {
    let sandbox = Sandbox::start();
    let id = registered(&sandbox);
    let jws = || sandbox.data_source(&id).unwrap()["jwsToken"].clone();
    let first = jws();
    let update = put(&at(&id)).json(&changed(&json!({"subject": "other"})));
    sandbox.advance(Duration::from_mins(1));
    assert_eq!(send(&sandbox, update.clone()).status, 200);
    assert_eq!(jws(), first);
    assert_eq!(sandbox.data_source(&id).unwrap()["subject"], "other");

    sandbox.set_policy(|policy| policy.repeated_nonce = RepeatedNonce::RenewsJws);
    assert_eq!(send(&sandbox, update.clone()).status, 200);
    let second = jws();
    assert_ne!(second, first);

    sandbox.set_policy(|policy| {
        policy.repeated_nonce = RepeatedNonce::Rejected;
        policy.nonce_repeated = Refusal::new(409, "", "Repeated");
    });
    sandbox.advance(Duration::from_mins(1));
    assert_eq!(send(&sandbox, update).status, 409);
    assert_eq!(jws(), second);
}

#[test]
fn timestamps_come_with_or_without_a_zone() {
    let sandbox = Sandbox::start();
    let id = registered(&sandbox);
    let created = || text(&send(&sandbox, get(&at(&id))), "/createdAt");
    assert!(created().ends_with('Z'));
    assert_eq!(created().len(), "2024-10-31T02:13:25.776Z".len());
    sandbox.set_policy(|policy| policy.timestamps = Timestamps::Naive);
    assert_eq!(created().len(), "2024-10-31T02:13:25.776000".len());
    assert!(!created().ends_with('Z'));
}

#[test]
fn a_bad_body_is_400_and_says_why() {
    let sandbox = Sandbox::start();
    for (changes, reason) in [
        (json!({"audience": null}), "audience is required"),
        (json!({"subject": null}), "subject is required"),
        (json!({"nonce": null}), "nonce is required"),
        (json!({"schemaId": null}), "schemaId is required"),
        (json!({"url": null}), "url is required"),
        (json!({"schemaId": [SCHEMA]}), "schemaId must be a string"),
        (json!({"schemaId": "unknown"}), "schemaId is not known"),
        (
            json!({"tokenLifetimeMinutes": null}),
            "tokenLifetimeMinutes is required",
        ),
        (
            json!({"tokenLifetimeMinutes": "60"}),
            "tokenLifetimeMinutes must be a number from 1 to 1440",
        ),
        (
            json!({"tokenLifetimeMinutes": 0}),
            "tokenLifetimeMinutes must be a number from 1 to 1440",
        ),
        (
            json!({"tokenLifetimeMinutes": 1441}),
            "tokenLifetimeMinutes must be a number from 1 to 1440",
        ),
        (
            json!({"url": "http://receiver.example.com"}),
            "url must start with https:// or wss://",
        ),
        (
            json!({"url": "https://notexample.com"}),
            "url is not within the data exchange domain of the service app",
        ),
    ] {
        let answer = send(&sandbox, post(LIST).json(&changed(&changes)));
        assert_eq!(answer.status, 400, "{changes}");
        assert_eq!(text(&answer, "/errors/0/description"), reason);
    }
    assert_eq!(send(&sandbox, post(LIST)).status, 400);
}

#[test]
fn the_url_may_be_a_web_socket_anywhere_in_the_data_exchange_domain() {
    let sandbox = Sandbox::start();
    let register = |url: &str| send(&sandbox, post(LIST).json(&changed(&json!({"url": url}))));
    assert_eq!(register("wss://example.com:8443/ws?x=1").status, 200);
    assert_eq!(register("wss://other.test/ws").status, 400);
    sandbox.set_policy(|policy| policy.data_exchange_domains = vec!["other.test".to_owned()]);
    assert_eq!(register("wss://a.other.test/ws").status, 200);
    sandbox.set_policy(|policy| policy.data_exchange_domains.clear());
    assert_eq!(register("https://anywhere.invalid/").status, 200);
}

#[test]
fn disabling_asks_for_an_error_message() {
    let sandbox = Sandbox::start();
    let id = registered(&sandbox);
    let update = |changes: Value| send(&sandbox, put(&at(&id)).json(&changed(&changes))).status;
    assert_eq!(update(json!({"status": "disabled"})), 400);
    assert_eq!(update(json!({"status": "inactive"})), 400);
    assert_eq!(
        update(json!({"status": "disabled", "errorMessage": "Down"})),
        200
    );
    let stored = sandbox.data_source(&id).unwrap();
    assert_eq!(
        (&stored["status"], &stored["errorMessage"]),
        (&json!("disabled"), &json!("Down"))
    );
    assert_eq!(update(json!({"status": "active"})), 200);
    assert_eq!(sandbox.data_source(&id).unwrap()["status"], "active");
}

#[test]
fn writing_needs_the_write_scope() {
    let sandbox = Sandbox::start();
    let id = registered(&sandbox);
    let reader = sandbox
        .issue_with(Grant::ServiceApp, &[READ_SCOPE])
        .access_token;
    for ask in [
        post(LIST).json(&body()),
        put(&at(&id)).json(&body()),
        delete(&at(&id)),
    ] {
        assert_eq!(ask.bearer(&reader).send(&sandbox).status, 403);
    }
    assert_eq!(get(&at(&id)).bearer(&reader).send(&sandbox).status, 200);
}

#[test]
fn schemas_are_listed_for_any_live_token() {
    let sandbox = Sandbox::start();
    let personal = sandbox.issue_personal_access_token();
    let list = get("/v1/dataSources/schemas")
        .bearer(&personal)
        .send(&sandbox)
        .json();
    let schema = &list["items"][0];
    assert_eq!(schema["id"], SCHEMA);
    for field in ["appType", "createdAt", "protocol", "serviceType", "url"] {
        assert!(schema[field].is_string(), "{field}");
    }
    let one = |id: &str| {
        get(&format!("/v1/dataSources/schemas/{id}"))
            .bearer(&personal)
            .send(&sandbox)
    };
    assert_eq!(one(SCHEMA).json(), *schema);
    assert_eq!(one("unknown").status, 404);
}

#[test]
fn a_rate_limit_is_429_with_or_without_retry_after() {
    let sandbox = with(|policy| {
        policy.rate_limit = Some(RateLimit {
            requests: 2,
            window: Duration::from_mins(1),
            retry_after: true,
        });
    });
    let status = || send(&sandbox, get(LIST)).status;
    assert_eq!([status(), status(), status()], [200, 200, 429]);
    sandbox.advance(Duration::from_secs(20));
    let answer = send(&sandbox, get(LIST));
    assert_eq!(answer.header("retry-after"), Some("40"));
    sandbox.set_policy(|policy| {
        policy.rate_limit.as_mut().unwrap().retry_after = false;
    });
    assert_eq!(send(&sandbox, get(LIST)).header("retry-after"), None);
    sandbox.advance(Duration::from_secs(41));
    assert_eq!(status(), 200);
}

#[test]
fn pages_are_linked_where_switched_on() {
    // RFC 8288, as elsewhere in the API; not documented for data sources.
    let sandbox = with(|policy| policy.page_size = Some(2));
    let ids = sandbox.seed_data_sources(5);
    let mut target = LIST.to_owned();
    let mut seen = Vec::new();
    let mut sizes = Vec::new();
    loop {
        let answer = send(&sandbox, get(&target));
        let json = answer.json();
        let items = json["items"].as_array().unwrap();
        sizes.push(items.len());
        seen.extend(
            items
                .iter()
                .map(|item| item["id"].as_str().unwrap().to_owned()),
        );
        let Some(link) = answer.header("link") else {
            break;
        };
        let url = link.split(['<', '>']).nth(1).unwrap();
        assert!(link.ends_with("; rel=\"next\""), "{link}");
        target = url.strip_prefix(sandbox.origin()).unwrap().to_owned();
    }
    assert_eq!(sizes, [2, 2, 1]);
    assert_eq!(seen, ids);
}

#[test]
fn a_data_source_of_choice_is_put_in_place_outside_http() {
    let sandbox = Sandbox::start();
    let id = sandbox.register_data_source(&changed(&json!({"tokenLifetimeMinutes": 7})));
    let (_, claims) = decoded(&text(&send(&sandbox, get(&at(&id))), "/jwsToken"));
    assert_eq!(
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        420
    );
}

#[test]
fn a_list_signs_each_data_source_for_itself() {
    let sandbox = Sandbox::start();
    sandbox.seed_data_sources(5);
    let list = send(&sandbox, get(LIST)).json();
    for item in list["items"].as_array().unwrap() {
        let (_, claims) = decoded(item["jwsToken"].as_str().unwrap());
        assert_eq!(claims["jti"], item["nonce"]);
        assert_eq!(claims["com.cisco.datasource.url"], item["url"]);
    }
    assert_eq!(send(&sandbox, get(LIST)).json(), list);
}

#[test]
fn ten_thousand_data_sources_are_seeded_at_once_and_signed_when_shown() {
    let sandbox = Sandbox::start();
    let ids = sandbox.seed_data_sources(10_000);
    assert_eq!(ids.len(), 10_000);
    let answer = send(&sandbox, get(&at(&ids[9_999])));
    assert_eq!(text(&answer, "/id"), ids[9_999]);
    let (_, claims) = decoded(&text(&answer, "/jwsToken"));
    assert_eq!(claims["jti"], text(&answer, "/nonce"));
}
