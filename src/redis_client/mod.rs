//! How a Redis server is reached: URL, password, TLS, time limits.
//!
//! The cache and the lab must reach the same servers by the same rules, and neither may know the
//! other, so what they share stands here. It knows nothing of entries and nothing of samples.

mod nodes;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection, PubSub, PubSubSink, PubSubStream};
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo,
    Pipeline, RedisError, RedisFuture, Value,
};
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

pub use nodes::{Nodes, Seen};
use stream::{Duplex, Watched};
pub use stream::{Flow, Moment};

use crate::config;

/// An idle connection is asked after this whether its server is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Opens connections to the servers of `cache.redis_url`.
#[derive(Clone)]
pub struct Client {
    servers: Vec<ConnectionInfo>,
    cluster: bool,
    tls: Option<TlsConnector>,
    connect_timeout: Duration,
}

impl Client {
    /// Nothing is opened yet.
    ///
    /// # Errors
    /// A sentence: a URL that the driver does not understand, or no authority to check
    /// certificates by.
    pub fn new(settings: &config::Cache) -> Result<Self, String> {
        let url = &settings.redis_url;
        let servers: Result<Vec<_>, _> =
            url.servers().iter().map(|server| server.expose().into_connection_info()).collect();
        let tls = url.is_tls().then(|| connector(settings.redis_root_cert.as_ref())).transpose()?;
        Ok(Self {
            servers: servers.map_err(|error| error.to_string())?,
            cluster: url.is_cluster(),
            tls,
            connect_timeout: settings.redis_connect_timeout,
        })
    }

    /// Opens a connection to the server, password and database included.
    ///
    /// # Errors
    /// A sentence.
    pub async fn connect(&self) -> Result<Connection, String> {
        self.connect_to(&self.servers[0]).await
    }

    async fn connect_to(&self, server: &ConnectionInfo) -> Result<Connection, String> {
        self.in_time(self.open(server)).await
    }

    /// Opens a connection of its own to `server` and hears on it what is published on `channel`; what
    /// was published before this returns may be missing.
    ///
    /// # Errors
    /// A sentence.
    pub async fn subscribe(
        &self,
        server: &Server,
        channel: &str,
    ) -> Result<(PubSubSink, PubSubStream), String> {
        let subscribing = async {
            let (stream, _) = self.stream(&server.0).await?;
            let opened = PubSub::new(server.0.redis_settings(), stream).await;
            let (mut sink, stream) = opened.map_err(|error| why(&error))?.split();
            sink.subscribe(channel).await.map_err(|error| why(&error))?;
            Ok((sink, stream))
        };
        self.in_time(subscribing).await
    }

    /// The servers that take writes, by host and port: the one, or every primary of a cluster.
    ///
    /// # Errors
    /// Why the nodes of a cluster cannot be told.
    pub async fn primaries(&self) -> Result<Vec<(String, Server)>, String> {
        self.in_time(self.told_primaries()).await
    }

    async fn in_time<T>(
        &self,
        opening: impl Future<Output = Result<T, String>>,
    ) -> Result<T, String> {
        let limit = self.connect_timeout;
        match tokio::time::timeout(limit, opening).await {
            Ok(opened) => opened,
            Err(_) => {
                let limit = humantime::format_duration(limit);
                Err(format!("no connection within {limit} (cache.redis_connect_timeout)"))
            }
        }
    }

    /// Bytes to and from a server, encrypted where the URL says so.
    async fn stream(
        &self,
        server: &ConnectionInfo,
    ) -> Result<(Box<dyn Duplex>, Arc<Flow>), String> {
        let unreachable = |error: std::io::Error| format!("it cannot be reached: {error}");
        let flow = Arc::new(Flow::default());
        let stream: Box<dyn Duplex> = match server.addr() {
            ConnectionAddr::Unix(path) => {
                let socket = UnixStream::connect(path).await.map_err(unreachable)?;
                Box::new(Watched::new(socket, flow.clone()))
            }
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                let socket = TcpStream::connect((host.as_str(), *port)).await;
                let socket = socket.map_err(unreachable)?;
                socket.set_nodelay(true).map_err(unreachable)?;
                let keepalive = socket2::TcpKeepalive::new().with_time(KEEPALIVE);
                socket2::SockRef::from(&socket)
                    .set_tcp_keepalive(&keepalive)
                    .map_err(unreachable)?;
                let socket = Watched::new(socket, flow.clone());
                match &self.tls {
                    None => Box::new(socket),
                    Some(tls) => Box::new(encrypted(tls, host, socket).await?),
                }
            }
            _ => return Err("this kind of address is not known".to_owned()),
        };
        Ok((stream, flow))
    }

    async fn open(&self, server: &ConnectionInfo) -> Result<Connection, String> {
        let (stream, flow) = self.stream(server).await?;
        // The limits are those of whoever asks.
        let limits = AsyncConnectionConfig::new().set_response_timeout(None);
        let settings = server.redis_settings();
        let opened = MultiplexedConnection::new_with_config(settings, stream, limits).await;
        let (multiplexed, driver) = opened.map_err(|error| why(&error))?;
        let driver = Arc::new(AbortOnDropHandle::new(tokio::spawn(driver)));
        Ok(Connection { multiplexed, flow, _driver: driver })
    }

    /// The same door of another server.
    fn server_at(&self, host: &str, port: u16) -> ConnectionInfo {
        let address = ConnectionAddr::Tcp(host.to_owned(), port);
        self.servers[0].clone().set_addr(address)
    }
}

/// A server of a [`Client`].
#[derive(Clone)]
pub struct Server(ConnectionInfo);

async fn encrypted(
    tls: &TlsConnector,
    host: &str,
    socket: Watched<TcpStream>,
) -> Result<tokio_rustls::client::TlsStream<Watched<TcpStream>>, String> {
    let name = ServerName::try_from(host.to_owned()).map_err(|error| format!("{host}: {error}"))?;
    tls.connect(name, socket).await.map_err(|error| {
        format!(
            "no TLS with it: {error}; check the host of cache.redis_url and the authority in \
             cache.redis_root_cert"
        )
    })
}

/// Checks certificates by the authority that is named, otherwise by those that the system knows.
fn connector(root: Option<&config::RootCertificates>) -> Result<TlsConnector, String> {
    let certificates = match root {
        Some(root) => root.certificates().map_err(|error| error.to_string())?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    let mut store = rustls::RootCertStore::empty();
    let (added, _) = store.add_parsable_certificates(certificates);
    if added == 0 {
        return Err("this system has no certificates of authorities; name one in \
                    cache.redis_root_cert"
            .to_owned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().map_err(|e| e.to_string())?;
    Ok(Arc::new(builder.with_root_certificates(store).with_no_client_auth()).into())
}

/// A connection that many share. It closes when the last clone is dropped.
#[derive(Clone)]
pub struct Connection {
    multiplexed: MultiplexedConnection,
    flow: Arc<Flow>,
    _driver: Arc<AbortOnDropHandle<()>>,
}

impl Connection {
    /// When something last came or went on it.
    pub fn flow(&self) -> &Arc<Flow> {
        &self.flow
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        self.multiplexed.req_packed_command(command)
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.multiplexed.req_packed_commands(pipeline, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.multiplexed.get_db()
    }
}

/// What went wrong and what to do, for the log.
pub fn why(error: &RedisError) -> String {
    let keys = "cache.redis_url or cache.redis_password_file";
    if error.kind() == ErrorKind::AuthenticationFailed || error.code() == Some("WRONGPASS") {
        return format!("it refuses the user or the password; check {keys} ({error})");
    }
    // The driver follows by itself, as long as there is somebody to follow to.
    if let Some((node, _)) = error.redirect_node() {
        return format!("its node {node} cannot be reached");
    }
    match error.code() {
        Some("NOAUTH") => format!("it asks for a password; put one into {keys} ({error})"),
        Some("NOPERM") => format!("the user of cache.redis_url lacks a permission: {error}"),
        _ => error.to_string(),
    }
}
