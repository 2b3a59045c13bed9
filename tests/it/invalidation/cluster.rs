//! The same on a Redis Cluster, where a token and what is made under it may be on two nodes.

use std::time::{Duration, Instant};

use poolwise::store::Tag;
use rstest::rstest;

use super::{Pair, ask, list, other_category, stats, tags, until, until_hit, write};
use crate::harness::{Backend, RedisCluster};

/// The node that holds this key.
fn node_of(cluster: &RedisCluster, key: &str) -> usize {
    let holds = |node: &crate::harness::Redis| {
        node.run::<Vec<String>>(&["KEYS", "*"]).iter().any(|held| held == key)
    };
    cluster.nodes.iter().position(holds).expect("it is somewhere")
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_is_seen_by_every_replica(#[values("redis", "tiered")] store: &str) {
    let cluster = RedisCluster::start();
    let pair = Pair::start(Backend::Sqlite, &format!("{store:?}"), &cluster.url(), "").await;
    let queries = || (1..=8).map(|n| format!("{}&min_price=0.0{n}", list()));
    let mut stock = ask(&pair.a, &list()).await.1;
    for round in 0..5 {
        for query in queries() {
            until_hit(&pair.a, &query, stock).await;
            until_hit(&pair.b, &query, stock).await;
        }
        let before = std::mem::replace(&mut stock, write(&pair.a).await);
        let written = Instant::now();
        for query in queries() {
            assert_eq!(ask(&pair.a, &query).await.1, stock, "round {round}: read your writes");
            loop {
                let (_, seen) = ask(&pair.b, &query).await;
                if seen == stock {
                    break;
                }
                assert_eq!((store, seen), ("tiered", before), "at once where Redis is asked");
                assert!(written.elapsed() < Duration::from_secs(10), "it never hears of it");
            }
        }
    }
    assert_eq!(stats(&pair.a).await["queued"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_spread_over_the_nodes_and_each_node_is_listened_to() {
    let cluster = RedisCluster::start();
    let pair = Pair::start(Backend::Sqlite, "\"tiered\"", &cluster.url(), "").await;
    let many: Vec<Tag> = (0..40).map(|n| Tag::Category(format!("c{n}").into())).collect();
    pair.a.state.versions.changed(&many).await;
    let holding: std::collections::BTreeSet<usize> =
        many.iter().map(|tag| node_of(&cluster, &pair.token(tag))).collect();
    assert_eq!(holding.len(), 3);
    let of_b = &pair.b.state.versions;
    for tag in &many {
        let before = of_b.current(tag);
        pair.a.state.versions.changed(std::slice::from_ref(tag)).await;
        crate::harness::eventually("it hears of it", || of_b.current(tag) != before).await;
    }
    for node in &cluster.nodes {
        let channel = format!("{}:changed", pair.prefix);
        let (_, listening): (String, i64) = node.run(&["PUBSUB", "NUMSUB", &channel]);
        assert_eq!(listening, 2, "both listen to every node");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_down_makes_a_bypass_of_the_lists_whose_token_it_has() {
    let short = "cache = { redis_timeout = \"700ms\", redis_connect_timeout = \"700ms\" }";
    let cluster = RedisCluster::start();
    let pair = Pair::start(Backend::Sqlite, "\"redis\"", &cluster.url(), short).await;
    let mut stock = ask(&pair.a, &list()).await.1;
    until_hit(&pair.a, &list(), stock).await;
    let of_others = format!("category={}&limit=3", other_category());
    let other = ask(&pair.a, &of_others).await.1;
    until_hit(&pair.a, &of_others, other).await;
    let down = node_of(&cluster, &pair.token(&tags()[1]));
    cluster.nodes[down].process.signal("STOP");
    for _ in 0..3 {
        stock = write(&pair.a).await;
        assert_eq!(ask(&pair.a, &list()).await, ("bypass".to_owned(), stock));
        assert_eq!(ask(&pair.b, &list()).await.1, stock, "it cannot know the version");
    }
    assert!(stats(&pair.a).await["queued"].as_u64() >= Some(1));
    cluster.nodes[down].process.signal("CONT");
    until(&pair.a, "queued", 0).await;
    for service in [&pair.a, &pair.b] {
        let deadline = Instant::now() + Duration::from_secs(15);
        while ask(service, &list()).await != ("hit".to_owned(), stock) {
            assert!(Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
