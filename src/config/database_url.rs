//! Where the database is, from a URL or its parts.

use super::file::{self, Backend};
use super::url::{DatabaseUrl, percent_encode};

/// Stands where a problem was noted instead of a URL.
pub(super) fn missing_url() -> DatabaseUrl {
    DatabaseUrl::new("")
}

/// `url`, or the same in parts; both is an error.
pub(super) fn database_url(
    raw: &file::Database,
    problems: &mut Vec<String>,
) -> Option<DatabaseUrl> {
    let parts: Vec<&str> = [
        ("host", raw.host.is_some()),
        ("port", raw.port.is_some()),
        ("name", raw.name.is_some()),
        ("user", raw.user.is_some()),
        ("password", raw.password.is_some()),
        ("password_file", raw.password_file.is_some()),
        ("sslmode", raw.sslmode.is_some()),
        ("sslrootcert", raw.sslrootcert.is_some()),
    ]
    .into_iter()
    .filter_map(|(key, given)| given.then_some(key))
    .collect();
    if let Some(url) = &raw.url {
        if !parts.is_empty() {
            problems.push(format!(
                "`database.url` and `database.{}` are both set; keep the url or the parts",
                parts.join("`, `database.")
            ));
        }
        return checked_url("database.url", url, raw.backend, problems);
    }
    if raw.password.is_some() && raw.password_file.is_some() {
        problems
            .push("`database.password` and `database.password_file` are both set; keep one".into());
    }
    match raw.backend {
        Backend::Sqlite => {
            if parts.iter().any(|part| *part != "name") {
                problems.push(format!(
                    "`database.{}` means nothing to SQLite; it takes `database.name`, a path, or `database.url`",
                    parts.join("`, `database.")
                ));
            }
            let path = raw.name.as_deref().unwrap_or("data/poolwise.db");
            Some(DatabaseUrl::new(format!("sqlite:{path}")))
        }
        Backend::Postgres => server_url(raw, 5432, problems),
        Backend::Mysql => {
            for (key, given) in
                [("sslmode", raw.sslmode.is_some()), ("sslrootcert", raw.sslrootcert.is_some())]
            {
                if given {
                    problems.push(format!("`database.{key}` is for PostgreSQL; remove it"));
                }
            }
            server_url(raw, 3306, problems)
        }
    }
}

fn server_url(
    raw: &file::Database,
    default_port: u16,
    problems: &mut Vec<String>,
) -> Option<DatabaseUrl> {
    let scheme = raw.backend.name();
    let Some(host) = &raw.host else {
        problems.push(format!(
            "`database.url` or `database.host` must be set when `database.backend` is {scheme:?}"
        ));
        return None;
    };
    let password = match &raw.password_file {
        Some(path) => match std::fs::read_to_string(path) {
            Ok(text) => Some(text.lines().next().unwrap_or_default().to_owned()),
            Err(error) => {
                problems.push(format!(
                    "`database.password_file`: {} cannot be read: {error}",
                    path.display()
                ));
                None
            }
        },
        None => raw.password.clone(),
    };
    let user = percent_encode(raw.user.as_deref().unwrap_or("poolwise"));
    let password = password.map(|p| format!(":{}", percent_encode(&p))).unwrap_or_default();
    if raw.backend == Backend::Mysql && host.starts_with('/') {
        // A path is a Unix socket, which this driver takes as a parameter.
        let (name, socket) = (raw.name.as_deref().unwrap_or("poolwise"), percent_encode(host));
        let name = percent_encode(name);
        let url = format!("{scheme}://{user}{password}@localhost/{name}?socket={socket}");
        return Some(DatabaseUrl::new(url));
    }
    let port = raw.port.unwrap_or(default_port);
    let hosts: Vec<String> = host.split(',').map(|host| authority(host.trim(), port)).collect();
    let hosts = hosts.join(",");
    let name = percent_encode(raw.name.as_deref().unwrap_or("poolwise"));
    let mut url = format!("{scheme}://{user}{password}@{hosts}/{name}");
    if raw.backend == Backend::Postgres {
        let sslmode = raw.sslmode.map(|mode| ("sslmode", mode.name()));
        let sslrootcert = raw.sslrootcert.as_deref().map(|path| ("sslrootcert", path));
        for (number, (key, value)) in sslmode.into_iter().chain(sslrootcert).enumerate() {
            let sign = if number == 0 { '?' } else { '&' };
            // A slash means nothing in this part of a URL, and paths are easier to read with it.
            let value = percent_encode(value).replace("%2F", "/");
            url.push_str(&format!("{sign}{key}={value}"));
        }
    }
    Some(DatabaseUrl::new(url))
}

/// One host with its port: `host`, `host:port`, an IP address, or the folder of a Unix socket,
/// which a URL takes percent-encoded.
fn authority(host: &str, port: u16) -> String {
    if host.starts_with('/') {
        format!("{}:{port}", percent_encode(host))
    } else if host.parse::<std::net::Ipv6Addr>().is_ok() {
        format!("[{host}]:{port}")
    } else if host.contains(':') && !host.ends_with(']') {
        host.to_owned()
    } else {
        format!("{host}:{port}")
    }
}

/// A URL whose scheme is the backend's; anything else is a problem.
pub(super) fn checked_url(
    key: &str,
    url: &str,
    backend: Backend,
    problems: &mut Vec<String>,
) -> Option<DatabaseUrl> {
    let schemes: &[&str] = match backend {
        Backend::Sqlite => &["sqlite:"],
        Backend::Postgres => &["postgres://", "postgresql://"],
        Backend::Mysql => &["mysql://"],
    };
    if !schemes.iter().any(|scheme| url.starts_with(scheme)) {
        problems.push(format!(
            "`{key}`: {} does not start with {:?}, which `database.backend` = {:?} asks for",
            DatabaseUrl::new(url),
            schemes[0],
            backend.name(),
        ));
        return None;
    }
    Some(DatabaseUrl::new(url))
}
