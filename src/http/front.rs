//! What answers from the first connection to the last: while the databases are prepared that the
//! service is starting, then the service, and at the end that every connection closes.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper::body::Incoming;
use poem::http::{HeaderValue, header};
use poem::{IntoResponse, Response};
use poem_openapi::payload::Json;
use prometheus_client::metrics::gauge::Gauge;

use super::error::{Kind, Problem};
use super::health::{Liveness, Phase, ReadyAnswer};
use super::request::RequestInfo;
use super::service::finish;
use super::{Observed, Service};
use crate::config;

/// Answers requests of any connection, with or without a service behind it.
pub struct Front {
    /// Until there is a service.
    initial: config::Server,
    service: OnceLock<Service>,
    draining: AtomicBool,
    /// Connections of clients.
    connections: Gauge,
}

impl Front {
    /// One without a service: `/health/live` is answered, everything else is told to come back.
    pub fn new(settings: config::Server) -> Self {
        Self {
            initial: settings,
            service: OnceLock::new(),
            draining: AtomicBool::new(false),
            connections: Gauge::default(),
        }
    }

    /// The settings of the server as they are now.
    pub fn settings<T>(&self, read: impl FnOnce(&config::Server) -> T) -> T {
        match self.service.get() {
            Some(service) => read(&service.config().server),
            None => read(&self.initial),
        }
    }

    /// A connection of a client is open until what is returned is dropped.
    pub fn connected(&self) -> Connected {
        self.connections.inc();
        Connected(self.connections.clone())
    }

    /// From now on `service` answers.
    pub fn open(&self, service: Service) {
        service.counts_connections(&self.connections);
        if self.service.set(service).is_ok() && self.draining.load(Ordering::SeqCst) {
            self.drain();
        }
    }

    /// From now on `/health/ready` is 503 and each answer is the last on its connection.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
        if let Some(service) = self.service.get() {
            service.drain();
        }
    }

    /// Answers one request.
    pub async fn call(
        &self,
        request: hyper::Request<Incoming>,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> hyper::Response<Observed> {
        let mut response = match self.service.get() {
            Some(service) => service.call(request, local, remote).await,
            None => {
                let info = RequestInfo::of(&request, remote.ip().to_canonical(), None);
                let response = starting(&info);
                finish(response, info)
            }
        };
        if self.draining.load(Ordering::SeqCst) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// A connection of a client.
pub struct Connected(Gauge);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn starting(info: &RequestInfo) -> Response {
    match &*info.path {
        "/health/live" => Json(Liveness { live: true }).into_response(),
        "/health/ready" => ReadyAnswer::from(Phase::Starting).into_response(),
        _ => {
            let detail =
                "The databases are being prepared. Try again after the time in Retry-After.";
            Problem::new(Kind::Starting, detail).into_response_for(&info.id)
        }
    }
}
