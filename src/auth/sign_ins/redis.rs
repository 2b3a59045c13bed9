//! Sign-ins in the Redis of `[cache]`: one key each, `USER:HASH`, which expires by itself; and for each user
//! a sorted set of those that there may be, by when they expire, so that they do not become too many.
//!
//! In a cluster the two are on different nodes, so no command is about both: what holds is the key alone.

use std::time::Duration;

use super::super::{AuthError, RefreshToken, SignInId, SignedIn, now_micros};
use super::Rotation;
use crate::config;
use crate::redis_client::Client;
use crate::store::cache::{RedisLines, RedisSize};
use crate::store::{ErrorKind, StoreError};

/// Notes one of a user's; gives those beyond the last so many, the ones first that were used longest ago.
const NOTE: &str = "\
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return redis.call('ZRANGE', KEYS[1], 0, -1 - ARGV[5])";

/// The same for one that is used again; if it ended meanwhile, it stays so.
const TOUCH: &str = "\
redis.call('ZADD', KEYS[1], 'XX', ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])";

/// Atomic, and safe to be run again by a client that missed the answer: then the new hash is there.
const ROTATE: &str = "\
local kept = redis.call('GET', KEYS[1])
if not kept then return 0 end
local user, hash = string.match(kept, '^(%d+):(.*)$')
if hash ~= ARGV[1] and hash ~= ARGV[2] then
    redis.call('DEL', KEYS[1])
    return -tonumber(user)
end
redis.call('SET', KEYS[1], user .. ':' .. ARGV[2], 'PX', ARGV[3])
return tonumber(user)";

/// Sign-ins in Redis.
pub(in crate::auth) struct RedisSignIns {
    lines: RedisLines,
    prefix: String,
}

impl RedisSignIns {
    pub fn new(settings: &config::Cache) -> Result<Self, StoreError> {
        let refused = |why: String| {
            let url = &settings.redis_url;
            StoreError::new(ErrorKind::NotPrepared, format_args!("cache.redis_url {url}: {why}"))
        };
        let client = Client::new(settings).map_err(refused)?;
        let lines = RedisLines::new(settings, &client).map_err(refused)?;
        Ok(Self { lines, prefix: settings.key_prefix.clone() })
    }

    fn key(&self, id: &str) -> String {
        format!("{}sign-in:{id}", self.prefix)
    }

    fn key_of_user(&self, user: i64) -> String {
        format!("{}sign-ins-of:{user}", self.prefix)
    }

    async fn ask<T: redis::FromRedisValue>(&self, command: redis::Cmd) -> Result<T, AuthError> {
        let mut commands = redis::pipe();
        commands.add_command(command);
        let answered = self.lines.ask::<(T,)>(RedisSize::OfQuestion, &commands).await;
        answered
            .map(|(answer,)| answer)
            .map_err(|why| AuthError::Unavailable(format!("Redis: {why}")))
    }

    pub async fn begin(
        &self,
        user: i64,
        token: &RefreshToken,
        lifetime: Duration,
    ) -> Result<(), AuthError> {
        let mut set = redis::cmd("SET");
        let value = format!("{user}:{}", token.hash());
        set.arg(self.key(&token.sign_in().to_text())).arg(value).arg("PX").arg(millis(lifetime));
        self.ask(set).await
    }

    /// Notes one that has just begun, and ends those of the user that were used longest ago, beyond the
    /// last `most`.
    pub async fn trim(
        &self,
        user: i64,
        id: SignInId,
        lifetime: Duration,
        most: u32,
    ) -> Result<(), AuthError> {
        let (now, lifetime) = (now_micros() / 1000, millis(lifetime));
        let mut note = redis::cmd("EVAL");
        note.arg(NOTE).arg(1).arg(self.key_of_user(user)).arg(now);
        note.arg(now.saturating_add_unsigned(lifetime)).arg(id.to_text()).arg(lifetime).arg(most);
        for id in self.ask::<Vec<String>>(note).await? {
            let mut delete = redis::cmd("DEL");
            delete.arg(self.key(&id));
            self.ask::<()>(delete).await?;
            self.strike(user, &id).await?;
        }
        Ok(())
    }

    /// Notes that one was used.
    pub async fn touch(
        &self,
        user: i64,
        id: SignInId,
        lifetime: Duration,
    ) -> Result<(), AuthError> {
        let (now, lifetime) = (now_micros() / 1000, millis(lifetime));
        let mut touch = redis::cmd("EVAL");
        touch.arg(TOUCH).arg(1).arg(self.key_of_user(user));
        touch.arg(now.saturating_add_unsigned(lifetime)).arg(id.to_text()).arg(lifetime);
        self.ask(touch).await
    }

    /// One that has ended counts no more.
    async fn strike(&self, user: i64, id: &str) -> Result<(), AuthError> {
        let mut remove = redis::cmd("ZREM");
        remove.arg(self.key_of_user(user)).arg(id);
        self.ask(remove).await
    }

    /// The same where what matters is done already.
    async fn try_to_strike(&self, user: i64, id: &str) {
        if let Err(error) = self.strike(user, id).await {
            tracing::debug!(?error, "a sign-in that has ended is counted until it would expire");
        }
    }

    pub async fn rotate(
        &self,
        old: &RefreshToken,
        new: &RefreshToken,
        lifetime: Duration,
    ) -> Result<Rotation, AuthError> {
        let id = old.sign_in().to_text();
        let mut rotate = redis::cmd("EVAL");
        rotate.arg(ROTATE).arg(1).arg(self.key(&id));
        rotate.arg(old.hash()).arg(new.hash()).arg(millis(lifetime));
        Ok(match self.ask::<i64>(rotate).await? {
            0 => Rotation::Unknown,
            user @ 1.. => Rotation::Rotated { user },
            user => {
                self.try_to_strike(-user, &id).await;
                Rotation::Reused
            }
        })
    }

    pub async fn holder(&self, id: SignInId) -> Result<Option<i64>, AuthError> {
        let mut get = redis::cmd("GET");
        get.arg(self.key(&id.to_text()));
        let kept: Option<String> = self.ask(get).await?;
        Ok(kept.and_then(|kept| kept.split_once(':')?.0.parse().ok()))
    }

    pub async fn end(&self, who: SignedIn) -> Result<(), AuthError> {
        let id = who.sign_in.to_text();
        let mut delete = redis::cmd("DEL");
        delete.arg(self.key(&id));
        self.ask::<()>(delete).await?;
        self.try_to_strike(who.user, &id).await;
        Ok(())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4).max(1)
}
