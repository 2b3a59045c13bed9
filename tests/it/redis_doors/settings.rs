//! What config says of Redis: each way to write it wrong has its sentence, and none shows a password.

use poolwise::config::{self, Config, Environment, Problems};
use poolwise::store::plugin::Plugins;
use rstest::rstest;

use crate::config::file;
use crate::harness::Authority;

fn load(toml: &str) -> Result<Config, Problems> {
    config::load(&[file(toml)], &Environment::default(), &Plugins::standard())
}

fn problems(toml: &str) -> String {
    load(toml).expect_err("it must be refused").to_string()
}

#[rstest]
#[case("redis:/h", "does not start with")]
#[case("http://h:6379", "does not start with")]
#[case("redis://h:6379/two", "\"two\" is not the number of a database")]
#[case("redis://h:6379/-1", "\"-1\" is not the number of a database")]
#[case("redis://h:port", "\"port\" is not a port")]
#[case("redis://h:0", "\"0\" is not a port")]
#[case("redis://h:66000", "\"66000\" is not a port")]
#[case("redis://:hush@:6379", "a host is missing")]
#[case("redis://hush@h", "a user without a password")]
#[case("redis://:hu/sh@h", "%2F")]
#[case("redis://:hu#sh@h", "%23")]
#[case("redis://:hu?sh@h", "%3F")]
#[case("redis://a:1,b:2", "redis-cluster://")]
#[case("redis://0.0.0.0:6379", "wildcard")]
#[case("rediss://h:6379/#insecure", "`cache.redis_root_cert` names the authority")]
#[case("unix://run/redis.sock", "a whole path")]
#[case("unix:///run/redis.sock?db=two&pass=hush", "\"two\" is not the number")]
fn a_url_that_is_wrong_says_what_is_wrong(#[case] url: &str, #[case] says: &str) {
    let found = problems(&format!("cache.redis_url = {url:?}"));
    assert!(found.contains("1 problem:") && found.contains("`cache.redis_url`: "), "{found}");
    assert!(found.contains(says) && !found.contains("sh@") && !found.contains("hush"), "{found}");
}

#[rstest]
#[case("redis://u:hush@h:6379/2")]
#[case("rediss://:hu%2Fsh@h")]
#[case("redis://[::1]:6379/")]
#[case("valkey://h")]
#[case("unix:///run/redis.sock?db=2&pass=hush")]
fn every_right_way_to_write_a_url_is_taken_and_its_password_not_shown(#[case] url: &str) {
    let config = load(&format!("cache.redis_url = {url:?}")).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(config.cache.redis_url.expose(), url);
    let shown = format!("{:?}{}{}", config, config.dump(), config.cache.redis_url);
    assert!(!shown.contains("hush") && !shown.contains("hu%2Fsh"), "{shown}");
}

#[test]
fn a_password_may_come_from_a_file() {
    let secret = file("hu@sh\n");
    let with =
        |url: &str| format!("cache = {{ redis_url = {url:?}, redis_password_file = {secret:?} }}");
    let config = load(&with("redis://u@h:1/2")).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(config.cache.redis_url.expose(), "redis://u:hu%40sh@h:1/2");
    assert!(!format!("{config:?}{}", config.dump()).contains("hu%40sh"));
    let both = problems(&with("redis://:other@h"));
    assert!(both.contains("`cache.redis_password_file` is set as well"), "{both}");
    assert!(!both.contains("other"), "{both}");
    assert!(problems(&with("unix:///r.sock?pass=other")).contains("keep one"));
    let missing = problems("cache.redis_password_file = \"/nowhere/secret\"");
    assert!(missing.contains("`cache.redis_password_file`: /nowhere/secret cannot be read"));
    let empty = problems(&format!("cache.redis_password_file = {:?}", file("\nsecond")));
    assert!(empty.contains("the first line of") && empty.contains("is empty"), "{empty}");
}

#[test]
fn a_root_certificate_has_to_be_one() {
    let with = |path: &std::path::Path| {
        format!("cache = {{ redis_url = \"rediss://h\", redis_root_cert = {path:?} }}")
    };
    let right = file(&Authority::new("Ours").pem);
    assert!(load(&with(&right)).is_ok());
    let missing = problems(&with("/nowhere/ca.pem".as_ref()));
    assert!(
        missing.contains("`cache.redis_root_cert`: /nowhere/ca.pem cannot be read"),
        "{missing}"
    );
    assert!(problems(&with(&file("no certificate"))).contains("holds no certificate"));
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(problems(&with(&file(broken))).contains("cannot be used"));
    let plain = problems(&format!("cache.redis_root_cert = {right:?}"));
    assert!(plain.contains("unless `cache.redis_url` starts with \"rediss://\""), "{plain}");
}

#[test]
fn times_of_nothing_are_refused() {
    let found = problems("cache = { redis_timeout = \"0s\", redis_connect_timeout = \"0s\" }");
    assert!(
        found.contains("`cache.redis_timeout`") && found.contains("`cache.redis_connect_timeout`")
    );
}

#[cfg(not(feature = "redis-cluster"))]
#[test]
fn a_build_without_clusters_says_which_one_has_them() {
    for scheme in ["redis-cluster", "rediss-cluster"] {
        let found = problems(&format!("cache.redis_url = \"{scheme}://a:1,b:2\""));
        assert!(found.contains("1 problem:"), "{found}");
        assert!(found.contains("`cache.redis_url`") && found.contains("--features redis-cluster"));
    }
}

#[cfg(feature = "redis-cluster")]
#[rstest]
#[case("redis-cluster://a:1,b:2/3", "no database 3")]
#[case("redis-cluster://a:1,,b:2", "a host is missing")]
#[case("redis-cluster://a:1,b:two", "\"two\" is not a port")]
#[case("rediss-cluster://a:1#insecure", "#insecure is refused")]
fn a_cluster_that_is_wrong_says_what_is_wrong(#[case] url: &str, #[case] says: &str) {
    let found = problems(&format!("cache.redis_url = {url:?}"));
    assert!(found.contains("1 problem:") && found.contains(says), "{found}");
}

#[cfg(feature = "redis-cluster")]
#[test]
fn a_cluster_is_taken_and_its_password_not_shown() {
    let config = load("cache.redis_url = \"redis-cluster://u:hush@a:1,b,[::1]:3\"");
    let config = config.unwrap_or_else(|e| panic!("{e}"));
    assert!(config.dump().contains("redis-cluster://u:***@a:1,b,[::1]:3"), "{}", config.dump());
    assert!(!format!("{config:?}").contains("hush"));
}
