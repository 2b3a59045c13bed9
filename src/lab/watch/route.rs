//! Which strategy a request was for, by its path, or by the name that a tool gave it.

use crate::config::STANDARD_STRATEGIES;

/// What a request asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// A list through this strategy.
    List(&'a str),
    /// A single product through it.
    Detail(&'a str),
    /// Anything else.
    Other,
}

/// Reads a URL, a path, or a name such as `GET /products/direct`; a name without a path is that of the
/// one strategy whose name is a word of it.
pub(super) fn route<'a>(asked: &str, strategies: &'a [String]) -> Route<'a> {
    let known = |name: &str| strategies.iter().find(|known| known.as_str() == name);
    if let Some(path) = path_of(asked) {
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        return match parts[..] {
            ["products", name] if STANDARD_STRATEGIES.contains(&name) => {
                known(name).map_or(Route::Other, |name| Route::List(name))
            }
            ["strategies", name, "products"] => {
                known(name).map_or(Route::Other, |name| Route::List(name))
            }
            ["strategies", name, "products", _] => {
                known(name).map_or(Route::Other, |name| Route::Detail(name))
            }
            _ => Route::Other,
        };
    }
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-';
    let words: Vec<&str> = asked.split(|letter| !is_part(letter)).collect();
    let is_named = |name: &&String| words.iter().any(|word| word.eq_ignore_ascii_case(name));
    let mut named = strategies.iter().filter(is_named);
    match (named.next(), named.next()) {
        (Some(name), None) => Route::List(name),
        _ => Route::Other,
    }
}

/// The path in a URL or a name, without its query; `None` where there is none.
fn path_of(asked: &str) -> Option<&str> {
    let word = asked.split_whitespace().find(|word| word.contains('/'))?;
    let rest = match word.split_once("://") {
        Some((_, rest)) => rest,
        None => word,
    };
    let path = &rest[rest.find('/')?..];
    let path = path.split(['?', '#', '"', '\'']).next().unwrap_or(path);
    Some(path.strip_suffix('/').unwrap_or(path))
}

/// What a request is called where it belongs to no strategy: without the query, and not longer than a line.
pub(super) fn short(asked: &str) -> String {
    const LONGEST: usize = 60;
    let name = match path_of(asked) {
        Some(path) if !path.is_empty() => path,
        _ => asked.trim(),
    };
    let name = if name.is_empty() { "(without a name)" } else { name };
    name.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_decides_and_only_a_name_without_one_is_searched() {
        let strategies = ["direct", "pooled", "cached", "pooled-8"].map(str::to_owned);
        let list = |name| Route::List(name);
        for (asked, expected) in [
            ("http://127.0.0.1:8080/products/direct?limit=20", list("direct")),
            ("GET /products/pooled", list("pooled")),
            ("/products/cached/", list("cached")),
            ("https://[::1]:1/strategies/pooled-8/products#x", list("pooled-8")),
            ("/strategies/cached/products/7", Route::Detail("cached")),
            ("/strategies/cached/products/{id}", Route::Detail("cached")),
            ("/products/7", Route::Other),
            ("/products/pooled-8", Route::Other),
            ("/health/ready?of=direct", Route::Other),
            ("http://direct:80/", Route::Other),
            ("/strategies/unknown/products", Route::Other),
            ("Direct, 20 rows", list("direct")),
            ("pooled-8", list("pooled-8")),
            ("pooled and cached", Route::Other),
            ("indirect", Route::Other),
            ("", Route::Other),
        ] {
            assert_eq!(route(asked, &strategies), expected, "{asked:?}");
        }
    }

    #[test]
    fn what_belongs_to_none_has_a_short_name_without_its_query() {
        assert_eq!(short("http://h:1/auth/sign-in?token=abc"), "/auth/sign-in");
        assert_eq!(short(" Sign in "), "Sign in");
        assert_eq!(short("http://h:1/"), "http://h:1/");
        assert_eq!(short(""), "(without a name)");
        assert_eq!(short(&"x".repeat(100)).len(), 60);
    }
}
