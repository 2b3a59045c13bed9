//! Which connections write, and what happens when that is edited.

use super::{Shop, lamp};
use crate::harness::{Backend, Database, FEW, Setup, eventually};

#[test]
fn only_a_strategy_whose_connections_hold_a_transaction_may_write() {
    let setup = || Setup::of_server("postgres").with("database.url = \"postgres://h/d\"");
    let shared = setup().subject("\"shared\"", "\"none\"").with("writes.strategy = \"subject\"");
    let problems = shared.problems();
    assert!(
        problems.contains("`writes.strategy`: \"subject\" has access = \"shared\""),
        "{problems}"
    );
    let nobody = setup().with("writes.strategy = \"nobody\"").problems();
    assert!(nobody.contains("`writes.strategy`: there is no strategy \"nobody\""), "{nobody}");
    let never = setup().with("writes.idempotency_keep = \"0s\"").problems();
    assert!(never.contains("`writes.idempotency_keep`"), "{never}");
    setup().subject("\"direct\"", "\"none\"").with("writes.strategy = \"subject\"").config();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_moves_writes_to_another_strategy() {
    let database = Database::scratch(Backend::Sqlite, FEW).await;
    let setup = Setup::of(&database).subject("\"pool\"", "\"none\"");
    let (service, file) = setup.following("writes.strategy = \"subject\"").await;
    let shop = Shop::of(service, database).await;
    let used = |name: &str| shop.service.strategy(name).meter.access.wait.total();
    let before = (used("subject"), used("direct"));
    assert_eq!(shop.post("/products", &lamp()).await.status, 201);
    // One to look whether the sign-in holds, one to write; and one where old sign-ins are forgotten meanwhile.
    assert!(used("subject") >= before.0 + 2 && used("direct") == before.1);
    std::fs::write(file, "writes.strategy = \"direct\"").expect("it can be written");
    let state = &shop.service.state;
    eventually("the edit is in force", || state.config.load().writes.strategy == "direct").await;
    assert_eq!(shop.post("/products", &lamp()).await.status, 201);
    assert_eq!(used("direct"), before.1 + 2);
}
