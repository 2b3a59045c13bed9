//! What errors of the driver and of the server mean.
//!
//! Numbers: MySQL 8.0 Error Message Reference; MariaDB Error Codes.

use mysql_async::{DriverError, Error, IoError};

use crate::config::DatabaseUrl;
use crate::store::error::with_causes;
use crate::store::{ErrorKind, StoreError};

/// What a failed attempt to connect means, and what to do about it.
pub(super) fn connect_error(url: &DatabaseUrl, error: &Error) -> StoreError {
    let (kind, remedy) = match error {
        Error::Server(server) => match server.code {
            1040 | 1203 | 1226 => (ErrorKind::Saturated, "it has no connection left"),
            1044 => (ErrorKind::Unreachable, "let this user use the database of `database.url`"),
            1045 | 1698 => {
                (ErrorKind::Unreachable, "correct the user or the password in `database.url`")
            }
            1049 => (
                ErrorKind::Unreachable,
                "create this database (config/mysql.toml shows how) or correct `database.url`",
            ),
            _ => (ErrorKind::Unreachable, "see `database.url`"),
        },
        Error::Io(IoError::Tls(_)) => (
            ErrorKind::Unreachable,
            "see the certificate that the server shows, and `ssl_ca`, `verify_ca` and `verify_identity` in `database.url`",
        ),
        Error::Driver(DriverError::NoClientSslFlagFromServer) => (
            ErrorKind::Unreachable,
            "set up TLS at the server, or take `require_ssl` out of `database.url`",
        ),
        _ => (ErrorKind::Unreachable, "see whether it runs where `database.url` says"),
    };
    StoreError::new(kind, format_args!("connecting to {url}: {}; {remedy}", with_causes(error)))
}

/// What a failed statement means.
pub(super) fn statement_error(error: &Error) -> StoreError {
    let kind = match error {
        Error::Server(server) => kind_of(server.code),
        // Without an answer of the server it is the connection that failed.
        Error::Io(_)
        | Error::Driver(DriverError::ConnectionClosed | DriverError::PacketOutOfOrder) => {
            ErrorKind::Disconnected
        }
        _ => ErrorKind::Internal,
    };
    let hint = match error {
        Error::Server(server) if matches!(server.code, 1142 | 1143) => {
            "; grant the user of `database.url` the rights that config/mysql.toml names"
        }
        _ if kind == ErrorKind::NotPrepared => {
            "; run `poolwise seed` to create and fill the tables"
        }
        _ => "",
    };
    StoreError::new(kind, format_args!("MySQL: {}{hint}", with_causes(error)))
}

fn kind_of(code: u16) -> ErrorKind {
    match code {
        // A limit of time: MariaDB's, MySQL's; a statement that somebody killed.
        1969 | 3024 | 1317 => ErrorKind::StatementTimeout,
        // Shutdown, killed (MariaDB), idle for too long (MySQL), gone, lost, broken on the way.
        1053 | 1927 | 4031 | 2006 | 2013 | 1152..=1161 | 1184 => ErrorKind::Disconnected,
        1040 | 1203 | 1226 => ErrorKind::Saturated,
        // No such table or column; no right to read it.
        1146 | 1054 | 1142 | 1143 => ErrorKind::NotPrepared,
        _ => ErrorKind::Internal,
    }
}
