//! Where Redis is: one URL for a single server or a cluster, and what stands beside it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redis::IntoConnectionInfo;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::file;
use super::url::{RedisUrl, percent_encode};

/// The scheme of each kind of URL, whether it names a cluster, and the driver's word for one node.
const SCHEMES: [(&str, bool, &str); 9] = [
    ("redis", false, "redis"),
    ("rediss", false, "rediss"),
    ("valkey", false, "redis"),
    ("valkeys", false, "rediss"),
    ("unix", false, "unix"),
    ("redis+unix", false, "unix"),
    ("valkey+unix", false, "unix"),
    ("redis-cluster", true, "redis"),
    ("rediss-cluster", true, "rediss"),
];

/// The port of a host without one.
const DEFAULT_PORT: &str = "6379";

impl RedisUrl {
    fn parts(&self) -> Option<(bool, &'static str, &str)> {
        let (scheme, rest) = self.expose().split_once("://")?;
        let known = SCHEMES.iter().find(|(name, ..)| *name == scheme)?;
        Some((known.1, known.2, rest))
    }

    /// Whether it names the nodes of a cluster.
    pub fn is_cluster(&self) -> bool {
        self.parts().is_some_and(|(cluster, ..)| cluster)
    }

    /// Whether connections are encrypted.
    pub fn is_tls(&self) -> bool {
        self.parts().is_some_and(|(_, scheme, _)| scheme == "rediss")
    }

    /// The servers that it names, each as a URL of its own that the driver understands: all of a
    /// cluster's, otherwise one.
    pub fn servers(&self) -> Vec<RedisUrl> {
        let Some((cluster, scheme, rest)) = self.parts() else { return vec![self.clone()] };
        if !cluster {
            return vec![RedisUrl::new(format!("{scheme}://{rest}"))];
        }
        let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (format!("{user}@"), hosts),
            None => (String::new(), authority),
        };
        hosts.split(',').map(|host| RedisUrl::new(format!("{scheme}://{user}{host}"))).collect()
    }
}

/// The certificates of an authority, as PEM.
#[derive(Clone)]
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

/// What is wrong with a URL, one sentence each, none of which tells its password.
fn url_problems(url: &RedisUrl, password_file: bool) -> Vec<String> {
    let Some((cluster, scheme, rest)) = url.parts() else {
        return vec![format!(
            "{url} does not start with \"redis://\", \"rediss://\" (TLS), \"unix://\" or \
             \"redis-cluster://\""
        )];
    };
    if cluster && !cfg!(feature = "redis-cluster") {
        return vec![
            "this build knows no Redis Cluster; build it with `--features redis-cluster`".into(),
        ];
    }
    let mut found = match scheme {
        "unix" => unix_problems(rest, password_file),
        _ => tcp_problems(rest, cluster, password_file),
    };
    if found.is_empty() {
        let refused = url.servers().iter().find_map(|server| {
            server.expose().into_connection_info().err().map(|error| error.to_string())
        });
        found.extend(refused.map(|why| format!("the driver does not understand {url}: {why}")));
    }
    found
}

const BOTH: &str = "it has a password, and `cache.redis_password_file` is set as well; keep one";

fn unix_problems(rest: &str, password_file: bool) -> Vec<String> {
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    let value = |key| form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == key);
    let mut found = Vec::new();
    if !rest.starts_with('/') {
        found.push("a socket is a whole path, as in unix:///run/redis/redis.sock".into());
    }
    if let Some((_, number)) = value("db")
        && number.parse::<u32>().is_err()
    {
        found.push(format!("{number:?} is not the number of a database, as in ?db=2"));
    }
    if password_file && value("pass").is_some() {
        found.push(BOTH.into());
    }
    found
}

fn tcp_problems(rest: &str, cluster: bool, password_file: bool) -> Vec<String> {
    let mut found = Vec::new();
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    if rest[authority.len()..].contains('@') {
        // What stands before it may be a part of the password, so nothing of it is shown.
        return vec![
            "in a user or a password, write / as %2F, ? as %3F, # as %23, @ as %40".into(),
        ];
    }
    let (before, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    match fragment {
        "" => {}
        "insecure" => found.push(
            "#insecure is refused: certificates are always checked; `cache.redis_root_cert` names \
             the authority of one that the system does not know"
                .into(),
        ),
        other => found.push(format!("#{other} means nothing here")),
    }
    let path = before[authority.len()..].split('?').next().unwrap_or_default();
    match path.trim_matches('/') {
        "" => {}
        number if number.parse::<u32>().is_err() => found
            .push(format!("{number:?} is not the number of a database, as in redis://HOST:6379/2")),
        "0" => {}
        number if cluster => {
            found.push(format!("Redis Cluster has no database {number}, only 0; leave it out"));
        }
        _ => {}
    }
    let hosts = match authority.rsplit_once('@') {
        Some((user, hosts)) => {
            match user.split_once(':') {
                Some((_, password)) if password_file && !password.is_empty() => {
                    found.push(BOTH.into());
                }
                None if !password_file => found.push(
                    "there is a user without a password; one alone is written after a colon, \
                     redis://:PASSWORD@HOST"
                        .into(),
                ),
                _ => {}
            }
            hosts
        }
        None => authority,
    };
    let hosts: Vec<&str> = hosts.split(',').collect();
    if hosts.len() > 1 && !cluster {
        found.push("several hosts are a cluster's: \"redis-cluster://HOST:PORT,HOST:PORT\"".into());
    }
    found.extend(hosts.into_iter().filter_map(host_problem));
    found
}

fn host_problem(host: &str) -> Option<String> {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port),
        _ => (host, DEFAULT_PORT),
    };
    if name.is_empty() {
        return Some("a host is missing, as in redis://HOST:6379".into());
    }
    let wrong = port.parse::<u16>().ok().filter(|port| *port > 0).is_none();
    wrong.then(|| format!("{port:?} is not a port, as in redis://HOST:6379"))
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
    fn a_url_names_its_servers() {
        for (url, servers) in [
            ("redis://h", vec!["redis://h"]),
            ("valkeys://u:p@h:1/2", vec!["rediss://u:p@h:1/2"]),
            ("unix:///run/r.sock?db=1", vec!["unix:///run/r.sock?db=1"]),
            (
                "redis-cluster://u:p@a:1,b,[::1]:3",
                vec!["redis://u:p@a:1", "redis://u:p@b", "redis://u:p@[::1]:3"],
            ),
            ("rediss-cluster://a:1,b:2/0", vec!["rediss://a:1", "rediss://b:2"]),
        ] {
            let found = RedisUrl::new(url).servers();
            assert_eq!(found.iter().map(RedisUrl::expose).collect::<Vec<_>>(), servers);
        }
    }

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
