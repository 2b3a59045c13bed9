//! Which answers a write made old: each answer depends on a tag, and each write changes some.
//!
//! An answer is kept together with the [`Version`] of its tag that was in force before its statement
//! was sent, and is served only while that version still is. What other replicas share stands
//! behind [`Remote`]; this module knows no Redis.

mod remote;
mod tag;
mod token;

use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures_util::future::join_all;

pub use remote::{Hearing, Remote, RemoteView};
pub use tag::Tag;
pub use token::{Token, Version};

/// Tags share this many counters. Two that share one are changed together, which costs a miss.
const SLOTS: usize = 1 << 14;

/// The versions of all tags as this process knows them. One for the whole life of the process: what is
/// kept under a version outlives the strategies of one configuration.
pub struct Versions {
    slots: Box<[AtomicU64]>,
    /// Goes up when any tag may have changed.
    all: AtomicU64,
    remotes: Mutex<Vec<Weak<dyn Remote>>>,
}

impl Default for Versions {
    fn default() -> Self {
        let slots = (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
        // Above 0, which is the epoch of what was kept without one.
        Self { slots, all: AtomicU64::new(1), remotes: Mutex::default() }
    }
}

impl Versions {
    /// The version of a tag in this process, its epoch: it never is what it was before a change that this
    /// process knows of. At least 1.
    pub fn current(&self, tag: &Tag) -> u64 {
        // Both only go up, so an equal sum is an equal pair.
        self.all.load(Ordering::SeqCst) + self.slot(tag).load(Ordering::SeqCst)
    }

    /// A write that changed these was committed. When this returns, no answer of before it is served
    /// here any more, and no other replica serves one for longer than docs/STRATEGIES.md says. It returns
    /// after `cache.redis_timeout` at the latest; what Redis has not taken until then it is told later.
    ///
    /// # Cancellation safety
    /// What was begun goes on; but only when this has returned may the write be answered.
    pub async fn changed(&self, tags: &[Tag]) {
        self.changed_here(tags);
        let remotes = self.remotes();
        if remotes.is_empty() || tags.is_empty() {
            return;
        }
        join_all(remotes.iter().map(|remote| remote.changed(tags))).await;
        // What was read here while the others were being told may be of before.
        self.changed_here(tags);
    }

    /// The version of `tag` that all replicas share, in each place where they do; `None` when one of
    /// these cannot be asked.
    pub async fn shared(&self, tag: &Tag) -> Option<Vec<Token>> {
        let remotes = self.remotes();
        let tokens = join_all(remotes.iter().map(|remote| remote.token(tag))).await;
        tokens.into_iter().collect()
    }

    /// Whether there is a place where replicas share versions.
    pub fn are_shared(&self) -> bool {
        !self.remotes().is_empty()
    }

    /// These have changed, as far as this process is concerned.
    pub fn changed_here(&self, tags: &[Tag]) {
        for tag in tags {
            self.slot(tag).fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Any tag may have changed, as far as this process is concerned.
    pub fn all_changed_here(&self) {
        self.all.fetch_add(1, Ordering::SeqCst);
    }

    /// `tag` was seen to have changed since `epoch`; whoever sees it first says so for all.
    pub fn seen_changed(&self, tag: &Tag, epoch: u64) {
        if self.current(tag) == epoch {
            self.changed_here(std::slice::from_ref(tag));
        }
    }

    /// The remote that `is_it` picks among those in use, or the one that `make` makes.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn remote<R: Remote, E>(
        &self,
        is_it: impl Fn(&R) -> bool,
        make: impl FnOnce(&[Arc<R>]) -> Result<Arc<R>, E>,
    ) -> Result<Arc<R>, E> {
        let of_kind = |remote: Arc<dyn Remote>| (remote as Arc<dyn Any + Send + Sync>).downcast();
        let known: Vec<Arc<R>> =
            self.remotes().into_iter().filter_map(|remote| of_kind(remote).ok()).collect();
        if let Some(known) = known.iter().find(|known| is_it(known)) {
            return Ok(known.clone());
        }
        let made = make(&known)?;
        let remote: Arc<dyn Remote> = made.clone();
        self.lock().push(Arc::downgrade(&remote));
        Ok(made)
    }

    /// What the remotes in use say of themselves.
    pub fn views(&self) -> Vec<RemoteView> {
        self.remotes().iter().map(|remote| remote.view()).collect()
    }

    fn remotes(&self) -> Vec<Arc<dyn Remote>> {
        let mut remotes = self.lock();
        remotes.retain(|remote| remote.strong_count() > 0);
        remotes.iter().filter_map(Weak::upgrade).collect()
    }

    fn slot(&self, tag: &Tag) -> &AtomicU64 {
        &self.slots[tag.hash() as usize % SLOTS]
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Weak<dyn Remote>>> {
        self.remotes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_concerns_its_own_tag_and_no_other() {
        let versions = Versions::default();
        let categories = ["electronics", "books", "garden", "toys", "sports", "food"];
        let tags: Vec<Tag> = categories.map(|name| Tag::Category(name.into())).into();
        let rest: Vec<u64> = tags[1..].iter().map(|tag| versions.current(tag)).collect();
        let before = versions.current(&tags[0]);
        versions.changed_here(&tags[..1]);
        assert_ne!(versions.current(&tags[0]), before);
        assert_eq!(rest, tags[1..].iter().map(|tag| versions.current(tag)).collect::<Vec<_>>());
        versions.all_changed_here();
        assert!(tags[1..].iter().zip(rest).all(|(tag, before)| versions.current(tag) != before));
    }

    #[test]
    fn many_who_see_one_change_say_so_once() {
        let versions = Versions::default();
        let before = versions.current(&Tag::All);
        (0..5).for_each(|_| versions.seen_changed(&Tag::All, before));
        assert_eq!(versions.current(&Tag::All), before + 1);
    }
}
