//! Bodies in memory, and the process-wide budget that bounds them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::Semaphore;

/// How many bytes all buffered bodies of the process may take together.
///
/// Cheap to clone; all clones share the one budget.
#[derive(Debug, Clone)]
pub struct Budget {
    free: Arc<Semaphore>,
    total: usize,
}

impl Budget {
    /// A budget of this many bytes; 0 makes every body stream.
    pub fn new(total: usize) -> Self {
        let total = total.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        Self { free: Arc::new(Semaphore::new(total)), total }
    }

    /// An empty charge against this budget.
    pub fn charge(&self) -> Charge {
        Charge { free: self.free.clone(), held: AtomicUsize::new(0) }
    }

    /// Waits until `bytes` are free and takes them; `None` when there never can be that many.
    pub async fn reserve(&self, bytes: usize) -> Option<Charge> {
        if bytes > self.total {
            return None;
        }
        self.free.acquire_many(bytes as u32).await.ok()?.forget();
        Some(Charge { free: self.free.clone(), held: AtomicUsize::new(bytes) })
    }

    /// Bytes in use now.
    pub fn used(&self) -> usize {
        self.total - self.free.available_permits().min(self.total)
    }

    /// Bytes there are in all.
    pub fn total(&self) -> usize {
        self.total
    }
}

/// Bytes taken from a [`Budget`]; given back when dropped.
#[derive(Debug)]
pub struct Charge {
    free: Arc<Semaphore>,
    held: AtomicUsize,
}

impl Charge {
    /// Takes `bytes` more, at once or not at all.
    pub fn try_add(&self, bytes: usize) -> bool {
        let Ok(count) = u32::try_from(bytes) else { return false };
        let Ok(permit) = self.free.try_acquire_many(count) else { return false };
        permit.forget();
        self.held.fetch_add(bytes, Ordering::Relaxed);
        true
    }

    /// Gives `bytes` back, or what is left if that is less.
    pub fn release(&self, bytes: usize) {
        let before = self
            .held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
                Some(held.saturating_sub(bytes))
            })
            .unwrap_or_default();
        self.free.add_permits(before.min(bytes));
    }

    /// Gives everything back: from now on somebody else accounts for the memory.
    pub fn release_all(&self) {
        self.release(usize::MAX);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.release_all();
    }
}

/// Bytes that release their share of a charge when the last reference to them is gone: for a body
/// on its way out, when the socket has taken them.
struct Charged<T> {
    bytes: T,
    allocated: usize,
    charge: Arc<Charge>,
}

impl<T: AsRef<[u8]>> AsRef<[u8]> for Charged<T> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

impl<T> Drop for Charged<T> {
    fn drop(&mut self) {
        self.charge.release(self.allocated);
    }
}

/// Wraps `bytes`, which take `allocated` bytes of memory, so that they hold their share of `charge`.
pub(super) fn charged(
    bytes: impl AsRef<[u8]> + Send + 'static,
    allocated: usize,
    charge: &Arc<Charge>,
) -> Bytes {
    Bytes::from_owner(Charged { bytes, allocated, charge: charge.clone() })
}

/// XXH3 (128 bits) of a body as identity, the base of its entity tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub u128);

impl Fingerprint {
    /// The hash of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(xxhash_rust::xxh3::xxh3_128(bytes))
    }
}

/// What is known of a body as identity, whatever the coding of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest {
    /// Its hash.
    pub hash: Fingerprint,
    /// How many rows it holds.
    pub rows: u64,
    /// The id of the last one; 0 where there is none.
    pub last_id: i64,
}

impl Digest {
    /// How many bytes [`Digest::to_bytes`] gives.
    pub const LENGTH: usize = 32;

    /// As bytes, to be kept beside the body.
    pub fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..16].copy_from_slice(&self.hash.0.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.rows.to_be_bytes());
        bytes[24..].copy_from_slice(&self.last_id.to_be_bytes());
        bytes
    }

    /// What [`Digest::to_bytes`] made these of.
    pub fn from_bytes(bytes: &[u8; Self::LENGTH]) -> Self {
        let part = |from: usize| -> [u8; 8] { bytes[from..from + 8].try_into().expect("it is 8") };
        let hash: [u8; 16] = bytes[..16].try_into().expect("it is 16");
        Self {
            hash: Fingerprint(u128::from_be_bytes(hash)),
            rows: u64::from_be_bytes(part(16)),
            last_id: i64::from_be_bytes(part(24)),
        }
    }
}

/// A whole body in memory: one or more chunks, its length and digest. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Whole(Arc<WholeInner>);

#[derive(Debug)]
struct WholeInner {
    chunks: Vec<Bytes>,
    len: usize,
    allocated: usize,
    digest: Digest,
    charge: Option<Arc<Charge>>,
}

impl Whole {
    pub(super) fn from_chunks(
        chunks: Vec<Bytes>,
        allocated: usize,
        digest: Digest,
        charge: Arc<Charge>,
    ) -> Self {
        let len = chunks.iter().map(Bytes::len).sum();
        Self(Arc::new(WholeInner { chunks, len, allocated, digest, charge: Some(charge) }))
    }

    /// A body in one piece that nobody's budget pays for, such as a cache's own entry.
    pub fn uncharged(body: Bytes, digest: Digest) -> Self {
        let len = body.len();
        Self(Arc::new(WholeInner { chunks: vec![body], len, allocated: len, digest, charge: None }))
    }

    /// A body in one piece whose memory, `allocated` bytes, `charge` pays for.
    pub fn charged(body: Bytes, allocated: usize, digest: Digest, charge: Charge) -> Self {
        let charge = Arc::new(charge);
        let len = body.len();
        let chunks = vec![charged(body, allocated, &charge)];
        Self(Arc::new(WholeInner { chunks, len, allocated, digest, charge: Some(charge) }))
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// Whether there is not a single byte.
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// Bytes of memory that it takes.
    pub fn allocated(&self) -> usize {
        self.0.allocated
    }

    /// The hash of the body as identity, whatever the coding of these bytes.
    pub fn hash(&self) -> Fingerprint {
        self.0.digest.hash
    }

    /// What is known of the body as identity.
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// The chunks in order.
    pub fn chunks(&self) -> &[Bytes] {
        &self.0.chunks
    }

    /// The chunks to send. What nobody else holds is freed chunk by chunk as they leave.
    pub fn into_chunks(self) -> impl Iterator<Item = Bytes> + Send + Sync {
        match Arc::try_unwrap(self.0) {
            Ok(inner) => inner.chunks.into_iter(),
            Err(shared) => shared.chunks.clone().into_iter(),
        }
    }

    /// All bytes in one piece: without a copy where it is one already.
    pub fn contiguous(&self) -> Bytes {
        match self.chunks() {
            [only] => only.clone(),
            chunks => chunks.concat().into(),
        }
    }

    /// Stops charging the budget: a cache with a bound of its own has taken the body.
    pub fn release_charge(&self) {
        if let Some(charge) = &self.0.charge {
            charge.release_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: Digest = Digest { hash: Fingerprint(7 << 90), rows: 3, last_id: -1 };

    #[test]
    fn a_digest_is_read_back_as_it_was_kept() {
        assert_eq!(Digest::from_bytes(&DIGEST.to_bytes()), DIGEST);
    }

    #[test]
    fn a_charge_comes_back_when_the_last_chunk_is_gone() {
        let budget = Budget::new(1000);
        let charge = Arc::new(budget.charge());
        assert!(charge.try_add(600) && !charge.try_add(600));
        let chunks = vec![charged(vec![1; 10], 400, &charge), charged(vec![2; 10], 200, &charge)];
        let whole = Whole::from_chunks(chunks, 600, DIGEST, charge);
        let mut sending = whole.into_chunks();
        assert_eq!(budget.used(), 600);
        let first = sending.next().unwrap();
        drop(first);
        assert_eq!(budget.used(), 200, "the first chunk has left");
        drop(sending);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_cached_body_is_not_charged_twice() {
        let budget = Budget::new(1000);
        let charge = budget.charge();
        assert!(charge.try_add(500));
        let whole = Whole::charged(Bytes::from_static(b"x"), 500, DIGEST, charge);
        whole.release_charge();
        assert_eq!(budget.used(), 0);
        drop(whole);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn what_can_never_fit_is_refused_at_once() {
        assert!(Budget::new(10).reserve(11).await.is_none());
        assert!(Budget::new(0).reserve(1).await.is_none());
    }
}
