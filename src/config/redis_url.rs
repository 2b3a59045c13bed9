//! The URL of Redis: one for a single server, a socket or a cluster, and every way to write it wrong.

use redis::IntoConnectionInfo;

use super::url::RedisUrl;

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

/// What is wrong with a URL, one sentence each, none of which tells its password.
pub(super) fn url_problems(url: &RedisUrl, password_file: bool) -> Vec<String> {
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
}
