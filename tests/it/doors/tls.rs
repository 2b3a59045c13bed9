//! TLS: who is encrypted, whose certificate is believed, and what is said of one that is not.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use poolwise::lab::sample::connection_limits;
use rstest::rstest;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::{assert_serves, connections, small};
use crate::harness::{
    Authority, Backend, Database, FEW, MANY, Postgres, Setup, folder, subject, unique,
};

fn host() -> String {
    format!("poolwise@localhost:{}", Postgres::shared().port)
}

fn root() -> String {
    format!("sslrootcert={}", Authority::shared().file.display())
}

#[rstest]
#[case("sslmode=disable", false)]
#[case("", true)]
#[case("sslmode=prefer", true)]
#[case("sslmode=require", true)]
#[case("sslmode=require&ROOT", true)]
#[case("sslmode=verify-ca&ROOT", true)]
#[case("sslmode=verify-full&ROOT", true)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_encrypted_as_the_mode_asks(
    #[case] options: &str,
    #[case] encrypted: bool,
    #[values("\"direct\"", "\"pool\"")] access: &str,
) {
    let name = unique("tls");
    let options = format!("{}&application_name={name}", options.replace("ROOT", &root()));
    let database = small(&host(), options.trim_start_matches('&'));
    let service = Setup::of(&database).subject(access, "\"none\"").start().await;
    assert_serves(&service).await;
    let (count, all_encrypted) = connections(Postgres::shared(), &name).await;
    assert!(count > 2, "the pools of the standard strategies are open");
    assert_eq!(all_encrypted, encrypted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_tls_serves_who_prefers_it_and_not_who_requires_it() {
    let server = Postgres::start();
    let database = Database::on(&server, FEW).await;
    let prefers = Setup::of(&database.with_option("sslmode=prefer"));
    assert_serves(&prefers.subject("\"pool\"", "\"none\"").start().await).await;
    let why = Setup::of(&database.with_option("sslmode=require")).refused().await;
    for part in ["`database.url`", "does not support TLS", "sslmode=require", "ssl = on"] {
        assert!(why.contains(part), "{part} in {why}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_another_authority_is_refused_where_it_is_looked_at() {
    let other = Authority::new("Somebody Else").file;
    for mode in ["prefer", "require", "verify-ca", "verify-full"] {
        let options = format!("sslmode={mode}&sslrootcert={}", other.display());
        let why = Setup::of(&small(&host(), &options)).refused().await;
        for part in
            ["`database.url`", &format!("sslmode={mode}"), "not issued by", "set sslrootcert"]
        {
            assert!(why.contains(part), "{part} in {why}");
        }
    }
    // The authority of the tests is none of the system's.
    let setup = Setup::of(&small(&host(), "sslmode=verify-full"));
    if rustls_native_certs::load_native_certs().certs.is_empty() {
        let problems = setup.problems();
        assert!(problems.contains("the system has no certificates to trust"), "{problems}");
    } else {
        let why = setup.refused().await;
        assert!(why.contains("the system's store of certificates"), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_for_another_host_is_refused_by_verify_full_alone() {
    let server = Postgres::certified(&["elsewhere.example"], false);
    let database = Database::on(&server, FEW).await;
    let at = |mode| {
        let url = database.url.replace("sslmode=disable", &format!("sslmode={mode}&{}", root()));
        Setup::of(&super::at(url)).subject("\"pool\"", "\"none\"")
    };
    assert_serves(&at("verify-ca").start().await).await;
    let why = at("verify-full").refused().await;
    for part in ["`database.url`", "elsewhere.example", "127.0.0.1", "sslmode=verify-ca"] {
        assert!(why.contains(part), "{part} in {why}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_certificate_is_refused_where_it_is_looked_at() {
    let server = Postgres::certified(&["127.0.0.1"], true);
    let database = Database::on(&server, FEW).await;
    let at = |options: &str| {
        let url = database.url.replace("sslmode=disable", options);
        Setup::of(&super::at(url)).subject("\"pool\"", "\"none\"")
    };
    assert_serves(&at("sslmode=require").start().await).await;
    let why = at(&format!("sslmode=verify-ca&{}", root())).refused().await;
    assert!(why.contains("it has expired; renew it"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_bound_to_the_channel() {
    let (name, port) = (unique("bound"), Postgres::shared().port);
    let options = |more: &str| format!("{more}&channel_binding=require&application_name={name}");
    let with = |user: &str, more: &str| {
        Setup::of(&small(&format!("{user}@localhost:{port}"), &options(more)))
            .subject("\"pool\"", "\"none\"")
    };
    let tls = format!("sslmode=verify-full&{}", root());
    let service = with("guarded:geheim", &tls).start().await;
    assert_serves(&service).await;
    assert!(connections(Postgres::shared(), &name).await.1);
    let why = with("guarded:geheim", "sslmode=disable").refused().await;
    assert!(why.contains("channel binding"), "{why}");
    let why = with("guarded:falsch", &tls).refused().await;
    assert!(why.contains("password authentication failed") && !why.contains("falsch"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_the_clients_own_lets_it_in() {
    let of = |name: &str| {
        let into = folder().join(unique("own"));
        std::fs::create_dir(&into).expect("the temp folder can be written to");
        let (certificate, key) = Authority::shared().issue(&into, &[name], false);
        format!("sslcert={}&sslkey={}", certificate.display(), key.display())
    };
    let user = format!("certified@localhost:{}", Postgres::shared().port);
    let with = |own: &str| {
        let options = format!("sslmode=verify-full&{}{own}", root());
        Setup::of(&small(&user, &options)).subject("\"direct\"", "\"none\"")
    };
    assert_serves(&with(&format!("&{}", of("certified"))).start().await).await;
    for (own, says) in [
        (String::new(), "requires a valid client certificate"),
        (format!("&{}", of("somebody.else")), "certificate authentication failed"),
    ] {
        let why = with(&own).refused().await;
        assert!(why.contains("`database.url`") && why.contains(says), "{why}");
    }
}

/// The lab connects by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_must_encrypt_is_served_and_looked_at_over_tls() {
    let user = format!("encrypted@localhost:{}", Postgres::shared().port);
    let setup = Setup::of(&small(&user, &format!("sslmode=verify-full&{}", root())));
    assert_eq!(connection_limits(&setup.config()).await, (Some(200), Some(3)));
    assert_serves(&setup.subject("\"direct\"", "\"none\"").start().await).await;
    let plain = Setup::of(&small(&user, "sslmode=disable"));
    assert_eq!(connection_limits(&plain.config()).await, (None, None));
    let why = plain.refused().await;
    assert!(why.contains("`database.url`") && why.contains("encrypted"), "{why}");
}

/// Codes that a connection may begin with (PostgreSQL documentation, "Message Formats").
const SSL_REQUEST: u32 = 80_877_103;

/// Passes connections on, and notes the code that each begins with.
async fn recorder(server: u16) -> (u16, Arc<Mutex<Vec<u32>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    let codes = Arc::new(Mutex::new(Vec::new()));
    let noted = codes.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let noted = noted.clone();
            tokio::spawn(async move {
                let mut begin = [0; 8];
                client.read_exact(&mut begin).await?;
                let code = begin[4..].try_into().expect("four bytes");
                noted.lock().expect("nobody panics").push(u32::from_be_bytes(code));
                let mut server = TcpStream::connect(("127.0.0.1", server)).await?;
                server.write_all(&begin).await?;
                copy_bidirectional(&mut client, &mut server).await.map(drop)
            });
        }
    });
    (port, codes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_to_cancel_is_encrypted_and_heard() {
    let (port, codes) = recorder(Postgres::shared().port).await;
    let name = unique("cancel");
    let database = Database::shared(Backend::Tls, MANY);
    let database = database.through(port).with_option(&format!("application_name={name}"));
    let setup = Setup::of(&database).streaming();
    let service = setup.subject("{ kind = \"pool\", size = 1 }", "\"none\"").start().await;
    let known = codes.lock().expect("nobody panics").len();
    for round in 1..=3 {
        let mut client = service.client.read_slowly(&subject("")).await;
        client.read(64 * 1024).await;
        drop(client);
        let active = format!(
            "exists (select from pg_stat_activity where application_name = '{name}' \
             and state = 'active')"
        );
        let mut looks = 0;
        while Postgres::shared().flag(&active).await {
            looks += 1;
            assert!(looks < 100, "the statement was not cancelled in round {round}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(service.subject("limit=1").await.status, 200);
    }
    let codes = codes.lock().expect("nobody panics");
    assert!(codes.len() >= known + 6, "three requests to cancel, three new connections: {codes:?}");
    assert!(codes.iter().all(|code| *code == SSL_REQUEST), "{codes:?}");
}

#[test]
fn certificates_that_cannot_be_used_are_problems_of_the_configuration() {
    let empty = folder().join(unique("empty"));
    std::fs::write(&empty, "nothing\n").expect("the temp folder can be written to");
    let empty = empty.display();
    let at = |url: &str| {
        Setup::of(&super::at("postgres://h/d".into()))
            .with(&format!("database.url = \"{url}\""))
            .with(&format!("strategies.far = {{ access = \"pool\", database_url = \"{url}\" }}"))
            .problems()
    };
    for (options, says) in [
        ("sslrootcert=/nowhere/ca.pem&sslmode=require", "/nowhere/ca.pem cannot be read"),
        (&format!("sslrootcert={empty}&sslmode=verify-ca"), "holds no certificate"),
        ("sslmode=allow", "sslmode=allow is not one of disable, prefer, require"),
    ] {
        let problems = at(&format!("postgres://u:geheim@h/d?{options}"));
        assert!(problems.contains("`database.url`: ") && problems.contains(says), "{problems}");
        assert!(!problems.contains("geheim"), "{problems}");
    }
    let problems = Setup::of(&super::at("postgres://h/d".into()))
        .with("strategies.far = { database_url = \"postgres://h/d?sslrootcert=/nowhere&sslmode=require\" }")
        .problems();
    assert!(
        problems.contains("`strategies.far.database_url`: sslrootcert: /nowhere"),
        "{problems}"
    );
}
