//! The two ways into Redis, made one: a single server and a cluster.
//!
//! Who asks through a [`Link`] does not see which it is, except for what the driver hides: of a
//! cluster, when bytes last moved.

use std::sync::Arc;

use redis::aio::ConnectionLike;
use redis::{Cmd, Pipeline, RedisFuture, Value};

use crate::config;
use crate::redis_client::{Client, Connection, Flow};

/// Opens links.
#[derive(Clone)]
pub(super) enum Door {
    Server(Client),
    #[cfg(feature = "redis-cluster")]
    Cluster(Box<redis::cluster::ClusterClient>),
}

/// An open connection that many share; of a cluster, one to each node.
#[derive(Clone)]
pub(super) enum Link {
    Server(Connection),
    #[cfg(feature = "redis-cluster")]
    Cluster(redis::cluster_async::ClusterConnection),
}

impl Door {
    /// # Errors
    /// A sentence, when the settings cannot be used.
    pub fn new(settings: &config::Cache, client: &Client) -> Result<Self, String> {
        if !settings.redis_url.is_cluster() {
            return Ok(Door::Server(client.clone()));
        }
        #[cfg(feature = "redis-cluster")]
        return cluster(settings);
        #[cfg(not(feature = "redis-cluster"))]
        unreachable!("the configuration refuses a cluster");
    }

    /// # Errors
    /// A sentence, when there is no connection in time.
    pub async fn open(&self) -> Result<Link, String> {
        match self {
            Door::Server(client) => client.connect().await.map(Link::Server),
            #[cfg(feature = "redis-cluster")]
            Door::Cluster(client) => match client.get_async_connection().await {
                Ok(connection) => Ok(Link::Cluster(connection)),
                Err(error) => Err(crate::redis_client::why(&error)),
            },
        }
    }
}

/// The driver retries by itself, for redirections and for a slot that moves; each try and all of them
/// together end at `redis_timeout`.
#[cfg(feature = "redis-cluster")]
fn cluster(settings: &config::Cache) -> Result<Door, String> {
    use redis::io::tcp::TcpSettings;
    use redis::{IntoConnectionInfo, TlsCertificates, cluster::ClusterClient};
    /// After a redirection, one to a node that is down, and once the slots are known again.
    const RETRIES: u32 = 3;
    const RETRY_WAIT_MS: [u64; 2] = [10, 100];
    let servers: Result<Vec<_>, _> = settings
        .redis_url
        .servers()
        .iter()
        .map(|server| server.expose().into_connection_info())
        .collect();
    let mut builder = ClusterClient::builder(servers.map_err(|error| error.to_string())?)
        .connection_timeout(settings.redis_connect_timeout)
        .response_timeout(settings.redis_timeout)
        .retries(RETRIES)
        .min_retry_wait(RETRY_WAIT_MS[0])
        .max_retry_wait(RETRY_WAIT_MS[1])
        .tcp_settings(TcpSettings::default().set_nodelay(true));
    if settings.redis_url.is_tls() {
        let root_cert = settings.redis_root_cert.as_ref().map(|root| root.pem().to_vec());
        builder = builder.certs(TlsCertificates { client_tls: None, root_cert });
    }
    let client = builder.build().map_err(|error| error.to_string())?;
    Ok(Door::Cluster(Box::new(client)))
}

impl Link {
    /// When bytes last moved, where that can be seen.
    pub fn flow(&self) -> Option<&Flow> {
        match self {
            Link::Server(connection) => Some(connection.flow()),
            #[cfg(feature = "redis-cluster")]
            Link::Cluster(_) => None,
        }
    }

    /// Whether it repairs itself: a cluster's does, node by node.
    pub fn repairs_itself(&self) -> bool {
        self.flow().is_none()
    }

    /// Whether both are the same connection.
    pub fn is(&self, other: &Link) -> bool {
        match (self, other) {
            (Link::Server(one), Link::Server(other)) => Arc::ptr_eq(one.flow(), other.flow()),
            // Only a link that is open can be lost, and a line has one at a time.
            #[cfg(feature = "redis-cluster")]
            _ => true,
        }
    }
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Link::Server(connection) => connection.req_packed_command(command),
            #[cfg(feature = "redis-cluster")]
            Link::Cluster(connection) => connection.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Link::Server(connection) => connection.req_packed_commands(pipeline, offset, count),
            #[cfg(feature = "redis-cluster")]
            Link::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Link::Server(connection) => connection.get_db(),
            #[cfg(feature = "redis-cluster")]
            Link::Cluster(connection) => connection.get_db(),
        }
    }
}
