//! The limits of what a client may send, over raw TCP: heads that are too large, too many or too slow, bodies
//! that nobody asked for, and more connections than there are places.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{Backend, Service, Setup, eventually};

async fn service(toml: &str) -> Service {
    Setup::few(Backend::Sqlite).with(toml).start().await
}

/// Sends this much text and reads until the service closes; a reset after the answer is no matter.
async fn exchange(address: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("the service listens");
    let (mut read, mut write) = stream.split();
    let mut answer = Vec::new();
    let reading = async {
        let mut buffer = [0; 4096];
        while let Ok(bytes @ 1..) = read.read(&mut buffer).await {
            answer.extend_from_slice(&buffer[..bytes]);
        }
    };
    let writing = async {
        let _ = write.write_all(text.as_bytes()).await;
    };
    let both = async { tokio::join!(reading, writing) };
    timeout(Duration::from_secs(20), both).await.expect("the service ends the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

/// A request that asks to have its connection closed.
fn get(target: &str, headers: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}\r\n")
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("closed without an answer")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_is_too_large_is_refused_with_431() {
    let service = service("server = { max_header_size = \"16KiB\" }").await;
    let address = service.client.0;
    let filler = |bytes: usize| format!("x-filler: {}\r\n", "x".repeat(bytes));
    assert_eq!(status(&exchange(address, &get("/noop", &filler(15_000))).await), "204");
    assert_eq!(status(&exchange(address, &get("/noop", &filler(17_000))).await), "431");
    // Far beyond it is not waited for.
    assert_eq!(status(&exchange(address, &get("/noop", &filler(1_000_000))).await), "431");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_100_headers_are_refused_with_431() {
    let service = service("").await;
    let headers = |n: usize| (0..n).map(|n| format!("x-{n}: y\r\n")).collect::<String>();
    for (more, expected) in [(98, "204"), (99, "431"), (500, "431")] {
        let answer = exchange(service.client.0, &get("/noop", &headers(more))).await;
        assert_eq!(status(&answer), expected, "host, connection and {more} more");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_that_is_too_long_is_refused_with_414() {
    let service = service("server = { max_header_size = \"128KiB\", max_url_size = 100 }").await;
    let client = service.client;
    let path = |bytes: usize| format!("/products/{}", "9".repeat(bytes - "/products/".len()));
    assert_eq!(client.get(&path(100)).await.status, 400, "it is read, and is no number");
    for bytes in [101, 10_000] {
        let answer = client.get(&path(bytes)).await;
        assert_eq!((answer.status.as_u16(), &*answer.problem()), (414, "url-too-long"));
    }
    // What hyper takes for no URL any more, it refuses itself.
    assert_eq!(status(&exchange(client.0, &get(&path(70_000), "")).await), "414");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_sends_its_head_byte_by_byte_is_cut_off() {
    let service = service("server.header_timeout = \"1s\"").await;
    let mut stream = TcpStream::connect(service.client.0).await.expect("it listens");
    let begun = Instant::now();
    let head = get("/noop", &format!("x-filler: {}\r\n", "x".repeat(1000)));
    let (mut read, mut write) = stream.split();
    let dripping = async {
        for byte in head.bytes() {
            if write.write_all(&[byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        std::future::pending::<()>().await;
    };
    let ended = async {
        let mut answer = Vec::new();
        let _ = read.read_to_end(&mut answer).await;
        answer
    };
    let answer = tokio::select! {
        answer = timeout(Duration::from_secs(20), ended) => answer.expect("it is cut off"),
        () = dripping => unreachable!(),
    };
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(900), "only after server.header_timeout: {took:?}");
    assert!(!String::from_utf8_lossy(&answer).contains(" 204 "), "it was not served");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_beyond_max_connections_waits_and_is_served_later() {
    let service = service("server.max_connections = 2").await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(service.client.0).await.expect("it listens");
        stream.write_all(b"GET /noop HTTP/1.1\r\nhost: test\r\n\r\n").await.expect("it is sent");
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.expect("it is served");
        held.push(stream);
    }
    let client = service.client;
    let waiting = tokio::spawn(async move { client.get("/noop").await.status.as_u16() });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished(), "there is no place for it");
    held.pop();
    eventually("it is served", || waiting.is_finished()).await;
    assert_eq!(waiting.await.expect("it does not panic"), 204);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_nobody_asked_for_is_not_read() {
    let service = service("").await;
    let mut stream = TcpStream::connect(service.client.0).await.expect("it listens");
    let head = "GET /products/pooled?limit=1 HTTP/1.1\r\nhost: test\r\ncontent-length: 10000000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("it is sent");
    let (mut read, mut write) = stream.split();
    let mut sent = 0;
    let flooding = async {
        let chunk = [b'x'; 64 * 1024];
        while write.write_all(&chunk).await.is_ok() {
            sent += chunk.len();
        }
    };
    let mut answer = Vec::new();
    let reading = async {
        let mut buffer = [0; 4096];
        while let Ok(bytes @ 1..) = read.read(&mut buffer).await {
            answer.extend_from_slice(&buffer[..bytes]);
        }
    };
    let both = async { tokio::join!(flooding, reading) };
    timeout(Duration::from_secs(20), both).await.expect("the connection is closed");
    assert_eq!(status(&String::from_utf8_lossy(&answer)), "200");
    // No more than what sockets hold was taken.
    assert!(sent < 64 * 1024 * 1024, "{sent} bytes of the body were taken");
}
