//! What every strategy promises, whatever it is made of: the same bytes, the right rows, each once.
//!
//! The name of a test is the combination that it is about: database, access, cache, and how bodies
//! leave. What cannot be combined is refused with a sentence, which is what its test asserts.

use poolwise::seed::price_windows;
use rstest::rstest;
use rstest_reuse::{apply, template};

use crate::harness::{Backend, Database, Dataset, FEW, Filter, MANY, Redis, Service, Setup};

/// How bodies leave.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Buffered,
    Streaming,
}

#[template]
#[rstest]
fn every_combination(
    #[values(
        Backend::Sqlite,
        Backend::Postgres,
        Backend::PgBouncer,
        Backend::Tls,
        Backend::MariaDb
    )]
    backend: Backend,
    #[values("direct", "pool", "shared")] access: &str,
    #[values("none", "memory", "redis", "tiered")] cache: &str,
    #[values(Mode::Buffered, Mode::Streaming)] mode: Mode,
) {
}

/// A service of this combination; `None` for one that there cannot be, which it has then said.
async fn service(backend: Backend, access: &str, cache: &str, mode: Mode) -> Option<Service> {
    if backend.is_absent() {
        let setup = Setup::of(&Database { backend, url: "mysql://u@127.0.0.1/d".into() });
        let problems = setup.load().expect_err("it was not built in").0;
        assert!(problems[0].contains("--features mysql"), "{problems:?}");
        return None;
    }
    let (quoted_access, quoted_cache) = (format!("{access:?}"), format!("{cache:?}"));
    let setup = Setup::few(backend).subject(&quoted_access, &quoted_cache);
    // scripts/cluster.sh runs these tests over a Redis Cluster.
    let setup = match std::env::var("CLUSTER_REDIS_URL") {
        Ok(url) => setup.with(&format!("cache.redis_url = \"{url}\"")),
        Err(_) => setup.with_redis(Redis::shared()),
    };
    if access == "shared" && !backend.is_postgres() {
        let problems = setup.load().expect_err("it has no pipelining").0;
        assert!(problems[0].contains("\"shared\" needs PostgreSQL"), "{problems:?}");
        return None;
    }
    let service = match mode {
        Mode::Buffered => setup.start().await,
        Mode::Streaming => setup.streaming().start().await,
    };
    if (access, mode) == ("shared", Mode::Streaming) {
        // It never streams, and without a budget nothing can be held.
        let refused = service.subject("").await;
        assert_eq!((refused.status.as_u16(), &*refused.problem()), (503, "too-large"));
        return None;
    }
    Some(service)
}

#[apply(every_combination)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bytes_are_the_encoders(backend: Backend, access: &str, cache: &str, mode: Mode) {
    let Some(service) = service(backend, access, cache, mode).await else { return };
    let expected = Dataset::of(FEW).body();
    for turn in ["first", "second"] {
        let answer = service.subject("").await;
        assert_eq!(answer.status, 200);
        assert!(answer.body == expected, "the {turn} answer differs");
        assert_eq!(answer.headers.contains_key("content-length"), mode == Mode::Buffered);
        assert_eq!(answer.headers.contains_key("etag"), mode == Mode::Buffered);
        assert_eq!(answer.cache().is_empty(), cache == "none");
    }
}

/// Filters one by one, in every window of prices, and combined.
fn filters() -> Vec<Filter> {
    let none = Filter::default();
    let mut filters: Vec<Filter> = price_windows()
        .iter()
        .map(|(min, max)| Filter { min_cents: Some(*min), max_cents: Some(*max), ..none })
        .collect();
    let (min, max) = price_windows()[5];
    let categories = ["electronics", "books", "food", "nothing", "a'b\"c"];
    filters.extend(categories.map(|category| Filter { category: Some(category), ..none }));
    filters.extend([
        Filter { min_cents: Some(min), ..none },
        Filter { max_cents: Some(max), ..none },
        Filter { min_cents: Some(9_999_999_999), ..none },
        Filter { in_stock: Some(true), ..none },
        Filter { in_stock: Some(false), ..none },
        Filter { limit: Some(1), ..none },
        Filter { limit: Some(10_000), ..none },
        Filter { offset: Some(0), ..none },
        Filter { offset: Some(1_990), ..none },
        Filter { offset: Some(5_000_000), ..none },
        Filter { after: Some(0), ..none },
        Filter { after: Some(1_990), ..none },
        Filter { after: Some(i64::MAX), ..none },
    ]);
    let every = Filter {
        category: Some("electronics"),
        min_cents: Some(min),
        max_cents: Some(max),
        in_stock: Some(true),
        limit: Some(7),
        ..none
    };
    filters.extend([
        every,
        Filter { offset: Some(3), ..every },
        Filter { after: Some(500), ..every },
        Filter { in_stock: Some(false), limit: None, ..every },
        Filter { category: None, offset: Some(20), ..every },
        Filter { min_cents: None, limit: Some(60), after: Some(900), ..every },
        Filter { max_cents: None, in_stock: None, limit: Some(100), offset: Some(90), ..every },
    ]);
    filters
}

#[apply(every_combination)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_find_what_brute_force_finds(
    backend: Backend,
    access: &str,
    cache: &str,
    mode: Mode,
) {
    let Some(service) = service(backend, access, cache, mode).await else { return };
    for filter in filters() {
        let answer = service.subject(&filter.query()).await;
        assert_eq!(answer.status, 200, "{filter:?}");
        assert!(answer.body == Dataset::of(FEW).answer(&filter), "{filter:?} differs");
    }
}

#[apply(every_combination)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_cover_each_row_once(backend: Backend, access: &str, cache: &str, mode: Mode) {
    let Some(service) = service(backend, access, cache, mode).await else { return };
    for (category, limit) in [(Some("electronics"), 90), (None, 400)] {
        let all = Filter { category, ..Filter::default() };
        let expected: Vec<i64> = Dataset::of(FEW).select(&all).map(|row| row.id).collect();
        let (mut by_offset, mut by_after) = (Vec::<i64>::new(), Vec::<i64>::new());
        loop {
            let page = Filter { limit: Some(limit), offset: Some(by_offset.len()), ..all };
            let ids = ids(&service, &page).await;
            by_offset.extend(&ids);
            let after = by_after.last().copied().unwrap_or(0);
            let page = Filter { limit: Some(limit), after: Some(after), ..all };
            by_after.extend(self::ids(&service, &page).await);
            if ids.len() < limit {
                break;
            }
        }
        assert!(by_offset == expected && by_after == expected);
    }
}

async fn ids(service: &Service, page: &Filter) -> Vec<i64> {
    let rows = service.subject(&page.query()).await.json();
    let rows = rows.as_array().expect("a list").iter();
    rows.map(|row| row["id"].as_i64().expect("an id is a number")).collect()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn awkward_text_survives(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(Mode::Buffered, Mode::Streaming)] mode: Mode,
) {
    let service = service(backend, "pool", "none", mode).await.expect("there is one");
    let rows = service.subject("").await.json();
    let rows = rows.as_array().expect("a list");
    let names = || Dataset::of(FEW).0.iter().map(|row| row.name.as_str());
    for awkward in ['"', '\\', '\n', '\t', '\u{7}', '\u{1f}', 'é', '🚀', '日', '<'] {
        assert!(names().any(|name| name.contains(awkward)), "no name has a {awkward:?}");
    }
    assert!(rows.iter().map(|row| row["name"].as_str().expect("text")).eq(names()));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_large_data_set_is_the_same(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let setup = Setup::many(backend).subject("\"pool\"", "\"memory\"").buffering();
    let buffered = setup.start().await;
    let streaming = Setup::many(backend).subject("\"pool\"", "\"none\"").streaming().start().await;
    let electronics = Filter { category: Some("electronics"), ..Filter::default() };
    let (min, max) = price_windows()[9];
    let window = Filter { min_cents: Some(min), max_cents: Some(max), ..Filter::default() };
    let page = Filter { offset: Some(55_000), in_stock: Some(true), ..Filter::default() };
    for filter in [Filter::default(), electronics, window, page] {
        let expected = Dataset::of(MANY).answer(&filter);
        for service in [&buffered, &buffered, &streaming] {
            assert!(service.subject(&filter.query()).await.body == expected, "{filter:?}");
        }
    }
    let rows = buffered.subject(&electronics.query()).await.json();
    assert_eq!(rows.as_array().map(Vec::len), Some(21_000));
}
