//! What stands in the way of a start is said in one message that names the key.

use mysql_async::prelude::Queryable;
use poolwise::server;
use poolwise::store::plugin::Plugins;

use super::POOL;
use crate::harness::{Authority, Backend, Database, Dataset, FEW, MariaDb, Setup, folder, unique};

fn of(url: String) -> Database {
    Database { backend: Backend::MariaDb, url }
}

/// Why a service over this database does not start.
async fn refusal(database: &Database) -> String {
    let config = Setup::of(database).config();
    let prepared = server::prepare(config, &Plugins::standard(), &|_| {}).await;
    prepared.err().expect("it must not start").to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_or_database_or_address_names_the_key() {
    let server = MariaDb::shared();
    let right = Database::shared(Backend::MariaDb, FEW).url;
    let elsewhere = server.create(&unique("products")).await.replace("poolwise:secret", "nobody");
    for (url, said) in [
        (right.replace("secret", "geheim"), "correct the user or the password"),
        (elsewhere, "correct the user or the password"),
        (server.url("products_not_there"), "create this database"),
        (server.url("mysql"), "let this user use the database"),
        (right.replace(&server.port.to_string(), "9"), "see whether it runs"),
    ] {
        let refusal = refusal(&of(url.clone())).await;
        assert!(refusal.contains(said) && refusal.contains("`database.url`"), "{url}: {refusal}");
        assert!(!refusal.contains("secret") && !refusal.contains("geheim"), "{refusal}");
        assert_eq!(refusal.lines().count(), 1, "{refusal}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_table_leads_to_the_command() {
    let url = MariaDb::shared().create(&unique("products")).await;
    let refusal = refusal(&of(url)).await;
    assert!(refusal.contains("no table `products`") && refusal.contains("poolwise seed"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_too_old_is_refused_by_name() {
    // A real one that calls itself so: the number is all that we go by.
    let server = MariaDb::start_with(&["--version=10.2.44-MariaDB"]);
    let url = server.create("products").await;
    let refusal = refusal(&of(url)).await;
    for part in ["MariaDB 10.2.44", "too old", "`database.url`", "MariaDB 10.3, MySQL 8.0.17"] {
        assert!(refusal.contains(part), "{part} in {refusal}");
    }
}

#[test]
fn a_url_that_cannot_be_understood_is_a_problem_of_the_configuration() {
    let problems = |url: &str| {
        let text = format!("database = {{ backend = \"mysql\", url = \"{url}\" }}");
        let file = crate::config::file(&text);
        let environment = poolwise::config::Environment::default();
        let loaded = poolwise::config::load(&[file], &environment, &Plugins::standard());
        loaded.expect_err("it must be refused").0.join("\n")
    };
    for (url, said) in [
        ("postgres://u:hush@h/d", "does not start with \"mysql://\""),
        ("mysql://u:hush@h", "must end with the name of a database"),
        ("mysql://u:hush@h/d?colour=red", "colour"),
        ("mysql://u:hush@h/d?require_ssl=true&verify_identity=false", "`verify_identity=false`"),
        ("mysql://u:hush@h/d?ssl_ca=/a.pem", "`ssl_ca` needs `require_ssl=true`"),
    ] {
        let found = problems(url);
        assert!(found.contains(said) && found.contains("database.url"), "{url}: {found}");
        assert!(!found.contains("hush"), "{found}");
    }
}

#[test]
fn the_parts_of_a_url_may_name_a_unix_socket() {
    let text =
        "database = { backend = \"mysql\", host = \"/run/my sql.sock\", password = \"a/b\" }";
    let file = crate::config::file(text);
    let environment = poolwise::config::Environment::default();
    let loaded = poolwise::config::load(&[file], &environment, &Plugins::standard());
    assert_eq!(
        loaded.unwrap().database.url.expose(),
        "mysql://poolwise:a%2Fb@localhost/poolwise?socket=%2Frun%2Fmy%20sql.sock"
    );
}

/// An authority, and a server's key and certificate by it, as files.
fn certificates() -> [String; 3] {
    let authority = Authority::new("Ours");
    let (certificate, key) = authority.sign("localhost");
    let [key, certificate] = [("key", key), ("certificate", certificate)].map(|(name, text)| {
        let path = folder().join(unique(name)).with_extension("pem");
        std::fs::write(&path, text).expect("the temp folder can be written to");
        path.display().to_string()
    });
    [authority.file.display().to_string(), key, certificate]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_checked_and_serves_the_same() {
    let [authority, key, certificate] = certificates();
    let [other, _, _] = certificates();
    let server = MariaDb::start_with(&[
        &format!("--ssl-key={key}"),
        &format!("--ssl-cert={certificate}"),
        &format!("--ssl-ca={authority}"),
    ]);
    let plain = Database::on_mariadb(&server, FEW).await;
    let mut root = server.root("mysql").await;
    for host in ["'127.0.0.1'", "localhost"] {
        let require = format!("alter user poolwise@{host} require ssl");
        root.query_drop(require).await.expect("it is required");
    }
    let by = |host: &str, parameters: &str| {
        let url = plain.url.replace("127.0.0.1", host);
        of(format!("{url}?require_ssl=true{parameters}"))
    };
    for database in
        [by("localhost", &format!("&ssl_ca={authority}")), by("127.0.0.1", "&verify_ca=false")]
    {
        let service = Setup::of(&database).subject(POOL, "\"none\"").start().await;
        assert!(service.subject("").await.body == Dataset::of(FEW).body());
    }
    for (database, said) in [
        (by("localhost", ""), "certificate"),
        (by("localhost", &format!("&ssl_ca={other}")), "certificate"),
        (by("127.0.0.1", &format!("&ssl_ca={authority}")), "certificate"),
        (plain.clone(), "correct the user or the password"),
    ] {
        let refusal = refusal(&database).await;
        assert!(refusal.contains(said) && refusal.contains("database.url"), "{refusal}");
    }
}
