//! Compressed variants and entity tags.

use std::io::Read;
use std::time::Duration;

use rstest::rstest;

use crate::harness::{Answer, Backend, Dataset, FEW, Redis, Service, Setup, subject};

async fn service(cache: &str) -> Service {
    let setup = Setup::few(Backend::Postgres).subject("\"pool\"", cache);
    setup.with_redis(Redis::shared()).start().await
}

async fn coded(service: &Service, accept: &str, coding: &str) -> Answer {
    for _ in 0..400 {
        let answer = ask(service, &[("accept-encoding", accept)]).await;
        if answer.header("content-encoding") == coding {
            return answer;
        }
        assert_eq!(answer.header("content-encoding"), "");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("there never was a variant in {coding}")
}

async fn ask(service: &Service, headers: &[(&str, &str)]) -> Answer {
    service.client.get_with(&subject(""), headers).await
}

fn decoded(answer: &Answer) -> Vec<u8> {
    let mut plain = Vec::new();
    match answer.header("content-encoding") {
        "gzip" => flate2::read::GzDecoder::new(&*answer.body).read_to_end(&mut plain),
        "zstd" => zstd::stream::read::Decoder::new(&*answer.body).unwrap().read_to_end(&mut plain),
        other => panic!("no coding of ours: {other}"),
    }
    .expect("it decompresses");
    plain
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_variant_is_made_after_the_first_request_that_wants_it(
    #[values("memory", "redis", "tiered")] store: &str,
    #[values("gzip", "zstd")] coding: &str,
) {
    let service = service(&format!("{store:?}")).await;
    let body = Dataset::of(FEW).body();
    let first = ask(&service, &[("accept-encoding", coding)]).await;
    assert_eq!(first.header("content-encoding"), "", "the first does not wait for it");
    assert!(first.body == body);
    let later = coded(&service, coding, coding).await;
    assert!(decoded(&later) == body && later.body.len() * 3 < body.len());
    assert_eq!((later.cache(), later.header("vary")), ("hit", "accept-encoding"));
    let tag = first.header("etag").trim_end_matches('"').to_owned();
    assert_eq!(later.header("etag"), format!("{tag}-{coding}\""));
    let plain = ask(&service, &[]).await;
    assert!(plain.header("content-encoding").is_empty() && plain.body == body);
    assert_eq!(plain.header("etag"), first.header("etag"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_of_its_tags_says_that_the_client_has_the_answer() {
    let service = service("\"memory\"").await;
    let plain = ask(&service, &[]).await.header("etag").to_owned();
    let base = plain.trim_matches('"').to_owned();
    coded(&service, "gzip", "gzip").await;
    coded(&service, "zstd", "zstd").await;
    for tag in [&*plain, &format!("\"{base}-gzip\""), &format!("W/\"{base}-zstd\""), "*"] {
        for accept in ["identity", "gzip", "zstd"] {
            let headers = [("if-none-match", tag), ("accept-encoding", accept)];
            let answer = ask(&service, &headers).await;
            assert_eq!(answer.status, 304, "{tag} {accept}");
            assert!(answer.body.is_empty() && answer.header("etag").contains(&base));
        }
    }
    let other = ask(&service, &[("if-none-match", "\"0123\"")]).await;
    assert!(other.status == 200 && other.body == Dataset::of(FEW).body());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_cache_compresses() {
    for (cache, path) in [
        ("\"none\"", "/strategies/subject/products"),
        ("{ store = \"memory\", compress = false }", "/strategies/subject/products"),
        ("\"none\"", "/products/direct"),
    ] {
        let service = service(cache).await;
        for _ in 0..3 {
            let answer = service.client.get_with(path, &[("accept-encoding", "gzip, zstd")]).await;
            assert_eq!(answer.header("content-encoding"), "");
            assert!(answer.body == Dataset::of(FEW).body());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
