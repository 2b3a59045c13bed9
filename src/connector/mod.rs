//! PostgreSQL connections as a URL asks for them: which hosts, in which order, and over which TLS.
//!
//! The service and the lab connect through it. Knows nothing of pools, statements or tables.

mod cancel;
mod tls;
mod url;

use std::net::SocketAddr;
use std::time::Duration;

use rand::seq::SliceRandom;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::{Host, LoadBalanceHosts};
use tokio_postgres::{Client, Config, Error};
use tokio_postgres_rustls::MakeRustlsConnect;

pub use self::cancel::Canceller;
use self::cancel::Peer;
use crate::config::{DatabaseUrl, SslMode};

/// An open connection.
pub struct Connected {
    /// For statements.
    pub client: Client,
    /// Drives the connection; it ends when the client is dropped.
    pub driver: JoinHandle<()>,
    /// Stops the statement that runs on it.
    pub canceller: Canceller,
}

/// Connects to the hosts of one URL, the first that will do.
#[derive(Clone)]
pub struct Connector {
    /// One for each host, in the order of the URL.
    hosts: Vec<Config>,
    /// Time for each host but the last, which has what the caller leaves.
    share: Duration,
    tls: MakeRustlsConnect,
    sslmode: SslMode,
    /// Where the trusted certificates come from, in words.
    roots: String,
}

impl Connector {
    /// A connector that has `connect_timeout` for all hosts together. Connects to none yet, but
    /// reads the certificates that the URL names.
    ///
    /// # Errors
    /// A sentence that shows no password, when the URL is not one or a certificate cannot be used.
    pub fn new(url: &DatabaseUrl, connect_timeout: Duration) -> Result<Self, String> {
        let parts = url::split(url.expose()).map_err(|why| format!("{url}: {why}"))?;
        let count = u32::try_from(parts.urls.len()).unwrap_or(u32::MAX);
        let share = connect_timeout / count;
        let hosts: Result<Vec<Config>, String> =
            parts.urls.iter().map(|url| host(url, parts.sslmode, share)).collect();
        let tls = tls::client_config(&parts)?;
        Ok(Self {
            hosts: hosts.map_err(|why| format!("{url}: {why}"))?,
            share,
            tls: MakeRustlsConnect::new(tls),
            sslmode: parts.sslmode,
            roots: parts.roots(),
        })
    }

    /// Changes what is asked of every host.
    pub fn configure(&mut self, change: impl Fn(&mut Config)) {
        self.hosts.iter_mut().for_each(change);
    }

    /// The driver's settings for the first host.
    fn first(&self) -> &Config {
        &self.hosts[0]
    }

    /// Opens a connection to the first host that lets us in and is what the URL asks for.
    ///
    /// # Errors
    /// That of the host that was tried last.
    ///
    /// # Cancellation safety
    /// May be dropped.
    pub async fn connect(&self) -> Result<Connected, Error> {
        let mut hosts: Vec<&Config> = self.hosts.iter().collect();
        if self.first().get_load_balance_hosts() == LoadBalanceHosts::Random {
            hosts.shuffle(&mut rand::rng());
        }
        let (last, others) = hosts.split_last().expect("a URL has a host, if only an empty one");
        for config in others {
            // The driver's own limit ends with the handshake of TCP: a frozen server passes that.
            match timeout(self.share, self.connect_to(config)).await {
                Ok(Ok(opened)) => return Ok(opened),
                Ok(Err(error)) => tracing::debug!(?error, "this host will not do; trying the next"),
                Err(_) => tracing::debug!(limit = ?self.share, "no answer; trying the next host"),
            }
        }
        self.connect_to(last).await
    }

    /// Tries the addresses of one host.
    async fn connect_to(&self, config: &Config) -> Result<Connected, Error> {
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let name = match &config.get_hosts()[0] {
            Host::Tcp(name) => name,
            Host::Unix(folder) => {
                let socket = folder.join(format!(".s.PGSQL.{port}"));
                return self.open(config, Some(Peer::Unix(socket)), "").await;
            }
        };
        let addresses: Vec<SocketAddr> = match config.get_hostaddrs().first() {
            Some(address) => vec![(*address, port).into()],
            None => match tokio::net::lookup_host((name.as_str(), port)).await {
                Ok(found) => found.collect(),
                Err(_) => Vec::new(),
            },
        };
        let Some((last, others)) = addresses.split_last() else {
            // The driver looks in vain as well, and says so.
            return self.open(config, None, name).await;
        };
        let at = async |address: &SocketAddr| {
            let mut config = config.clone();
            if config.get_hostaddrs().is_empty() {
                config.hostaddr(address.ip());
            }
            self.open(&config, Some(Peer::Tcp(*address)), name).await
        };
        for address in others {
            match at(address).await {
                Ok(opened) => return Ok(opened),
                Err(error) => tracing::debug!(?error, %address, "trying the next address"),
            }
        }
        at(last).await
    }

    async fn open(
        &self,
        config: &Config,
        peer: Option<Peer>,
        name: &str,
    ) -> Result<Connected, Error> {
        let (client, connection) = config.connect(self.tls.clone()).await?;
        let driver = tokio::spawn(async move {
            // Whoever waits for an answer is told as well.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to PostgreSQL ended");
            }
        });
        let token = client.cancel_token();
        let canceller = Canceller { token, peer, hostname: name.to_owned(), tls: self.tls.clone() };
        Ok(Connected { client, driver, canceller })
    }

    /// What is wrong with the other side's TLS and what to do, where that is why a connection failed.
    pub fn tls_problem(&self, error: &Error) -> Option<String> {
        tls::problem(error, self.sslmode, &self.roots)
    }
}

/// The driver's settings for a URL of one host.
fn host(url: &str, sslmode: SslMode, share: Duration) -> Result<Config, String> {
    let mut config: Config = url.parse().map_err(|error: Error| with_cause(&error))?;
    if config.get_hosts().is_empty() {
        let addresses = config.get_hostaddrs().to_vec();
        if addresses.is_empty() {
            return Err("it names no host".into());
        }
        // Otherwise there would be no name to ask TLS for.
        for address in addresses {
            config.host(address.to_string());
        }
    }
    if config.get_hosts().len() > 1 {
        return Err("write several hosts as HOST1:PORT,HOST2:PORT before the name".into());
    }
    // As in libpq: TLS is for networks.
    let is_local = config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
    config.ssl_mode(match sslmode {
        SslMode::Disable => tokio_postgres::config::SslMode::Disable,
        _ if is_local => tokio_postgres::config::SslMode::Disable,
        SslMode::Prefer => tokio_postgres::config::SslMode::Prefer,
        _ => tokio_postgres::config::SslMode::Require,
    });
    config.connect_timeout(share);
    Ok(config)
}

fn with_cause(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connector(url: &str) -> Result<Connector, String> {
        Connector::new(&DatabaseUrl::new(url), Duration::from_secs(6))
    }

    #[test]
    fn each_host_has_its_settings_and_its_share_of_the_time() {
        let several = connector("postgres://u:p@a,b:2,%2Frun%2Fpg:3/d?application_name=x").unwrap();
        assert_eq!(several.share, Duration::from_secs(2));
        let alone = ["a:5432", "b:2", "%2Frun%2Fpg:3"];
        for (host, alone) in several.hosts.iter().zip(alone) {
            let mut expected = connector(&format!("postgres://u:p@{alone}/d?application_name=x"));
            let expected = &mut expected.as_mut().unwrap().hosts[0];
            assert_eq!(host, expected.connect_timeout(several.share));
        }
        assert_eq!(several.hosts.len(), alone.len());
    }

    #[test]
    fn a_unix_socket_takes_no_tls() {
        let modes = |url| -> Vec<_> {
            connector(url).unwrap().hosts.iter().map(Config::get_ssl_mode).collect()
        };
        use tokio_postgres::config::SslMode::{Disable, Require};
        assert_eq!(modes("postgres://a,%2Frun/d?sslmode=require"), [Require, Disable]);
        assert_eq!(modes("postgres:///d?host=/run&sslmode=require"), [Disable]);
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_its_password() {
        for (url, part) in [
            ("postgres://u:hush@h:port/d", "port"),
            (
                "postgres://u:hush@h/d?sslmode=allow",
                "disable, prefer, require, verify-ca, verify-full",
            ),
            ("postgres://u:hush@h/d?colour=red", "colour"),
            (
                "postgres://u:hush@h/d?sslrootcert=/nowhere/ca.pem&sslmode=require",
                "/nowhere/ca.pem",
            ),
            ("postgres://u:hush@h/d?sslcert=/nowhere/c.pem", "sslkey"),
            ("postgres://u:hush@h/d?target_session_attrs=standby", "target_session_attrs"),
            ("postgres:///d", "host"),
        ] {
            let why = connector(url).err().unwrap_or_else(|| panic!("{url} is taken"));
            assert!(why.contains(part) && !why.contains("hush"), "{why}");
        }
    }
}
