//! The doors of a single server, each proven by what goes through it.

use std::process::Stdio;
use std::time::Duration;

use rstest::rstest;

use super::{asked, faults, service, until_hit};
use crate::config::file;
use crate::harness::{
    Authority, Backend, Database, FEW, Redis, Service, Setup, eventually, unique,
};

fn keys(redis: &Redis, database: &str) -> u64 {
    let mut connection = redis::Client::open(redis.url_with("", database))
        .and_then(|client| client.get_connection())
        .expect("it answers");
    redis::cmd("DBSIZE").query(&mut connection).expect("it can be counted")
}

#[rstest]
#[case(":geheim")]
#[case("default:geheim")]
#[case("shop:ge%2Fheim")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_password_opens(#[case] user: &str) {
    let acl = ["--requirepass", "geheim", "--user", "shop", "on", ">ge/heim", "~*", "+@all"];
    let redis = Redis::start_with(&acl);
    let service = service(&redis.url_with(user, ""), "").await;
    assert_eq!(asked(&service, "").await, "miss");
    until_hit(&service, "").await;
    assert_eq!(faults(&service), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_from_a_file_opens() {
    let redis = Redis::start_with(&["--requirepass", "ge@heim/"]);
    let secret = file("ge@heim/\n");
    let more = format!("cache.redis_password_file = {secret:?}");
    until_hit(&service(&redis.url(), &more).await, "").await;
}

#[rstest]
#[case(":falsch", "refuses the user or the password")]
#[case("", "asks for a password")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_costs_the_cache_and_says_so(#[case] user: &str, #[case] says: &str) {
    let redis = Redis::start_with(&["--requirepass", "geheim"]);
    let service = service(&redis.url_with(user, ""), "").await;
    for _ in 0..3 {
        assert_eq!(asked(&service, "").await, "bypass");
    }
    assert!(faults(&service) >= 3);
    let stats = service.client.get("/stats").await;
    assert!(stats.json()["redis"].is_null());
    let text = String::from_utf8_lossy(&stats.body).into_owned();
    assert!(!text.contains("falsch"), "{text}");
    let said = said_at_start(&redis.url_with(user, "")).await;
    assert_eq!(said.matches("Redis cannot be used").count(), 1, "{said}");
    assert!(said.contains(says) && said.contains("cache.redis_url"), "{said}");
    assert!(!said.contains("falsch"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_becomes_right_is_enough() {
    let redis = Redis::start_with(&["--requirepass", "old"]);
    let service = service(&redis.url_with(":new", ""), "").await;
    assert_eq!(asked(&service, "").await, "bypass");
    let url = redis.url_with(":old", "");
    let mut connection = redis::Client::open(url).unwrap().get_connection().expect("it answers");
    let change = redis::cmd("CONFIG").arg("SET").arg("requirepass").arg("new").clone();
    change.exec(&mut connection).expect("it may be changed");
    until_hit(&service, "").await;
}

/// What the command itself says on its way up, with the Redis at `url`.
async fn said_at_start(url: &str) -> String {
    let database = Database::shared(Backend::Sqlite, FEW);
    let config = file(&format!(
        "log.level = \"warn\"\ndatabase.url = \"{}\"\ncache.redis_url = {url:?}\n\
         strategies.one = {{ access = \"pool\", cache = \"redis\" }}\n\
         strategies.two = {{ access = \"pool\", cache = \"tiered\" }}",
        database.url
    ));
    let log = file("");
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_poolwise"));
    command.args(["--listen", "127.0.0.1:0", "--config"]).arg(config).kill_on_drop(true);
    command.stdout(Stdio::null()).stderr(std::fs::File::create(&log).expect("it can be written"));
    let mut running = command.spawn().expect("it starts");
    let said = || std::fs::read_to_string(&log).expect("it is there");
    eventually("it says something", || said().contains("Redis")).await;
    // Two more looks, so that a warning at each would show.
    tokio::time::sleep(Duration::from_millis(2200)).await;
    running.kill().await.expect("it can be ended");
    said()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_is_the_one_of_the_url() {
    let redis = Redis::start();
    let service = service(&redis.url_with("", "/2"), "").await;
    assert_eq!(asked(&service, "limit=3").await, "miss");
    until_hit(&service, "limit=3").await;
    assert_eq!(["/0", "/1", "/2"].map(|database| keys(&redis, database)), [0, 0, 2]);
    let too_high = super::service(&redis.url_with("", "/99"), "").await;
    assert_eq!(asked(&too_high, "").await, "bypass");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prefix_keeps_two_services_apart() {
    let redis = Redis::start();
    let with = |prefix: &str| {
        let setup = Setup::few(Backend::Sqlite).subject("\"pool\"", "\"redis\"").with_redis(&redis);
        setup.with(&format!("cache.key_prefix = \"{prefix}:\"")).start()
    };
    let (one, other, same) = (with("one").await, with("other").await, with("one").await);
    until_hit(&one, "limit=3").await;
    assert_eq!(asked(&same, "limit=3").await, "hit");
    assert_eq!(asked(&other, "limit=3").await, "miss");
    until_hit(&other, "limit=3").await;
    // An entry and its version each.
    let names: Vec<String> = redis.run(&["KEYS", "*"]);
    let begin = |prefix: &str| names.iter().filter(|name| name.starts_with(prefix)).count();
    assert_eq!((begin("one:"), begin("other:"), names.len()), (2, 2, 4), "{names:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unix_socket_is_a_door_too() {
    let socket = format!("/tmp/poolwise-{}-{}.sock", std::process::id(), unique("redis"));
    let _redis = Redis::start_with(&["--unixsocket", &socket, "--unixsocketperm", "777"]);
    until_hit(&service(&format!("unix://{socket}?db=1"), "").await, "").await;
    let _ = std::fs::remove_file(socket);
}

/// A service that speaks TLS with `host`, and believes the authority of this certificate.
async fn over_tls(host: &str, port: u16, root: &str) -> Service {
    let root = file(root);
    let more = format!("cache.redis_root_cert = {root:?}");
    service(&format!("rediss://{host}:{port}"), &more).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_goes_on_when_the_certificate_verifies_and_only_then() {
    let (right, wrong) = (Authority::new("Ours"), Authority::new("Somebody Else"));
    let (_redis, port) = Redis::start_with_tls(&right);
    let verified = over_tls("127.0.0.1", port, &right.pem).await;
    assert_eq!(asked(&verified, "").await, "miss");
    until_hit(&verified, "").await;
    assert_eq!(faults(&verified), 0);
    let both = format!("{}{}", wrong.pem, right.pem);
    until_hit(&over_tls("127.0.0.1", port, &both).await, "").await;

    let unknown_authority = over_tls("127.0.0.1", port, &wrong.pem).await;
    let another_name = over_tls("localhost", port, &right.pem).await;
    let of_the_system = service(&format!("rediss://127.0.0.1:{port}"), "").await;
    for service in [unknown_authority, another_name, of_the_system] {
        assert_eq!(asked(&service, "").await, "bypass");
        assert!(faults(&service) > 0);
    }
    // Without TLS on a port for TLS, and the other way round.
    let plain = service(&format!("redis://127.0.0.1:{port}"), "").await;
    assert_eq!(asked(&plain, "").await, "bypass");
    let (port, root) = (Redis::shared().port, file(&right.pem));
    let limit = "redis_connect_timeout = \"500ms\"";
    let limits = format!("cache = {{ redis_root_cert = {root:?}, {limit} }}");
    let over = service(&format!("rediss://127.0.0.1:{port}"), &limits).await;
    assert_eq!(asked(&over, "").await, "bypass");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_does_not_verify_is_told_at_start() {
    let (_redis, port) = Redis::start_with_tls(&Authority::new("Ours"));
    let said = said_at_start(&format!("rediss://127.0.0.1:{port}")).await;
    assert_eq!(said.matches("Redis cannot be used").count(), 1, "{said}");
    assert!(said.contains("cache.redis_root_cert") && said.contains("certificate"), "{said}");
}
