//! What errors of the driver and of the server mean.
//!
//! Numbers: MySQL 8.0 Error Message Reference; MariaDB Error Codes.

use mysql_async::{DriverError, Error, IoError};

use crate::config::DatabaseUrl;
use crate::store::{ErrorKind, StoreError};

/// What a failed attempt to connect means, and what to do about it.
pub(super) fn connect_error(url: &DatabaseUrl, error: &Error) -> StoreError {
    let (kind, remedy) = match error {
        Error::Server(server) => match server.code {
            1040 | 1203 | 1226 => (ErrorKind::Saturated, "it has no connection left"),
            1044 => (ErrorKind::Refused, "let this user use the database of `database.url`"),
            1045 | 1698 => {
                (ErrorKind::Refused, "correct the user or the password in `database.url`")
            }
            1049 => (
                ErrorKind::Refused,
                "create this database (config/mysql.toml shows how) or correct `database.url`",
            ),
            _ => (ErrorKind::Unreachable, "see `database.url`"),
        },
        error if is_tls(error) => (
            ErrorKind::Unreachable,
            "see the certificate that the server shows, and `ssl_ca` and `verify_ca` in `database.url`",
        ),
        Error::Driver(DriverError::NoClientSslFlagFromServer) => (
            ErrorKind::Unreachable,
            "set up TLS at the server, or take `require_ssl` out of `database.url`",
        ),
        _ => (ErrorKind::Unreachable, "see whether it runs where `database.url` says"),
    };
    StoreError::new(kind, format_args!("connecting to {url}: {}; {remedy}", reason(error)))
}

/// The error without the driver's words around it.
fn reason(error: &Error) -> String {
    match error {
        Error::Server(error) => error.to_string(),
        Error::Io(IoError::Io(error)) => error.to_string(),
        Error::Io(IoError::Tls(error)) => error.to_string(),
        Error::Driver(error) => error.to_string(),
        Error::Url(error) => error.to_string(),
        Error::Other(error) => error.to_string(),
    }
}

fn is_tls(error: &Error) -> bool {
    match error {
        Error::Io(IoError::Tls(_)) => true,
        Error::Io(IoError::Io(error)) => {
            error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
        }
        _ => false,
    }
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
            "; run `poolwise seed` to create and fill the tables, or `poolwise db migrate` to add those that a newer version wants"
        }
        _ => "",
    };
    StoreError::new(kind, format_args!("MySQL: {}{hint}", reason(error)))
}

fn kind_of(code: u16) -> ErrorKind {
    match code {
        // A limit of time: MariaDB's, MySQL's; a statement that somebody killed.
        1969 | 3024 | 1317 => ErrorKind::StatementTimeout,
        // Shutdown, killed (MariaDB), idle for too long (MySQL), gone, lost, broken on the way.
        1053 | 1927 | 4031 | 2006 | 2013 | 1152..=1161 | 1184 => ErrorKind::Disconnected,
        1040 | 1203 | 1226 => ErrorKind::Saturated,
        1062 => ErrorKind::Taken,
        // A deadlock; a lock that was waited for in vain.
        1213 | 1205 => ErrorKind::Conflict,
        // A server that takes no writes: MariaDB's, MySQL's --read-only; a transaction that reads only.
        1290 | 1792 | 1836 => ErrorKind::Refused,
        // No such table or column; no right to read it.
        1146 | 1054 | 1142 | 1143 => ErrorKind::NotPrepared,
        _ => ErrorKind::Internal,
    }
}
