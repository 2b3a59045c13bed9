//! The database server, of whichever kind.

#[cfg(feature = "mysql")]
use super::mysql::Mysql;
use super::postgres::Postgres;
use super::process::Roots;
use super::{Config, Server};
use crate::config::{Backend, DatabaseUrl};
use crate::lab::record::{Source, Usage};

/// Looks at a database server.
pub(super) enum Database {
    Postgres(Box<Postgres>),
    #[cfg(feature = "mysql")]
    Mysql(Box<Mysql>),
}

impl Database {
    /// The server behind `url`, which is one of the configuration.
    pub async fn connect(roots: Roots, config: &Config, url: &DatabaseUrl) -> Server<Self> {
        let connected = match config.database.backend {
            Backend::Sqlite => {
                let why = "SQLite runs inside the service: its cost is part of the API's";
                return Server::Absent(why.to_owned());
            }
            Backend::Postgres => {
                Postgres::connect(roots, url).await.map(|found| Self::Postgres(Box::new(found)))
            }
            #[cfg(feature = "mysql")]
            Backend::Mysql => {
                Mysql::connect(roots, url).await.map(|found| Self::Mysql(Box::new(found)))
            }
            #[cfg(not(feature = "mysql"))]
            Backend::Mysql => Err("this program was built without `--features mysql`".to_owned()),
        };
        connected.map_or_else(Server::Unknown, Server::Watched)
    }

    /// Its name and version, once it was reached.
    pub fn version(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::Postgres(server) => Some(("PostgreSQL", server.version()?)),
            #[cfg(feature = "mysql")]
            Self::Mysql(server) => server.version(),
        }
    }

    /// Connections that it allows, and of them those for administrators.
    pub fn limits(&self) -> (Option<u64>, Option<u64>) {
        match self {
            Self::Postgres(server) => server.limits(),
            #[cfg(feature = "mysql")]
            Self::Mysql(server) => server.limits(),
        }
    }

    /// Where the figures come from.
    pub fn source(&self) -> Source {
        match self {
            Self::Postgres(server) => server.source(),
            #[cfg(feature = "mysql")]
            Self::Mysql(server) => server.source(),
        }
    }

    /// What it has used so far. Takes about half a second at most; a part that does not answer is
    /// `None`.
    pub async fn look(&mut self) -> Usage {
        match self {
            Self::Postgres(server) => server.look().await,
            #[cfg(feature = "mysql")]
            Self::Mysql(server) => server.look().await,
        }
    }
}
