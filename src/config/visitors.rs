//! Who may come in and how often: the rules for `[rate_limit]` and the limits of what a client sends.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use ipnet::IpNet;

use super::file;
use super::resolve::not_zero;

/// The HTTP stack takes no smaller limit.
const SMALLEST_HEADER_SIZE: u64 = 8 * 1024;

/// `[rate_limit]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// What each client may ask for; `None` for no limit.
    pub quota: Option<Quota>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
}

/// What a client may ask for: a token bucket of `burst` places into which `requests` tokens fall, evenly,
/// in the time of `per`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Requests in the time of `per`.
    pub requests: NonZeroU32,
    /// The time that they are for; at least 1 ns for each.
    pub per: Duration,
    /// Requests that may come at once.
    pub burst: NonZeroU32,
}

/// Which web pages may read answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorsOrigins {
    /// Every page.
    Any,
    /// Pages of these origins, as browsers write them; none if there are none.
    Only(Vec<String>),
}

impl CorsOrigins {
    pub(super) fn warning(&self) -> Option<String> {
        (*self == Self::Any).then(|| {
            "server.cors_origins = [\"*\"]: every web page that somebody near this service opens can read its answers"
                .into()
        })
    }
}

pub(super) fn rate_limit(raw: file::RateLimit, problems: &mut Vec<String>) -> RateLimit {
    not_zero("rate_limit.per", raw.per, problems);
    let burst = raw.burst.unwrap_or(raw.requests);
    if raw.burst == Some(0) {
        problems.push("`rate_limit.burst` must be at least 1, or absent".into());
    }
    let quota = match (NonZeroU32::new(raw.requests), NonZeroU32::new(burst)) {
        (Some(requests), Some(burst)) => Some(Quota { requests, per: raw.per, burst }),
        _ => None,
    };
    if let Some(quota) = quota
        && !raw.per.is_zero()
        && (quota.per / quota.requests.get()).is_zero()
    {
        problems.push("`rate_limit.requests` is more than one each nanosecond".into());
    }
    let mut proxy = |text: &String| {
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        if network.is_err() {
            problems.push(format!(
                "`rate_limit.trusted_proxies`: {text:?} is neither an address nor a network such as \"10.0.0.0/8\""
            ));
        }
        network.ok()
    };
    RateLimit {
        quota,
        trusted_proxies: raw.trusted_proxies.iter().filter_map(&mut proxy).collect(),
    }
}

pub(super) fn header_size(raw: &file::Server, problems: &mut Vec<String>) -> usize {
    if raw.max_header_size.as_u64() < SMALLEST_HEADER_SIZE {
        problems.push("`server.max_header_size` must be at least 8KiB".into());
    }
    if raw.max_url_size.as_u64() == 0 {
        problems.push("`server.max_url_size` must be at least 1".into());
    }
    raw.max_header_size.as_u64().max(SMALLEST_HEADER_SIZE) as usize
}

pub(super) fn cors_origins(written: &[String], problems: &mut Vec<String>) -> CorsOrigins {
    if written.iter().any(|origin| origin == "*") {
        if written.len() > 1 {
            problems.push(
                "`server.cors_origins`: \"*\" stands for all others, so it stands alone".into(),
            );
        }
        return CorsOrigins::Any;
    }
    for origin in written.iter().filter(|origin| !is_origin(origin)) {
        problems.push(format!(
            "`server.cors_origins`: {origin:?} is not an origin as browsers send it, such as \"https://shop.example\" or \"http://localhost:3000\": lower case, no path, no slash at the end"
        ));
    }
    CorsOrigins::Only(written.to_vec())
}

/// Scheme, host and, where it is not the scheme's own, port (RFC 6454, section 6.2).
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return false };
    let of_scheme = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b);
    let of_host = |b: u8| of_scheme(b) || b"_:[]".contains(&b);
    let own_port = match scheme {
        "http" => host.ends_with(":80"),
        "https" => host.ends_with(":443"),
        _ => false,
    };
    let is_name =
        |part: &str, legal: &dyn Fn(u8) -> bool| !part.is_empty() && part.bytes().all(legal);
    is_name(scheme, &of_scheme) && is_name(host, &of_host) && !own_port
}
