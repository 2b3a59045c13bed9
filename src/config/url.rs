//! URLs that may carry a password, which neither `Debug` nor `Display` shows.

use std::fmt;

/// Hides what stands between the colon after the user and the `@` of the host.
fn hide_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let mut end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    // A password with one of these in it, unescaped: rather too much is hidden than a part shown.
    if !rest[..end].contains('@') && rest[..end].contains(':') && rest[end..].contains('@') {
        end = rest.len();
    }
    let (authority, tail) = rest.split_at(end);
    let shown = match authority.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((name, _)) => format!("{scheme}://{name}:***@{host}{tail}"),
            None => url.to_owned(),
        },
        None => url.to_owned(),
    };
    hide_query_password(shown)
}

/// `?password=...` is a way to write it too.
fn hide_query_password(url: String) -> String {
    let Some((base, query)) = url.split_once('?') else { return url };
    let hidden: Vec<String> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, _)) if name.contains("pass") => format!("{name}=***"),
            _ => pair.to_owned(),
        })
        .collect();
    format!("{base}?{}", hidden.join("&"))
}

macro_rules! secret_url {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash)]
        pub struct $name(String);

        impl $name {
            /// Takes a URL as it was written.
            pub fn new(url: impl Into<String>) -> Self {
                Self(url.into())
            }

            /// The whole URL, password included: for drivers only.
            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hide_password(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", hide_password(&self.0))
            }
        }
    };
}

secret_url! {
    /// Where a database is: `sqlite:PATH`, `postgres://...` or `mysql://...`. Two equal ones share a backend.
    DatabaseUrl
}
impl DatabaseUrl {
    /// The whole URL without a parameter that its driver does not know, and the value of that: for
    /// drivers only.
    pub fn without(&self, parameter: &str) -> (String, Option<String>) {
        let Some((base, query)) = self.0.split_once('?') else { return (self.0.clone(), None) };
        let mut value = None;
        let mut rest = form_urlencoded::Serializer::new(String::new());
        for (name, found) in form_urlencoded::parse(query.as_bytes()) {
            if name == parameter {
                value = Some(found.into_owned());
            } else {
                rest.append_pair(&name, &found);
            }
        }
        let rest = rest.finish();
        let url = if rest.is_empty() { base.to_owned() } else { format!("{base}?{rest}") };
        (url, value)
    }
}

secret_url! {
    /// Where Redis is: `redis://...` and what else `cache.redis_url` may be.
    RedisUrl
}

/// `text` with everything that has a meaning in a URL percent-encoded.
pub(super) fn percent_encode(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                (b as char).to_string()
            }
            _ => format!("%{b:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_taken_out_and_the_others_stay() {
        for (url, rest, value) in [
            ("mysql://u:p@h/d", "mysql://u:p@h/d", None),
            ("mysql://h/d?ssl_ca=%2Fa%20b", "mysql://h/d", Some("/a b")),
            ("mysql://h/d?x=1&ssl_ca=c&y=%2F", "mysql://h/d?x=1&y=%2F", Some("c")),
        ] {
            let taken = DatabaseUrl::new(url).without("ssl_ca");
            assert_eq!(taken, (rest.to_owned(), value.map(str::to_owned)));
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        for (url, shown) in [
            ("postgres://u:p@h:1/d", "postgres://u:***@h:1/d"),
            ("postgres://u:p@ss:w@h/d?x=1", "postgres://u:***@h/d?x=1"),
            ("redis://:secret@h:1/0", "redis://:***@h:1/0"),
            ("redis://:sec/ret@h:1/0", "redis://:***@h:1/0"),
            ("redis://u:sec#r?e@t@h", "redis://u:***@h"),
            ("redis-cluster://u:secret@a:1,b:2", "redis-cluster://u:***@a:1,b:2"),
            ("unix:///r.sock?db=1&pass=secret", "unix:///r.sock?db=1&pass=***"),
            ("postgres://u@h/d?password=secret&x=1", "postgres://u@h/d?password=***&x=1"),
            ("sqlite:data/a@b:c.db", "sqlite:data/a@b:c.db"),
            ("postgres://u:p@h1:1,h2:2/d", "postgres://u:***@h1:1,h2:2/d"),
            (
                "postgres://u@h1:1,h2:2/d?sslmode=require",
                "postgres://u@h1:1,h2:2/d?sslmode=require",
            ),
            ("postgres://u:p@[::1]:1,%2Frun:2/d", "postgres://u:***@[::1]:1,%2Frun:2/d"),
            ("postgres://u:p/w?x@h1,h2/d", "postgres://u:***@h1,h2/d"),
            ("postgres://u:p@h/d?sslpassword=secret", "postgres://u:***@h/d?sslpassword=***"),
        ] {
            assert_eq!(DatabaseUrl::new(url).to_string(), shown);
            assert_eq!(format!("{:?}", RedisUrl::new(url)), format!("{shown:?}"));
        }
    }
}
