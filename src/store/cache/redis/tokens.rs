//! The versions that replicas share, in Redis: a token for each tag.
//!
//! A change sets another token, which is one command however much is kept. Both halves of it, to set
//! and to tell, are one script, so that whoever hears of a change finds it made.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use redis::{Pipeline, Value};

use super::bumps::Bumps;
use super::feed::Feed;
use super::lines::{Lines, Size};
use crate::config;
use crate::observe::Throttle;
use crate::redis_client::Client;
use crate::store::versions::{Remote, RemoteView, Tag, Token, Versions};

/// A token that is lost makes a miss of every entry under it, so it is to live longer than they; and for
/// at least this.
const SHORTEST_LIFE: Duration = Duration::from_secs(60 * 60);
/// A user who may not publish is warned of once in this time.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// What both scripts begin with: a token that is later than the one there is, whatever the clock does.
macro_rules! script {
    ($($rest:literal),*) => {
        concat!(
            "local held = redis.call('GET', KEYS[1]) ",
            "local time = redis.call('TIME') ",
            "local moment = time[1] * 1000000 + time[2] ",
            "local before = held and tonumber(string.sub(held, 1, 16)) ",
            "if before and before >= moment then moment = before + 1 end ",
            "local token = string.format('%016.0f', moment) .. ARGV[1] ",
            $($rest),*
        )
    };
}

/// Sets another token and tells everybody. A Redis without memory can still forget the old one, which
/// says the same.
const BUMP: &str = script!(
    "local set = redis.pcall('SET', KEYS[1], token, 'PX', ARGV[2]) ",
    "if set.err then redis.call('DEL', KEYS[1]) end ",
    "local told = redis.pcall('PUBLISH', ARGV[3], token .. ARGV[4]) ",
    "return type(told) == 'table' and told.err or token"
);

/// Sets a token where there is none.
const ENSURE: &str = script!(
    "if held then return held end ",
    "redis.call('SET', KEYS[1], token, 'PX', ARGV[2]) ",
    "return token"
);

/// The tokens of one Redis under one prefix. One for all strategies that use them.
pub(in crate::store::cache) struct Tokens {
    this: Weak<Self>,
    lines: Lines,
    client: Client,
    settings: config::Cache,
    pub(super) versions: Arc<Versions>,
    /// How long a token lives at the most.
    life_ms: AtomicU64,
    pub(super) bumps: Bumps,
    feed: OnceLock<Arc<Feed>>,
    unheard: Throttle,
}

impl Tokens {
    /// Those of this Redis that are in use already, or new ones.
    ///
    /// # Errors
    /// A sentence, when the settings cannot be used.
    pub fn of(
        versions: &Arc<Versions>,
        settings: &config::Cache,
        client: &Client,
    ) -> Result<Arc<Self>, String> {
        let fits = |tokens: &Self| same(&tokens.settings, settings);
        let tokens = versions.remote(fits, |others: &[Arc<Self>]| {
            let made = Self::new(versions.clone(), settings, client.clone())?;
            // The same keys reached in another way: what was not told there is not told here.
            let same_keys = |other: &&Arc<Self>| other.settings.key_prefix == settings.key_prefix;
            for other in others.iter().filter(same_keys) {
                made.bumps.adopt(&made, &other.bumps);
            }
            Ok::<_, String>(made)
        })?;
        tokens.outlive(settings.ttl);
        Ok(tokens)
    }

    /// From now on tokens live longer than entries that are kept for `ttl`.
    pub fn outlive(&self, ttl: Duration) {
        let life = (ttl * 2).max(SHORTEST_LIFE).as_millis() as u64;
        self.life_ms.fetch_max(life, Ordering::Relaxed);
    }

    fn new(
        versions: Arc<Versions>,
        settings: &config::Cache,
        client: Client,
    ) -> Result<Arc<Self>, String> {
        // On a line of its own: the news of a write never waits behind a large answer.
        let one = config::Cache { redis_connections: 1, ..settings.clone() };
        let lines = Lines::new(&one, &client)?;
        Ok(Arc::new_cyclic(|this| Self {
            this: this.clone(),
            lines,
            client,
            settings: settings.clone(),
            versions,
            life_ms: AtomicU64::new(0),
            bumps: Bumps::new(settings.redis_timeout),
            feed: OnceLock::new(),
            unheard: Throttle::default(),
        }))
    }

    /// The key of a tag's token.
    pub fn name(&self, tag: &Tag) -> String {
        format!("{}v:{tag}", self.settings.key_prefix)
    }

    /// Whether Redis was not told of a change of this tag yet.
    pub fn is_behind(&self, tag: &Tag) -> bool {
        self.bumps.is_queued(tag)
    }

    /// What this process hears of changes by others; it begins to listen when first asked.
    pub fn feed(&self) -> &Arc<Feed> {
        let settings = &self.settings;
        self.feed.get_or_init(|| {
            let channel = channel(settings);
            Feed::start(self.client.clone(), channel, settings.staleness_bound, &self.versions)
        })
    }

    /// The token of `tag`, asked on `lines`; one is made if there is none.
    ///
    /// # Errors
    /// Why it cannot be known.
    pub async fn read(&self, lines: &Lines, tag: &Tag) -> Result<Token, String> {
        let mut command = redis::pipe();
        command.get(self.name(tag));
        let (held,): (Option<Bytes>,) = lines.ask(Size::OfAnswer, &command).await?;
        match held {
            Some(held) => self.understood(tag, &held),
            None => self.ensure(lines, tag).await,
        }
    }

    /// Makes a token for `tag`, unless somebody else has.
    ///
    /// # Errors
    /// Why it cannot be made.
    pub async fn ensure(&self, lines: &Lines, tag: &Tag) -> Result<Token, String> {
        let command = self.script(ENSURE, tag);
        let (held,): (Bytes,) = lines.ask(Size::OfAnswer, &command).await?;
        self.understood(tag, &held)
    }

    /// The token with this text, which stands in Redis for `tag`.
    ///
    /// # Errors
    /// When it is none.
    pub fn understood(&self, tag: &Tag, text: &[u8]) -> Result<Token, String> {
        Token::parse(text).ok_or_else(|| format!("{} is not a version of ours", self.name(tag)))
    }

    /// Sets another token for `tag` and tells all who listen.
    pub(super) async fn bump(&self, tag: &Tag) -> Result<(), String> {
        let mut command = self.script(BUMP, tag);
        command.arg(channel(&self.settings)).arg(tag.to_string());
        let (answer,): (Value,) = self.lines.ask(Size::OfAnswer, &command).await?;
        let text = match &answer {
            Value::BulkString(text) => text.clone(),
            other => format!("{other:?}").into_bytes(),
        };
        match Token::parse(&text) {
            Some(token) => {
                if let Some(feed) = self.feed.get() {
                    feed.knows(token);
                }
            }
            None if self.unheard.allows(WARN_INTERVAL) => {
                let reason = String::from_utf8_lossy(&text);
                let channel = channel(&self.settings);
                tracing::warn!(%reason, channel, "Redis does not let us publish: give the user of cache.redis_url this channel, or \"tiered\" strategies of other replicas do not hear of writes");
            }
            None => {}
        }
        Ok(())
    }

    /// A script with what both take.
    fn script(&self, script: &str, tag: &Tag) -> Pipeline {
        let mut command = redis::pipe();
        command.cmd("EVAL").arg(script).arg(1).arg(self.name(tag)).arg(Token::number());
        command.arg(self.life_ms.load(Ordering::Relaxed));
        command
    }
}

impl Remote for Tokens {
    fn changed<'a>(&'a self, tags: &'a [Tag]) -> BoxFuture<'a, ()> {
        Box::pin(async {
            if let Some(this) = self.this.upgrade() {
                self.bumps.send(&this, tags).await;
            }
        })
    }

    fn token<'a>(&'a self, tag: &'a Tag) -> BoxFuture<'a, Option<Token>> {
        Box::pin(async { self.read(&self.lines, tag).await.ok() })
    }

    fn view(&self) -> RemoteView {
        let (queued, since) = self.bumps.view();
        RemoteView { queued, since, hearing: self.feed.get().map(|feed| feed.view()) }
    }
}

fn channel(settings: &config::Cache) -> String {
    format!("{}changed", settings.key_prefix)
}

/// Whether tokens made from either are the same.
fn same(one: &config::Cache, other: &config::Cache) -> bool {
    one.redis_url == other.redis_url
        && one.redis_root_cert == other.redis_root_cert
        && one.redis_connect_timeout == other.redis_connect_timeout
        && one.redis_timeout == other.redis_timeout
        && one.key_prefix == other.key_prefix
        && one.staleness_bound == other.staleness_bound
}
