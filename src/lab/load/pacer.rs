//! When a worker's next request is due. This and nothing else tells the two models apart.

use std::iter::Enumerate;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::levels::Levels;
use super::schedule::Schedule;
use crate::lab::random;

/// Says when the requests of one worker are due.
#[derive(Debug, Clone)]
pub(super) enum Pacer {
    /// A user of the closed model.
    User(User),
    /// A connection of the open model, which takes whatever arrives next.
    Arrivals(Arc<Arrivals>),
}

/// A request that is to begin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Start {
    /// Its intended start.
    pub due: Instant,
    /// Its number where the schedule gives it one; otherwise it gets one when it begins.
    pub number: Option<u64>,
}

/// A user of the closed model.
#[derive(Debug, Clone)]
pub(super) struct User {
    /// From 0.
    pub number: u32,
    pub pauses: Pauses,
    pub levels: Arc<Levels>,
    pub begin: Instant,
}

/// The pauses of a user.
#[derive(Debug, Clone)]
pub(super) struct Pauses {
    pub mean: Duration,
    /// Each is drawn evenly from the mean plus and minus this.
    pub spread: Duration,
    pub seed: u64,
    /// How many were.
    pub drawn: u64,
}

impl Pauses {
    fn next(&mut self, user: u32) -> Duration {
        if self.spread.is_zero() {
            return self.mean;
        }
        let share = random::share(random::draw(self.seed, u64::from(user)), self.drawn);
        self.drawn += 1;
        self.mean - self.spread + (self.spread * 2).mul_f64(share)
    }
}

/// The schedule of the open model, shared by its workers.
#[derive(Debug)]
pub(super) struct Arrivals {
    pub schedule: Mutex<Enumerate<Schedule>>,
    pub begin: Instant,
}

impl Pacer {
    /// The next request of a worker that has been free since `free`, `None` for one that has not
    /// had any yet. `None`: there is none any more.
    pub fn next(&mut self, free: Option<Instant>) -> Option<Start> {
        match self {
            Pacer::User(user) => user.next(free).map(|due| Start { due, number: None }),
            Pacer::Arrivals(arrivals) => arrivals.next(),
        }
    }

    /// How long a worker rests anyway before its next request.
    pub fn pause(&self) -> Duration {
        match self {
            Pacer::User(user) => user.pauses.mean,
            Pacer::Arrivals(_) => Duration::ZERO,
        }
    }
}

impl User {
    fn next(&mut self, free: Option<Instant>) -> Option<Instant> {
        let due = free.map_or(self.begin, |free| free + self.pauses.next(self.number));
        let mut at = (due - self.begin).as_secs_f64();
        if free.is_some() && self.levels.includes(self.number, at) {
            return Some(due);
        }
        // A level may last for less than the pause over which those who come are spread.
        loop {
            let entry = self.levels.entry(self.number, at)?;
            at = entry.at + self.pauses.mean.as_secs_f64() * entry.place;
            if entry.place == 0.0 || self.levels.includes(self.number, at) {
                return Some(self.begin + Duration::from_secs_f64(at));
            }
        }
    }
}

impl Arrivals {
    /// The next one of all workers.
    pub fn next(&self) -> Option<Start> {
        let mut schedule = self.schedule.lock().unwrap_or_else(PoisonError::into_inner);
        let (number, at) = schedule.next()?;
        let due = self.begin + Duration::from_secs_f64(at);
        Some(Start { due, number: Some(number as u64) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::StageLevel;
    use super::*;

    /// How many requests each of the users begins, were every answer to take `answer_ms`.
    fn begun(stages: &[(f64, u64)], pause_ms: u64, answer_ms: u64) -> Vec<usize> {
        let stage = |&(level, seconds)| StageLevel {
            level,
            ramp: Duration::ZERO,
            duration: Duration::from_secs(seconds),
        };
        let stages: Vec<StageLevel> = stages.iter().map(stage).collect();
        let levels = Arc::new(Levels::new(Duration::ZERO, &stages));
        let begin = Instant::now();
        let count = |number| {
            let pause = Duration::from_millis(pause_ms);
            let pauses = Pauses { mean: pause, spread: Duration::ZERO, seed: 1, drawn: 0 };
            let mut user = Pacer::User(User { number, pauses, levels: levels.clone(), begin });
            let (mut count, mut free) = (0, None);
            while let Some(due) = user.next(free) {
                count += 1;
                free = Some(due.due + Duration::from_millis(answer_ms));
            }
            count
        };
        (0..levels.highest() as u32).map(count).collect()
    }

    #[test]
    fn users_never_do_more_than_users_over_pause() {
        // 20 users at 250 ms are 80 a second: without any time for answers, exactly.
        assert_eq!(begun(&[(20.0, 10)], 250, 0), [40; 20]);
        let with_answers: usize = begun(&[(20.0, 10)], 250, 50).iter().sum();
        assert!((20 * 33..=20 * 34).contains(&with_answers), "{with_answers}");
    }

    #[test]
    fn pauses_are_spread_evenly_around_their_mean() {
        let (mean, spread) = (Duration::from_secs(2), Duration::from_secs(1));
        let mut pauses = Pauses { mean, spread, seed: 3, drawn: 0 };
        let drawn: Vec<f64> = (0..4000).map(|_| pauses.next(5).as_secs_f64()).collect();
        assert!(drawn.iter().all(|pause| (1.0..=3.0).contains(pause)));
        let share = |below| drawn.iter().filter(|pause| **pause < below).count() as f64 / 4000.0;
        assert!((share(1.5) - 0.25).abs() < 0.03 && (share(2.5) - 0.75).abs() < 0.03);
    }

    #[test]
    fn users_above_the_level_rest_until_it_includes_them() {
        let begun = begun(&[(1.0, 2), (3.0, 2), (1.0, 2), (2.0, 2)], 100, 0);
        assert_eq!(begun, [80, 40, 20]);
    }
}
