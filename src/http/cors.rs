//! Which web pages may read answers in a browser (Fetch Standard, "CORS protocol"). A request of a page that
//! may not is answered all the same: it is the browser that keeps the answer from the page.

use poem::Response;
use poem::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::config::CorsOrigins;

/// What a page may read besides the headers that it always may.
const EXPOSED: &str = "X-Request-Id, X-Cache, Server-Timing, ETag, Link, X-Total-Count, Location, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After, WWW-Authenticate";
/// What a page may send besides the headers that it always may.
const ALLOWED_HEADERS: &str =
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Prefer, X-Request-Id";
const ALLOWED_METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
/// Seconds for which a browser need not ask again; above 7,200 browsers make it less.
const MAX_AGE: &str = "7200";

const ANY: HeaderValue = HeaderValue::from_static("*");

/// What the origin of a request may read.
pub(super) struct Cors {
    /// For `Access-Control-Allow-Origin`; `None` where the page may not read the answer.
    allowed: Option<HeaderValue>,
    /// Whether another origin would be answered differently, which caches have to know.
    varies: bool,
}

impl Cors {
    /// Looks at the `Origin` of a request.
    pub fn of(origins: &CorsOrigins, headers: &HeaderMap) -> Self {
        match (origins, headers.get(header::ORIGIN)) {
            (CorsOrigins::Any, _) => Self { allowed: Some(ANY), varies: false },
            (CorsOrigins::Only(origins), origin) => {
                let known = |origin: &&HeaderValue| {
                    origins.iter().any(|known| known.as_bytes() == origin.as_bytes())
                };
                let allowed = origin.filter(known).cloned();
                Self { allowed, varies: !origins.is_empty() }
            }
        }
    }

    /// The answer to a browser's question whether a page may ask; `None` if this is no such
    /// question, or the page may not.
    pub fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response> {
        let asks = method == Method::OPTIONS
            && headers.contains_key(header::ORIGIN)
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if !asks || self.allowed.is_none() {
            return None;
        }
        let mut response = Response::builder().status(StatusCode::NO_CONTENT).finish();
        let answers: [(HeaderName, &'static str); 3] = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS),
            (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
        ];
        for (name, value) in answers {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        Some(response)
    }

    /// Says in an answer who may read it.
    pub fn write(self, headers: &mut HeaderMap) {
        if self.varies {
            headers.append(header::VARY, HeaderValue::from_static("origin"));
        }
        if let Some(origin) = self.allowed {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            let exposed = HeaderValue::from_static(EXPOSED);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }
}
