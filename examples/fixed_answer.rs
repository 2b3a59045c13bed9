//! A server with nothing behind it, for holding load drivers against each other: each answer takes
//! a fixed time, but for `/noop`, which is answered at once.
//!
//! `cargo run --release --example fixed_answer -- --listen 127.0.0.1:8081 --delay 20ms`

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::time::sleep;

/// Answers every request after a fixed time, and /noop at once
#[derive(Parser)]
struct Arguments {
    /// Where it listens
    #[arg(long, default_value = "127.0.0.1:8081")]
    listen: SocketAddr,
    /// How long an answer takes, such as 20ms
    #[arg(long, default_value = "20ms", value_parser = humantime::parse_duration)]
    delay: Duration,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { listen, delay } = Arguments::parse();
    let listener = match TcpListener::bind(listen).await {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("error: cannot listen on {listen}: {error}");
            return ExitCode::FAILURE;
        }
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                let service = service_fn(move |request| answer(request, delay));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
            // Out of file descriptors, most likely: some will be free again.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    delay: Duration,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() != "/noop" {
        sleep(delay).await;
    }
    Ok(Response::new(Full::from("an answer\n")))
}
