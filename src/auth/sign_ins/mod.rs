//! Sign-ins that hold, and the one refresh token of each. One that is not there has ended.

mod database;
mod redis;

use std::time::Duration;

use self::redis::RedisSignIns;
use super::{AuthError, Database, RefreshToken, SignInId, SignedIn};
use crate::config::{Config, SignInStore};
use crate::observe::Throttle;
use crate::store::StoreError;

/// How often expired ones are forgotten, at most.
const FORGET_EVERY: Duration = Duration::from_secs(600);

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

/// The sign-ins of everybody.
pub(super) struct SignIns {
    kept: Kept,
    lifetime: Duration,
    /// So many of one user; whoever begins one more ends the one that was used longest ago.
    most: u32,
    /// When expired ones were forgotten last.
    forgetting: Throttle,
}

/// Where they are kept.
enum Kept {
    Database,
    Redis(RedisSignIns),
}

impl SignIns {
    /// Connects to nothing.
    pub fn new(config: &Config) -> Result<Self, StoreError> {
        let kept = match config.auth.store {
            SignInStore::Database => Kept::Database,
            SignInStore::Redis => Kept::Redis(RedisSignIns::new(&config.cache)?),
        };
        let (lifetime, most) = (config.auth.refresh_lifetime, config.auth.sign_ins_per_user);
        Ok(Self { kept, lifetime, most, forgetting: Throttle::default() })
    }

    /// One begins, with its first refresh token.
    pub async fn begin(
        &self,
        db: &Database,
        user: i64,
        token: &RefreshToken,
    ) -> Result<(), AuthError> {
        let trimmed = match &self.kept {
            Kept::Database => {
                database::begin(db, user, token, self.lifetime).await?;
                self.forget_expired(db);
                database::trim(db, user, self.most).await
            }
            Kept::Redis(redis) => {
                redis.begin(user, token, self.lifetime).await?;
                redis.trim(user, token.sign_in(), self.lifetime, self.most).await
            }
        };
        trimmed.unwrap_or_else(|error| not_trimmed(&error));
        Ok(())
    }

    /// Forgets expired ones, now and then; nobody waits for it. Redis does it by itself.
    fn forget_expired(&self, db: &Database) {
        if !self.forgetting.allows(FORGET_EVERY) {
            return;
        }
        let db = db.clone();
        tokio::spawn(async move {
            if let Err(error) = database::forget_expired(&db).await {
                tracing::warn!(?error, "expired sign-ins could not be removed");
            }
        });
    }

    /// `new` holds in place of `old`, if that does; otherwise the sign-in ends.
    pub async fn rotate(
        &self,
        db: &Database,
        old: &RefreshToken,
        new: &RefreshToken,
    ) -> Result<Rotation, AuthError> {
        match &self.kept {
            Kept::Database => database::rotate(db, old, new, self.lifetime).await,
            Kept::Redis(redis) => {
                let rotation = redis.rotate(old, new, self.lifetime).await?;
                if let Rotation::Rotated { user } = rotation {
                    let noted = redis.touch(user, new.sign_in(), self.lifetime).await;
                    noted.unwrap_or_else(|error| not_trimmed(&error));
                }
                Ok(rotation)
            }
        }
    }

    /// Whose it is, if it holds.
    pub async fn holder(&self, db: &Database, id: SignInId) -> Result<Option<i64>, AuthError> {
        match &self.kept {
            Kept::Database => database::holder(db, id).await,
            Kept::Redis(redis) => redis.holder(id).await,
        }
    }

    /// It ends; so does one that is not there.
    pub async fn end(&self, db: &Database, who: SignedIn) -> Result<(), AuthError> {
        match &self.kept {
            Kept::Database => database::end(db, who.sign_in).await,
            Kept::Redis(redis) => redis.end(who).await,
        }
    }
}

fn not_trimmed(error: &AuthError) {
    tracing::warn!(?error, "a user may have more sign-ins than auth.sign_ins_per_user");
}
