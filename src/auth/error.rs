//! What can go wrong with a sign-in, sorted by what the caller should do.

use std::time::Duration;

use super::database::Unwritten;
use crate::store::{ErrorKind, StoreError};

/// What the caller should do about it.
#[derive(Debug)]
pub enum AuthError {
    /// Sign in: the token is none that holds; why, for the log.
    Unauthorized(&'static str),
    /// Give another name or password.
    WrongCredentials,
    /// Come back after this: there were too many failures.
    TooManyFailures {
        /// Until one more attempt is free.
        retry_after: Duration,
    },
    /// Come back a little later: too many passwords are being hashed.
    Saturated,
    /// Come back later: where sign-ins are kept cannot be reached; why, for the log.
    Unavailable(String),
    /// Look whether it took place before it is repeated: nobody here knows; why, for the log.
    Unknown(String),
    /// What the database of users says.
    Store(StoreError),
}

impl From<Unwritten> for AuthError {
    fn from(unwritten: Unwritten) -> Self {
        match unwritten {
            Unwritten::Failed(error) => AuthError::Store(error),
            Unwritten::Unknown(error) => AuthError::Unknown(error.to_string()),
        }
    }
}

impl From<StoreError> for AuthError {
    fn from(error: StoreError) -> Self {
        AuthError::Store(error)
    }
}

impl AuthError {
    /// What an error of the store of sign-ins means: whoever cannot ask it must not guess.
    pub(super) fn of_sign_ins(error: impl Into<StoreError>) -> Self {
        let error = error.into();
        match error.kind() {
            ErrorKind::Saturated | ErrorKind::NotPrepared => AuthError::Store(error),
            _ => AuthError::Unavailable(error.to_string()),
        }
    }
}
