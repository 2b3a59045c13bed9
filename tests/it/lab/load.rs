//! What the load driver reports is what happened: held against a server that takes notes.

use std::sync::Arc;
use std::time::Duration;

use poolwise::lab::base::Base;
use poolwise::lab::histogram::Times;
use poolwise::lab::load::{Job, Keys, LaneTarget, Live, StageLevel, drive};
use poolwise::lab::plan::{Arrivals, Distribution, Model, Parameters};
use poolwise::lab::record::{Lane, Second};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::known::{Ending, Known, Note, Reply};
use super::retried;

pub(super) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(super) fn closed(pause_ms: u64) -> Model {
    Model::Closed { pause: ms(pause_ms) }
}

pub(super) fn open(connections: u32) -> Model {
    Model::Open { arrivals: Arrivals::Constant, connections }
}

pub(super) fn hold(level: f64, duration_ms: u64) -> StageLevel {
    StageLevel { level, ramp: Duration::ZERO, duration: ms(duration_ms) }
}

fn lane(name: &str) -> LaneTarget {
    LaneTarget { strategy: name.into(), path: format!("/{name}") }
}

/// A job against this server: one lane, one of 20 queries each, no warm-up.
pub(super) async fn job(url: &str, model: Model, stages: &[StageLevel]) -> Job {
    let values = (0..20).map(|i| format!("key={i}")).collect();
    let parameters = Parameters { values, distribution: Distribution::Uniform };
    Job {
        base: Base::parse(url).await.expect("it is the address of a service"),
        lanes: vec![lane("subject")],
        model,
        stages: stages.to_vec(),
        warm_up: Duration::ZERO,
        timeout: ms(60_000),
        keys: Arc::new(Keys::new(&parameters, 1, 1)),
        shop: None,
        pause_spread: Duration::ZERO,
        seed: 1,
        begin: Instant::now() + ms(200),
        live: Arc::default(),
        stop: CancellationToken::new(),
    }
}

/// The sum of a figure over the seconds of a lane.
fn sum(lane: &Lane, figure: impl Fn(&Second) -> u64) -> u64 {
    lane.seconds.iter().map(figure).sum()
}

fn times(lane: &Lane, of: impl Fn(&Second) -> &Times) -> Times {
    lane.seconds.iter().fold(Times::default(), |mut all, second| {
        all.add(of(second));
        all
    })
}

/// How many samples are at least that long.
fn at_least(times: &Times, limit_ms: f64) -> u64 {
    times.recorded().filter(|(time_ms, _)| *time_ms >= limit_ms).map(|(_, count)| count).sum()
}

pub(super) fn outcome(lane: &Lane, name: &str) -> u64 {
    lane.outcomes.get(name).copied().unwrap_or(0)
}

/// Whether the server got all of these. There may be less: arrivals of the warm-up that a machine
/// which stands still does not begin are counted nowhere. There must not be more.
fn is_all(known: &Known, most: u64) -> Result<(), String> {
    let seen = known.notes().len() as u64;
    assert!(seen <= most, "{seen} of {most}");
    if seen == most { Ok(()) } else { Err(format!("{seen} of {most} requests")) }
}

/// What must hold of every lane, whatever happened.
pub(super) fn assert_adds_up(lane: &Lane) {
    let ended: u64 = lane.outcomes.values().sum();
    assert_eq!(lane.scheduled, ended + lane.dropped, "{:?}", lane.outcomes);
    assert_eq!(ended, sum(lane, |second| second.answers + second.errors));
    assert_eq!(lane.first_byte.count(), sum(lane, |second| second.answers));
    let [latency, service_time] =
        [times(lane, |second| &second.latency), times(lane, |second| &second.service_time)];
    assert_eq!(latency.count(), service_time.count());
    assert!(latency.mean_ms() >= service_time.mean_ms());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_is_counted_once_and_every_byte() {
    let known = Known::start(|n| Reply {
        status: if n % 5 == 4 { 500 } else { 200 },
        body_bytes: 1000 + n as usize % 7,
        cache: Some(["hit", "miss", "HIT", "unheard-of"][n as usize % 4]),
        ..Reply::default()
    })
    .await;
    let driven = drive(job(&known.url(), closed(10), &[hold(8.0, 1000)]).await).await;
    let (lane, seen) = (&driven.lanes[0], known.notes().len() as u64);
    assert_adds_up(lane);
    assert_eq!((driven.cut, lane.dropped), (None, 0));
    assert_eq!(lane.scheduled, seen);
    let good = |n: &u64| n % 5 != 4;
    assert_eq!(outcome(lane, "500"), seen - (0..seen).filter(good).count() as u64);
    assert_eq!(outcome(lane, "200"), sum(lane, |second| second.answers));
    assert_eq!(sum(lane, |second| second.body_bytes), (0..seen).map(|n| 1000 + n % 7).sum::<u64>());
    assert_eq!(times(lane, |second| &second.latency).count(), outcome(lane, "200"));
    let of_cache = |word: &str| sum(lane, |second| second.cache.get(word).copied().unwrap_or(0));
    let with =
        |places: &[u64]| (0..seen).filter(good).filter(|n| places.contains(&(n % 4))).count();
    assert_eq!(of_cache("hit"), with(&[0, 2]) as u64);
    assert_eq!(of_cache("miss"), with(&[1]) as u64);
    assert_eq!(of_cache("other"), with(&[3]) as u64);
    assert_eq!(known.connections_used(), 8, "one for each user");
    // One that is not there in time is given up, and another is opened.
    assert!((8..=16).contains(&known.connections()), "{}", known.connections());
    let head = &known.notes()[0].head.to_lowercase();
    assert!(head.contains("accept-encoding: identity\r\n"), "{head}");
    assert!(head.contains(&format!("host: {}\r\n", known.address)), "{head}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_warm_up_is_driven_and_not_counted() {
    retried(4, async || {
        let known = Known::start(|_| Reply::default()).await;
        let mut job = job(&known.url(), open(8), &[hold(100.0, 1000)]).await;
        job.warm_up = ms(500);
        let begin = job.begin;
        let driven = drive(job).await;
        let lane = &driven.lanes[0];
        assert_adds_up(lane);
        assert_eq!(driven.measured, (begin + ms(500), begin + ms(1500)));
        assert_eq!(lane.scheduled, 100);
        is_all(&known, 150 - lane.dropped)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_counted_by_when_they_were_due_and_placed_by_when_they_ended() {
    // Every answer takes longer than the warm-up, and than what is left of the measured part.
    retried(4, async || {
        let known = Known::start(|_| Reply { delay: ms(700), ..Reply::default() }).await;
        let mut job = job(&known.url(), open(40), &[hold(20.0, 1000)]).await;
        job.warm_up = ms(500);
        let driven = drive(job).await;
        let lane = &driven.lanes[0];
        assert_adds_up(lane);
        assert_eq!((lane.scheduled, outcome(lane, "200")), (20, 20 - lane.dropped));
        // Due 25 to 975 ms after the begin of the measured part, ended 725 to 1675 ms or later.
        assert!(lane.seconds[0].answers <= 6, "{}", lane.seconds[0].answers);
        assert!(lane.seconds.len() >= 2 || lane.dropped > 0);
        is_all(&known, 30 - lane.dropped)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fixed_delay_shows_as_it_is() {
    let known = Known::start(|_| Reply { delay: ms(100), ..Reply::default() }).await;
    for model in [closed(20), open(20)] {
        let mut highest_p50 = f64::INFINITY;
        // A machine that is busy with something else adds to it, for a while.
        for _ in 0..20 {
            let driven = drive(job(&known.url(), model, &[hold(20.0, 1500)]).await).await;
            let lane = &driven.lanes[0];
            assert_adds_up(lane);
            let latency = times(lane, |second| &second.latency);
            assert_eq!(at_least(&latency, 99.9), latency.count());
            let service_time = times(lane, |second| &second.service_time);
            let p50 = [&latency, &service_time, &lane.first_byte].map(|of| of.quantile_ms(0.5));
            // There is none of too few answers.
            if p50.contains(&None) {
                continue;
            }
            assert!(p50.iter().all(|p50| *p50 >= Some(99.9)), "{p50:?}");
            let highest = p50.into_iter().flatten().fold(0.0, f64::max);
            highest_p50 = highest_p50.min(highest);
            if highest_p50 < 130.0 {
                break;
            }
        }
        assert!(highest_p50 < 130.0, "{model:?}: {highest_p50} ms");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_time_is_at_least_what_the_server_says_that_it_took() {
    let known = Known::start(|n| Reply { delay: ms(n % 30), ..Reply::default() }).await;
    let driven = drive(job(&known.url(), closed(5), &[hold(4.0, 1000)]).await).await;
    let took = |note: &Note| note.answered.expect("all were answered") - note.received;
    let mut exact: Vec<Duration> = known.notes().iter().map(took).collect();
    exact.sort_unstable();
    let seen = times(&driven.lanes[0], |second| &second.service_time);
    assert_eq!(seen.count(), exact.len() as u64);
    let mut reported =
        seen.recorded().flat_map(|(ms, count)| std::iter::repeat_n(ms, count as usize));
    for exact in exact {
        // Sorted, each must be at least its counterpart, to three significant digits.
        let reported = reported.next().expect("as many");
        assert!(
            reported >= exact.as_secs_f64() * 1000.0 * 0.999 - 0.001,
            "{reported} ms: {exact:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stall_is_in_the_latency_of_the_open_model_and_not_in_its_service_time() {
    let known = Known::start(|_| Reply::default()).await;
    let job = job(&known.url(), open(4), &[hold(400.0, 2000)]).await;
    let begin = job.begin;
    let driving = tokio::spawn(drive(job));
    tokio::time::sleep_until(begin + ms(800)).await;
    known.stall(ms(500));
    let driven = driving.await.expect("no panic");
    let lane = &driven.lanes[0];
    assert_adds_up(lane);
    assert_eq!(lane.scheduled, 800);
    let latency = times(lane, |second| &second.latency);
    let service_time = times(lane, |second| &second.service_time);
    // 200 arrivals came in the 500 ms: those of the first 100 ms waited for at least 400.
    // One that a busy machine did not begin at all waited as well.
    let waited = at_least(&latency, 400.0) + lane.dropped;
    assert!(waited >= 36, "{waited}");
    assert!(lane.dropped > 0 || latency.quantile_ms(0.99) > Some(400.0));
    assert!(service_time.quantile_ms(0.5) < Some(100.0));
    // Only what was on its way then, one request for each connection, and the same in other stalls
    // of a busy machine; all who waited are far more.
    assert!(at_least(&service_time, 400.0) <= 40, "{}", at_least(&service_time, 400.0));
    assert!(lane.late + lane.dropped >= 150, "{} and {}", lane.late, lane.dropped);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_pause_after_every_answer() {
    let known = Known::start(|n| Reply { delay: ms(n % 20), ..Reply::default() }).await;
    let driven = drive(job(&known.url(), closed(100), &[hold(10.0, 2000)]).await).await;
    assert_adds_up(&driven.lanes[0]);
    let scheduled = driven.lanes[0].scheduled;
    assert!((1..=10 * 20).contains(&scheduled), "{scheduled}");
    let notes = known.notes();
    assert_eq!(notes.len() as u64, scheduled);
    for connection in 0..known.connections() {
        let own: Vec<&Note> = notes.iter().filter(|note| note.connection == connection).collect();
        for pair in own.windows(2) {
            let paused = pair[1].received - pair[0].answered.expect("all were answered");
            assert!(paused >= ms(100), "{paused:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_strategy_is_asked_the_same_questions_in_the_same_order() {
    let stages = [hold(1.0, 2000)];
    retried(4, async || {
        let known = Known::start(|_| Reply::default()).await;
        let mut mixed = job(&known.url(), closed(1), &stages).await;
        let keys = mixed.keys.clone();
        mixed.lanes = ["direct", "pooled", "cached"].map(lane).to_vec();
        let driven = drive(mixed).await;
        let alone = job(&known.url(), closed(1), &stages).await;
        assert_eq!(drive(alone).await.lanes.len(), 1);
        let notes = known.notes();
        let counts: Vec<u64> = driven.lanes.iter().map(|lane| lane.scheduled).collect();
        let mut is_enough = true;
        for (name, count) in
            [("direct", counts[0]), ("pooled", counts[1]), ("cached", counts[2]), ("subject", 5)]
        {
            let path = format!("/{name}?");
            let asked: Vec<&str> =
                notes.iter().filter_map(|note| note.target.strip_prefix(&path)).collect();
            let expected: Vec<&str> = (0..asked.len() as u64).map(|i| keys.get(i)).collect();
            assert_eq!(asked, expected, "{name}");
            is_enough &= asked.len() as u64 >= count && count > 0;
        }
        assert!(
            counts.iter().max() <= counts.iter().min().map(|least| least + 1).as_ref(),
            "{counts:?}"
        );
        if is_enough { Ok(()) } else { Err(format!("{counts:?} of {} requests", notes.len())) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stages_change_how_many_requests_the_server_has_in_hand() {
    let down = StageLevel { level: 2.0, ramp: ms(400), duration: ms(1000) };
    let stages = [hold(2.0, 600), hold(8.0, 600), down];
    // On a busy machine a request may begin or end much later than it should.
    retried(4, async || {
        let known = Known::start(|_| Reply { delay: ms(60), ..Reply::default() }).await;
        let job = job(&known.url(), closed(0), &stages).await;
        let begin = job.begin;
        let driven = drive(job).await;
        assert_adds_up(&driven.lanes[0]);
        assert_eq!(driven.lanes[0].scheduled, known.notes().len() as u64);
        let highest = |from: u64, to: u64| {
            let moments = (from..to).step_by(3).map(|at| known.in_hand(begin + ms(at)));
            moments.max().expect("there are moments")
        };
        let found = [highest(100, 590), highest(700, 1190), highest(1750, 2190)];
        if found == [2, 8, 2] { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_never_come_are_recorded_with_the_time_that_was_waited() {
    let ending = |n| if n % 4 == 3 { Ending::Never } else { Ending::Whole };
    let known = Known::start(move |n| Reply { ending: ending(n), ..Reply::default() }).await;
    let mut job = job(&known.url(), closed(20), &[hold(4.0, 5000)]).await;
    // A whole answer of a busy machine must not take as long.
    job.timeout = ms(3000);
    let driven = drive(job).await;
    let lane = &driven.lanes[0];
    assert_adds_up(lane);
    let never = known.notes().iter().filter(|note| note.answered.is_none()).count() as u64;
    assert!(never > 0);
    assert_eq!(outcome(lane, "timeout"), never);
    assert_eq!(sum(lane, |second| second.errors), never);
    assert_eq!(lane.scheduled, known.notes().len() as u64);
    let latency = times(lane, |second| &second.latency);
    assert_eq!(latency.count(), lane.scheduled);
    assert!(at_least(&latency, 3000.0) >= never, "{} of {never}", at_least(&latency, 3000.0));
    // Where it had to connect first, the service time is that much shorter.
    let service_time = times(lane, |second| &second.service_time);
    assert!(at_least(&service_time, 2500.0) >= 1);
    assert!(known.connections_used() > 4, "one that did not answer is not used again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn halves_and_broken_connections_are_no_answers() {
    const ENDINGS: [Ending; 5] =
        [Ending::Whole, Ending::HalfALength, Ending::Whole, Ending::HalfAChunked, Ending::Closed];
    let known =
        Known::start(|n| Reply { ending: ENDINGS[n as usize % 5], ..Reply::default() }).await;
    let driven = drive(job(&known.url(), closed(10), &[hold(3.0, 800)]).await).await;
    let lane = &driven.lanes[0];
    assert_adds_up(lane);
    let seen = known.notes().len() as u64;
    let with = |places: &[u64]| (0..seen).filter(|n| places.contains(&(n % 5))).count() as u64;
    assert_eq!(outcome(lane, "200"), with(&[0, 2]));
    assert_eq!(outcome(lane, "truncated"), with(&[1, 3]));
    assert_eq!(outcome(lane, "reset"), with(&[4]));
    assert_eq!(lane.scheduled, seen);
    assert_eq!(sum(lane, |second| second.body_bytes), 100 * with(&[0, 2]) + 50 * with(&[1, 3]));
    assert_eq!(times(lane, |second| &second.latency).count(), seen);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_closed_while_idle_fails_nothing() {
    let ending = Ending::WholeThenClosed;
    let known = Known::start(move |_| Reply { ending, ..Reply::default() }).await;
    let driven = drive(job(&known.url(), closed(100), &[hold(5.0, 1000)]).await).await;
    let lane = &driven.lanes[0];
    assert_adds_up(lane);
    assert_eq!(outcome(lane, "200"), lane.scheduled, "{:?}", lane.outcomes);
    assert_eq!(known.connections_used(), lane.scheduled);
    // One that is not there in time is given up, and another is opened.
    let most = lane.scheduled + 5;
    assert!(known.connections() <= most, "{} of {most}", known.connections());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arrivals_that_find_no_connection_are_late_and_then_dropped() {
    retried(4, async || {
        let known = Known::start(|_| Reply { delay: ms(90), ..Reply::default() }).await;
        let driven = drive(job(&known.url(), open(2), &[hold(100.0, 1000)]).await).await;
        let (lane, seen) = (&driven.lanes[0], known.notes().len() as u64);
        assert_adds_up(lane);
        assert_eq!((lane.scheduled, lane.dropped), (100, 100 - seen));
        assert!(seen <= 2 * 12, "{seen}");
        let latency = times(lane, |second| &second.latency);
        assert_eq!(latency.count(), seen);
        assert!(lane.late + 2 >= seen, "{} of {seen}", lane.late);
        // The last ones begun were due long before: their latency says so, their service time does
        // not.
        let longest = latency.max_ms();
        let is_enough = seen >= 2 && longest > Some(500.0);
        if is_enough { Ok(()) } else { Err(format!("{seen} requests, at most {longest:?} ms")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_can_be_watched() {
    let status = |n| if n % 2 == 0 { 200 } else { 503 };
    retried(4, async || {
        let known = Known::start(move |n| Reply { status: status(n), ..Reply::default() }).await;
        let mut job = job(&known.url(), closed(1), &[hold(4.0, 8000)]).await;
        job.warm_up = ms(200);
        let live: Arc<Live> = job.live.clone();
        let stop = job.stop.clone();
        let driving = tokio::spawn(drive(job));
        while live.recent_p95_ms().is_none() {
            sleep(ms(5)).await;
            if driving.is_finished() {
                return Err(format!("only {} answers", live.answers()));
            }
        }
        stop.cancel();
        driving.await.expect("no panic");
        let seen = known.notes().len() as u64;
        assert_eq!(live.in_flight(), 0);
        let found = (live.answers(), live.errors());
        // What takes too long after the end is not counted.
        let is_all = found == (seen.div_ceil(2), seen / 2);
        if is_all { Ok(()) } else { Err(format!("{found:?} of {seen} requests")) }
    })
    .await;
}

#[tokio::test]
async fn a_query_that_is_none_is_a_sentence_and_no_panic() {
    let known = Known::start(|_| Reply::default()).await;
    let mut job = job(&known.url(), closed(1), &[hold(1.0, 100)]).await;
    let values = vec!["name=two words".into()];
    let parameters = Parameters { values, distribution: Distribution::Fixed };
    job.keys = Arc::new(Keys::new(&parameters, 1, 1));
    let cut = drive(job).await.cut.expect("it cannot be driven");
    assert_eq!(
        cut,
        "\"/subject?name=two words\" cannot be asked for: it is not a path with a query"
    );
}
