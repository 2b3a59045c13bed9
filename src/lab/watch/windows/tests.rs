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
    assert_eq!((found.outside, found.skip_seconds), (0, 0.0));
    assert_eq!(found.other_routes, BTreeMap::from([("/noop".to_owned(), 30)]));
    let ends: Vec<(f64, f64)> =
        found.blocks.iter().map(|b| (b.from_seconds, b.to_seconds)).collect();
    assert_eq!(ends, [(1.5, 4.5), (4.5, 8.5), (8.5, 11.5)]);
    for block in &found.blocks {
        let names: Vec<&str> = block.lanes.iter().map(|lane| &*lane.strategy).collect();
        assert_eq!(names, ["direct", "cached", OTHER_ROUTES]);
        let (first, last) = (&block.samples[0], &block.samples[block.samples.len() - 1]);
        assert_eq!((first.at_seconds, last.at_seconds), (block.from_seconds, block.to_seconds));
        assert_eq!(block.load, Load::Watched);
    }
    let answers: u64 = found.blocks.iter().flat_map(|block| &block.lanes).map(Lane::answers).sum();
    assert_eq!(answers, 90);
    // 2.0 to 4.4: 25 requests, every third one to direct.
    assert_eq!(found.blocks[0].lanes[0].answers(), 9);
    let times: u64 = found.blocks[0].lanes[0].seconds.iter().map(|s| s.latency.count()).sum();
    assert_eq!(times, 9);
    assert_eq!(found.blocks[0].lanes[0].outcomes["200"], 9);
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
