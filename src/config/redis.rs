//! What stands beside the URL of Redis: its password in a file, the certificates to check it by.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::file;
use super::redis_url::url_problems;
use super::url::{RedisUrl, percent_encode};

/// The certificates of an authority, as PEM.
#[derive(Clone, PartialEq)]
pub struct RootCertificates {
    path: PathBuf,
    pem: Arc<[u8]>,
}

impl RootCertificates {
    /// Reads a file with at least one certificate.
    fn read(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let pem =
            std::fs::read(path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
        let read = Self { path: path.to_owned(), pem: pem.into() };
        match read.certificates() {
            Ok(found) if found.is_empty() => {
                Err(format!("{shown} holds no certificate; it takes PEM, \"BEGIN CERTIFICATE\""))
            }
            Ok(found) => {
                let mut store = rustls::RootCertStore::empty();
                let added = found.into_iter().try_for_each(|certificate| store.add(certificate));
                added.map_err(|error| format!("{shown} cannot be used: {error}"))?;
                Ok(read)
            }
            Err(error) => Err(format!("{shown} is not PEM: {error}")),
        }
    }

    /// Each of them.
    ///
    /// # Errors
    /// What is not PEM.
    pub fn certificates(
        &self,
    ) -> Result<Vec<CertificateDer<'static>>, rustls::pki_types::pem::Error> {
        CertificateDer::pem_slice_iter(&self.pem).collect()
    }

    /// The text of the file.
    pub fn pem(&self) -> &[u8] {
        &self.pem
    }
}

impl fmt::Debug for RootCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.path)
    }
}

/// The URL with the password of `redis_password_file` in it, and the certificates that go with it.
pub(super) fn redis(
    raw: &file::Cache,
    problems: &mut Vec<String>,
) -> (RedisUrl, Option<RootCertificates>) {
    let url = RedisUrl::new(raw.redis_url.as_str());
    let found = url_problems(&url, raw.redis_password_file.is_some());
    let understood = found.is_empty();
    problems.extend(found.into_iter().map(|found| format!("`cache.redis_url`: {found}")));
    let mut note = |key: &str, problem: String| problems.push(format!("`cache.{key}`: {problem}"));
    let root = raw.redis_root_cert.as_deref().and_then(|path| {
        if understood && !url.is_tls() {
            let scheme = if url.is_cluster() { "rediss-cluster://" } else { "rediss://" };
            let why = format!("means nothing unless `cache.redis_url` starts with {scheme:?}");
            note("redis_root_cert", why);
        }
        RootCertificates::read(path).map_err(|why| note("redis_root_cert", why)).ok()
    });
    let password = raw.redis_password_file.as_deref().map(|path| {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        match text.lines().next().filter(|line| !line.is_empty()) {
            Some(password) => Ok(password.to_owned()),
            None => Err(format!("the first line of {} is empty", path.display())),
        }
    });
    let url = match password.transpose() {
        Ok(Some(password)) if understood => with_password(&url, &password),
        Ok(_) => url,
        Err(why) => {
            note("redis_password_file", why);
            url
        }
    };
    (url, root)
}

fn with_password(url: &RedisUrl, password: &str) -> RedisUrl {
    let password = percent_encode(password);
    let (scheme, rest) = url.expose().split_once("://").expect("it was understood");
    if scheme.ends_with("unix") {
        let sign = if rest.contains('?') { '&' } else { '?' };
        return RedisUrl::new(format!("{scheme}://{rest}{sign}pass={password}"));
    }
    let (user, hosts) = rest.rsplit_once('@').unwrap_or(("", rest));
    let user = user.trim_end_matches(':');
    RedisUrl::new(format!("{scheme}://{user}:{password}@{hosts}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_from_a_file_stands_where_the_url_has_its_own() {
        for (url, whole) in [
            ("redis://h:1/2", "redis://:p%40ss@h:1/2"),
            ("redis://u@h", "redis://u:p%40ss@h"),
            ("redis://u:@h", "redis://u:p%40ss@h"),
            ("unix:///r.sock", "unix:///r.sock?pass=p%40ss"),
            ("unix:///r.sock?db=1", "unix:///r.sock?db=1&pass=p%40ss"),
            ("redis-cluster://a:1,b:2", "redis-cluster://:p%40ss@a:1,b:2"),
        ] {
            assert_eq!(with_password(&RedisUrl::new(url), "p@ss").expose(), whole);
        }
    }
}
