//! Windows over samples a second apart, and what of records stands in them.

use super::*;

/// The run's clock began then.
const ZERO: f64 = 1_000.0;

fn samples(ats: impl IntoIterator<Item = f64>) -> Vec<Sample> {
    ats.into_iter().map(|at_seconds| Sample { at_seconds, ..Sample::default() }).collect()
}

/// A request that began at a second of the run.
fn entry(at: f64, asked: &str) -> Entry {
    let (outcome, began) = ("200".to_owned(), ZERO + at);
    let asked = asked.to_owned();
    Entry { began, took: 0.1, first_byte: None, asked, outcome, is_good: true, bytes: 10 }
}

fn strategies() -> Vec<String> {
    ["direct", "pooled", "cached"].map(str::to_owned).to_vec()
}

fn cut_of(
    samples: &[Sample],
    imported: &[Imported],
    skip: f64,
    windows: u32,
) -> Result<Windows, String> {
    let strategies = &strategies();
    let skip = Some(Duration::from_secs_f64(skip));
    cut(&Material { samples, imported, zero: ZERO, strategies, point: "tool", skip, windows })
}

#[test]
fn every_request_is_in_the_window_in_which_it_began() {
    let samples = samples((0..=12).map(|at| f64::from(at) + 0.5));
    let requests: Vec<Entry> = (0..90)
        .map(|i| {
            entry(
                2.0 + f64::from(i) * 0.1,
                ["/products/direct", "/products/cached", "/noop"][i as usize % 3],
            )
        })
        .collect();
    let found = cut_of(&samples, &[Imported::Requests(requests)], 0.0, 3).expect("there are some");
    assert_eq!(found.driven, ["direct", "cached"]);
    // The windows go from the first sample of the load to its last one: 5 began before, 4 after.
    assert_eq!((found.outside, found.skip_seconds), (9, 0.0));
    assert_eq!(found.other_routes, BTreeMap::from([("/noop".to_owned(), 27)]));
    let ends: Vec<(f64, f64)> =
        found.blocks.iter().map(|b| (b.from_seconds, b.to_seconds)).collect();
    assert_eq!(ends, [(2.5, 5.5), (5.5, 7.5), (7.5, 10.5)]);
    for block in &found.blocks {
        let names: Vec<&str> = block.lanes.iter().map(|lane| &*lane.strategy).collect();
        assert_eq!(names, ["direct", "cached", OTHER_ROUTES]);
        let (first, last) = (&block.samples[0], &block.samples[block.samples.len() - 1]);
        assert_eq!((first.at_seconds, last.at_seconds), (block.from_seconds, block.to_seconds));
        assert_eq!(block.load, Load::Watched);
    }
    let answers: u64 = found.blocks.iter().flat_map(|block| &block.lanes).map(Lane::answers).sum();
    assert_eq!(answers, 81);
    // 2.5 to 5.4: 30 requests, every third one to direct.
    assert_eq!(found.blocks[0].lanes[0].answers(), 10);
    let times: u64 = found.blocks[0].lanes[0].seconds.iter().map(|s| s.latency.count()).sum();
    assert_eq!(times, 10);
    assert_eq!(found.blocks[0].lanes[0].outcomes["200"], 10);
}

#[test]
fn a_window_has_no_time_without_load_unless_the_load_is_short() {
    let samples = samples((0..=20).map(f64::from));
    // 10 a second from 3.95 to 12.05.
    let requests: Vec<Entry> =
        (0..=80).map(|i| entry(3.95 + f64::from(i) * 0.1, "direct")).collect();
    let rates = |windows| -> Vec<f64> {
        let imported = [Imported::Requests(requests.clone())];
        let found = cut_of(&samples, &imported, 0.0, windows).expect("there are some");
        let in_windows: u64 = found.blocks.iter().map(|block| block.lanes[0].answers()).sum();
        assert_eq!(in_windows + found.outside, 81);
        let rate = |block: &Block| block.lanes[0].answers() as f64 / block.seconds();
        found.blocks.iter().map(rate).collect()
    };
    for windows in [1, 2, 4, 8] {
        let found = rates(windows);
        assert!(found.len() == windows as usize, "{found:?}");
        assert!(found.iter().all(|rate| (rate - 10.0).abs() < 1e-9), "{found:?}");
    }
    // 9 windows need the samples around it.
    assert_eq!(rates(9).len(), 9);
}

#[test]
fn what_is_skipped_is_counted_as_outside() {
    let samples = samples((0..=10).map(f64::from));
    let requests = (0..80).map(|i| entry(1.0 + f64::from(i) * 0.1, "direct")).collect();
    let found = cut_of(&samples, &[Imported::Requests(requests)], 2.5, 5).expect("some are left");
    // The first sample 2.5 s after the first request is that of second 4.
    assert_eq!((found.blocks[0].from_seconds, found.skip_seconds), (4.0, 3.0));
    assert_eq!(found.outside, 30);
    assert_eq!(found.blocks.len(), 5);
    let nothing = cut_of(&samples, &[Imported::Requests(vec![entry(9.0, "direct")])], 5.0, 5);
    assert!(nothing.expect_err("nothing is left").contains("give a shorter --skip"));
}

#[test]
fn there_are_not_more_windows_than_seconds_and_none_is_empty() {
    let samples = samples([0.0, 1.0, 2.0, 2.1, 3.0]);
    let requests = vec![entry(0.5, "/products/pooled"), entry(2.5, "/products/pooled")];
    let found = cut_of(&samples, &[Imported::Requests(requests)], 0.0, 20).expect("there are two");
    assert_eq!(found.blocks.len(), 4);
    assert!(found.blocks.iter().all(|block| block.seconds() > 0.0));
}

#[test]
fn without_records_there_is_one_lane_without_requests() {
    let samples = samples((0..=6).map(f64::from));
    let found = cut_of(&samples, &[], 1.0, 5).expect("there are samples");
    assert_eq!((found.driven, found.blocks.len()), (vec![TOGETHER.to_owned()], 5));
    assert!(found.blocks.iter().all(|block| block.lanes[0].seconds.is_empty()));
    assert!(cut_of(&samples[..1], &[], 0.0, 5).expect_err("one sample").contains("run longer"));
}

#[test]
fn records_of_another_time_or_of_no_strategy_are_refused() {
    let samples = samples((0..=6).map(f64::from));
    let told =
        |entry| cut_of(&samples, &[Imported::Requests(vec![entry])], 0.0, 5).expect_err("refused");
    for at in [-3600.0, 100.0] {
        assert!(
            told(entry(at, "direct")).contains("of another time than that in which COMMAND ran")
        );
    }
    let said = told(entry(2.0, "http://h/health/ready?a=b"));
    assert!(
        said.contains("none of the 1 recorded requests") && said.ends_with("/health/ready"),
        "{said}"
    );
}

#[test]
fn a_record_far_from_the_watched_time_changes_nothing_but_the_count_of_those_outside() {
    let samples = samples((0..=20).map(f64::from));
    let good: Vec<Entry> = (0..160).map(|i| entry(2.0 + f64::from(i) * 0.1, "direct")).collect();
    let strategies = &strategies();
    let of = |imported: &[Imported]| {
        let (zero, point) = (ZERO, "tool");
        cut(&Material {
            samples: &samples,
            imported,
            zero,
            strategies,
            point,
            skip: None,
            windows: 4,
        })
    };
    let alone = of(&[Imported::Requests(good.clone())]).expect("there are some");
    assert_eq!(alone.blocks.len(), 4);
    let odd = |began: f64, took: f64| Entry { began, took, ..entry(0.0, "direct") };
    for one in [
        odd(ZERO - 3600.0, 0.1),
        odd(0.0, 0.1),
        odd(0.0, ZERO + 5.0),
        odd(ZERO + 3600.0, 0.1),
        odd(ZERO + 5.0, 1e15),
        odd(ZERO + 5.0, 1e300),
        odd(1e300, 1e300),
        odd(f64::MAX, f64::MAX),
        odd(ZERO + 5.0, f64::INFINITY),
        odd(ZERO + 5.0, f64::NAN),
        odd(f64::NAN, 0.1),
        odd(f64::INFINITY, -f64::INFINITY),
        odd(ZERO + 5.0, -0.5),
    ] {
        let both = [&[one.clone()][..], &good].concat();
        let found = of(&[Imported::Requests(both)]).expect("the others are good");
        assert_eq!(found.outside, alone.outside + 1, "{one:?}");
        assert_eq!((&found.blocks, found.skip_seconds), (&alone.blocks, alone.skip_seconds));
        let told = of(&[Imported::Requests(vec![one.clone()])]).expect_err("nothing is left");
        assert!(told.contains("of another time"), "{one:?}: {told}");
    }
    let count = |at: f64, sum_ms: f64, bytes: f64| {
        let asked = "direct".to_owned();
        Imported::Counts(vec![Count { at: ZERO + at, asked, answers: 9, errors: 1, sum_ms, bytes }])
    };
    for odd in [count(-1e9, 1.0, 1.0), count(5.0, 1e300, 1.0), count(5.0, f64::NAN, 1.0)] {
        let told = of(&[odd]).expect_err("nothing is left");
        assert!(told.contains("of another time"), "{told}");
    }
    let found = of(&[count(4.0, 1.0, 1.0), count(9.0, 1.0, f64::INFINITY)]);
    let found = found.expect("bytes may be anything");
    let lanes = found.blocks.iter().flat_map(|block| &block.lanes);
    let most = lanes.flat_map(|lane| &lane.seconds).map(|second| second.body_bytes).max();
    assert_eq!(most, Some(1 << 40));
    let total = |rate: f64| {
        let (asked, reported) = ("direct".to_owned(), Reported::default());
        Imported::Totals(vec![Total {
            asked,
            answers: 40,
            errors: 0,
            rate,
            reported,
            bytes: 1e300,
        }])
    };
    assert!(of(&[total(1e-300)]).expect_err("it took too long").contains("of another time"));
    assert_eq!(of(&[total(8.0)]).expect("it took 5 s").blocks[0].seconds(), 5.0);
}

#[test]
fn lists_and_single_products_are_told_apart() {
    let samples = samples((0..=6).map(f64::from));
    let requests = ["/strategies/cached/products", "/strategies/cached/products/7"];
    let requests = requests.iter().map(|asked| entry(2.0, asked)).collect();
    let found = cut_of(&samples, &[Imported::Requests(requests)], 0.0, 1).expect("there are two");
    let lane = &found.blocks[0].lanes[0];
    assert_eq!(
        (lane.answers(), lane.tasks["list"].answers, lane.tasks["detail"].answers),
        (2, 1, 1)
    );
    assert_eq!((found.tasks.list, found.tasks.detail), (1, 1));
}

#[test]
fn counts_keep_their_mean_and_totals_are_one_window_as_long_as_they_say() {
    let samples = samples((0..=12).map(f64::from));
    let count = |at: f64, sum_ms| {
        let asked = "/products/direct".to_owned();
        Count { at: ZERO + at, asked, answers: 9, errors: 1, sum_ms, bytes: 90.0 }
    };
    let counts = Imported::Counts(vec![count(1.5, 100.0), count(2.5, 300.0)]);
    let found = cut_of(&samples, &[counts], 0.0, 1).expect("there are two");
    let lane = &found.blocks[0].lanes[0];
    assert_eq!((lane.answers(), lane.errors(), lane.scheduled), (18, 2, 20));
    assert_eq!(lane.reported.and_then(|reported| reported.mean_ms), Some(20.0));

    let reported = Reported { mean_ms: Some(5.0), p95_ms: Some(9.0), ..Reported::default() };
    let total = |name: &str| {
        let asked = format!("/products/{name}");
        Total { asked, answers: 40, errors: 0, rate: 5.0, reported, bytes: 0.0 }
    };
    let totals = Imported::Totals(vec![total("direct"), total("pooled")]);
    let found = cut_of(&samples, &[totals], 3.0, 5).expect("there are two");
    let [block] = &found.blocks[..] else { panic!("{found:?}") };
    // 80 requests at 10 a second; what is skipped cannot be taken out of them.
    assert_eq!((block.from_seconds, block.to_seconds, found.skip_seconds), (4.0, 12.0, 0.0));
    assert_eq!((block.lanes[0].answers(), block.lanes[0].reported), (40, Some(reported)));
}
