//! An authority of the tests, and the certificates that it issues.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::{folder, unique};

/// Issues certificates.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// Its own certificate, for those who trust it.
    pub file: PathBuf,
    /// The same as text.
    pub pem: String,
}

impl Authority {
    /// The one that issued the certificate of the shared servers.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Authority> = OnceLock::new();
        SHARED.get_or_init(|| Self::new("Poolwise Tests"))
    }

    /// Another one.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key can be made");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("it can sign");
        let file = folder().join(unique("authority")).with_extension("pem");
        let pem = issuer.pem();
        std::fs::write(&file, &pem).expect("the temp folder can be written to");
        Self { issuer, file, pem }
    }

    /// Issues a certificate for these names and addresses into a folder: the files of the
    /// certificate and of its key, which is for the owner of the folder only.
    pub fn issue(&self, into: &Path, names: &[&str], expired: bool) -> (PathBuf, PathBuf) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names.clone()).expect("they are names");
        params.distinguished_name.push(DnType::CommonName, names[0].clone());
        if expired {
            params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        }
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("it can be signed");
        let files = (into.join("server.crt"), into.join("server.key"));
        std::fs::write(&files.0, certificate.pem()).expect("the folder can be written to");
        super::process::write_secret(into, &files.1, &key.serialize_pem());
        files
    }

    /// A certificate for this name or address, and its key, as PEM.
    pub fn sign(&self, name: &str) -> (String, String) {
        let params = CertificateParams::new(vec![name.to_owned()]).expect("it is a name");
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("it can be signed");
        (certificate.pem(), key.serialize_pem())
    }
}
