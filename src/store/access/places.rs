//! A number of places that can be changed while some are taken and others waited for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

/// Places for so many at once; who waits longest is next.
pub(super) struct Places {
    free: Semaphore,
    count: Mutex<Count>,
    taken: AtomicUsize,
}

struct Count {
    /// How many there are to be.
    size: usize,
    /// How many there are too many: as many of those that are taken do not come back.
    surplus: usize,
}

/// A place that is taken; dropping it gives it back.
pub(super) struct Place(Arc<Places>);

impl Places {
    /// So many places.
    pub fn new(size: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Semaphore::new(size),
            count: Mutex::new(Count { size, surplus: 0 }),
            taken: AtomicUsize::new(0),
        })
    }

    /// A place, if one is free.
    pub fn try_take(self: &Arc<Self>) -> Option<Place> {
        Some(self.taken_by(self.free.try_acquire().ok()?))
    }

    /// A place, once there is one; `None` when there is none in time.
    pub async fn take(self: &Arc<Self>, timeout: Duration) -> Option<Place> {
        let permit = tokio::time::timeout(timeout, self.free.acquire()).await.ok()?.ok()?;
        Some(self.taken_by(permit))
    }

    fn taken_by(self: &Arc<Self>, permit: SemaphorePermit<'_>) -> Place {
        permit.forget();
        self.taken.fetch_add(1, Ordering::Relaxed);
        Place(self.clone())
    }

    /// Changes how many there are. Where that is fewer, what is taken stays so until it is given back.
    pub fn resize(&self, size: usize) {
        let mut count = self.lock();
        let more = size.saturating_sub(count.size);
        let fewer = count.size.saturating_sub(size);
        count.size = size;
        let kept = more.min(count.surplus);
        count.surplus -= kept;
        self.free.add_permits(more - kept);
        let gone = self.free.forget_permits(fewer);
        count.surplus += fewer - gone;
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let places = &self.0;
        places.taken.fetch_sub(1, Ordering::Relaxed);
        let mut count = places.lock();
        if count.surplus > 0 {
            count.surplus -= 1;
        } else {
            places.free.add_permits(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn free(places: &Arc<Places>) -> usize {
        let mut taken = Vec::new();
        while let Some(place) = places.try_take() {
            taken.push(place);
        }
        taken.len()
    }

    #[tokio::test]
    async fn there_are_never_more_places_than_the_larger_number() {
        let places = Places::new(4);
        let mut taken = Vec::new();
        for _ in 0..3 {
            taken.push(places.try_take().expect("there are four"));
        }
        places.resize(1);
        assert_eq!(free(&places).await, 0);
        taken.pop();
        assert_eq!(free(&places).await, 0, "two are still taken");
        places.resize(3);
        assert_eq!((free(&places).await, places.taken()), (1, 2));
        places.resize(1);
        taken.pop();
        assert_eq!(free(&places).await, 0);
        taken.pop();
        assert_eq!((free(&places).await, places.taken()), (1, 0));
    }

    #[tokio::test]
    async fn who_waits_gets_a_place_that_is_added() {
        let places = Places::new(1);
        let first = places.try_take();
        let waiting = places.clone();
        let waiting = tokio::spawn(async move { waiting.take(Duration::from_secs(60)).await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "it waits");
        places.resize(2);
        assert!(waiting.await.expect("it does not panic").is_some());
        drop(first);
    }
}
