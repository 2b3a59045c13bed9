//! A block that is cut short, by whoever drives or by a target that dies, keeps what was measured.

use poolwise::lab::load::{Driven, drive};
use poolwise::lab::plan::Model;
use tokio::time::Instant;

use super::known::{Ending, Known, Reply};
use super::load::{assert_adds_up, closed, hold, job, ms, open, outcome};
use super::retried;
use crate::harness::eventually;

fn length_seconds(driven: &Driven) -> f64 {
    (driven.measured.1 - driven.measured.0).as_secs_f64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_block_keeps_what_was_measured() {
    for model in [closed(10), open(4)] {
        retried(4, async || {
            let known = Known::start(|_| Reply { delay: ms(20), ..Reply::default() }).await;
            let job = job(&known.url(), model, &[hold(50.0, 60_000)]).await;
            let (stop, begin) = (job.stop.clone(), job.begin);
            let driving = tokio::spawn(drive(job));
            tokio::time::sleep_until(begin + ms(700)).await;
            stop.cancel();
            let driven = driving.await.expect("no panic");
            let lane = &driven.lanes[0];
            assert_adds_up(lane);
            assert_eq!(driven.cut.as_deref(), Some("interrupted"));
            assert!((0.7..10.0).contains(&length_seconds(&driven)), "{}", length_seconds(&driven));
            let (counted, seen) = (lane.scheduled - lane.dropped, known.notes().len() as u64);
            assert!(counted <= seen, "{counted} of {seen}");
            // What does not end in time after that is not counted, as on a busy machine.
            if counted < seen || outcome(lane, "200") == 0 {
                return Err(format!("{counted} of {seen}: {:?}", lane.outcomes));
            }
            if let Model::Open { .. } = model {
                let due = length_seconds(&driven) * 50.0;
                assert!((lane.scheduled as f64 - due).abs() <= 1.0, "{} of {due}", lane.scheduled);
            }
            Ok(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_interruption_cuts_off_is_not_held_against_the_target() {
    let known = Known::start(|_| Reply { delay: ms(60_000), ..Reply::default() }).await;
    let job = job(&known.url(), closed(10), &[hold(5.0, 60_000)]).await;
    let (stop, live) = (job.stop.clone(), job.live.clone());
    let driving = tokio::spawn(drive(job));
    eventually("all five are on their way", || live.in_flight() == 5).await;
    stop.cancel();
    let driven = tokio::time::timeout(ms(10_000), driving).await;
    let driven = driven.expect("it does not wait for the answers").expect("no panic");
    assert_adds_up(&driven.lanes[0]);
    assert_eq!((driven.lanes[0].scheduled, live.in_flight()), (0, 0));
    // Stopped before it has begun, nothing is measured.
    let mut job = super::load::job(&known.url(), closed(10), &[hold(5.0, 60_000)]).await;
    job.begin = Instant::now() + ms(60_000);
    job.stop.cancel();
    let driven = drive(job).await;
    assert_eq!((driven.cut.as_deref(), length_seconds(&driven)), (Some("interrupted"), 0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_dies_ends_the_block_and_what_was_measured_is_kept() {
    let known = Known::start(|_| Reply { delay: ms(10), ..Reply::default() }).await;
    for (model, most_tries) in [(closed(0), 5 * 80), (open(5), 5 * 80)] {
        let job = job(&known.url(), model, &[hold(5.0, 60_000)]).await;
        let begin = job.begin;
        let driving = tokio::spawn(drive(job));
        tokio::time::sleep_until(begin + ms(700)).await;
        known.kill();
        let driven = tokio::time::timeout(ms(20_000), driving).await;
        let driven = driven.expect("it gives up").expect("no panic");
        let lane = &driven.lanes[0];
        assert_adds_up(lane);
        let cut = driven.cut.clone().expect("it was cut short");
        assert!(cut.starts_with("the target no longer answers: cannot connect to"), "{cut}");
        assert!(length_seconds(&driven) < 20.0);
        if let Model::Closed { .. } = model {
            let answered =
                known.notes().iter().filter(|note| note.answered.is_some()).count() as u64;
            assert!(outcome(lane, "200") > 0 && outcome(lane, "200") <= answered);
        }
        let refused = outcome(lane, "refused");
        assert!((1..most_tries).contains(&refused), "{refused} tries: it must not spin");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_takes_connections_and_drops_them_is_lost_too() {
    // As a container's port does while the program behind it is down.
    let known = Known::start(|_| Reply { ending: Ending::Closed, ..Reply::default() }).await;
    let driven = drive(job(&known.url(), closed(0), &[hold(5.0, 60_000)]).await).await;
    let lane = &driven.lanes[0];
    assert_adds_up(lane);
    assert!(driven.cut.is_some_and(|cut| cut.starts_with("the target no longer answers")));
    let reset = outcome(lane, "reset");
    assert_eq!(reset, lane.scheduled);
    assert!(reset < 5 * 80, "{reset} tries: it must not spin");
}
