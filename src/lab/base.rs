//! Where a service answers, and single requests to it. The load driver has connections of its own.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT_ENCODING, CONTENT_TYPE, HOST, RETRY_AFTER};
use hyper::http::request::Builder;
use hyper::http::response::Parts;
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// The address of a service: `http://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    authority: String,
    addresses: Vec<SocketAddr>,
}

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Nobody listens there, or the network does not lead there.
    #[error("cannot connect to {0}: {1}")]
    Connect(String, std::io::Error),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
    /// No answer in time.
    #[error("no answer within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
}

impl Base {
    /// Reads a URL, and looks its host up.
    ///
    /// # Errors
    /// A sentence, when it is not an `http://` URL of a host without a path, or the host is unknown.
    pub async fn parse(url: &str) -> Result<Self, String> {
        let wrong =
            || format!("{url:?} is not the address of a service, such as http://127.0.0.1:8080");
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        if uri.scheme_str() == Some("https") {
            return Err(format!(
                "{url:?}: the lab speaks plain HTTP only: measure behind whatever ends TLS"
            ));
        }
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http"));
        let authority = authority.ok_or_else(wrong)?;
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(wrong());
        }
        let port = authority.port_u16().unwrap_or(80);
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let found = tokio::net::lookup_host((host, port)).await;
        let addresses: Vec<SocketAddr> =
            found.map_err(|error| format!("{url:?}: {error}"))?.collect();
        if addresses.is_empty() {
            return Err(format!("{url:?}: the host has no address"));
        }
        Ok(Self { authority: authority.to_string(), addresses })
    }

    /// As a URL without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// Host and port, for the `Host` header.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Where it answers; at least one.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Whether every address of it is this machine's loopback.
    pub fn is_loopback(&self) -> bool {
        self.addresses.iter().all(|address| address.ip().to_canonical().is_loopback())
    }

    /// A connection without Nagle's delay.
    ///
    /// # Errors
    /// When no address takes it.
    pub async fn connect(&self) -> Result<TcpStream, RequestError> {
        let stream = TcpStream::connect(self.addresses.as_slice()).await;
        let stream =
            stream.map_err(|error| RequestError::Connect(self.authority.clone(), error))?;
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    /// One GET over a connection of its own.
    ///
    /// # Errors
    /// When there is no whole answer within `timeout`.
    pub async fn get(
        &self,
        path: &str,
        timeout: Duration,
    ) -> Result<(StatusCode, Bytes), RequestError> {
        let request = self.request(Request::get(path)).body(Full::default());
        let (head, body) = self.send(request.expect("our own paths are right"), timeout).await?;
        Ok((head.status, body))
    }

    /// One POST of JSON over a connection of its own: status, seconds of `Retry-After`, body.
    ///
    /// # Errors
    /// When there is no whole answer within `timeout`.
    pub async fn post(
        &self,
        path: &str,
        json: String,
        timeout: Duration,
    ) -> Result<(StatusCode, Option<u64>, Bytes), RequestError> {
        let request = self.request(Request::post(path)).header(CONTENT_TYPE, "application/json");
        let request = request.body(Full::from(json)).expect("our own paths are right");
        let (head, body) = self.send(request, timeout).await?;
        let retry_after = head.headers.get(RETRY_AFTER).and_then(|text| text.to_str().ok());
        Ok((head.status, retry_after.and_then(|text| text.parse().ok()), body))
    }

    fn request(&self, begun: Builder) -> Builder {
        begun.header(HOST, &self.authority).header(ACCEPT_ENCODING, "identity")
    }

    async fn send(
        &self,
        request: Request<Full<Bytes>>,
        timeout: Duration,
    ) -> Result<(Parts, Bytes), RequestError> {
        let answer = async {
            let io = TokioIo::new(self.connect().await?);
            let (mut sender, connection): (SendRequest<Full<Bytes>>, _) =
                http1::handshake(io).await?;
            // The task ends when the sender is dropped.
            tokio::spawn(connection);
            let (head, body) = sender.send_request(request).await?.into_parts();
            Ok((head, body.collect().await?.to_bytes()))
        };
        let in_time = tokio::time::timeout(timeout, answer).await;
        in_time.unwrap_or(Err(RequestError::Timeout(timeout)))
    }
}
