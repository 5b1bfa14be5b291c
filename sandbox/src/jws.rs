//! The JWS of data sources: RS256 (RFC 7515, RFC 7518 §3.3), and its verification key as a JWK
//! (RFC 7517).
//!
//! Making an RSA key is slow in a debug build, so one key is made on first need and shared by
//! every sandbox of the process.

use std::{num::NonZero, sync::OnceLock};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use rsa::{RsaPrivateKey, pkcs8::EncodePrivateKey, rand_core::OsRng, traits::PublicKeyParts};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::world::uuid;

/// A signing key and what is published of it.
pub(crate) struct Key {
    pair: RsaKeyPair,
    id: String,
    modulus: String,
    exponent: String,
}

static KEY: OnceLock<Key> = OnceLock::new();

/// The key of this process, made when first asked for.
pub(crate) fn key() -> &'static Key {
    KEY.get_or_init(Key::generate)
}

/// Whether the key has been made.
pub(crate) fn is_ready() -> bool {
    KEY.get().is_some()
}

/// Signs many claims on all cores, in their order.
pub(crate) fn sign_all(claims: &[Value]) -> Vec<String> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let share = claims.len().div_ceil(cores).max(1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = claims
            .chunks(share)
            .map(|chunk| scope.spawn(move || chunk.iter().map(sign).collect::<Vec<_>>()))
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("signing does not panic"))
            .collect()
    })
}

/// Signs with the key of this process.
pub(crate) fn sign(claims: &Value) -> String {
    key().sign(claims)
}

impl Key {
    fn generate() -> Self {
        let private = RsaPrivateKey::new(&mut OsRng, 2048).expect("2048 bits make an RSA key");
        let pkcs8 = private
            .to_pkcs8_der()
            .expect("a new RSA key has a PKCS #8 form");
        let modulus = private.n().to_bytes_be();
        let id = uuid(&Sha256::digest(&modulus));
        Self {
            pair: RsaKeyPair::from_pkcs8(pkcs8.as_bytes()).expect("ring reads a 2048-bit key"),
            id,
            modulus: URL_SAFE_NO_PAD.encode(&modulus),
            exponent: URL_SAFE_NO_PAD.encode(private.e().to_bytes_be()),
        }
    }

    /// Signs claims into a compact JWS.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        let header = json!({ "kid": self.id, "typ": "JWT", "alg": "RS256" });
        let input = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let mut signature = vec![0; self.pair.public().modulus_len()];
        self.pair
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                input.as_bytes(),
                &mut signature,
            )
            .expect("the signature has the length of the modulus");
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The key set that receivers fetch.
    pub(crate) fn jwks(&self) -> Value {
        json!({
            "keys": [{
                "kty": "RSA",
                "kid": self.id,
                "use": "sig",
                "alg": "RS256",
                "n": self.modulus,
                "e": self.exponent,
            }]
        })
    }
}
