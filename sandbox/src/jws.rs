//! The JWS of data sources: RS256 (RFC 7515, RFC 7518 §3.3), and its verification key as a JWK
//! (RFC 7517).
//!
//! Making an RSA key is slow in a debug build, so each is made on first need and shared by every
//! sandbox of the process.

use std::{
    collections::HashMap,
    num::NonZero,
    sync::{LazyLock, Mutex, OnceLock, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use rsa::{RsaPrivateKey, pkcs8::EncodePrivateKey, rand_core::OsRng, traits::PublicKeyParts};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    policy::JwsKey,
    world::{SigningKey, Unsigned, uuid},
};

/// A signing key and what is published of it.
pub(crate) struct Key {
    pair: RsaKeyPair,
    id: String,
    modulus: String,
    exponent: String,
}

/// Which of the keys that this process makes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Name {
    /// The one that is published after so many rotations.
    Published(usize),
    /// The one that never is.
    Stray,
}

static KEYS: LazyLock<Mutex<HashMap<Name, &'static OnceLock<Key>>>> = LazyLock::new(Mutex::default);

/// Where a key is, or will be.
fn cell(name: Name) -> &'static OnceLock<Key> {
    let mut keys = KEYS.lock().unwrap_or_else(PoisonError::into_inner);
    keys.entry(name)
        .or_insert_with(|| Box::leak(Box::default()))
}

/// A key, made when first asked for.
fn key(name: Name) -> &'static Key {
    cell(name).get_or_init(Key::generate)
}

/// The published keys, and the stray one where it signs.
fn needed(signing: SigningKey) -> impl Iterator<Item = Name> {
    let stray = (signing.kind != JwsKey::Published).then_some(Name::Stray);
    (0..=signing.rotations).map(Name::Published).chain(stray)
}

/// Whether the keys have been made that signing and publishing take.
pub(crate) fn is_ready(signing: SigningKey) -> bool {
    needed(signing).all(|name| cell(name).get().is_some())
}

/// Makes the keys that signing and publishing take.
pub(crate) fn prepare(signing: SigningKey) {
    for name in needed(signing) {
        key(name);
    }
}

/// The key set that receivers fetch (RFC 7517 §5), the newest key first.
pub(crate) fn key_set(rotations: usize) -> Value {
    let keys = (0..=rotations).rev().map(Name::Published);
    json!({ "keys": keys.map(|name| key(name).published()).collect::<Vec<_>>() })
}

/// Signs many on all cores, in their order.
pub(crate) fn sign_all(unsigned: &[(u64, Unsigned)]) -> Vec<String> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let share = unsigned.len().div_ceil(cores).max(1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = unsigned
            .chunks(share)
            .map(|chunk| {
                scope.spawn(move || chunk.iter().map(|(_, it)| sign(it)).collect::<Vec<_>>())
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("signing does not panic"))
            .collect()
    })
}

/// Signs with the key that was settled at issue.
pub(crate) fn sign(unsigned: &Unsigned) -> String {
    let SigningKey { rotations, kind } = unsigned.key;
    let published = Name::Published(rotations);
    let (named, signing) = match kind {
        JwsKey::Published => (published, published),
        JwsKey::Unpublished => (Name::Stray, Name::Stray),
        JwsKey::Forged => (published, Name::Stray),
    };
    key(signing).sign(&key(named).id, &unsigned.claims)
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

    /// Signs claims into a compact JWS whose header names the key `kid`.
    fn sign(&self, kid: &str, claims: &Value) -> String {
        let header = json!({ "kid": kid, "typ": "JWT", "alg": "RS256" });
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

    /// The public half.
    fn published(&self) -> Value {
        json!({
            "kty": "RSA",
            "kid": self.id,
            "use": "sig",
            "alg": "RS256",
            "n": self.modulus,
            "e": self.exponent,
        })
    }
}
