//! What must hold of a JWS, whoever has written it.

use super::*;

/// RFC 7515, appendix A.2: the key, and what it has signed.
const KEYS: &str = r#"{"keys":[{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}]}"#;
const GENUINE: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";

/// Panics if a JWS that was not signed is taken for one that was, or if reading one panics.
///
/// By the first byte the rest is a token; header and claims, to be encoded; what is put into the
/// genuine token at a place, in the stead of so many characters; or a key set.
pub fn jws(data: &[u8]) {
    let Some((&kind, rest)) = data.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(rest);
    match kind % 4 {
        0 => assert_reading_is_sound(&text),
        1 => {
            let parts: Vec<_> = rest.splitn(3, |&byte| byte == 0xff).collect();
            let parts = parts.iter().map(|part| URL_SAFE_NO_PAD.encode(part));
            assert_reading_is_sound(&parts.collect::<Vec<_>>().join("."));
        }
        2 => {
            let Some((&[high, low, length], with)) = rest.split_first_chunk() else {
                return assert_reading_is_sound(GENUINE);
            };
            let at = usize::from(u16::from_be_bytes([high, low])) % GENUINE.len();
            let end = (at + usize::from(length)).min(GENUINE.len());
            let mut token = GENUINE.to_owned();
            token.replace_range(at..end, &String::from_utf8_lossy(with));
            assert_reading_is_sound(&token);
        }
        _ => {
            if let Ok(keys) = KeySet::parse(rest) {
                let _ = keys.verify(GENUINE);
            }
        }
    }
}

fn assert_reading_is_sound(token: &str) {
    let keys = KeySet::parse(KEYS.as_bytes()).expect("a key set");
    let verified = keys.verify(token);
    assert_eq!(verified.is_ok(), token == GENUINE, "{verified:?}");
    let Ok(jws) = Jws::decode(token) else {
        return;
    };
    let _ = (
        [jws.algorithm(), jws.key_id(), jws.media_type()],
        [jws.audience(), jws.subject(), jws.issuer(), jws.nonce()],
        [jws.url(), jws.schema_id(), jws.org_id()],
        jws.unknown_claims().count(),
    );
    if let Some(Ok(lifetime)) = jws.token_lifetime() {
        let minutes = jws.expires_at().zip(jws.issued_at());
        let minutes = minutes.map(|(end, start)| end.duration_since(start).as_secs());
        assert!(minutes.is_some_and(|seconds| (59..=86_401).contains(&seconds)));
        assert!(lifetime <= TokenLifetime::MAX);
    }
    let debug = format!("{jws:?}");
    let quoted = jws.issuer().filter(|issuer| issuer.contains("canary"));
    assert!(quoted.is_none() || !debug.contains("canary"));
}
