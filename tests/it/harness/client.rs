//! HTTP clients: one that takes whole answers, one that takes its time.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;

use super::Fate;

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: hyper::HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// A header's text; empty without one.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("headers are ASCII"))
    }

    /// What the cache did.
    pub fn cache(&self) -> &str {
        self.header("x-cache")
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    /// The last word of a problem's type.
    pub fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json");
        let document = self.json();
        assert_eq!(document["status"], self.status.as_u16());
        assert_eq!(document["request_id"], self.header("x-request-id"));
        let kind = document["type"].as_str().expect("a problem has a type");
        kind.rsplit(':').next().expect("it is not empty").to_owned()
    }
}

/// A connection that ended before the answer did; with the bytes that came.
#[derive(Debug)]
pub struct Broken(pub Vec<u8>);

/// Makes requests, each on a connection of its own.
#[derive(Debug, Clone, Copy)]
pub struct Client(pub SocketAddr);

impl Client {
    /// GET, and all of the answer.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[]).await
    }

    /// GET with headers.
    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(Method::GET, path, headers).await
    }

    /// Any request.
    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send_body(method, path, headers, Bytes::new()).await
    }

    /// POST of JSON.
    pub async fn post(&self, path: &str, body: &serde_json::Value) -> Answer {
        let headers = [("content-type", "application/json")];
        self.send_body(Method::POST, path, &headers, body.to_string().into()).await
    }

    /// Registers a user and signs it in; the access token.
    pub async fn sign_in(&self, name: &str, password: &str) -> String {
        let user = serde_json::json!({ "name": name, "password": password });
        let registered = self.post("/auth/register", &user).await;
        assert_eq!(registered.status, 201, "{registered:?}");
        let signed_in = self.post("/auth/login", &user).await;
        assert_eq!(signed_in.status, 200, "{signed_in:?}");
        signed_in.json()["access_token"].as_str().expect("a text").to_owned()
    }

    /// Any request with a body.
    pub async fn send_body(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Answer {
        let (connection, _task) = connect(self.0, None).await.expect("the service listens");
        whole(connection, request(method, path, headers, body)).await
    }

    /// GET from this address of ours.
    pub async fn get_from(&self, source: IpAddr, path: &str, headers: &[(&str, &str)]) -> Answer {
        let socket = TcpSocket::new_v4().expect("a socket can be made");
        socket.bind((source, 0).into()).expect("it is an address of this machine");
        let stream = socket.connect(self.0).await.expect("the service listens");
        let (connection, _task) = over(stream).await.expect("it speaks HTTP");
        whole(connection, request(Method::GET, path, headers, Bytes::new())).await
    }

    /// GET that may fail in any way; how it ends, if it should give `expected`.
    pub async fn attempt(&self, path: &str, expected: &Bytes) -> Fate {
        let Ok((mut connection, _task)) = connect(self.0, None).await else {
            return Fate::Unanswered;
        };
        let sent = connection.send_request(request(Method::GET, path, &[], Bytes::new())).await;
        let Ok(response) = sent else { return Fate::Unanswered };
        let (head, body) = response.into_parts();
        let Ok(body) = body.collect().await else { return Fate::Truncated };
        let answer = Answer { status: head.status, headers: head.headers, body: body.to_bytes() };
        match answer.status.as_u16() {
            200 if answer.body == *expected => Fate::Right,
            200 => Fate::Wrong,
            status => Fate::Refused(status, answer.problem()),
        }
    }

    /// Begins to read an answer with a small receive buffer, so that it is us who hold it up.
    pub async fn read_slowly(&self, path: &str) -> SlowClient {
        const RECEIVE_BUFFER: u32 = 32 * 1024;
        let connected = connect(self.0, Some(RECEIVE_BUFFER)).await;
        let (mut connection, task) = connected.expect("the service listens");
        let sent = connection.send_request(request(Method::GET, path, &[], Bytes::new())).await;
        let response = sent.expect("the service answers");
        SlowClient { response, read: Vec::new(), _connection: connection, task }
    }
}

/// An answer that is taken piece by piece. Dropping it closes the connection.
pub struct SlowClient {
    pub response: Response<Incoming>,
    read: Vec<u8>,
    _connection: SendRequest<Full<Bytes>>,
    task: JoinHandle<()>,
}

impl SlowClient {
    /// Takes at least this much more.
    pub async fn read(&mut self, bytes: usize) {
        let wanted = self.read.len() + bytes;
        while self.read.len() < wanted {
            let frame = self.response.body_mut().frame().await.expect("there is more to read");
            let data = frame.expect("the answer goes on").into_data();
            self.read.extend_from_slice(&data.unwrap_or_default());
        }
    }

    /// Takes all the rest: the whole body, or what came of it before the connection ended.
    pub async fn read_to_end(mut self) -> Result<Vec<u8>, Broken> {
        let mut read = std::mem::take(&mut self.read);
        while let Some(frame) = self.response.body_mut().frame().await {
            match frame {
                Ok(frame) => read.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Err(_) => return Err(Broken(read)),
            }
        }
        Ok(read)
    }
}

impl Drop for SlowClient {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn request(
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path).header("host", "test");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(body)).expect("the test makes a valid request")
}

async fn whole(mut connection: SendRequest<Full<Bytes>>, request: Request<Full<Bytes>>) -> Answer {
    let response = connection.send_request(request).await.expect("the service answers");
    let (head, body) = response.into_parts();
    let body = body.collect().await.expect("the answer is whole").to_bytes();
    Answer { status: head.status, headers: head.headers, body }
}

type Connected = (SendRequest<Full<Bytes>>, JoinHandle<()>);

async fn connect(address: SocketAddr, receive_buffer: Option<u32>) -> std::io::Result<Connected> {
    let socket = TcpSocket::new_v4()?;
    if let Some(bytes) = receive_buffer {
        // Before connecting: the window is agreed on then.
        socket.set_recv_buffer_size(bytes)?;
    }
    over(socket.connect(address).await?).await
}

async fn over(stream: TcpStream) -> std::io::Result<Connected> {
    let (sender, connection) =
        handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
    let task = tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok((sender, task))
}
