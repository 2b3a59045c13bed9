//! What a failure of PostgreSQL, or of a pooler before it, means to the caller.

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, SqlState};

use crate::connector::Connector;
use crate::store::error::with_causes;
use crate::store::{ErrorKind, StoreError};

/// What to do where named statements do not work.
const UNNAMED: &str = "; a pooler seems to be in between that hands out a server for each transaction: \
    set database.prepared_statements = \"unnamed\"";
const SEED: &str = "; run `poolwise seed` to create and fill the tables, or `poolwise db migrate` to add those that a newer version wants";

/// What a failed attempt to connect means.
pub(super) fn of_connect(error: &Error, connector: &Connector) -> StoreError {
    if let Some(problem) = connector.tls_problem(error) {
        return StoreError::new(ErrorKind::Refused, problem);
    }
    let (kind, advice) = match error.as_db_error() {
        Some(refusal) => of_refusal(refusal),
        None => match with_causes(error) {
            text if text.contains("password missing") => (
                ErrorKind::Refused,
                "; the server asks for a password: put it into the URL, or set database.password_file",
            ),
            // Another form of password, another protocol: it answers, but not to us.
            text if text.starts_with("authentication error") => (ErrorKind::Refused, ""),
            _ => (ErrorKind::Unreachable, ""),
        },
    };
    StoreError::new(kind, format_args!("connecting to PostgreSQL: {}{advice}", with_causes(error)))
}

/// What the server, or a pooler, says to somebody whom it does not let in.
fn of_refusal(refusal: &DbError) -> (ErrorKind, &'static str) {
    match *refusal.code() {
        SqlState::TOO_MANY_CONNECTIONS => (ErrorKind::Saturated, ""),
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            (ErrorKind::Refused, "; correct the user and the password there, or at the server")
        }
        SqlState::INVALID_CATALOG_NAME => (
            ErrorKind::Refused,
            "; correct the name of the database there, or create it (createdb)",
        ),
        SqlState::PROTOCOL_VIOLATION if is_startup_parameter(refusal) => {
            (ErrorKind::NotPrepared, UNNAMED)
        }
        SqlState::PROTOCOL_VIOLATION => of_pooler(refusal),
        _ => (ErrorKind::Unreachable, ""),
    }
}

/// PgBouncer before 1.20 takes no `options`, where our statement_timeout stands.
fn is_startup_parameter(refusal: &DbError) -> bool {
    refusal.message().contains("startup parameter")
}

/// PgBouncer says everything under the code of a protocol violation.
fn of_pooler(refusal: &DbError) -> (ErrorKind, &'static str) {
    let says = |part| refusal.message().contains(part);
    if says("query_wait_timeout") || says("no more connections") {
        (ErrorKind::Saturated, "")
    } else if says("no such") || says("not allowed") || says("authentication failed") {
        (ErrorKind::Refused, "; correct the user and the database there, or at the pooler")
    } else {
        (ErrorKind::Disconnected, "")
    }
}

/// What a failed statement means.
pub(super) fn of_statement(error: &Error) -> StoreError {
    let (kind, advice) = match error.as_db_error() {
        Some(refusal) => of_answer(refusal),
        // Without an answer of the server it is the connection that failed.
        None if error.is_closed() || is_io(error) => (ErrorKind::Disconnected, ""),
        None => (ErrorKind::Internal, ""),
    };
    StoreError::new(kind, format_args!("PostgreSQL: {}{advice}", with_causes(error)))
}

fn of_answer(refusal: &DbError) -> (ErrorKind, &'static str) {
    match *refusal.code() {
        SqlState::QUERY_CANCELED => (ErrorKind::StatementTimeout, ""),
        // Serialisable transactions, distributed engines, and replicas whose rows are vacuumed away.
        SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED => {
            (ErrorKind::Conflict, "")
        }
        SqlState::UNIQUE_VIOLATION => (ErrorKind::Taken, ""),
        SqlState::ADMIN_SHUTDOWN
        | SqlState::CRASH_SHUTDOWN
        | SqlState::CANNOT_CONNECT_NOW
        | SqlState::CONNECTION_FAILURE
        | SqlState::IDLE_SESSION_TIMEOUT => (ErrorKind::Disconnected, ""),
        SqlState::PROTOCOL_VIOLATION => of_pooler(refusal),
        SqlState::TOO_MANY_CONNECTIONS => (ErrorKind::Saturated, ""),
        SqlState::UNDEFINED_TABLE | SqlState::UNDEFINED_COLUMN => (ErrorKind::NotPrepared, SEED),
        // A column of another type, which the fragments compare with a value of ours.
        SqlState::UNDEFINED_FUNCTION | SqlState::DATATYPE_MISMATCH => {
            (ErrorKind::NotPrepared, "; the table is of another shape")
        }
        SqlState::INVALID_SQL_STATEMENT_NAME | SqlState::DUPLICATE_PSTATEMENT => {
            (ErrorKind::NotPrepared, UNNAMED)
        }
        SqlState::INSUFFICIENT_PRIVILEGE => {
            (ErrorKind::Refused, "; grant the user that right (grant select on products to ...)")
        }
        SqlState::READ_ONLY_SQL_TRANSACTION => {
            (ErrorKind::Refused, "; this server is a read replica: connect to the primary to write")
        }
        _ => (ErrorKind::Internal, ""),
    }
}

fn is_io(error: &Error) -> bool {
    std::error::Error::source(error).is_some_and(|cause| cause.is::<std::io::Error>())
}
