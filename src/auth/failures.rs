//! How often somebody may guess: failures for each user and for each client address, given back evenly
//! with time (GCRA, as ITU-T I.371 has it: one instant for each bucket).
//!
//! An attempt is counted when it begins, so that many at once count as many, and taken back when it
//! succeeds. An address from which a user signed in lately has a bucket for that user of its own: whoever
//! uses up the guesses from elsewhere does not lock that user out.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::AuthError;
use crate::config;

/// How long an address is known as one of a user's.
const KNOWN_FOR: Duration = Duration::from_secs(30 * 24 * 3600);
/// Addresses that are known; beyond it the ones that are known longest are forgotten.
const MOST_KNOWN: usize = 100_000;

/// Counts failures; its memory is bounded by the failures of the last `auth.failures_per`.
pub(super) struct Failures {
    /// Time after which one failure is given back: of a user, of an address.
    each: [Duration; 2],
    window: Duration,
    hasher: RandomState,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    /// When each bucket is empty again.
    empty_at: HashMap<u64, Instant>,
    /// Users with an address from which they signed in, and when.
    known: HashMap<u64, Instant>,
}

/// An attempt to sign in, which counts as a failure unless it is said not to be one.
#[derive(Debug)]
pub(super) struct Attempt {
    counts: Arc<Mutex<Counts>>,
    taken: [(u64, Duration); 2],
    known: u64,
}

impl Failures {
    pub fn new(settings: &config::Auth) -> Self {
        let window = settings.failures_per;
        Self {
            each: [settings.failures, settings.failures_per_address].map(|most| window / most),
            window,
            hasher: RandomState::new(),
            counts: Arc::default(),
        }
    }

    /// Counts an attempt.
    ///
    /// # Errors
    /// [`AuthError::TooManyFailures`], and then it is not counted.
    pub fn begin(&self, name: &str, client: IpAddr) -> Result<Attempt, AuthError> {
        let client = network(client);
        let pair = self.hasher.hash_one((name, client));
        let mut counts = lock(&self.counts);
        let user = match counts.known.contains_key(&pair) {
            true => pair,
            false => self.hasher.hash_one(name),
        };
        let address = self.hasher.hash_one(client);
        let now = Instant::now();
        let taken = [(user, self.each[0]), (address, self.each[1])];
        let mut wait = Duration::ZERO;
        for (bucket, each) in taken {
            let empty_at = counts.empty_at.get(&bucket).copied().unwrap_or(now).max(now) + each;
            wait = wait.max((empty_at - now).saturating_sub(self.window));
        }
        if !wait.is_zero() {
            return Err(AuthError::TooManyFailures { retry_after: wait });
        }
        for (bucket, each) in taken {
            let empty_at = counts.empty_at.entry(bucket).or_insert(now);
            *empty_at = (*empty_at).max(now) + each;
        }
        Ok(Attempt { counts: self.counts.clone(), taken, known: pair })
    }

    /// Forgets what has been given back.
    pub fn forget_idle(&self) {
        let mut counts = lock(&self.counts);
        let now = Instant::now();
        counts.empty_at.retain(|_, empty_at| *empty_at > now);
        counts.empty_at.shrink_to_fit();
        counts.known.retain(|_, since| now - *since < KNOWN_FOR);
        if counts.known.len() > MOST_KNOWN {
            let mut times: Vec<Instant> = counts.known.values().copied().collect();
            let surplus = times.len() - MOST_KNOWN;
            let (_, oldest, _) = times.select_nth_unstable(surplus);
            let oldest = *oldest;
            counts.known.retain(|_, since| *since >= oldest);
        }
    }
}

impl Attempt {
    /// It was no failure, and no success either.
    pub fn forget(self) {
        self.take_back(&mut lock(&self.counts));
    }

    /// It succeeded: from here this user may go on whatever others do.
    pub fn succeeded(self) {
        let mut counts = lock(&self.counts);
        self.take_back(&mut counts);
        counts.known.insert(self.known, Instant::now());
    }

    fn take_back(&self, counts: &mut Counts) {
        for (bucket, each) in self.taken {
            if let Some(empty_at) = counts.empty_at.get_mut(&bucket) {
                *empty_at -= each;
            }
        }
    }
}

fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An IPv6 client has its whole /64 network to choose addresses from, so that counts as one.
fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn failures(of_user: u32, of_address: u32, window: Duration) -> Failures {
        Failures {
            each: [window / of_user, window / of_address],
            window,
            hasher: RandomState::new(),
            counts: Arc::default(),
        }
    }

    fn remembered(failures: &Failures) -> (usize, usize) {
        let counts = lock(&failures.counts);
        (counts.empty_at.len(), counts.known.len())
    }

    #[test]
    fn only_failures_stay_counted() {
        let failures = failures(3, 100, HOUR);
        let client = Ipv4Addr::LOCALHOST.into();
        for _ in 0..10 {
            failures.begin("ada", client).expect("none has failed").forget();
        }
        let attempts: Vec<_> = (0..4).map(|_| failures.begin("ada", client).is_ok()).collect();
        assert_eq!(attempts, [true, true, true, false]);
        let Err(AuthError::TooManyFailures { retry_after }) = failures.begin("ada", client) else {
            panic!("the fourth is one too many");
        };
        assert!((1190..=1200).contains(&retry_after.as_secs()), "{retry_after:?}");
    }

    #[test]
    fn what_was_given_back_is_forgotten() {
        let failures = failures(10, 10, Duration::from_millis(100));
        for n in 0..1000 {
            let client = Ipv4Addr::from_bits(n).into();
            assert!(failures.begin(&n.to_string(), client).is_ok());
        }
        assert_eq!(remembered(&failures), (2000, 0));
        std::thread::sleep(Duration::from_millis(200));
        failures.forget_idle();
        assert_eq!(remembered(&failures), (0, 0));
    }

    #[test]
    fn so_many_known_addresses_are_kept_and_no_more() {
        let failures = failures(10, 10, HOUR);
        for n in 0..MOST_KNOWN + 10 {
            let client = Ipv4Addr::from_bits(n as u32).into();
            failures.begin("ada", client).expect("none has failed").succeeded();
        }
        failures.forget_idle();
        assert!(remembered(&failures).1 <= MOST_KNOWN + 1);
    }
}
