//! What this process hears of changes that other replicas make, by publish and subscribe.
//!
//! Redis answers on one connection in order: when the answer to a PING is here, so is everything that
//! was published before the PING was sent. So what this process knows is complete as of the last PING
//! that was answered, and what is in memory may be served for the bound after that, whatever becomes
//! of the network. Of a cluster that has to hold for every primary, because a change is first told
//! where its token is.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt};
use redis::aio::{PubSubSink, PubSubStream};
use tokio::time::MissedTickBehavior;
use tokio_util::task::AbortOnDropHandle;

use crate::redis_client::{Client, Server};
use crate::store::cache::Memory;
use crate::store::versions::{Hearing, Tag, Token, Versions};

/// PINGs in the time of the bound: that many may be answered late before it passes.
const PINGS: u32 = 4;
/// After a failure, the next attempt to listen.
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// A cluster is asked again for its nodes after this.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Of so many changes it is remembered that they were heard: of a cluster each is heard from every node.
const REMEMBERED: usize = 64;

/// Hears what others change, as long as it lives.
pub(in crate::store::cache) struct Feed {
    heard: Arc<Heard>,
    _listening: AbortOnDropHandle<()>,
}

struct Heard {
    channel: String,
    bound: Duration,
    origin: Instant,
    /// Until when what is known is complete enough, in microseconds since the origin.
    until: AtomicU64,
    /// As of when it is complete, by node and in the same unit; 0: nothing is heard from it.
    nodes: Mutex<HashMap<String, u64>>,
    known: Mutex<VecDeque<Token>>,
    memories: Mutex<Vec<Weak<Memory>>>,
    versions: Arc<Versions>,
    lost: AtomicU64,
}

impl Feed {
    /// Begins to listen.
    pub fn start(
        client: Client,
        channel: String,
        bound: Duration,
        versions: &Arc<Versions>,
    ) -> Arc<Self> {
        let heard = Arc::new(Heard {
            channel,
            bound,
            origin: Instant::now(),
            until: AtomicU64::new(0),
            nodes: Mutex::default(),
            known: Mutex::default(),
            memories: Mutex::default(),
            versions: versions.clone(),
            lost: AtomicU64::new(0),
        });
        let listening = AbortOnDropHandle::new(tokio::spawn(listen(client, heard.clone())));
        Arc::new(Self { heard, _listening: listening })
    }

    /// Whether nothing that others changed longer ago than the bound is unheard of.
    pub fn hears(&self) -> bool {
        self.heard.now() < self.heard.until.load(Ordering::SeqCst)
    }

    /// `memory` is emptied when something may have been missed.
    pub fn empties(&self, memory: &Arc<Memory>) {
        let mut memories = lock(&self.heard.memories);
        memories.retain(|memory| memory.strong_count() > 0);
        memories.push(Arc::downgrade(memory));
    }

    /// This change is of this process, which needs not hear of it.
    pub fn knows(&self, token: Token) {
        self.heard.is_news(token);
    }

    /// How it is.
    pub fn view(&self) -> Hearing {
        Hearing { hears: self.hears(), lost: self.heard.lost.load(Ordering::Relaxed) }
    }
}

impl Heard {
    fn now(&self) -> u64 {
        self.micros(Instant::now())
    }

    /// Never 0.
    fn micros(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.origin).as_micros() as u64 + 1
    }

    /// Everything that `node` told before `at` was heard.
    fn complete(&self, node: &str, at: Instant) {
        let at = self.micros(at);
        self.settle(|nodes| {
            // One that is gone meanwhile is not asked for.
            if let Some(complete) = nodes.get_mut(node) {
                *complete = at;
            }
        });
    }

    /// Something that `node` told may have been missed.
    fn missed(&self, node: &str) {
        self.settle(|nodes| {
            nodes.entry(node.to_owned()).and_modify(|complete| *complete = 0);
        });
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.versions.all_changed_here();
        let memories = lock(&self.memories);
        memories.iter().filter_map(Weak::upgrade).for_each(|memory| memory.clear());
    }

    /// These are the nodes.
    fn adopt(&self, names: &[&str]) {
        self.settle(|nodes| {
            nodes.retain(|name, _| names.contains(&&**name));
            for name in names {
                nodes.entry((*name).to_owned()).or_insert(0);
            }
        });
    }

    fn settle(&self, change: impl FnOnce(&mut HashMap<String, u64>)) {
        let mut nodes = lock(&self.nodes);
        change(&mut nodes);
        let until = match nodes.values().min() {
            None | Some(0) => 0,
            Some(complete) => complete + self.bound.as_micros() as u64,
        };
        self.until.store(until, Ordering::SeqCst);
    }

    /// A change by somebody: the token, then the tag.
    fn take(&self, payload: &[u8]) {
        let told = payload.split_at_checked(Token::LENGTH);
        let tag = told.and_then(|(token, tag)| {
            let news = Token::parse(token).is_none_or(|token| self.is_news(token));
            Some((news, Tag::parse(std::str::from_utf8(tag).ok()?)?))
        });
        match tag {
            Some((true, tag)) => self.versions.changed_here(&[tag]),
            Some((false, _)) => {}
            // Of a replica that is newer than this one.
            None => self.versions.all_changed_here(),
        }
    }

    fn is_news(&self, token: Token) -> bool {
        let mut known = lock(&self.known);
        if known.contains(&token) {
            return false;
        }
        if known.len() == REMEMBERED {
            known.pop_front();
        }
        known.push_back(token);
        true
    }
}

/// Listens to the server, or to each primary of a cluster.
async fn listen(client: Client, heard: Arc<Heard>) {
    let mut listening: HashMap<String, AbortOnDropHandle<()>> = HashMap::new();
    loop {
        if let Ok(primaries) = client.primaries().await {
            let names: Vec<&str> = primaries.iter().map(|(name, _)| name.as_str()).collect();
            listening.retain(|name, _| names.contains(&&**name));
            heard.adopt(&names);
            for (name, server) in &primaries {
                listening.entry(name.clone()).or_insert_with(|| {
                    let follow =
                        follow(client.clone(), name.clone(), server.clone(), heard.clone());
                    AbortOnDropHandle::new(tokio::spawn(follow))
                });
            }
        }
        let pause = if listening.is_empty() { RETRY_AFTER } else { LOOK_AGAIN };
        tokio::time::sleep(pause).await;
    }
}

/// Listens to one node, again and again.
async fn follow(client: Client, node: String, server: Server, heard: Arc<Heard>) {
    let mut hears = true;
    loop {
        let asked = Instant::now();
        let why = match client.subscribe(&server, &heard.channel).await {
            Ok((sink, stream)) => {
                // What was told between then and now is unknown.
                heard.versions.all_changed_here();
                heard.complete(&node, asked);
                if !hears {
                    tracing::info!(node, "changes of other replicas are heard of again");
                }
                hears = true;
                let why = attend(sink, stream, &node, &heard).await;
                heard.missed(&node);
                why
            }
            Err(why) => why,
        };
        if std::mem::replace(&mut hears, false) {
            tracing::warn!(
                node,
                reason = why,
                "changes of other replicas are not heard of; \"tiered\" asks Redis for each answer"
            );
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

/// Takes what is published and asks for signs of life, until there is none; then says why.
async fn attend(
    mut sink: PubSubSink,
    mut stream: PubSubStream,
    node: &str,
    heard: &Heard,
) -> String {
    const CLOSED: &str = "the connection was closed";
    let mut ticks = tokio::time::interval(heard.bound / PINGS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            message = stream.next() => match message {
                Some(message) => heard.take(message.get_payload_bytes()),
                None => return CLOSED.to_owned(),
            },
            _ = ticks.tick() => {
                let asked = Instant::now();
                let answer = tokio::time::timeout(heard.bound, sink.ping::<redis::Value>());
                let mut answer = pin!(answer);
                let answered = loop {
                    tokio::select! {
                        answered = &mut answer => break answered,
                        message = stream.next() => match message {
                            Some(message) => heard.take(message.get_payload_bytes()),
                            None => return CLOSED.to_owned(),
                        },
                    }
                };
                match answered {
                    Err(_) => {
                        let bound = humantime::format_duration(heard.bound);
                        return format!("no sign of life within {bound} (cache.staleness_bound)");
                    }
                    Ok(Err(error)) => return crate::redis_client::why(&error),
                    Ok(Ok(_)) => {}
                }
                // What came before the answer is here; a task's budget must not hide it.
                let mut next = || tokio::task::unconstrained(stream.next()).now_or_never();
                while let Some(Some(message)) = next() {
                    heard.take(message.get_payload_bytes());
                }
                heard.complete(node, asked);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
