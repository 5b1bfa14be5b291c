//! `/dataSources`, its schemas and the JWS: API description, with the recordings of the provider samples.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde_json::{Value, json};
use webex_sandbox::{
    DataSourceShape, Endpoint, Fault, Grant, JwsKey, READ_SCOPE, RateLimit, Refusal, RepeatedNonce,
    ResponseFields, Sandbox, Timestamps,
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

/// A body with more fields.
fn with_more(body: &Value, more: &Value) -> Value {
    let mut body = body.clone();
    let more = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(more);
    body
}

/// The body with another nonce, for an update.
fn update() -> Value {
    changed(&json!({"nonce": "nonce-2"}))
}

/// The names of an object's fields, in order.
fn names(json: &Value) -> String {
    let mut names: Vec<&str> = json
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names.join(" ")
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

const KEYS: &str = "/idb/oauth2/v2/keys/verificationjwk";

/// The published keys.
fn keys(sandbox: &Sandbox) -> Value {
    get(KEYS).send(sandbox).json()["keys"].clone()
}

/// The JWS that a data source has now.
fn jws(sandbox: &Sandbox, id: &str) -> String {
    let source = sandbox.data_source(id).unwrap();
    source["jwsToken"].as_str().unwrap().to_owned()
}

/// Whether a JWS was signed with the private half of a published key.
fn verifies(jws: &str, key: &Value) -> bool {
    let part = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
    let (signed, signature) = jws.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let key = RsaPublicKeyComponents {
        n: part("n"),
        e: part("e"),
    };
    key.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &signature)
        .is_ok()
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
    let [id, other] = [registered(&sandbox), registered(&sandbox)];
    for path in [
        "/v1/dataSources/".to_owned(),
        "/v1/datasources".to_owned(),
        "/v1/datasources/schemas/".to_owned(),
        format!("/v1/datasources/{id}"),
    ] {
        assert_eq!(send(&sandbox, get(&path)).status, 200, "{path}");
    }
    for (ask, status) in [
        (post("/v1/dataSources/").json(&body()), 200),
        (post("/v1/datasources").json(&body()), 200),
        (put(&format!("/v1/datasources/{id}/")).json(&update()), 200),
        (delete(&format!("/v1/dataSources/{id}/")), 204),
        (delete(&format!("/v1/datasources/{other}")), 204),
    ] {
        assert_eq!(send(&sandbox, ask.clone()).status, status, "{ask:?}");
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

    let keys = keys(&sandbox);
    assert_eq!(keys.as_array().unwrap().len(), 1);
    assert_eq!(keys[0]["kid"], header["kid"]);
    assert_eq!(
        (&keys[0]["kty"], &keys[0]["use"]),
        (&json!("RSA"), &json!("sig"))
    );
    assert!(verifies(&jws, &keys[0]));
}

#[test]
fn replies_have_the_fields_of_the_recording_that_is_chosen() {
    let sandbox = Sandbox::start();
    let id = registered(&sandbox);
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
            DataSourceShape::ByodsJs,
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
        assert_eq!(names(&json), one, "{shape:?}");
        let list = send(&sandbox, get(LIST)).json();
        assert_eq!(names(&list["items"][0]), listed.unwrap_or(one), "{shape:?}");
    }
    let full = sandbox.data_source(&id).unwrap();
    assert_eq!(full["audience"], "AppOne");
    assert_eq!(full["orgId"], sandbox.tenant().target_org_uuid);
    assert_eq!(full["applicationId"], sandbox.tenant().client_id);
}

#[test]
fn who_updated_and_why_it_is_disabled_come_with_the_shapes_that_have_them() {
    // The type of npm `@webex/byods` has all three as optional.
    let sandbox = with(|policy| policy.data_source_shape = DataSourceShape::ByodsJs);
    let id = registered(&sandbox);
    let common = "applicationId createdAt createdBy";
    let updated = send(&sandbox, put(&at(&id)).json(&update())).json();
    assert_eq!(
        names(&updated),
        format!("{common} id jwsToken orgId schemaId status updatedAt updatedBy")
    );
    assert_eq!(updated["updatedBy"], updated["createdBy"]);
    let disable = json!({"nonce": "nonce-3", "status": "disabled", "errorMessage": "Down"});
    let disabled = send(&sandbox, put(&at(&id)).json(&changed(&disable))).json();
    assert_eq!(
        names(&disabled),
        format!("{common} errorMessage id jwsToken orgId schemaId status updatedAt updatedBy")
    );
    assert_eq!(disabled["errorMessage"], "Down");
    assert_eq!(send(&sandbox, get(LIST)).json()["items"][0], disabled);
}

#[test]
fn a_test_registers_under_an_id_of_its_own_and_disables_without_asking() {
    let sandbox = with(|policy| policy.data_source_shape = DataSourceShape::Full);
    sandbox.register_data_source_as("3b1f6c0a", &body());
    sandbox.disable_data_source("3b1f6c0a", "Down");
    let read = send(&sandbox, get(&at("3b1f6c0a"))).json();
    assert_eq!(read["id"], "3b1f6c0a");
    assert_eq!(read["audience"], "AppOne");
    assert_eq!(read["status"], "disabled");
    assert_eq!(read["errorMessage"], "Down");
    assert_eq!(send(&sandbox, get(LIST)).json()["items"], json!([read]));
    assert_eq!(send(&sandbox, delete(&at("3b1f6c0a"))).status, 204);
}

#[test]
#[should_panic = "there is no such data source"]
fn what_is_not_there_cannot_be_disabled() {
    Sandbox::start().disable_data_source("unknown", "Down");
}

#[test]
fn names_and_values_may_be_those_of_other_pages() {
    // A peer looks for `jwtToken`; older samples have the lifetime as a string; older pages have
    // the status `inactive`.
    let sandbox = with(|policy| {
        policy.data_source_shape = DataSourceShape::Full;
        policy.jws_field = "jwtToken".to_owned();
        policy.lifetime_as_string = true;
        policy.disabled_status = "inactive".to_owned();
    });
    let id = registered(&sandbox);
    let read = || send(&sandbox, get(&at(&id))).json();
    let stored = sandbox.data_source(&id).unwrap();
    assert_eq!(read()["jwtToken"], stored["jwsToken"]);
    assert_eq!(read().get("jwsToken"), None);
    assert_eq!(read()["tokenLifetimeMinutes"], "60");
    assert_eq!(read()["status"], "active");
    assert_eq!(send(&sandbox, get(LIST)).json()["items"][0], read());

    let disable = |status: &str| {
        let changes = json!({"status": status, "errorMessage": "Down", "nonce": "nonce-2"});
        send(&sandbox, put(&at(&id)).json(&changed(&changes)))
    };
    let refused = disable("disabled");
    assert_eq!(refused.status, 400);
    assert_eq!(
        text(&refused, "/errors/0/description"),
        "status must be active or inactive"
    );
    assert_eq!(text(&disable("inactive"), "/status"), "inactive");
    let stored = sandbox.data_source(&id).unwrap();
    assert_eq!(stored["status"], "disabled");
    assert_eq!(stored["tokenLifetimeMinutes"], 60);
}

#[test]
fn unknown_fields_are_kept_and_shown_until_a_put_leaves_them_out() {
    // A PUT is a full replacement (provider sample); that fields come and go is what the
    // recordings have in common.
    let sandbox = Sandbox::start();
    let unknown = json!({"labels": {"tier": ["a", 1]}, "reviewedBy": null});
    let made = send(&sandbox, post(LIST).json(&with_more(&body(), &unknown)));
    assert_eq!(made.status, 200);
    let id = text(&made, "/id");
    for shape in [
        DataSourceShape::Recorded,
        DataSourceShape::CcReadme,
        DataSourceShape::ByodsJs,
        DataSourceShape::Oas,
        DataSourceShape::Full,
    ] {
        sandbox.set_policy(|policy| policy.data_source_shape = shape);
        let one = send(&sandbox, get(&at(&id))).json();
        let listed = send(&sandbox, get(LIST)).json()["items"][0].clone();
        for shown in [one, listed, sandbox.data_source(&id).unwrap()] {
            assert_eq!(shown["labels"], unknown["labels"], "{shape:?}");
            assert_eq!(shown.get("reviewedBy"), Some(&Value::Null), "{shape:?}");
        }
    }
    let replacement = with_more(&update(), &json!({"labels": "other"}));
    let updated = send(&sandbox, put(&at(&id)).json(&replacement)).json();
    assert_eq!(updated["labels"], "other");
    assert_eq!(updated.get("reviewedBy"), None);
    assert_eq!(send(&sandbox, get(&at(&id))).json(), updated);
}

#[test]
fn fields_of_a_reply_are_ignored_in_a_put_or_refused() {
    // Not documented either way.
    let sandbox = with(|policy| policy.data_source_shape = DataSourceShape::Full);
    let id = registered(&sandbox);
    for name in [
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
    ] {
        let whole = with_more(&update(), &json!({name: "of the client"}));
        sandbox.set_policy(|policy| policy.response_fields_in_put = ResponseFields::Ignored);
        let updated = send(&sandbox, put(&at(&id)).json(&whole));
        assert_eq!(updated.status, 200, "{name}");
        assert!(!updated.text().contains("of the client"), "{name}");

        sandbox.set_policy(|policy| policy.response_fields_in_put = ResponseFields::Refused);
        let before = sandbox.data_source(&id);
        let refused = send(&sandbox, put(&at(&id)).json(&whole));
        assert_eq!(refused.status, 400, "{name}");
        assert_eq!(
            text(&refused, "/errors/0/description"),
            format!("{name} cannot be set")
        );
        assert_eq!(sandbox.data_source(&id), before);
    }
    let plain = put(&at(&id)).json(&changed(&json!({"nonce": "nonce-3"})));
    assert_eq!(send(&sandbox, plain).status, 200);
    let as_registered = with_more(&body(), &json!({"id": "of the client"}));
    let made = send(&sandbox, post(LIST).json(&as_registered));
    assert_eq!(made.status, 200);
    assert_ne!(text(&made, "/id"), "of the client");
}

#[test]
fn a_data_source_is_made_older() {
    let sandbox = with(|policy| policy.data_source_shape = DataSourceShape::Full);
    let [id, other] = [registered(&sandbox), registered(&sandbox)];
    assert_eq!(send(&sandbox, put(&at(&id)).json(&update())).status, 200);
    let read = |id: &str| send(&sandbox, get(&at(id))).json();
    let (before, untouched) = (read(&id), read(&other));

    sandbox.age_data_source(&id, Duration::from_mins(45));
    let after = read(&id);
    for name in ["createdAt", "updatedAt", "tokenExpiryTime"] {
        let age = instant(&before[name]).duration_since(instant(&after[name]));
        assert_eq!(age.as_secs(), 45 * 60, "{name}");
    }
    let [jws, older] = [&before, &after].map(|it| it["jwsToken"].as_str().unwrap());
    let [(_, claims), (_, aged)] = [jws, older].map(decoded);
    for name in ["iat", "exp"] {
        let age = claims[name].as_i64().unwrap() - aged[name].as_i64().unwrap();
        assert_eq!(age, 45 * 60, "{name}");
    }
    assert_eq!(claims["jti"], aged["jti"]);
    assert!(verifies(older, &keys(&sandbox)[0]));
    assert_eq!(send(&sandbox, get(LIST)).json()["items"][0], after);
    assert_eq!(read(&other), untouched);

    sandbox.age_data_sources(Duration::from_hours(1));
    for (id, before) in [(id, after), (other, untouched)] {
        let after = read(&id);
        let age = instant(&before["createdAt"]).duration_since(instant(&after["createdAt"]));
        assert_eq!(age.as_secs(), 60 * 60);
        let (_, claims) = decoded(after["jwsToken"].as_str().unwrap());
        assert_eq!(
            claims["exp"],
            instant(&after["tokenExpiryTime"]).as_second()
        );
    }
}

fn instant(value: &Value) -> jiff::Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

#[test]
#[should_panic(expected = "there is no such data source")]
fn only_what_is_there_is_made_older() {
    Sandbox::start().age_data_source("unknown", Duration::from_secs(1));
}

#[test]
fn deleting_one_leaves_the_others_where_they_are() {
    let sandbox = Sandbox::start();
    let mut ids = sandbox.seed_data_sources(5);
    let listed = || {
        let list = send(&sandbox, get(LIST)).json();
        let items = list["items"].as_array().unwrap().clone();
        items
            .iter()
            .map(|item| item["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    for place in [2, 0] {
        let gone = ids.remove(place);
        assert_eq!(send(&sandbox, delete(&at(&gone))).status, 204);
        assert_eq!(send(&sandbox, get(&at(&gone))).status, 404);
        assert_eq!(listed(), ids);
    }
    ids.push(registered(&sandbox));
    assert_eq!(listed(), ids);
    for id in &ids {
        assert_eq!(text(&send(&sandbox, get(&at(id))), "/id"), *id);
        let update = put(&at(id)).json(&changed(&json!({"subject": id})));
        assert_eq!(send(&sandbox, update).status, 200);
    }
    for id in &ids {
        assert_eq!(sandbox.data_source(id).unwrap()["subject"], **id);
    }
}

#[test]
fn a_jws_may_be_signed_with_a_key_that_is_not_published() {
    let sandbox = Sandbox::start();
    let [earlier, id] = [registered(&sandbox), registered(&sandbox)];
    let first = jws(&sandbox, &earlier);
    let reissued = |kind: JwsKey, nonce: &str| {
        sandbox.set_policy(|policy| policy.jws_key = kind);
        let update = changed(&json!({"nonce": nonce}));
        let updated = send(&sandbox, put(&at(&id)).json(&update));
        text(&updated, "/jwsToken")
    };
    let kid = |jws: &str| decoded(jws).0["kid"].clone();

    let unpublished = reissued(JwsKey::Unpublished, "nonce-2");
    let published = keys(&sandbox);
    assert_eq!(published.as_array().unwrap().len(), 1);
    assert_ne!(kid(&unpublished), published[0]["kid"]);
    assert!(!verifies(&unpublished, &published[0]));

    let forged = reissued(JwsKey::Forged, "nonce-3");
    assert_eq!(kid(&forged), published[0]["kid"]);
    assert!(!verifies(&forged, &published[0]));

    // What was issued before stays as it is, also when it is signed anew.
    assert_eq!(jws(&sandbox, &earlier), first);
    sandbox.age_data_sources(Duration::from_mins(1));
    assert!(verifies(&jws(&sandbox, &earlier), &published[0]));
    assert!(!verifies(&jws(&sandbox, &id), &published[0]));
    assert!(verifies(
        &reissued(JwsKey::Published, "nonce-4"),
        &published[0]
    ));
}

#[test]
fn the_issuer_of_a_jws_may_be_anybody() {
    let sandbox = Sandbox::start();
    let earlier = registered(&sandbox);
    let issuer = |id: &str| decoded(&jws(&sandbox, id)).1["iss"].clone();
    sandbox.set_policy(|policy| policy.jws_issuer = Some("https://idb.example.com".to_owned()));
    assert_eq!(issuer(&registered(&sandbox)), "https://idb.example.com");
    assert_eq!(issuer(&earlier), format!("{}/idb", sandbox.origin()));
}

#[test]
fn the_verification_key_is_rotated_and_the_old_one_stays_published() {
    let sandbox = Sandbox::start();
    let id = registered(&sandbox);
    let old = jws(&sandbox, &id);
    let before = keys(&sandbox);
    sandbox.rotate_jws_key();
    let after = keys(&sandbox);
    assert_eq!(after.as_array().unwrap().len(), 2);
    assert_eq!(after[1], before[0]);
    assert_ne!(after[0]["kid"], after[1]["kid"]);
    assert_eq!(jws(&sandbox, &id), old);

    let updated = send(&sandbox, put(&at(&id)).json(&update()));
    let new = text(&updated, "/jwsToken");
    assert_eq!(decoded(&new).0["kid"], after[0]["kid"]);
    assert_eq!(
        [&new, &old].map(|jws| [0, 1].map(|key| verifies(jws, &after[key]))),
        [[true, false], [false, true]]
    );
}

#[test]
fn the_verification_keys_are_an_endpoint_like_any_other() {
    let sandbox = Sandbox::start();
    sandbox.script(Endpoint::VerificationKeys, [Fault::status(429)]);
    let gate = sandbox.gate(Endpoint::VerificationKeys);
    let statuses = std::thread::scope(|scope| {
        let held = scope.spawn(|| get(KEYS).send(&sandbox).status);
        gate.wait_for_request();
        assert_eq!(sandbox.requests()[0].status, None);
        drop(gate);
        [held.join().unwrap(), get(KEYS).send(&sandbox).status]
    });
    assert_eq!(statuses, [429, 200]);
    let paths = sandbox.requests().into_iter().map(|it| it.path);
    assert_eq!(paths.collect::<Vec<_>>(), [KEYS, KEYS]);
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
fn a_page_begins_where_the_last_one_ended_whatever_is_deleted_meanwhile() {
    let sandbox = with(|policy| policy.page_size = Some(2));
    let ids = sandbox.seed_data_sources(3);
    let first = send(&sandbox, get(LIST));
    assert_eq!(send(&sandbox, delete(&at(&ids[0]))).status, 204);
    let next = first.header("link").unwrap().split(['<', '>']).nth(1);
    let next = next.unwrap().strip_prefix(sandbox.origin()).unwrap();
    let second = send(&sandbox, get(next)).json();
    assert_eq!(second["items"].as_array().unwrap().len(), 1);
    assert_eq!(second["items"][0]["id"], *ids[2]);
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
