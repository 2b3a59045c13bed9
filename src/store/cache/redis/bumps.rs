//! The news of writes on its way to Redis: at once, and again until it got there.
//!
//! One task sends what there is and then what came meanwhile, so many writes at once are few
//! commands. A tag stands here once, however often it changed. While Redis does not take the news a
//! write does not wait for it, and nothing that depends on such a tag is served from there.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::watch;

use super::tokens::Tokens;
use crate::store::versions::Tag;

/// After a failure it is tried again after this, then after twice as long, and so on.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// But never later than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Commands under way at a time.
const AT_ONCE: usize = 64;

/// Tags that have changed and that Redis was not told of yet.
pub(super) struct Bumps {
    state: Mutex<State>,
    /// How many of them are late.
    late: AtomicUsize,
    /// Every change up to this ticket was tried once.
    tried: watch::Sender<u64>,
    /// A write waits no longer than this.
    limit: Duration,
}

#[derive(Default)]
struct State {
    tags: HashMap<Tag, Waiting>,
    last_ticket: u64,
    at_work: bool,
    /// Since when Redis does not take them.
    since: Option<Instant>,
}

struct Waiting {
    /// Of the first change that Redis does not know of.
    first: u64,
    /// Of the last one.
    last: u64,
    /// Whether a write did not wait for it, or not long enough.
    late: bool,
}

impl Waiting {
    /// Whether a change up to this ticket is among them.
    fn has_one_of(&self, ticket: u64) -> bool {
        self.first <= ticket
    }
}

impl Bumps {
    pub fn new(limit: Duration) -> Self {
        let tried = watch::Sender::new(0);
        Self { state: Mutex::default(), late: AtomicUsize::new(0), tried, limit }
    }

    /// Whether `tag` is late.
    pub fn is_queued(&self, tag: &Tag) -> bool {
        self.late.load(Ordering::SeqCst) > 0
            && self.lock().tags.get(tag).is_some_and(|waiting| waiting.late)
    }

    /// How many are late, and since when.
    pub fn view(&self) -> (usize, Option<Instant>) {
        let state = self.lock();
        (self.late.load(Ordering::SeqCst), state.since)
    }

    /// What is late with `other` is late here, too.
    pub fn adopt(&self, tokens: &Arc<Tokens>, other: &Self) {
        let others = other.lock();
        let late = others.tags.iter().filter(|(_, waiting)| waiting.late);
        let tags: Vec<Tag> = late.map(|(tag, _)| tag.clone()).collect();
        drop(others);
        if !tags.is_empty() {
            self.enter(tokens, &tags, true);
        }
    }

    /// Tells Redis that `tags` have changed; returns when it has been tried, or when they are late.
    pub async fn send(&self, tokens: &Arc<Tokens>, tags: &[Tag]) {
        let mut tried = self.tried.subscribe();
        let Some(ticket) = self.enter(tokens, tags, false) else { return };
        let own = tried.wait_for(|tried| *tried >= ticket);
        if tokio::time::timeout(self.limit, own).await.is_err() {
            let limit = humantime::format_duration(self.limit);
            let why = format!("no answer within {limit} (cache.redis_timeout)");
            self.are_late(&mut self.lock(), ticket, &why);
        }
    }

    /// Puts `tags` with what is to be sent. The ticket to wait for, unless they are late already.
    fn enter(&self, tokens: &Arc<Tokens>, tags: &[Tag], late: bool) -> Option<u64> {
        let mut state = self.lock();
        let late = late || state.since.is_some();
        state.last_ticket += 1;
        let ticket = state.last_ticket;
        for tag in tags {
            let new = Waiting { first: ticket, last: ticket, late };
            let waiting = state.tags.entry(tag.clone()).or_insert(new);
            (waiting.last, waiting.late) = (ticket, waiting.late || late);
        }
        if late {
            state.since.get_or_insert_with(Instant::now);
        }
        self.count(&state);
        if !std::mem::replace(&mut state.at_work, true) {
            tokio::spawn(work(tokens.clone()));
        }
        (!late).then_some(ticket)
    }

    /// Changes up to this ticket that Redis does not know of are late from now on.
    fn are_late(&self, state: &mut State, ticket: u64, why: &str) {
        let mut any = false;
        for waiting in state.tags.values_mut().filter(|waiting| waiting.has_one_of(ticket)) {
            waiting.late = true;
            any = true;
        }
        if any && state.since.is_none() {
            state.since = Some(Instant::now());
            tracing::warn!(
                reason = why,
                "Redis could not be told of a write; what depends on it is answered from the \
                 database, and it is told again and again (other replicas may serve what is old \
                 for cache.ttl)"
            );
        }
        self.count(state);
    }

    /// What is to be sent now; `None` when there is nothing more to do.
    fn batch(&self) -> Option<Vec<(Tag, u64)>> {
        let mut state = self.lock();
        if state.tags.is_empty() {
            state.at_work = false;
            return None;
        }
        let tags = state.tags.iter();
        Some(tags.map(|(tag, waiting)| (tag.clone(), waiting.last)).collect())
    }

    /// Redis knows of every change of `tag` up to this ticket.
    fn told(&self, tag: &Tag, ticket: u64) {
        let mut state = self.lock();
        if let Some(waiting) = state.tags.get_mut(tag) {
            waiting.first = ticket + 1;
            // Otherwise it changed again meanwhile.
            if waiting.last <= ticket {
                state.tags.remove(tag);
            }
        }
        self.count(&state);
    }

    /// Everything up to `ticket` was tried; `failed` says why some of it will be tried again.
    fn finished(&self, ticket: u64, failed: Option<&str>) {
        let mut state = self.lock();
        match failed {
            Some(why) => self.are_late(&mut state, ticket, why),
            None if state.tags.values().any(|waiting| waiting.late) => {}
            None => {
                if let Some(since) = state.since.take() {
                    let seconds = since.elapsed().as_secs_f64();
                    tracing::info!(seconds, "Redis knows of every write again");
                }
            }
        }
        drop(state);
        self.tried.send_replace(ticket);
    }

    /// Forgets what Redis was not told: nobody here asks this one any more.
    fn give_up(&self) {
        let mut state = self.lock();
        let tags = std::mem::take(&mut state.tags).len();
        (state.at_work, state.since) = (false, None);
        self.count(&state);
        tracing::warn!(
            tags,
            "a Redis that is no longer in the configuration could not be told of writes; replicas \
             that still use it may serve what is old for cache.ttl"
        );
    }

    fn count(&self, state: &State) {
        let late = state.tags.values().filter(|waiting| waiting.late).count();
        self.late.store(late, Ordering::SeqCst);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends until there is nothing more to send.
async fn work(tokens: Arc<Tokens>) {
    let bumps = &tokens.bumps;
    let mut pause = FIRST_PAUSE;
    while let Some(batch) = bumps.batch() {
        let last = batch.iter().map(|(_, ticket)| *ticket).max().unwrap_or_default();
        let mut failed = None;
        for some in batch.chunks(AT_ONCE) {
            let sending = some.iter().map(|(tag, _)| tokens.bump(tag));
            for ((tag, ticket), sent) in some.iter().zip(join_all(sending).await) {
                match sent {
                    Ok(()) => {
                        // What was read here before may be of before.
                        tokens.versions.changed_here(std::slice::from_ref(tag));
                        bumps.told(tag, *ticket);
                    }
                    Err(why) => failed = Some(why),
                }
            }
            if failed.is_some() {
                break;
            }
        }
        bumps.finished(last, failed.as_deref());
        match failed {
            None => pause = FIRST_PAUSE,
            Some(_) if Arc::strong_count(&tokens) == 1 => return bumps.give_up(),
            Some(_) => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}
