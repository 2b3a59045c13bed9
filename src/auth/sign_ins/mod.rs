//! Sign-ins that hold, and the one refresh token of each. One that is not there has ended.

mod database;
mod redis;

use std::time::Duration;

use self::redis::RedisSignIns;
use super::{AuthError, Database, RefreshToken, SignInId};
use crate::config::{Config, SignInStore};
use crate::store::StoreError;

/// What became of a refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rotation {
    /// The next one holds in its place.
    Rotated {
        /// Whose it is.
        user: i64,
    },
    /// It held once; the sign-in is ended.
    Reused,
    /// There is no such sign-in.
    Unknown,
}

/// Where they are kept.
pub(super) enum SignIns {
    Database,
    Redis(RedisSignIns),
}

impl SignIns {
    /// Connects to nothing.
    pub fn new(config: &Config) -> Result<Self, StoreError> {
        Ok(match config.auth.store {
            SignInStore::Database => SignIns::Database,
            SignInStore::Redis => SignIns::Redis(RedisSignIns::new(&config.cache)?),
        })
    }

    /// One begins, with its first refresh token.
    pub async fn begin(
        &self,
        db: &Database,
        user: i64,
        token: &RefreshToken,
        lifetime: Duration,
    ) -> Result<(), AuthError> {
        match self {
            SignIns::Database => database::begin(db, user, token, lifetime).await,
            SignIns::Redis(redis) => redis.begin(user, token, lifetime).await,
        }
    }

    /// `new` holds in place of `old`, if that does; otherwise the sign-in ends.
    pub async fn rotate(
        &self,
        db: &Database,
        old: &RefreshToken,
        new: &RefreshToken,
        lifetime: Duration,
    ) -> Result<Rotation, AuthError> {
        match self {
            SignIns::Database => database::rotate(db, old, new, lifetime).await,
            SignIns::Redis(redis) => redis.rotate(old, new, lifetime).await,
        }
    }

    /// Whose it is, if it holds.
    pub async fn holder(&self, db: &Database, id: SignInId) -> Result<Option<i64>, AuthError> {
        match self {
            SignIns::Database => database::holder(db, id).await,
            SignIns::Redis(redis) => redis.holder(id).await,
        }
    }

    /// It ends; so does one that is not there.
    pub async fn end(&self, db: &Database, id: SignInId) -> Result<(), AuthError> {
        match self {
            SignIns::Database => database::end(db, id).await,
            SignIns::Redis(redis) => redis.end(id).await,
        }
    }
}
