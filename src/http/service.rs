//! One request from the connection to the log line: identify, route, answer, observe.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use hyper::body::Incoming;
use poem::endpoint::BoxEndpoint;
use poem::http::uri::Scheme;
use poem::http::{HeaderName, HeaderValue, Method, StatusCode};
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, Endpoint, EndpointExt, Request, Response};
use prometheus_client::metrics::gauge::Gauge;

use super::cors::Cors;
use super::error::{Kind, Problem, problem_of};
use super::metrics::Paths;
use super::observed::Observed;
use super::rate_limit::{Allowance, counts};
use super::request::RequestInfo;
use super::spec::Spec;
use super::{State, landing, page};
use crate::config::Config;

/// Answers requests of any connection.
#[derive(Clone)]
pub struct Service(Arc<Inner>);

struct Inner {
    routes: BoxEndpoint<'static>,
    spec: Spec,
    paths: Paths,
    state: Arc<State>,
}

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

impl Service {
    /// The service over `state`.
    pub fn new(state: Arc<State>) -> Self {
        let spec = Spec::new();
        let routes = landing::routes(state.clone(), &spec).map_to_response().boxed();
        let patterns = spec.patterns().chain(landing::PAGES.map(str::to_owned));
        let paths = Paths::new(patterns, &state.meter.http);
        Self(Arc::new(Inner { routes, spec, paths, state }))
    }

    /// `/metrics` tells this gauge of connections.
    pub(super) fn counts_connections(&self, gauge: &Gauge) {
        // It is opened once.
        let _ = self.0.state.meter.connections.set(gauge.clone());
    }

    /// Answers one request. Every answer, also to a panic, has a request id and a log line.
    pub async fn call(
        &self,
        request: hyper::Request<Incoming>,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> hyper::Response<Observed> {
        let client = self.0.state.rate_limit.load().client(remote, request.headers());
        let route = self.0.paths.of(request.uri().path());
        let info = RequestInfo::of(&request, client, Some(route.clone()));
        let cors = Cors::of(&self.0.state.config.load().server.cors_origins, request.headers());
        let (early, allowance) = self.0.at_the_door(&request, &cors, &info);
        let mut response = match early {
            Some(response) => response,
            None => self.routed(request, (local, remote), &info).await,
        };
        if let Some(allowance) = allowance {
            allowance.write(response.headers_mut());
        }
        cors.write(response.headers_mut());
        finish(response, info)
    }

    /// What the routes answer, also if they panic.
    async fn routed(
        &self,
        request: hyper::Request<Incoming>,
        (local, remote): (SocketAddr, SocketAddr),
        info: &Arc<RequestInfo>,
    ) -> Response {
        let address = |socket| Addr::SocketAddr(socket);
        let mut request = Request::from((
            request,
            LocalAddr(address(local)),
            RemoteAddr(address(remote)),
            Scheme::HTTP,
        ));
        request.set_data(info.clone());
        request.set_data(self.0.state.clone());
        let mut unanswered = Unanswered(Some(info.clone()));
        let routed = AssertUnwindSafe(self.route(request, info)).catch_unwind().await;
        unanswered.0 = None;
        routed.unwrap_or_else(|_| {
            let problem =
                Problem::new(Kind::Internal, "Something went wrong that you cannot mend.");
            problem.into_response_for(&info.id)
        })
    }

    /// The configuration in force.
    pub(super) fn config(&self) -> Arc<Config> {
        self.0.state.config.load_full()
    }

    /// From now on `/health/ready` says that the service is stopping.
    pub(super) fn drain(&self) {
        self.0.state.health.drain();
    }

    async fn route(&self, request: Request, info: &RequestInfo) -> Response {
        let inner = &self.0;
        // The framework would run the whole query for a HEAD and throw the rows away.
        if request.method() == Method::HEAD && inner.spec.methods(&info.path).is_some() {
            return inner.method_not_allowed(info);
        }
        match inner.routes.call(request).await {
            Ok(response) => response,
            Err(error) if error.status() == StatusCode::METHOD_NOT_ALLOWED => {
                inner.method_not_allowed(info)
            }
            Err(error) => problem_of(&error).into_response_for(&info.id),
        }
    }
}

impl Inner {
    /// What is answered without a look at the routes, and what the client may still ask for where
    /// that is limited. A request that is refused here costs microseconds.
    fn at_the_door(
        &self,
        request: &hyper::Request<Incoming>,
        cors: &Cors,
        info: &RequestInfo,
    ) -> (Option<Response>, Option<Allowance>) {
        let longest = self.state.config.load().server.max_url_size;
        let length = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
        if length > longest {
            let detail = format!("The longest URL that is read here has {longest} bytes.");
            let problem = Problem::new(Kind::UrlTooLong, detail);
            return (Some(problem.into_response_for(&info.id)), None);
        }
        if let Some(preflight) = cors.preflight(request.method(), request.headers()) {
            return (Some(preflight), None);
        }
        if !counts(&info.path) {
            return (None, None);
        }
        let Some(allowance) = self.state.rate_limit.load().take(info.client) else {
            return (None, None);
        };
        let refused = allowance.refused.then(|| {
            self.state.rate_limited.inc();
            let detail = format!(
                "No more than {} requests may come at once from one client. Try again after the time in Retry-After.",
                allowance.limit
            );
            Problem::new(Kind::RateLimited, detail).into_response_for(&info.id)
        });
        (refused, Some(allowance))
    }

    fn method_not_allowed(&self, info: &RequestInfo) -> Response {
        let allowed = self.spec.methods(&info.path).unwrap_or("GET, HEAD");
        Problem::method_not_allowed(allowed).into_response_for(&info.id)
    }
}

/// A request whose answer has not begun; when its client leaves, that is logged.
struct Unanswered(Option<Arc<RequestInfo>>);

impl Drop for Unanswered {
    fn drop(&mut self) {
        if let Some(info) = &self.0 {
            info.over(None, Some("client left before the answer"));
        }
    }
}

/// An answer on its way: with its request's id, counted and logged when it is over.
pub(super) fn finish(mut response: Response, info: Arc<RequestInfo>) -> hyper::Response<Observed> {
    let id = HeaderValue::from_str(&info.id).expect("checked to be harmless");
    response.headers_mut().insert(X_REQUEST_ID, id);
    page::secure(response.headers_mut());
    if info.path.starts_with("/auth/") {
        page::keep_nowhere(response.headers_mut());
    }
    let response: hyper::Response<_> = response.into();
    let status = response.status();
    response.map(|body| Observed::new(body, info, status))
}
