//! MariaDB.

use rstest::rstest;

use crate::harness::{Backend, Dataset, FEW, MANY, Setup};

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bytes_are_the_encoders(
    #[values("direct", "pool")] access: &str,
    #[values(true, false)] buffered: bool,
    #[values(FEW, MANY)] rows: u64,
) {
    let setup =
        if rows == FEW { Setup::few(Backend::MariaDb) } else { Setup::many(Backend::MariaDb) };
    let setup = setup.subject(&format!("{access:?}"), "\"none\"");
    let setup = if buffered { setup.buffering() } else { setup.streaming() };
    let service = setup.start().await;
    for _ in 0..2 {
        let answer = service.subject("").await;
        assert_eq!(answer.status, 200);
        assert!(answer.body == Dataset::of(rows).body(), "the answer differs");
    }
}
