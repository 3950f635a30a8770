//! TLS, where no proxy in front does it. In: the files of `receive.tls`. Out: connections that are
//! encrypted, and which certificate a client has shown it holds the key of. Whose certificate that
//! is, is no matter here: a connection's configuration names it by its digest.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};
use tokio_rustls::server::TlsStream;

use crate::config::{Config, Tls};

/// What the receiver shows its clients, and asks of them.
pub type Terms = Arc<ServerConfig>;

/// The SHA-256 of a certificate as it is encoded (DER).
pub type Fingerprint = [u8; 32];

/// How a receiver so configured ends TLS, if it does. Clients are asked for a certificate where a
/// connection wants to see one.
///
/// # Errors
/// A sentence that says which file, and what to do.
pub fn terms_of(config: &Config) -> Result<Option<Terms>, String> {
    let Some(tls) = &config.receive.tls else { return Ok(None) };
    let wanted = config.connections.iter().any(|connection| !connection.auth.client_certificates.is_empty());
    terms(tls, if wanted { Ask::Certificate } else { Ask::Nothing }).map(Some)
}

/// Reads the certificate and its key. Where `ask` says so, clients are asked for a certificate of
/// theirs; they need not have one.
fn terms(tls: &Tls, ask: Ask) -> Result<Terms, String> {
    let chain = CertificateDer::pem_slice_iter(&read(&tls.cert, "receive.tls.cert")?)
        .collect::<Result<Vec<_>, _>>()
        .ok()
        .filter(|chain| !chain.is_empty())
        .ok_or_else(|| unfit(&tls.cert, "receive.tls.cert", "certificate, its chain after it,"))?;
    let key = PrivateKeyDer::from_pem_slice(&read(&tls.key, "receive.tls.key")?)
        .map_err(|_| unfit(&tls.key, "receive.tls.key", "private key"))?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("failed to set TLS up: {error}"))?;
    let builder = match ask {
        Ask::Nothing => builder.with_no_client_auth(),
        Ask::Certificate => builder.with_client_cert_verifier(Arc::new(AnyCertificate(provider))),
    };
    let mut terms = builder
        .with_single_cert(chain, key)
        .map_err(|error| format!("receive.tls.key does not belong to receive.tls.cert: {error}"))?;
    terms.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(terms))
}

fn read(path: &Path, key: &str) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| {
        let (path, kind) = (path.display(), error.kind());
        format!("{key} names {path}, which cannot be read ({kind}); give the path of a PEM file")
    })
}

fn unfit(path: &Path, key: &str, what: &str) -> String {
    format!("{key} names {}, which is no {what} in PEM", path.display())
}

/// What clients are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    /// Nothing.
    Nothing,
    /// A certificate, if they have one.
    Certificate,
}

/// Takes every certificate whose key the client holds; which of them opens a connection is decided
/// by its digest.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The certificate a client has shown.
pub(super) fn shown(stream: &TlsStream<TcpStream>) -> Option<Fingerprint> {
    let chain = stream.get_ref().1.peer_certificates()?;
    chain.first().map(|certificate| Sha256::digest(certificate).into())
}
