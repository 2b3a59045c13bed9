//! Takes a URL apart: one URL for each host, and what of it is about TLS, of which the driver knows
//! less than libpq.

use std::path::PathBuf;

use crate::config::SslMode;

/// A URL, taken apart.
#[derive(Debug)]
pub(super) struct Parts {
    /// One for each host, without what stands below.
    pub urls: Vec<String>,
    /// `sslmode`; prefer where it is absent.
    pub sslmode: SslMode,
    /// `sslrootcert`: a file of trusted certificates.
    pub sslrootcert: Option<PathBuf>,
    /// `sslcert` and `sslkey`: files of our own certificate.
    pub own: Option<(PathBuf, PathBuf)>,
}

impl Parts {
    /// Where the trusted certificates come from, in words.
    pub fn roots(&self) -> String {
        match &self.sslrootcert {
            Some(path) => format!("sslrootcert ({})", path.display()),
            None => "the system's store of certificates".into(),
        }
    }
}

/// Takes `url` apart.
///
/// # Errors
/// A sentence without the URL.
pub(super) fn split(url: &str) -> Result<Parts, String> {
    let (scheme, rest) = url.split_once("://").ok_or("it does not start with \"postgres://\"")?;
    let (user, rest) = match rest.split_once('@') {
        Some((user, rest)) => (format!("{user}@"), rest),
        None => (String::new(), rest),
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (hosts, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let mut kept = Vec::new();
    let (mut sslmode, mut sslrootcert, mut sslcert, mut sslkey) = (None, None, None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = decode(pair);
        match &*key {
            "sslmode" => sslmode = Some(mode(&value)?),
            "sslrootcert" => sslrootcert = Some(PathBuf::from(value)),
            "sslcert" => sslcert = Some(PathBuf::from(value)),
            "sslkey" => sslkey = Some(PathBuf::from(value)),
            "target_session_attrs" if !["any", "read-write", "read-only"].contains(&&*value) => {
                return Err(format!(
                    "target_session_attrs={value} is not any, read-write or read-only"
                ));
            }
            _ => kept.push(pair),
        }
    }
    let sign = if kept.is_empty() { "" } else { "?" };
    let query = kept.join("&");
    let own = match (sslcert, sslkey) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err("sslcert and sslkey belong together; one of them is missing".into()),
    };
    Ok(Parts {
        urls: hosts
            .split(',')
            .map(|host| format!("{scheme}://{user}{host}{path}{sign}{query}"))
            .collect(),
        sslmode: sslmode.unwrap_or(SslMode::Prefer),
        sslrootcert,
        own,
    })
}

/// A name and its value, percent-decoded. A plus is a plus here, unlike in a form.
fn decode(pair: &str) -> (String, String) {
    let pair = pair.replace('+', "%2B");
    let decoded = form_urlencoded::parse(pair.as_bytes()).next();
    decoded.map(|(key, value)| (key.into_owned(), value.into_owned())).unwrap_or_default()
}

fn mode(text: &str) -> Result<SslMode, String> {
    SslMode::ALL.into_iter().find(|mode| mode.name() == text).ok_or_else(|| {
        let names = SslMode::ALL.map(SslMode::name).join(", ");
        format!("sslmode={text} is not one of {names}")
    })
}
