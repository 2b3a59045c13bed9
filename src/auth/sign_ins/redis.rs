//! Sign-ins in the Redis of `[cache]`: one key each, `USER:HASH`, which expires by itself.

use std::time::Duration;

use super::super::{AuthError, RefreshToken, SignInId};
use super::Rotation;
use crate::config;
use crate::redis_client::Client;
use crate::store::cache::{RedisLines, RedisSize};
use crate::store::{ErrorKind, StoreError};

/// Atomic, and safe to be run again by a client that missed the answer: then the new hash is there.
const ROTATE: &str = "\
local kept = redis.call('GET', KEYS[1])
if not kept then return 0 end
local user, hash = string.match(kept, '^(%d+):(.*)$')
if hash ~= ARGV[1] and hash ~= ARGV[2] then
    redis.call('DEL', KEYS[1])
    return -1
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

    fn key(&self, id: SignInId) -> String {
        format!("{}sign-in:{}", self.prefix, id.to_text())
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
        set.arg(self.key(token.sign_in())).arg(value).arg("PX").arg(millis(lifetime));
        self.ask(set).await
    }

    pub async fn rotate(
        &self,
        old: &RefreshToken,
        new: &RefreshToken,
        lifetime: Duration,
    ) -> Result<Rotation, AuthError> {
        let mut rotate = redis::cmd("EVAL");
        rotate.arg(ROTATE).arg(1).arg(self.key(old.sign_in()));
        rotate.arg(old.hash()).arg(new.hash()).arg(millis(lifetime));
        Ok(match self.ask::<i64>(rotate).await? {
            0 => Rotation::Unknown,
            user @ 1.. => Rotation::Rotated { user },
            _ => Rotation::Reused,
        })
    }

    pub async fn holder(&self, id: SignInId) -> Result<Option<i64>, AuthError> {
        let mut get = redis::cmd("GET");
        get.arg(self.key(id));
        let kept: Option<String> = self.ask(get).await?;
        Ok(kept.and_then(|kept| kept.split_once(':')?.0.parse().ok()))
    }

    pub async fn end(&self, id: SignInId) -> Result<(), AuthError> {
        let mut delete = redis::cmd("DEL");
        delete.arg(self.key(id));
        self.ask(delete).await
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4).max(1)
}
