//! What the spec says of the endpoints of sign-in besides what poem-openapi derives.

use serde_json::{Value, json};

/// Schemas of bodies that are sent, whose unknown fields are refused.
pub(super) const SENT: [&str; 2] = ["Credentials", "Refresh"];

/// The problems that an endpoint can answer with; `None` for one that is not of sign-in.
pub(super) fn problems(path: &str) -> Option<&'static [&'static str]> {
    Some(match path {
        "/auth/register" => {
            &["400", "405", "408", "409", "413", "414", "415", "429", "500", "503", "504"]
        }
        "/auth/login" | "/auth/refresh" => {
            &["400", "401", "405", "408", "413", "414", "415", "429", "500", "503", "504"]
        }
        "/auth/logout" => &["400", "401", "405", "414", "429", "500", "503", "504"],
        _ => return None,
    })
}

/// An example of a body that is sent.
pub(super) fn request(path: &str) -> Option<Value> {
    Some(match path {
        "/auth/register" | "/auth/login" => {
            json!({ "name": "ada@shop.example", "password": "correct horse battery staple" })
        }
        "/auth/refresh" => json!({ "refresh_token": REFRESH }),
        _ => return None,
    })
}

/// An example of an answer.
pub(super) fn answer(path: &str) -> Option<Value> {
    Some(match path {
        "/auth/register" => json!({
            "id": 1, "name": "ada@shop.example", "created_at": "2026-01-02T03:04:05.678901Z",
        }),
        "/auth/login" | "/auth/refresh" => json!({
            "access_token": "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiIsImtpZCI6IjRiMWQifQ.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
            "token_type": "Bearer", "expires_in": 900, "refresh_token": REFRESH, "user_id": 1,
        }),
        _ => return None,
    })
}

const REFRESH: &str = "yTS2R0kq8mVxg1h3Wn7ZpA.vJ0m4F6Qw1cXy8sT2uKzB5nL7hE9aDgRiPoVtMfUjkI";

/// Kind, title and detail of an example of a problem; `None` where all endpoints have the same.
pub(super) fn problem(
    path: &str,
    status: &str,
) -> Option<(&'static str, &'static str, &'static str)> {
    problems(path)?;
    Some(match status {
        "400" if path != "/auth/logout" => {
            ("bad-body", "The body was refused", "/password must have 8 to 128 characters.")
        }
        "401" if path == "/auth/login" => {
            ("unauthorized", "You are not signed in", "There is no user of this name and password.")
        }
        "409" => (
            "taken",
            "Another has this already",
            "A value that there may be only once is there already. Choose another.",
        ),
        "429" if path == "/auth/login" => (
            "too-many-failures",
            "Too many sign-ins failed",
            "Too many sign-ins of this user, or from this address, have failed. Try again after the time in Retry-After.",
        ),
        "503" => (
            "auth-unavailable",
            "Nobody can be asked who is signed in",
            "It cannot be known at the moment who is signed in. Reading goes on; try again later.",
        ),
        _ => return None,
    })
}
