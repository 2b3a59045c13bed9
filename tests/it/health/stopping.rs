//! Stopping: not ready at once, and no answer in flight is cut.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::ready;
use crate::harness::{Backend, Dataset, Filter, ServeCommand, Setup, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_the_listener_closes_the_service_says_that_it_is_draining() {
    let setup = Setup::few(Backend::Sqlite).with("server.drain_delay = \"6s\"");
    let mut service = setup.start().await;
    let client = service.client;
    assert_eq!(ready(client).await, (200, "ready".into()));
    assert_eq!(client.get("/noop").await.header("connection"), "");
    let asked = Instant::now();
    service.shut_down();
    eventually("it drains", || service.state.is_draining()).await;
    while asked.elapsed() < Duration::from_millis(1000) {
        assert_eq!(ready(client).await, (503, "draining".into()));
        let answer = client.get("/products/pooled?limit=1").await;
        assert_eq!((answer.status.as_u16(), answer.header("connection")), (200, "close"));
        assert_eq!(client.get("/health/live").await.status, 200);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    eventually("the service has stopped", || service.serving.is_finished()).await;
    assert!(asked.elapsed() >= Duration::from_secs(6));
    assert!(TcpStream::connect(client.0).is_err(), "nobody new comes in");
}

/// What became of a client's requests.
#[derive(Default)]
struct Seen {
    whole: AtomicUsize,
    /// Bytes of an answer came, and not all of them.
    cut: AtomicUsize,
    wrong: AtomicUsize,
}

/// Asks on one connection again and again, and on another when it is closed, until nobody listens.
fn drive(address: SocketAddr, expected: &[u8], seen: &Seen) {
    const REQUEST: &[u8] = b"GET /products/pooled?category=electronics HTTP/1.1\r\nhost: t\r\n\r\n";
    'connections: while let Ok(mut stream) = TcpStream::connect(address) {
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("it can be set");
        loop {
            if stream.write_all(REQUEST).is_err() {
                continue 'connections;
            }
            match answer(&mut stream) {
                Ok(None) => continue 'connections,
                Ok(Some((body, closes))) => {
                    seen.whole.fetch_add(1, Ordering::SeqCst);
                    if body != expected {
                        seen.wrong.fetch_add(1, Ordering::SeqCst);
                    }
                    if closes {
                        continue 'connections;
                    }
                }
                Err(error) => {
                    println!("cut: {error}");
                    seen.cut.fetch_add(1, Ordering::SeqCst);
                    continue 'connections;
                }
            }
        }
    }
}

/// The body, and whether the connection closes after it; `None` when not a byte of an answer came.
fn answer(stream: &mut TcpStream) -> std::io::Result<Option<(Vec<u8>, bool)>> {
    let cut = || std::io::Error::new(ErrorKind::UnexpectedEof, "the answer is not whole");
    let mut got = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = match stream.read(&mut buffer) {
            Ok(read) => read,
            Err(error) if got.is_empty() && error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => return Err(error),
        };
        if read == 0 {
            return if got.is_empty() { Ok(None) } else { Err(cut()) };
        }
        got.extend_from_slice(&buffer[..read]);
        let Some(end) = got.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&got[..end]).to_lowercase();
        assert!(head.starts_with("http/1.1 200 "), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.expect("it is buffered").parse().expect("a number");
        let mut body = got.split_off(end + 4);
        let have = body.len();
        body.resize(length, 0);
        stream.read_exact(&mut body[have..])?;
        return Ok(Some((body, head.contains("connection: close"))));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_cuts_no_answer() {
    const CLIENTS: usize = 20;
    let setup = Setup::many(Backend::Postgres).buffering();
    let patient = r#"
        server = { shutdown_timeout = "60s", request_timeout = "2m" }
        database = { pool_size = 8, wait_timeout = "60s" }
    "#;
    let setup = setup.with(patient);
    let mut service = ServeCommand::start(&setup, &[]);
    service.listens().await;
    service.becomes(200).await;
    let category = Filter { category: Some("electronics"), ..Filter::default() };
    let expected: Arc<[u8]> = Dataset::of(crate::harness::MANY).answer(&category).into();
    let seen = Arc::new(Seen::default());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (address, expected, seen) = (service.client.0, expected.clone(), seen.clone());
            std::thread::spawn(move || drive(address, &expected, &seen))
        })
        .collect();
    let deadline = Instant::now() + Duration::from_secs(120);
    while seen.whole.load(Ordering::SeqCst) < CLIENTS {
        assert!(Instant::now() < deadline, "they are not served: {}", service.log());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let before = seen.whole.load(Ordering::SeqCst);
    let asked = Instant::now();
    service.signal("TERM");
    assert_eq!(service.ends().await, 0);
    let took = asked.elapsed();
    let joining = tokio::task::spawn_blocking(|| {
        clients.into_iter().for_each(|client| client.join().expect("it does not panic"));
    });
    joining.await.expect("they end");
    let [whole, cut, wrong] =
        [&seen.whole, &seen.cut, &seen.wrong].map(|count| count.load(Ordering::SeqCst));
    println!(
        "SIGTERM with {CLIENTS} clients: stopped after {} ms, {} answers after it, {cut} cut",
        took.as_millis(),
        whole - before
    );
    assert_eq!((cut, wrong), (0, 0));
    assert!(whole > before, "some were in flight, or the test cannot fail");
}
