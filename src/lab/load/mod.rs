//! The load driver: requests at set times or by users who pause, each answer read to its last byte.
//!
//! A request is a list, or one of the other tasks of a plan ([`Shop`]).
//!
//! It knows HTTP and the clock. It must not know what a strategy is, what an answer means, or what
//! becomes of the figures.
//!
//! # When requests begin
//!
//! Every request has an **intended start**, which is known before it is clear whether a connection
//! is free. In the closed model it is the end of the user's answer before it + the pause; the first
//! ones of users who come together are spread evenly over the pause, and users on a ramp come one
//! after the other. In the open model it is the request's place in a schedule that nothing but the
//! plan and the seed decide. In the warm-up the level is that of the first stage.
//!
//! A worker is one connection, kept alive: in the closed model that of one user, in the open model
//! one of a number that take the next arrival from the schedule whenever they are free.
//!
//! # What is counted
//!
//! The measured part is `[begin + warm_up, begin + warm_up + the durations of the stages)`.
//!
//! - **A request belongs to it if its intended start lies in it**, and then it counts whole,
//!   whenever it ends: it is followed for up to `timeout` from when it was begun. Requests of the
//!   warm-up are not counted, also when they end in the measured part. So under a steady load the
//!   answers that come in from the warm-up and those that go out at the end are exchanged one for
//!   one, and *rate = answers / length of the measured part* is exact.
//! - It stands in the second in which it ended, counted from the begin of the measured part. The
//!   last seconds may lie after the end.
//! - `scheduled` = all `outcomes` + `dropped`, always.
//! - `late`: begun more than [`LATE`] after its intended start. `dropped`: an arrival of the open
//!   model that was not begun until [`LATE`] after the end.
//! - `latency` counts from the intended start, `service_time` from when the request was handed to an
//!   open connection (where there was none, from when it was begun), both to the last byte or to
//!   when waiting for it ended. Answers that never came, or came half, are in both with the time
//!   that was waited; answers with a status from 400 in neither. `first_byte` counts from where
//!   `service_time` does.
//! - `body_bytes` are of all bodies, also of errors and of halves.
//!
//! # Cancellation
//!
//! When `stop` is cancelled, or the target has refused or reset everything for [`LOST_AFTER`], no
//! request begins any more. Those on their way have [`GRACE`] to end; one that does not is not
//! counted at all, because it was us who ended it. Arrivals that were due before are `dropped`,
//! later ones were never scheduled. The measured part ends at that moment. Dropping the future of
//! [`drive`] ends everything at once.

mod block;
mod clock;
mod connection;
mod job;
mod keys;
mod levels;
mod live;
mod outcome;
mod pacer;
mod recorder;
mod schedule;
mod shop;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

pub use job::{Driven, Job, LaneTarget, StageLevel};
pub use keys::Keys;
pub use live::Live;
pub use shop::{Shop, Tokens, detail};

use block::Block;
use worker::Worker;

/// A request that begins this much after its intended start is late.
pub const LATE: Duration = Duration::from_millis(1);
/// How long the target may refuse and reset everything before the block ends.
pub const LOST_AFTER: Duration = Duration::from_secs(3);
/// How long requests may take to end once a block is cut short.
pub const GRACE: Duration = Duration::from_secs(1);

/// Drives one block to its end, on the runtime that it is called on.
///
/// Connections are opened in the half second before they are needed, so `begin` is best that far
/// ahead.
pub async fn drive(job: Job) -> Driven {
    let stop = job.stop.clone();
    let block = match Block::new(job) {
        Ok(block) => Arc::new(block),
        Err(driven) => return *driven,
    };
    let mut workers = JoinSet::new();
    for worker in Worker::all(&block) {
        workers.spawn(worker.run());
    }
    let cut = tokio::select! {
        biased;
        () = all(&mut workers) => None,
        () = stop.cancelled() => Some("interrupted".to_owned()),
        error = block.health.lost() => Some(format!("the target no longer answers: {error}")),
    };
    if cut.is_some() {
        block.halt(Instant::now());
        let _ = timeout(GRACE, all(&mut workers)).await;
        workers.shutdown().await;
    }
    block.finish(cut)
}

/// Until every worker has ended; a panic of one is passed on.
async fn all(workers: &mut JoinSet<()>) {
    while let Some(ended) = workers.join_next().await {
        if let Err(error) = ended
            && let Ok(panic) = error.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
    }
}
