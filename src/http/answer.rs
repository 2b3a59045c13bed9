//! From a strategy's reply to an HTTP answer.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use poem::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use poem::{IntoResponse, Response};
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiResponse, Object};

use super::error::{Kind, Problem};
use super::negotiate::{accepts_json, coding, entity_tag, none_match, prefers};
use super::observed::{streamed, whole};
use super::request::{Answered, RequestInfo};
use crate::query::ProductQuery;
use crate::store::{Body, CacheStatus, Reply, RequestContext, Strategy, Timing};

/// A product.
#[derive(Object)]
#[oai(example)]
pub(super) struct Product {
    /// Its number.
    id: i64,
    /// Its unique article code.
    sku: String,
    /// Its name.
    name: String,
    /// The category that it belongs to.
    category: String,
    /// Its price, always with two decimals.
    price: f64,
    /// How many there are.
    stock: i32,
    /// When it was made, in UTC with microseconds.
    #[oai(validator(min_length = 27, max_length = 27))]
    created_at: String,
    /// When it was last changed.
    updated_at: String,
}

impl poem_openapi::types::Example for Product {
    fn example() -> Self {
        Self {
            id: 1,
            sku: "EL0001".into(),
            name: "Solar Lamp".into(),
            category: "electronics".into(),
            price: 12.5,
            stock: 3,
            created_at: "2024-01-02T03:04:05.000000Z".into(),
            updated_at: "2024-02-03T04:05:06.000000Z".into(),
        }
    }
}

/// What shape an answer of products has in the spec.
pub(super) trait Shape: Send {
    type Schema: Type;
    const DESCRIPTION: &'static str;
}

/// A list.
pub(super) struct Many;

impl Shape for Many {
    type Schema = Vec<Product>;
    const DESCRIPTION: &'static str = "The products that match, ordered by id";
}

/// One product.
pub(super) struct One;

impl Shape for One {
    type Schema = Product;
    const DESCRIPTION: &'static str = "The product";
}

/// An answer of products: the spec says what the bytes mean, the bytes are as the store gave them.
pub(super) struct Products<S>(Response, std::marker::PhantomData<S>);

impl<S: Shape> ApiResponse for Products<S> {
    fn meta() -> MetaResponses {
        let response = |status, description, content| MetaResponse {
            description,
            status: Some(status),
            status_range: None,
            content,
            headers: Vec::new(),
        };
        let json = MetaMediaType {
            content_type: "application/json",
            schema: <S::Schema as Type>::schema_ref(),
        };
        MetaResponses {
            responses: vec![
                response(200, S::DESCRIPTION, vec![json]),
                response(304, "Not changed since the answer of this entity tag", Vec::new()),
            ],
        }
    }

    fn register(registry: &mut Registry) {
        <S::Schema as Type>::register(registry);
    }
}

impl<S: Shape> IntoResponse for Products<S> {
    fn into_response(self) -> Response {
        self.0
    }
}

/// Asks `strategy` and answers.
///
/// # Errors
/// A problem for everything that fails before the first byte is sent.
pub(super) async fn answer<S: Shape>(
    strategy: &Arc<Strategy>,
    query: &ProductQuery,
    headers: &HeaderMap,
    info: &Arc<RequestInfo>,
    request_timeout: Duration,
) -> Result<Products<S>, Problem> {
    if !accepts_json(headers) {
        let detail = "The Accept header excludes application/json, the only thing served here.";
        return Err(Problem::new(Kind::NotAcceptable, detail));
    }
    let context = RequestContext {
        request_id: info.id.clone(),
        deadline: info.started + request_timeout,
        coding: coding(headers),
    };
    let in_flight = InFlight::start(strategy, info);
    let fetched = strategy.source.fetch(query, &context).await;
    in_flight.hand_over(fetched.as_ref().ok().and_then(|reply| reply.cache));
    let reply = fetched.map_err(|error| {
        tracing::warn!(request_id = %info.id, strategy = &*strategy.name, %error, "no answer");
        Problem::of_store(&error)
    })?;
    if !matches!(reply.cache, Some(CacheStatus::Hit | CacheStatus::Coalesced)) {
        strategy.meter.from_database.inc();
    }
    if let Some(id) = query.id()
        && reply.body.is_empty()
    {
        return Err(Problem::new(Kind::NotFound, format!("There is no product {id}.")));
    }
    let next = next_page(&reply, query, info);
    let total = total(strategy, query, headers, &context).await?;
    let mut response = respond(reply, strategy, headers, info);
    let out = response.headers_mut();
    next.map(|next| out.insert(header::LINK, next));
    if let Some(total) = total {
        out.insert(X_TOTAL_COUNT, total.into());
        out.insert(PREFERENCE_APPLIED, HeaderValue::from_static(COUNT_EXACT));
    }
    Ok(Products(response, std::marker::PhantomData))
}

fn respond(
    reply: Reply,
    strategy: &Strategy,
    headers: &HeaderMap,
    info: &Arc<RequestInfo>,
) -> Response {
    let mut response = Response::builder().status(StatusCode::OK).finish();
    let out = response.headers_mut();
    let text = |value: String| HeaderValue::try_from(value).expect("hex, digits and names only");
    out.insert(SERVER_TIMING, text(server_timing(&reply.timing, info.started)));
    if let Some(cache) = reply.cache {
        out.insert(X_CACHE, HeaderValue::from_static(cache.name()));
    }
    if strategy.cache.is_some() {
        out.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    let body = match reply.body {
        Body::Whole(body) => {
            out.insert(header::ETAG, text(entity_tag(body.hash(), reply.coding)));
            if none_match(headers, body.hash()) {
                response.set_status(StatusCode::NOT_MODIFIED);
                return response;
            }
            whole(body)
        }
        Body::Stream(rows) => streamed(rows, info.clone()),
    };
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(coding) = reply.coding {
        out.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    }
    response.set_body(body);
    response
}

/// How many products there are on all pages, for a client that asks for it with `Prefer: count=exact`
/// (RFC 7240): counting them costs a statement of its own.
async fn total(
    strategy: &Strategy,
    query: &ProductQuery,
    headers: &HeaderMap,
    context: &RequestContext,
) -> Result<Option<u64>, Problem> {
    if query.id().is_some() || !prefers(headers, COUNT_EXACT) {
        return Ok(None);
    }
    let counted = strategy.fetch.total(query, context).await;
    counted.map(Some).map_err(|error| {
        tracing::warn!(request_id = %context.request_id, strategy = &*strategy.name, %error, "no count");
        Problem::of_store(&error)
    })
}

/// `Link` (RFC 8288) to the next page, where this one is full. A page that streams has none: what its
/// last product will be is not known when its head leaves.
fn next_page(reply: &Reply, query: &ProductQuery, info: &RequestInfo) -> Option<HeaderValue> {
    let Body::Whole(body) = &reply.body else { return None };
    let digest = body.digest();
    let is_full = query.limit().is_some_and(|limit| u64::from(limit) == digest.rows);
    let next = query.next_page(digest.last_id).filter(|_| is_full)?;
    let link = format!("<{}?{}>; rel=\"next\"", info.path, next.to_url());
    HeaderValue::try_from(link).ok()
}

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const X_TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// The preference that asks for it.
const COUNT_EXACT: &str = "count=exact";
const X_CACHE: HeaderName = HeaderName::from_static("x-cache");

/// `Server-Timing` (W3C): each stage and the total in milliseconds.
fn server_timing(timing: &Timing, started: Instant) -> String {
    let stages = [
        ("wait", timing.wait),
        ("connect", timing.connect),
        ("execute", timing.execute),
        ("cache", timing.cache),
        ("total", Some(started.elapsed())),
    ];
    let mut text = String::with_capacity(96);
    for (name, duration) in stages {
        let Some(duration) = duration else { continue };
        let separator = if text.is_empty() { "" } else { ", " };
        let ms = duration.as_micros() as f64 / 1000.0;
        write!(text, "{separator}{name};dur={ms:.3}").expect("writing to a String cannot fail");
    }
    text
}

/// Counts a request as in flight until its body takes over, or it is dropped without one.
struct InFlight<'a> {
    strategy: &'a Arc<Strategy>,
    info: &'a Arc<RequestInfo>,
    handed_over: bool,
}

impl<'a> InFlight<'a> {
    fn start(strategy: &'a Arc<Strategy>, info: &'a Arc<RequestInfo>) -> Self {
        strategy.meter.requests.inc();
        strategy.meter.in_flight.inc();
        Self { strategy, info, handed_over: false }
    }

    /// From here on [`super::Observed`] counts the request down.
    fn hand_over(mut self, cache: Option<CacheStatus>) {
        use CacheStatus::{Bypass, Coalesced, Hit, Miss};
        let meter = &self.strategy.meter.cache;
        match cache {
            Some(Hit) => meter.hits.inc(),
            Some(Miss) => meter.misses.inc(),
            Some(Coalesced) => meter.coalesced.inc(),
            Some(Bypass) => meter.bypassed.inc(),
            None => 0,
        };
        let (strategy, meter) = (self.strategy.name.clone(), self.strategy.meter.clone());
        let answered = Answered { strategy, meter, cache };
        self.handed_over = self.info.answered.set(answered).is_ok();
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if !self.handed_over {
            self.strategy.meter.in_flight.dec();
        }
    }
}
