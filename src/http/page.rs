//! What a browser is told about an answer: pages run their own script and nobody else's, are not
//! shown inside other pages, and nothing is taken for what it is not.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use poem::http::{HeaderMap, HeaderValue, header};
use sha2::{Digest, Sha256};

/// For pages without a script. Styles are inline; images are inside the page.
const STATIC: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The policy for a page that comes with its scripts inside and asks this service only: just these
/// scripts run, by their hashes (Content Security Policy Level 3, section 2.3.1).
pub(super) fn policy_for(page: &str) -> HeaderValue {
    let hashes: Vec<String> = scripts(page)
        .map(|script| format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(script))))
        .collect();
    let policy = format!("{STATIC}; script-src {}; connect-src 'self'", hashes.join(" "));
    HeaderValue::try_from(policy).expect("hashes are ASCII")
}

/// The text of each script of a page.
fn scripts(page: &str) -> impl Iterator<Item = &str> {
    let mut rest = page;
    std::iter::from_fn(move || {
        let tag = &rest[rest.find("<script")?..];
        let text = &tag[tag.find('>')? + 1..];
        let end = text.find("</script>")?;
        rest = &text[end..];
        Some(&text[..end])
    })
}

/// Adds what every answer and what every page says.
pub(super) fn secure(headers: &mut HeaderMap) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let content_type = headers.get(header::CONTENT_TYPE);
    if content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/html")) {
        let policy = headers.entry(header::CONTENT_SECURITY_POLICY);
        policy.or_insert(HeaderValue::from_static(STATIC));
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    }
}

/// Says that nobody may keep the answer: a token may be in it.
pub(super) fn keep_nowhere(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_script_of_a_page_has_its_hash() {
        let page =
            "<script charset=\"UTF-8\">alert('Hello, world.');</script><p><script>\n</script>";
        assert_eq!(scripts(page).collect::<Vec<_>>(), ["alert('Hello, world.');", "\n"]);
        // The example of Content Security Policy Level 3, section 2.3.1.
        let policy = policy_for(page);
        let policy = policy.to_str().unwrap();
        assert!(
            policy.contains("'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='"),
            "{policy}"
        );
        assert_eq!(policy.matches("sha256-").count(), 2);
    }
}
