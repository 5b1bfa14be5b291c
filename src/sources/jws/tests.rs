use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaEncoding, RsaKeyPair};
use serde_json::json;

use super::*;

/// A key that was made for these tests and signs nothing else: PKCS #8, 2048 bits.
const TEST_KEY: &str = "\
MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQD2ktkeIlhPIXyX+LXdeNsYcub9Bk20PC7TGoSF\
lJ7NAnqFpPqF7nsVT2oNnqFOZfueCGpenb0Ieo45eiNiGpqVoZB9rMXOusP/NXVeL7luSbfSlw2vwif/VEdBfGo+\
c1vZJva3Vv/s6gggXQdM4w3NvWjs+eCKn1q8mz5ZieGmKS7b1Dc3dFhaxbbr1rCtqqGwDSN5chB4+bgYLVaXaSf5\
xgqozAGWJXwk69UZX5pA+tI6gCuHISlpGy/X3OFa4GkQjLJ++psXleUCdIymgnrpDIIHjCoegd9MiLgLgmsG8NPX\
O5iKoKgFXEeVI75LUETCDhnimfW/+jJ246NOc7mfAgMBAAECggEAdXGhj7xdIqe5ECuq+CfZ9622/vqzJS9rQCrH\
x1ZwQwa0tBZOK1/ZaV+PjJgrjct+ixnIDHQGd1TkjFT0KISyb6XqTCnwd9S2iUb9tdR2dqUPNPO01avdYDzUycjI\
VCGfNHHeHpqGQOKB52RYF1Oonf/jS8iDHpPjZKVvD7fgbkMNEZC6Rdnby+Qa06rMZ9Xm9f++4jLWtRkiE/vXW18C\
yGRuRUl9jzkyrr2gIk93WlF/VldsxxyUCzi8xRgkXD6TJ7ycKndieKaJu8xrHox2Pm8lIPikCHqmEbHtHJmDMhpi\
dA+hsTSbw0MXX8DZ8AmRpe2qhzHy43phpRcSZ0g1DQKBgQD9Lzhw5fiRJCwEGc3vxTLKcKHOqcIx71GxXLwPmWQ0\
UYtiTFU1umToeDzrKn10z9el1slqoac72AIF7a3q43xn0TKTSeWyzdbEmXXSI44U3+wGddgyhCsvLghL3ALuZMvT\
Dn+tQ5CgT6t3Vq6hRueLzQW2G/YPgcfKozsiAxxZwwKBgQD5UM68w2+io32dx0X8clZub1pMdX57ulOqKns34lme\
Qqc52aanov6nzwKlyGx420wTKyH19xGXyRBnsuSFrJInLL7q8gzI5Ob5+ixGFvNCpRVInGc1myDnseMN3XD7GdNy\
fPKKQ7n24/Mt6u2KR+EL/R7bXWaAYu92pXW8ijfG9QKBgQDvOwAkxVfypPAmS8+oIHgWiwiJQyRolI5nfY2BW9ow\
CWEf16qoIuCYPIyrVLHIf19vpx0YcXiYdkmrGmM8UAlL+4LDY470PcUSbULD9a6aEN9vV0iaqwI3CVLzgwcOBRYG\
7ms751yv7bfCApjtcRb2pRohchg1nNaQpV4JjFDsiwKBgGrqvY3z3gcIR9GG6LuHKQu5Eydg57oVwNVj3G2t0zLs\
cJx9e1u+qai7PO5tkh8OJIS/5ZN+vfuyzSc7b4bn59GG/eTxoovwpiEjqSLxqqa09vipohU6DpVuEuoaQd5dR/F8\
JeMngjOfs+TIL9AyXQ9wIHCAkHmUdA8Ui/Yr7BmVAoGBANxRbytmu1YqGXz1GqeV4978v3/gz+aqyejvLslMUgTO\
NCJp/WTsQ4/am0QafoJ7ketSU7cGL1YaoWSVKhsIFhZEVY0PJ4WkmxcoILFhx+k4bfven1zC6PrHSyWVxX4jkM9H\
KVrkybgmEHxujPPkAH82dSGTldQCSoD2V0tKPJHT\
";

const KEY_ID: &str = "7d9c5e8a-5a0e-4d6f-9f0a-3b1c2d4e5f60";

fn test_key() -> RsaKeyPair {
    let der = STANDARD.decode(TEST_KEY).expect("base64");
    RsaKeyPair::from_pkcs8(&der).expect("a key")
}

fn encoded(part: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

fn signed_as(header: &Value, claims: &Value, encoding: &'static dyn RsaEncoding) -> String {
    let key = test_key();
    let input = format!(
        "{}.{}",
        encoded(header.to_string()),
        encoded(claims.to_string())
    );
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(
        encoding,
        &SystemRandom::new(),
        input.as_bytes(),
        &mut signature,
    )
    .expect("signs");
    format!("{input}.{}", encoded(signature))
}

fn signed(header: &Value) -> String {
    signed_as(header, &claims(), &RSA_PKCS1_SHA256)
}

fn header() -> Value {
    json!({"kid": KEY_ID, "typ": "JWT", "alg": "RS256"})
}

fn claims() -> Value {
    json!({
        "aud": "AppOne",
        "sub": "callAudioData",
        "iss": "https://idbroker.webex.com/idb",
        "iat": 1_767_225_600,
        "exp": 1_767_312_000,
        "jti": "123456",
        "com.cisco.datasource.url": "https://recv.example.com/ds",
        "com.cisco.datasource.schema.uuid": "5397013b-7920-4ffc-807c-e8a3e0a18f43",
        "com.cisco.org.uuid": "1eb65fdf-9643-417f-9974-ad72cae0e10f",
        "com.cisco.new": [1],
    })
}

/// A JWS with these claims and a signature that is none.
fn saying(claims: &Value) -> Jws {
    let token = format!("{}.{}.c2ln", encoded("{}"), encoded(claims.to_string()));
    Jws::decode(&token).expect("a JWS")
}

fn published() -> RsaPublicKeyComponents<Vec<u8>> {
    test_key().public().into()
}

fn jwk() -> Value {
    let RsaPublicKeyComponents { n, e } = published();
    json!({"kty": "RSA", "kid": KEY_ID, "use": "sig", "n": encoded(n), "e": encoded(e)})
}

fn key_set(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({"keys": keys}).to_string().as_bytes()).expect("a key set")
}

/// The test key, as published but for this member.
fn with(name: &str, value: Value) -> Value {
    let mut jwk = jwk();
    match value {
        Value::Null => jwk.as_object_mut().expect("an object").remove(name),
        value => jwk
            .as_object_mut()
            .expect("an object")
            .insert(name.to_owned(), value),
    };
    jwk
}

#[test]
fn a_jws_says_what_the_data_source_is() {
    let jws = Jws::decode(&signed(&header())).expect("a JWS");
    assert_eq!(jws.algorithm(), Some("RS256"));
    assert_eq!(jws.key_id(), Some(KEY_ID));
    assert_eq!(jws.media_type(), Some("JWT"));
    assert_eq!(jws.audience(), Some("AppOne"));
    assert_eq!(jws.subject(), Some("callAudioData"));
    assert_eq!(jws.issuer(), Some("https://idbroker.webex.com/idb"));
    assert_eq!(jws.nonce(), Some("123456"));
    assert_eq!(jws.url(), Some("https://recv.example.com/ds"));
    assert_eq!(
        jws.schema_id(),
        Some("5397013b-7920-4ffc-807c-e8a3e0a18f43")
    );
    assert_eq!(jws.org_id(), Some("1eb65fdf-9643-417f-9974-ad72cae0e10f"));
    let date = |time: Option<Timestamp>| time.map(|time| time.to_string());
    assert_eq!(
        date(jws.issued_at()).as_deref(),
        Some("2026-01-01T00:00:00Z")
    );
    assert_eq!(
        date(jws.expires_at()).as_deref(),
        Some("2026-01-02T00:00:00Z")
    );
    assert_eq!(jws.token_lifetime(), Some(Ok(TokenLifetime::MAX)));
    assert!(jws.unknown_claims().eq([("com.cisco.new", &json!([1]))]));
    assert_eq!(Value::from(jws.claims().clone()), claims());
    assert_eq!(Value::from(jws.header().clone()), header());
}

#[test]
fn every_claim_may_be_missing_or_of_another_type() {
    let nothing = json!({});
    let nonsense: Map<_, _> = KNOWN
        .map(|name| (name.to_owned(), json!({"a": 1})))
        .into_iter()
        .collect();
    for claims in [nothing, Value::from(nonsense)] {
        let jws = saying(&claims);
        for text in [
            jws.algorithm(),
            jws.key_id(),
            jws.media_type(),
            jws.audience(),
            jws.subject(),
            jws.issuer(),
            jws.nonce(),
            jws.url(),
            jws.schema_id(),
            jws.org_id(),
        ] {
            assert_eq!(text, None);
        }
        assert_eq!((jws.issued_at(), jws.expires_at()), (None, None));
        assert_eq!(jws.token_lifetime(), None);
        assert_eq!(jws.unknown_claims().count(), 0);
    }
}

#[test]
fn an_audience_is_one_text_or_a_list_of_one() {
    let table = [
        (json!("a"), Some("a")),
        (json!(["a"]), Some("a")),
        (json!(["a", "b"]), None),
        (json!([]), None),
        (json!([1]), None),
        (json!(null), None),
    ];
    for (audience, expected) in table {
        assert_eq!(
            saying(&json!({"aud": audience})).audience(),
            expected,
            "{audience}"
        );
    }
}

#[test]
fn a_date_is_seconds_in_any_notation() {
    let table = [
        (json!(1_767_225_600), Some("2026-01-01T00:00:00Z")),
        (json!(1_767_225_600.0), Some("2026-01-01T00:00:00Z")),
        (json!(1_767_225_600.5), Some("2026-01-01T00:00:00.5Z")),
        (json!(1.767_225_6e9), Some("2026-01-01T00:00:00Z")),
        (json!(" 1767225600 "), Some("2026-01-01T00:00:00Z")),
        (json!("1767225600.25"), Some("2026-01-01T00:00:00.25Z")),
        (json!(0), Some("1970-01-01T00:00:00Z")),
        (json!(-1), Some("1969-12-31T23:59:59Z")),
        (json!("2026-01-01T00:00:00Z"), None),
        (json!(""), None),
        (json!("NaN"), None),
        (json!("inf"), None),
        (json!(u64::MAX), None),
        (json!(i64::MIN), None),
        (json!(1e300), None),
        (json!(true), None),
        (json!([1_767_225_600]), None),
    ];
    for (date, expected) in table {
        let at = saying(&json!({"exp": date})).expires_at();
        let at = at.map(|at| at.to_string());
        assert_eq!(at.as_deref(), expected, "{date}");
    }
}

#[test]
fn a_lifetime_is_whole_minutes_within_what_webex_takes() {
    use TokenLifetimeError::*;
    let table = [
        (59, Ok(1)),
        (60, Ok(1)),
        (61, Ok(1)),
        (3599, Ok(60)),
        (3600, Ok(60)),
        (86_399, Ok(1440)),
        (86_401, Ok(1440)),
        (58, Err(NotWhole)),
        (62, Err(NotWhole)),
        (90, Err(NotWhole)),
        (3602, Err(NotWhole)),
        (86_402, Err(NotWhole)),
        (0, Err(OutOfRange)),
        (1, Err(OutOfRange)),
        (-60, Err(OutOfRange)),
        (86_460, Err(OutOfRange)),
        (65_537 * 60, Err(OutOfRange)),
    ];
    for (seconds, minutes) in table {
        let jws = saying(&json!({"iat": 1_767_225_600, "exp": 1_767_225_600 + seconds}));
        let expected = minutes.map(|minutes| TokenLifetime::minutes(minutes).expect("in range"));
        assert_eq!(jws.token_lifetime(), Some(expected), "{seconds}");
    }
    for (issued, expires, expected) in [
        (0.25, 120.5, TokenLifetime::minutes(2)),
        (0.0, 61.5, Err(NotWhole)),
    ] {
        let jws = saying(&json!({"iat": issued, "exp": expires}));
        assert_eq!(jws.token_lifetime(), Some(expected), "{expires}");
    }
    let ages = saying(&json!({"iat": -377_705_023_201_i64, "exp": 253_402_207_200_i64}));
    assert!(matches!(ages.token_lifetime(), Some(Err(_))));
    assert_eq!(saying(&json!({"exp": 60})).token_lifetime(), None);
    assert_eq!(saying(&json!({"iat": 60})).token_lifetime(), None);
}

#[test]
fn what_is_no_jws_is_told_by_part_and_not_quoted() {
    use JwsError::*;
    let (good, canary) = (encoded("{}"), encoded("\"canary\""));
    let table = [
        (String::new(), Parts),
        ("canary".to_owned(), Parts),
        (format!("{good}.{good}"), Parts),
        (format!("{good}.{good}.{good}.{good}"), Parts),
        (format!("canary!.{good}."), NotBase64(Part::Header)),
        (format!("{good}.canary=.c2ln"), NotBase64(Part::Claims)),
        (format!("{good}.a+/a.c2ln"), NotBase64(Part::Claims)),
        (format!("{canary}.{good}.c2ln"), NotAnObject(Part::Header)),
        (format!("{good}.{canary}.c2ln"), NotAnObject(Part::Claims)),
        (format!("{good}..c2ln"), NotAnObject(Part::Claims)),
        (
            format!("{good}.{}.c2ln", encoded("[".repeat(1000))),
            NotAnObject(Part::Claims),
        ),
        (format!("Bearer {good}.{good}."), NotBase64(Part::Header)),
    ];
    for (token, expected) in table {
        let error = Jws::decode(&token).expect_err(&token);
        assert_eq!(error, expected, "{token}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }
    assert!(Jws::decode(&format!("{good}.{good}.")).is_ok());
}

#[test]
fn sixty_four_kib_are_read_and_one_more_byte_is_not() {
    let good = encoded("{}");
    let token = |len: usize| format!("{good}.{good}.{}", "A".repeat(len - 2 * (good.len() + 1)));
    let keys = key_set(&[]);
    assert!(Jws::decode(&token(MAX_JWS_LEN)).is_ok());
    let long = token(MAX_JWS_LEN + 1);
    assert_eq!(Jws::decode(&long), Err(JwsError::TooLong));
    assert_eq!(
        keys.verify(&long),
        Err(VerifyError::Malformed(JwsError::TooLong))
    );
}

#[test]
fn debug_shows_dates_alone() {
    let jws = Jws::decode(&signed(&header())).expect("a JWS");
    assert_eq!(
        format!("{jws:?}"),
        "Jws { issued_at: Some(2026-01-01T00:00:00Z), expires_at: Some(2026-01-02T00:00:00Z), .. }"
    );
}

/// RFC 7515, appendix A.2.
#[test]
fn the_example_of_the_rfc_verifies() {
    let keys = json!({"keys": [{
        "kty": "RSA",
        "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
        "e": "AQAB",
    }]});
    let token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    let keys = KeySet::parse(keys.to_string().as_bytes()).expect("a key set");
    assert_eq!(keys.verify(token), Ok(()));
    let other = token.replacen("eyJpc3MiOiJqb2Ui", "eyJpc3MiOiJqb2Ei", 1);
    assert_eq!(keys.verify(&other), Err(VerifyError::BadSignature));
}

#[test]
fn a_signature_is_verified_with_the_key_it_names() {
    use VerifyError::*;
    let stranger = with("n", json!(encoded([0xc5; 256])));
    let anonymous = |mut jwk: Value| {
        jwk.as_object_mut().expect("an object").remove("kid");
        jwk
    };
    let named = |mut jwk: Value| {
        jwk["kid"] = json!("another");
        jwk
    };
    let nameless = json!({"alg": "RS256"});
    let table = [
        (header(), vec![jwk()], Ok(())),
        (
            header(),
            vec![named(stranger.clone()), json!({"kty": "EC"}), jwk()],
            Ok(()),
        ),
        (header(), vec![anonymous(jwk())], Ok(())),
        (header(), vec![stranger.clone(), anonymous(jwk())], Ok(())),
        (header(), vec![named(jwk())], Err(UnknownKey)),
        (header(), vec![], Err(UnknownKey)),
        (header(), vec![anonymous(stranger.clone())], Err(UnknownKey)),
        (header(), vec![stranger.clone()], Err(BadSignature)),
        (nameless.clone(), vec![jwk()], Ok(())),
        (nameless.clone(), vec![stranger.clone(), jwk()], Ok(())),
        (
            nameless.clone(),
            vec![anonymous(stranger.clone())],
            Err(BadSignature),
        ),
        (nameless.clone(), vec![stranger], Err(BadSignature)),
        (nameless, vec![], Err(UnknownKey)),
    ];
    for (header, keys, expected) in table {
        let verified = key_set(&keys).verify(&signed(&header));
        assert_eq!(verified, expected, "{header} {keys:?}");
    }
}

#[test]
fn no_other_algorithm_is_accepted() {
    use ring::hmac;
    let keys = key_set(&[jwk()]);
    for algorithm in [
        json!("none"),
        json!("None"),
        json!("HS256"),
        json!("RS384"),
        json!("RS512"),
        json!("PS256"),
        json!("ES256"),
        json!("rs256"),
        json!(""),
        json!(null),
        json!(256),
        json!(["RS256"]),
    ] {
        let token = signed(&json!({"kid": KEY_ID, "alg": algorithm}));
        assert_eq!(
            keys.verify(&token),
            Err(VerifyError::Algorithm),
            "{algorithm}"
        );
    }
    // A public key is no secret, whatever it is used as.
    let input = format!(
        "{}.{}",
        encoded(r#"{"alg":"HS256"}"#),
        encoded(claims().to_string())
    );
    let modulus = jwk()["n"].as_str().expect("a text").to_owned();
    let tag = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, modulus.as_bytes()),
        input.as_bytes(),
    );
    let forged = format!("{input}.{}", encoded(tag));
    assert_eq!(keys.verify(&forged), Err(VerifyError::Algorithm));
    // It says RS256, and is RS512.
    let token = signed_as(&header(), &claims(), &RSA_PKCS1_SHA512);
    assert_eq!(keys.verify(&token), Err(VerifyError::BadSignature));
    let unsigned = format!("{}.{}.", encoded(header().to_string()), encoded("{}"));
    assert_eq!(keys.verify(&unsigned), Err(VerifyError::BadSignature));
}

#[test]
fn what_the_header_demands_is_not_passed_over() {
    let keys = key_set(&[jwk()]);
    let token = signed(&json!({"kid": KEY_ID, "alg": "RS256", "crit": ["b64"], "b64": false}));
    assert_eq!(keys.verify(&token), Err(VerifyError::Extension));
}

#[test]
fn a_signature_does_not_run_out() {
    let expired = json!({"iat": 1, "exp": 2});
    let token = signed_as(&header(), &expired, &RSA_PKCS1_SHA256);
    assert_eq!(key_set(&[jwk()]).verify(&token), Ok(()));
}

#[test]
fn a_key_that_cannot_be_used_is_as_if_it_were_not_there() {
    let token = signed(&header());
    let modulus = published().n;
    let mut weak = modulus.clone();
    weak[0] = 0x7f;
    let usable = [
        jwk(),
        with("use", Value::Null),
        with("alg", json!("RS256")),
        with("x5c", json!(["unknown"])),
        with("n", json!(encoded([&[0], &modulus[..]].concat()))),
    ];
    for jwk in usable {
        let keys = key_set(std::slice::from_ref(&jwk));
        assert_eq!(keys.verify(&token), Ok(()), "{jwk}");
    }
    let unusable = [
        json!(null),
        json!("RSA"),
        json!({}),
        with("kty", json!("EC")),
        with("kty", Value::Null),
        with("use", json!("enc")),
        with("alg", json!("RSA-OAEP")),
        with("alg", json!("PS256")),
        with("n", Value::Null),
        with("n", json!("")),
        with("n", json!("AAAA")),
        with("n", json!("n!")),
        with("n", json!(encoded(&modulus[..128]))),
        with("n", json!(encoded(weak))),
        with("n", json!(encoded(modulus.repeat(5)))),
        with("e", Value::Null),
        with("e", json!("")),
        with("e", json!(3)),
    ];
    for jwk in unusable {
        let keys = key_set(std::slice::from_ref(&jwk));
        assert_eq!(keys.verify(&token), Err(VerifyError::UnknownKey), "{jwk}");
    }
}

#[test]
fn what_is_no_key_set_is_refused() {
    for text in ["", "[]", "{}", "{\"keys\": {}}", "<html>", "{\"keys\": []"] {
        assert!(KeySet::parse(text.as_bytes()).is_err(), "{text}");
    }
    assert!(KeySet::parse(b"{\"keys\": [\xff]}").is_err());
}

proptest! {
    #[test]
    fn one_changed_character_is_noticed(at in 0_usize..700, to in "[A-Za-z0-9_.-]") {
        let token = signed(&header());
        let at = at % token.len();
        let other = format!("{}{to}{}", &token[..at], &token[at + 1..]);
        prop_assert_eq!(key_set(&[jwk()]).verify(&other).is_ok(), other == token, "{}", at);
    }

    #[test]
    fn nothing_panics(header in "\\PC*", claims in "\\PC*|\\{\"(exp|iat|aud)\":[-0-9.e\\[\\]\"]{0,20}\\}", text in "\\PC*|[a-z0-9._-]*") {
        let keys = key_set(&[jwk()]);
        for token in [text, format!("{}.{}.c2ln", encoded(header), encoded(&claims)), format!("{}.{}.c2ln", encoded("{}"), encoded(claims))] {
            let _ = keys.verify(&token);
            if let Ok(jws) = Jws::decode(&token) {
                let _ = (jws.token_lifetime(), jws.audience(), format!("{jws:?}"));
            }
        }
    }

    #[test]
    fn any_dates_have_a_lifetime_or_none(issued: i64, expires: f64) {
        let _ = saying(&json!({"iat": issued, "exp": expires})).token_lifetime();
    }
}
