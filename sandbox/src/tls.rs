//! Certificates made at start, good and bad.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use rustls::{RootCertStore, ServerConfig, pki_types::PrivateKeyDer, server::WebPkiClientVerifier};
use tokio_rustls::TlsAcceptor;

/// Whether and how the sandbox speaks TLS. Every kind but [`Tls::Off`] answers at
/// `https://localhost:PORT/v1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// Plain HTTP.
    #[default]
    Off,
    /// A certificate for `localhost`, `127.0.0.1` and `webex.test` by the CA of
    /// [`Sandbox::ca_pem`](crate::Sandbox::ca_pem).
    Trusted,
    /// By the right CA, for another name.
    WrongName,
    /// By the right CA, no longer valid.
    Expired,
    /// By the right CA, not valid yet.
    NotYetValid,
    /// By nobody but itself.
    SelfSigned,
    /// As [`Tls::Trusted`], from a server that wants the client to have a certificate, too.
    AsksForCertificate,
    /// By another CA than the one of [`Sandbox::ca_pem`](crate::Sandbox::ca_pem).
    UnknownCa,
}

/// What TLS needs: the acceptor and the CA that a client is given.
pub(crate) struct Identity {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) ca_pem: String,
}

/// Makes the certificates for a kind; `None` for plain HTTP.
pub(crate) fn identity(tls: Tls) -> Option<Identity> {
    if tls == Tls::Off {
        return None;
    }
    Some(make(tls).expect("parameters fixed in this file make a certificate"))
}

fn make(tls: Tls) -> Result<Identity, rcgen::Error> {
    let ca = authority("Webex sandbox CA")?;
    let ca_pem = ca.pem();
    let signer = if tls == Tls::UnknownCa {
        authority("Another CA")?
    } else {
        ca
    };
    let names = match tls {
        Tls::WrongName => vec!["wrong-name.example".to_owned()],
        _ => ["localhost", "127.0.0.1", "webex.test"]
            .map(str::to_owned)
            .into(),
    };
    let mut params = CertificateParams::new(names)?;
    params
        .distinguished_name
        .push(DnType::CommonName, "Webex sandbox");
    if tls == Tls::Expired {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    }
    if tls == Tls::NotYetValid {
        params.not_before = date_time_ymd(4000, 1, 1);
    }
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = if tls == Tls::SelfSigned {
        params.self_signed(&key)?
    } else {
        params.signed_by(&key, &signer)?
    };
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a PKCS #8 key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("ring offers TLS 1.2 and 1.3");
    let builder = if tls == Tls::AsksForCertificate {
        let mut roots = RootCertStore::empty();
        roots
            .add(signer.der().clone())
            .expect("a CA that was just made");
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().expect("there is a CA"))
    } else {
        builder.with_no_client_auth()
    };
    let mut config = builder
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("the key belongs to the certificate");
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Identity {
        acceptor: TlsAcceptor::from(Arc::new(config)),
        ca_pem,
    })
}

fn authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    CertifiedIssuer::self_signed(params, key)
}
