//! TLS as `sslmode` asks for it, on rustls.
//!
//! | sslmode | without sslrootcert | with it |
//! | --- | --- | --- |
//! | prefer, require | encrypted, the certificate is not checked | its authority is checked |
//! | verify-ca | its authority is checked, against the system's | its authority is checked |
//! | verify-full | that, and the name of the host | that, and the name of the host |
//!
//! That is libpq's meaning (PostgreSQL documentation, "SSL Support"), except that a failed handshake under
//! prefer is an error: libpq would go on in plain text.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

use super::url::Parts;
use crate::config::SslMode;

/// How far a server's certificate is checked.
#[derive(Debug)]
enum Check {
    /// Not at all: anybody can pose as the server.
    Nothing,
    /// It must have been issued by an authority that is trusted.
    Authority(Arc<WebPkiServerVerifier>),
    /// And for this host.
    AuthorityAndName(Arc<WebPkiServerVerifier>),
}

/// The settings of rustls for this URL.
///
/// # Errors
/// A sentence, when a file cannot be used.
pub(super) fn client_config(parts: &Parts) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = || -> Result<Arc<WebPkiServerVerifier>, String> {
        let roots = Arc::new(roots(parts.sslrootcert.as_deref())?);
        WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
            .build()
            .map_err(|error| error.to_string())
    };
    let check = match parts.sslmode {
        SslMode::Disable => Check::Nothing,
        SslMode::Prefer | SslMode::Require if parts.sslrootcert.is_none() => Check::Nothing,
        SslMode::Prefer | SslMode::Require | SslMode::VerifyCa => Check::Authority(chain()?),
        SslMode::VerifyFull => Check::AuthorityAndName(chain()?),
    };
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { check, provider }));
    let Some((certificate, key)) = &parts.own else { return Ok(config.with_no_client_auth()) };
    let chain = certificates("sslcert", certificate)?;
    let secret = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| format!("sslkey: {} cannot be used: {error}", key.display()))?;
    config
        .with_client_auth_cert(chain, secret)
        .map_err(|error| format!("sslcert and sslkey do not belong together: {error}"))
}

/// The certificates that are trusted.
fn roots(file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    match file {
        Some(path) => {
            for certificate in certificates("sslrootcert", path)? {
                roots.add(certificate).map_err(|error| {
                    format!("sslrootcert: {} holds one that is not valid: {error}", path.display())
                })?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err("the system has no certificates to trust; set sslrootcert to a file".into());
    }
    Ok(roots)
}

/// The certificates of a PEM file, at least one.
fn certificates(key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = path.display();
    let unusable = |error| format!("{key}: {shown} cannot be read: {error}");
    let read = CertificateDer::pem_file_iter(path).map_err(unusable)?;
    let found: Vec<_> = read.collect::<Result<_, _>>().map_err(unusable)?;
    if found.is_empty() {
        return Err(format!("{key}: {shown} holds no certificate; it must be a PEM file"));
    }
    Ok(found)
}

/// Checks a server's certificate as far as `sslmode` asks. That the server has the certificate's key is
/// always checked, because the channel binding of a password's exchange (SCRAM-SHA-256-PLUS) relies on it.
#[derive(Debug)]
struct Verifier {
    check: Check,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verify = |chain: &WebPkiServerVerifier| {
            chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        };
        match &self.check {
            Check::Nothing => Ok(ServerCertVerified::assertion()),
            Check::AuthorityAndName(chain) => verify(chain),
            Check::Authority(chain) => match verify(chain) {
                // The name is looked at last, so everything else was right.
                Err(rustls::Error::InvalidCertificate(
                    CertificateError::NotValidForName
                    | CertificateError::NotValidForNameContext { .. },
                )) => Ok(ServerCertVerified::assertion()),
                outcome => outcome,
            },
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What is wrong with the server's TLS and what to do; `None` when that is not why it failed.
pub(super) fn problem(
    error: &tokio_postgres::Error,
    sslmode: SslMode,
    roots: &str,
) -> Option<String> {
    let sslmode = sslmode.name();
    let cause = std::error::Error::source(error)?;
    if cause.to_string() == "server does not support TLS" {
        return Some(format!(
            "the server does not support TLS, which sslmode={sslmode} asks for; turn it on there \
             (ssl = on), or connect in plain text with sslmode=disable"
        ));
    }
    let inner = cause.downcast_ref::<std::io::Error>()?.get_ref()?;
    let rustls::Error::InvalidCertificate(certificate) = inner.downcast_ref()? else {
        let error = inner.downcast_ref::<rustls::Error>()?;
        return Some(format!(
            "the TLS handshake failed: {error}; repair it there, or connect in plain text with \
             sslmode=disable"
        ));
    };
    let why = match certificate {
        CertificateError::UnknownIssuer => format!(
            "it was not issued by an authority in {roots}; set sslrootcert to the certificate of the \
             authority that issued it"
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired; renew it".into()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!(
                "{certificate}; connect by a name that it is for, or leave the name unchecked with \
                 sslmode=verify-ca"
            )
        }
        other => other.to_string(),
    };
    Some(format!(
        "the server's certificate does not verify, which sslmode={sslmode} asks for: {why}"
    ))
}
