//! Errors as problem documents (RFC 9457): the only table of what becomes which status.

use poem::http::{HeaderValue, StatusCode, header};
use poem::{Error, IntoResponse, Response};
use poem_openapi::error::ParsePathError;
use poem_openapi::payload::{Json, Payload};
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiResponse, Object};
use serde::Serialize;

use crate::catalogue::Invalid;
use crate::query::InvalidParameter;
use crate::store::write::Shortage;
use crate::store::{ErrorKind, StoreError};

/// The media type of every error.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// What to do without a token, or with one that does not hold.
pub(super) const SIGN_IN: &str = "This needs a token that holds: POST /auth/login gives one, to be sent as `Authorization: Bearer TOKEN`.";

/// A problem document (RFC 9457).
#[derive(Debug, Object, Serialize)]
#[oai(rename = "Problem", skip_serializing_if_is_none)]
pub(super) struct Document {
    /// Names the kind of problem; stable, to be compared.
    #[oai(rename = "type")]
    #[serde(rename = "type")]
    kind: String,
    /// What is wrong, in a few words; the same for every problem of this kind.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What is wrong this time, and what to do.
    detail: String,
    /// The request's id, to be looked up in the log.
    request_id: String,
    /// The parameters, fields or places of the body that were refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<Vec<ParameterProblem>>,
    /// The products of which there is not enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    products: Option<Vec<ShortProduct>>,
}

/// A query parameter, or a field or place of a body, that was refused.
#[derive(Debug, Object, Serialize)]
#[oai(skip_serializing_if_is_none)]
pub(super) struct ParameterProblem {
    /// The name of the parameter or field.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
    /// The place of the body, as a JSON pointer (RFC 6901).
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    /// What is wrong with it and what is allowed.
    reason: String,
}

/// A product of which there is not enough.
#[derive(Debug, Object, Serialize)]
pub(super) struct ShortProduct {
    /// The product's number.
    product_id: i64,
    /// So many were asked for.
    asked: i64,
    /// So many there are.
    available: i64,
}

/// An error on its way to the client.
#[derive(Debug)]
pub(super) struct Problem {
    kind: Kind,
    detail: String,
    errors: Option<Vec<ParameterProblem>>,
    products: Option<Vec<ShortProduct>>,
    allow: Option<String>,
    retry_after: Option<u64>,
}

/// The kinds of problem that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    BadParameter,
    BadRequest,
    Unauthorized,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    UrlTooLong,
    BodyTimeout,
    BodyTooLarge,
    MediaType,
    RateLimited,
    TooManyFailures,
    Internal,
    Saturated,
    AuthUnavailable,
    Conflict,
    Taken,
    Unreachable,
    NotPrepared,
    Starting,
    TooLarge,
    Timeout,
    BadBody,
    NotEnough,
    UnknownProduct,
    TotalTooLarge,
    KeyInUse,
    KeyReused,
    NoPrecondition,
    Stale,
    UnknownOutcome,
}

impl Kind {
    /// Every kind that an endpoint can answer with, for the spec.
    const DOCUMENTED: [Kind; 21] = [
        Kind::BadParameter,
        Kind::Unauthorized,
        Kind::NotFound,
        Kind::MethodNotAllowed,
        Kind::NotAcceptable,
        Kind::BodyTimeout,
        Kind::Taken,
        Kind::BodyTooLarge,
        Kind::UrlTooLong,
        Kind::MediaType,
        Kind::RateLimited,
        Kind::TooManyFailures,
        Kind::Internal,
        Kind::Saturated,
        Kind::AuthUnavailable,
        Kind::Conflict,
        Kind::Unreachable,
        Kind::NotPrepared,
        Kind::Starting,
        Kind::TooLarge,
        Kind::Timeout,
    ];

    /// Status, name in `type`, and title.
    fn row(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Kind::BadParameter => {
                (StatusCode::BAD_REQUEST, "bad-parameter", "A parameter was refused")
            }
            Kind::BadRequest => (StatusCode::BAD_REQUEST, "bad-request", "The request was refused"),
            Kind::Unauthorized => {
                (StatusCode::UNAUTHORIZED, "unauthorized", "You are not signed in")
            }
            Kind::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is nothing here"),
            Kind::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "This method is not allowed here",
            ),
            Kind::NotAcceptable => {
                (StatusCode::NOT_ACCEPTABLE, "not-acceptable", "Only JSON is served here")
            }
            Kind::UrlTooLong => (StatusCode::URI_TOO_LONG, "url-too-long", "The URL is too long"),
            Kind::BodyTimeout => {
                (StatusCode::REQUEST_TIMEOUT, "body-timeout", "The body did not come in time")
            }
            Kind::BodyTooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large")
            }
            Kind::MediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "Only JSON is taken here")
            }
            Kind::TooManyFailures => {
                (StatusCode::TOO_MANY_REQUESTS, "too-many-failures", "Too many sign-ins failed")
            }
            Kind::AuthUnavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "auth-unavailable",
                "Nobody can be asked who is signed in",
            ),
            Kind::RateLimited => {
                (StatusCode::TOO_MANY_REQUESTS, "rate-limited", "This client asks for too much")
            }
            Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "The service failed"),
            Kind::Saturated => {
                (StatusCode::SERVICE_UNAVAILABLE, "saturated", "All connections are busy")
            }
            Kind::Conflict => {
                (StatusCode::SERVICE_UNAVAILABLE, "conflict", "The database was in conflict")
            }
            Kind::Taken => (StatusCode::CONFLICT, "taken", "Another has this already"),
            Kind::Unreachable => {
                (StatusCode::SERVICE_UNAVAILABLE, "unreachable", "The database cannot be reached")
            }
            Kind::NotPrepared => {
                (StatusCode::SERVICE_UNAVAILABLE, "not-prepared", "The database is not set up")
            }
            Kind::Starting => {
                (StatusCode::SERVICE_UNAVAILABLE, "starting", "The service is starting")
            }
            Kind::TooLarge => (
                StatusCode::SERVICE_UNAVAILABLE,
                "too-large",
                "The answer does not fit into memory",
            ),
            Kind::Timeout => (StatusCode::GATEWAY_TIMEOUT, "timeout", "The database took too long"),
            Kind::BadBody => (StatusCode::BAD_REQUEST, "bad-body", "The body was refused"),
            Kind::NotEnough => (StatusCode::CONFLICT, "not-enough", "There is not enough of it"),
            Kind::UnknownProduct => {
                (StatusCode::UNPROCESSABLE_ENTITY, "unknown-product", "There is no such product")
            }
            Kind::TotalTooLarge => {
                (StatusCode::UNPROCESSABLE_ENTITY, "total-too-large", "The order is too large")
            }
            Kind::KeyInUse => {
                (StatusCode::CONFLICT, "key-in-use", "The first request is still under way")
            }
            Kind::KeyReused => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "key-reused",
                "Another request had this Idempotency-Key",
            ),
            Kind::NoPrecondition => {
                (StatusCode::PRECONDITION_REQUIRED, "if-match-missing", "If-Match is missing")
            }
            Kind::Stale => {
                (StatusCode::PRECONDITION_FAILED, "stale", "The product is no longer what you know")
            }
            Kind::UnknownOutcome => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unknown-outcome",
                "It is not known whether it took place",
            ),
        }
    }

    /// Seconds after which to come back, where that is worth it.
    fn retry_after(self) -> Option<&'static str> {
        let soon = [Kind::Saturated, Kind::Conflict, Kind::Starting, Kind::KeyInUse];
        soon.contains(&self).then_some("1")
    }
}

impl Problem {
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: None,
            products: None,
            allow: None,
            retry_after: None,
        }
    }

    /// 401: why, and what to do.
    pub fn unauthorized(detail: &str) -> Self {
        Self::new(Kind::Unauthorized, detail)
    }

    /// The same problem with the whole seconds after which to come back.
    pub fn retry_after(mut self, time: std::time::Duration) -> Self {
        self.retry_after = Some((time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(1));
        self
    }

    /// 405, naming the methods that are allowed.
    pub fn method_not_allowed(allow: &str) -> Self {
        let mut problem = Self::new(Kind::MethodNotAllowed, format!("Allowed here: {allow}."));
        problem.allow = Some(allow.to_owned());
        problem
    }

    /// 400, naming every parameter that was refused.
    pub fn bad_parameters(refused: Vec<InvalidParameter>) -> Self {
        let sentences: Vec<String> =
            refused.iter().map(|bad| format!("Parameter {} {}.", bad.name, bad.reason)).collect();
        let mut problem = Self::new(Kind::BadParameter, sentences.join(" "));
        problem.errors = Some(
            refused
                .into_iter()
                .map(|bad| ParameterProblem {
                    parameter: Some(bad.name),
                    pointer: None,
                    reason: bad.reason,
                })
                .collect(),
        );
        problem
    }

    /// The same, naming places of the body.
    pub fn at(mut self, refused: impl IntoIterator<Item = Invalid>) -> Self {
        let refused = refused.into_iter().map(|bad| ParameterProblem {
            parameter: None,
            pointer: Some(bad.pointer),
            reason: bad.reason,
        });
        self.errors = Some(refused.collect());
        self
    }

    /// The same, naming products of which there is not enough.
    pub fn short_of(mut self, shortages: &[Shortage]) -> Self {
        let of = |short: &Shortage| ShortProduct {
            product_id: short.product_id,
            asked: short.asked,
            available: short.available,
        };
        self.products = Some(shortages.iter().map(of).collect());
        self
    }

    /// What a failure of the store means to the client; its detail is for the log only.
    pub fn of_store(error: &StoreError) -> Self {
        match error.kind() {
            ErrorKind::Saturated => Self::new(
                Kind::Saturated,
                "No connection to the database came free in time. Try again after the time in Retry-After.",
            ),
            ErrorKind::Conflict => Self::new(
                Kind::Conflict,
                "The database ended the statement in favour of another, each time it was tried. Try again after the time in Retry-After.",
            ),
            ErrorKind::Unreachable | ErrorKind::Disconnected | ErrorKind::Refused => Self::new(
                Kind::Unreachable,
                "The database does not accept connections at the moment. Try again later.",
            ),
            ErrorKind::StatementTimeout | ErrorKind::Unanswered => Self::new(
                Kind::Timeout,
                "The answer was not ready in time. Ask for less, for instance with limit.",
            ),
            ErrorKind::Taken => Self::new(
                Kind::Taken,
                "A value that there may be only once is there already. Choose another.",
            ),
            ErrorKind::NotPrepared => Self::new(
                Kind::NotPrepared,
                "The database is not set up for this service. The log says what to do.",
            ),
            ErrorKind::TooLarge => Self::new(
                Kind::TooLarge,
                "This strategy holds each answer in memory, and this one would be above server.body_buffer or server.body_budget. Ask for less, for instance with limit, or ask another strategy.",
            ),
            ErrorKind::Internal => Self::new(
                Kind::Internal,
                "Something went wrong that you cannot mend. The log has the detail under this request id.",
            ),
        }
    }

    /// What an error of the framework means to the client.
    pub fn of_framework(error: &Error) -> Self {
        if error.is::<ParsePathError>() {
            let reason = format!("must be a whole number from 1 to {}", i64::MAX);
            return Self::bad_parameters(vec![InvalidParameter { name: "id".into(), reason }]);
        }
        match error.status() {
            StatusCode::UNAUTHORIZED => Self::unauthorized(SIGN_IN),
            StatusCode::NOT_FOUND => {
                Self::new(Kind::NotFound, "No such path. GET / lists what there is.")
            }
            status if status.is_client_error() => Self::new(Kind::BadRequest, error.to_string()),
            _ => Self::new(Kind::Internal, "Something went wrong that you cannot mend."),
        }
    }

    /// The answer to a request of this id.
    pub fn into_response_for(self, request_id: &str) -> Response {
        let (status, name, title) = self.kind.row();
        let document = Document {
            kind: format!("urn:poolwise:problem:{name}"),
            title: title.into(),
            status: status.as_u16(),
            detail: self.detail,
            request_id: request_id.into(),
            errors: self.errors,
            products: self.products,
        };
        let body = serde_json::to_vec(&document).expect("a document of strings is JSON");
        let mut response = Response::builder().status(status).content_type(PROBLEM_JSON).body(body);
        if let Some(seconds) = self.kind.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(seconds));
        }
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.kind == Kind::Unauthorized {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        if let Some(allow) = self.allow.and_then(|allow| allow.try_into().ok()) {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        response
    }
}

/// Lets a problem pass through the framework as an error; the service turns it into an answer,
/// because only it knows the request's id.
impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        let mut error = Error::from_status(problem.kind.row().0);
        error.set_data(std::sync::Arc::new(std::sync::Mutex::new(Some(problem))));
        error
    }
}

/// The problem that an error carries.
pub(super) fn problem_of(error: &Error) -> Problem {
    let carried = error.data::<std::sync::Arc<std::sync::Mutex<Option<Problem>>>>();
    let carried = carried.and_then(|problem| {
        problem.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    });
    carried.unwrap_or_else(|| Problem::of_framework(error))
}

impl ApiResponse for Problem {
    fn meta() -> MetaResponses {
        let mut statuses: Vec<StatusCode> = Kind::DOCUMENTED.map(|kind| kind.row().0).to_vec();
        statuses.dedup();
        let responses = statuses
            .into_iter()
            .map(|status| MetaResponse {
                description: match status {
                    StatusCode::BAD_REQUEST => "A parameter was refused; `errors` names each",
                    StatusCode::UNAUTHORIZED => "Not signed in, or no longer",
                    StatusCode::REQUEST_TIMEOUT => "The body took longer than server.request_timeout",
                    StatusCode::CONFLICT => "Somebody or something has this name already",
                    StatusCode::PAYLOAD_TOO_LARGE => "The body is longer than any that makes sense",
                    StatusCode::UNSUPPORTED_MEDIA_TYPE => "The body is no `application/json`",
                    StatusCode::NOT_FOUND => "There is nothing of this name or id",
                    StatusCode::NOT_ACCEPTABLE => "`Accept` excludes application/json",
                    StatusCode::METHOD_NOT_ALLOWED => "Only the methods in `Allow` are allowed",
                    StatusCode::URI_TOO_LONG => "The URL is longer than server.max_url_size",
                    StatusCode::TOO_MANY_REQUESTS => {
                        "This client asked for more than `[rate_limit]` allows, or failed to sign in too often; come back after `Retry-After`"
                    }
                    StatusCode::SERVICE_UNAVAILABLE => {
                        "Saturated, in conflict or starting (come back after `Retry-After`), or the database or the store of sign-ins cannot be reached; `type` tells which"
                    }
                    StatusCode::GATEWAY_TIMEOUT => "The database took too long",
                    _ => "The service failed; the log has the detail under the request id",
                },
                status: Some(status.as_u16()),
                status_range: None,
                content: vec![MetaMediaType {
                    content_type: PROBLEM_JSON,
                    schema: Json::<Document>::schema_ref(),
                }],
                headers: Vec::new(),
            })
            .collect();
        MetaResponses { responses }
    }

    fn register(registry: &mut Registry) {
        Document::register(registry);
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.into_response_for("")
    }
}
