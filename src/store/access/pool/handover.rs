//! From one pool to the next: what becomes of connections when a strategy gets another pool.
//!
//! A new pool takes over connections of the former one instead of opening its own. It opens only
//! those that it has more, before anything else happens; all others it may have as soon as a former
//! one comes back or is gone. So both together never have more than the larger of the two sizes.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deadpool::managed::{Pool, WeakPool};

use super::connections::{Connections, Pooled};

/// The pools that followed each other in a strategy, on one database.
#[derive(Default)]
pub(super) struct Lineage(Mutex<Succession>);

#[derive(Default)]
struct Succession {
    newest: Option<Newest>,
    /// Those before it that still have connections.
    former: Vec<Arc<Generation>>,
}

/// The pool that lends now.
struct Newest {
    pool: WeakPool<Connections>,
    generation: Arc<Generation>,
    /// How many connections it is to have.
    size: usize,
    /// How many it may have by now.
    room: usize,
    /// How many it and the former ones may have together.
    most: usize,
}

/// A pool, as its connections know it.
#[derive(Default)]
pub(super) struct Generation {
    connections: AtomicUsize,
    superseded: AtomicBool,
}

/// The place of a connection in the census, from before it is opened until it is closed.
pub(super) struct Member {
    generation: Arc<Generation>,
    lineage: Arc<Lineage>,
}

impl Generation {
    /// Another pool lends in its stead: it opens no more connections.
    pub fn is_superseded(&self) -> bool {
        self.superseded.load(Ordering::SeqCst)
    }

    /// From now on it is.
    pub fn supersede(&self) {
        self.superseded.store(true, Ordering::SeqCst);
    }

    fn count(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Member {
    /// Counts a connection.
    pub fn new(generation: &Arc<Generation>, lineage: &Arc<Lineage>) -> Self {
        generation.connections.fetch_add(1, Ordering::SeqCst);
        Self { generation: generation.clone(), lineage: lineage.clone() }
    }

    /// Whether it belongs to a pool that lends no more.
    pub fn is_superseded(&self) -> bool {
        self.generation.is_superseded()
    }

    /// Where it is counted.
    pub fn lineage(&self) -> &Arc<Lineage> {
        &self.lineage
    }

    fn move_to(&mut self, generation: &Arc<Generation>) {
        generation.connections.fetch_add(1, Ordering::SeqCst);
        self.generation.connections.fetch_sub(1, Ordering::SeqCst);
        self.generation = generation.clone();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.generation.connections.fetch_sub(1, Ordering::SeqCst);
        self.lineage.make_room();
    }
}

impl Lineage {
    /// How many connections there may be without opening any for a new pool.
    pub fn reserved(&self) -> usize {
        self.lock().reserved()
    }

    /// From now on `pool` lends, which is to have `size` connections and has room for some of them.
    pub fn succeed(&self, pool: &Pool<Connections>, size: usize) {
        let mut succession = self.lock();
        let most = size.max(succession.reserved());
        let newest = Newest {
            pool: pool.weak(),
            generation: pool.manager().generation.clone(),
            size,
            room: pool.status().max_size,
            most,
        };
        if let Some(former) = succession.newest.replace(newest) {
            former.generation.supersede();
            succession.former.push(former.generation);
        }
    }

    /// Gives a connection of a former pool to the newest one, or closes it.
    pub fn adopt(&self, mut pooled: Pooled) {
        let mut succession = self.lock();
        let Some((newest, pool)) = succession.newest() else {
            drop(succession);
            return;
        };
        let manager = pool.manager();
        let fits = manager.takes(&pooled) && newest.room < newest.size;
        if fits && !pooled.connection.is_closed() {
            pooled.member.move_to(&newest.generation);
            manager.adopted().push(pooled);
            newest.room += 1;
            pool.resize(newest.room);
        }
        // First the lock: what is dropped with the connection, or as the last of the pool, wants it.
        drop(succession);
    }

    /// Lets the newest pool open as many as the former ones no longer have.
    pub fn make_room(&self) {
        let mut succession = self.lock();
        succession.former.retain(|generation| generation.count() > 0);
        let former: usize = succession.former.iter().map(|generation| generation.count()).sum();
        let Some((newest, pool)) = succession.newest() else { return };
        let room = newest.most.saturating_sub(former).min(newest.size);
        if room > newest.room {
            newest.room = room;
            pool.resize(room);
        }
        drop(succession);
    }

    fn lock(&self) -> MutexGuard<'_, Succession> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Succession {
    fn newest(&mut self) -> Option<(&mut Newest, Pool<Connections>)> {
        let newest = self.newest.as_mut()?;
        let pool = newest.pool.upgrade()?;
        Some((newest, pool))
    }

    fn reserved(&self) -> usize {
        let former: usize = self.former.iter().map(|generation| generation.count()).sum();
        let newest = self.newest.as_ref();
        let open = former + newest.map_or(0, |newest| newest.generation.count());
        open.max(newest.map_or(0, |newest| newest.size))
    }
}
