//! What the client takes: `Accept`, `Accept-Encoding`, `If-None-Match`.

use poem::http::{HeaderMap, HeaderName, header};

use crate::encode::Fingerprint;
use crate::store::Coding;
use crate::store::write::Expected;

/// The members of a list header, each with its quality; members without one have 1.
fn weighted(headers: &HeaderMap, name: HeaderName) -> Vec<(String, f32)> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .filter(|member| !member.trim().is_empty())
        .map(|member| {
            let mut parts = member.split(';');
            let value = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
            let quality = parts
                .filter_map(|parameter| parameter.trim().strip_prefix("q="))
                .find_map(|quality| quality.trim().parse().ok())
                .unwrap_or(1.0);
            (value, quality)
        })
        .collect()
}

/// Whether the client takes JSON. Without `Accept` it takes anything (RFC 9110, section 12.5.1).
pub(super) fn accepts_json(headers: &HeaderMap) -> bool {
    if !headers.contains_key(header::ACCEPT) {
        return true;
    }
    let accepted = weighted(headers, header::ACCEPT);
    // The most specific range that matches decides.
    for range in ["application/json", "application/*", "*/*"] {
        if let Some((_, quality)) = accepted.iter().find(|(value, _)| value == range) {
            return *quality > 0.0;
        }
    }
    false
}

/// Whether the client states this preference in `Prefer`.
pub(super) fn prefers(headers: &HeaderMap, preference: &str) -> bool {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|stated| {
        let stated: String = stated.split_whitespace().collect();
        stated.eq_ignore_ascii_case(preference)
    })
}

/// The coding that the client likes best; `None` is identity.
pub(super) fn coding(headers: &HeaderMap) -> Option<Coding> {
    if !headers.contains_key(header::ACCEPT_ENCODING) {
        return None;
    }
    let accepted = weighted(headers, header::ACCEPT_ENCODING);
    let quality = |name: &str| {
        let find = |wanted: &str| accepted.iter().find(|(value, _)| value == wanted);
        find(name).or_else(|| find("*")).map_or(0.0, |(_, quality)| *quality)
    };
    let identity = match accepted.iter().find(|(value, _)| value == "identity") {
        Some((_, quality)) => *quality,
        None => 0.0,
    };
    let found = Coding::ALL.map(|coding| (coding, quality(coding.name())));
    // Of equals, the last is the maximum, and we like the first best.
    let best = found.into_iter().rev().max_by(|a, b| a.1.total_cmp(&b.1));
    best.filter(|(_, quality)| *quality > 0.0 && *quality >= identity).map(|(coding, _)| coding)
}

/// What the client takes the product to be; `None` without `If-Match`. A weak tag names no bytes for
/// sure, and a tag that is none of ours names nothing (RFC 9110, section 13.1.1).
pub(super) fn if_match(headers: &HeaderMap) -> Option<Expected> {
    if !headers.contains_key(header::IF_MATCH) {
        return None;
    }
    let values = headers.get_all(header::IF_MATCH).iter();
    let tags = values.filter_map(|value| value.to_str().ok()).flat_map(members);
    let mut known = Vec::new();
    for tag in tags.map(str::trim) {
        if tag == "*" {
            return Some(Expected::Any);
        }
        let tag = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or_default();
        let base = Coding::ALL.iter().find_map(|c| tag.strip_suffix(&format!("-{}", c.name())));
        let tag = base.unwrap_or(tag);
        let is_ours = tag.len() == 32
            && tag.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let hash = is_ours.then(|| u128::from_str_radix(tag, 16).ok()).flatten();
        known.extend(hash.map(Fingerprint));
    }
    Some(Expected::OneOf(known))
}

/// The members of a list of entity tags; between quotation marks a comma is part of a tag.
fn members(list: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    list.split(move |c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
}

/// The entity tag of a body in a coding.
pub(super) fn entity_tag(hash: Fingerprint, coding: Option<Coding>) -> String {
    match coding {
        None => format!("\"{:032x}\"", hash.0),
        Some(coding) => format!("\"{:032x}-{}\"", hash.0, coding.name()),
    }
}

/// Whether `If-None-Match` names this body, in whatever coding.
pub(super) fn none_match(headers: &HeaderMap, hash: Fingerprint) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut tags = values.filter_map(|value| value.to_str().ok()).flat_map(members);
    let hash = format!("{:032x}", hash.0);
    tags.any(|tag| {
        let tag = tag.trim();
        let tag = tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"');
        let base = Coding::ALL.iter().find_map(|c| tag.strip_suffix(&format!("-{}", c.name())));
        tag == "*" || base.unwrap_or(tag) == hash
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn json_is_refused_only_to_those_who_exclude_it() {
        for (accept, taken) in [
            ("*/*", true),
            ("application/json", true),
            ("text/html, application/*;q=0.1", true),
            ("text/html, */*;q=0.8", true),
            ("text/html", false),
            ("application/json;q=0, */*", false),
            ("application/xml", false),
        ] {
            assert_eq!(accepts_json(&headers(header::ACCEPT, accept)), taken, "{accept}");
        }
        assert!(accepts_json(&HeaderMap::new()));
    }

    #[test]
    fn the_clients_favourite_coding_wins() {
        use Coding::{Gzip, Zstd};
        for (accept, expected) in [
            ("gzip, deflate, br, zstd", Some(Zstd)),
            ("gzip", Some(Gzip)),
            ("gzip;q=1, zstd;q=0.5", Some(Gzip)),
            ("zstd;q=0, *", Some(Gzip)),
            ("identity", None),
            ("identity, gzip;q=0.5", None),
            ("br", None),
        ] {
            let found = coding(&headers(header::ACCEPT_ENCODING, accept));
            assert_eq!(found, expected, "{accept}");
        }
        assert_eq!(coding(&HeaderMap::new()), None);
    }

    #[test]
    fn only_strong_tags_of_ours_say_what_a_product_is() {
        let hash = Fingerprint::of(b"body");
        let [plain, gzip, zstd] =
            [None, Some(Coding::Gzip), Some(Coding::Zstd)].map(|coding| entity_tag(hash, coding));
        let of = |value: &str| if_match(&headers(header::IF_MATCH, value)).unwrap();
        assert_eq!(if_match(&HeaderMap::new()), None);
        for any in ["*", " * ", &format!("{plain}, *")] {
            assert_eq!(of(any), Expected::Any, "{any}");
        }
        for one in [&plain, &gzip, &zstd, &format!("\"other\" , {gzip}")] {
            assert_eq!(of(one), Expected::OneOf(vec![hash]), "{one}");
        }
        assert_eq!(of(&format!("{plain},{zstd}")), Expected::OneOf(vec![hash; 2]));
        let bare = plain.trim_matches('"');
        let weak = format!("W/{plain}");
        let upper = plain.to_uppercase();
        for none in
            ["", "\"\"", bare, &weak, &upper, "\"*\"", "\"a,*,b\"", "W/*", "\"abc\"", "\"+1\""]
        {
            assert_eq!(of(none), Expected::OneOf(vec![]), "{none}");
        }
    }

    #[test]
    fn an_entity_tag_matches_in_every_coding() {
        let hash = Fingerprint::of(b"body");
        let other = Fingerprint::of(b"other");
        for coding in [None, Some(Coding::Gzip), Some(Coding::Zstd)] {
            let sent =
                headers(header::IF_NONE_MATCH, &format!("\"x\", {}", entity_tag(hash, coding)));
            assert!(none_match(&sent, hash));
            assert!(!none_match(&sent, other));
        }
        let weak = format!("W/{}", entity_tag(hash, None));
        assert!(none_match(&headers(header::IF_NONE_MATCH, &weak), hash));
        assert!(none_match(&headers(header::IF_NONE_MATCH, "*"), hash));
    }
}
