//! Many clients that read slowly, for measuring how much memory they cost the service.
//!
//! Each opens a connection whose receive buffer is 32 KiB, asks for the URL in identity encoding
//! and reads at the given rate. It has completed when the status is 200 and the whole body has
//! come: as many bytes as `Content-Length` says, or chunks up to the last one.
//!
//! `cargo run --release --example slow_readers -- 'http://127.0.0.1:8080/products/pooled?category=electronics'`
//!
//! Exits with 1 unless every client has completed.

use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

/// Small, so that what a client has not read stays with the server. The kernel doubles it for its
/// own bookkeeping.
const RECEIVE_BUFFER: usize = 32 * 1024;
/// Bytes taken at a time; the pause that follows makes up the rate.
const READ_SIZE: usize = 16 * 1024;
/// A client that was held up may catch up this much and no more, so that it never reads in bursts.
const MOST_CATCHING_UP: Duration = Duration::from_millis(20);
const LONGEST_HEAD: usize = 16 * 1024;

/// Reads a URL slowly, many times at once
#[derive(Parser)]
struct Arguments {
    /// What to read: http://HOST:PORT/PATH
    url: String,
    /// How many clients read at once
    #[arg(long, default_value_t = 200)]
    clients: usize,
    /// How fast each of them reads
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    bytes_per_second: u64,
    /// When a client that gets nothing gives up
    #[arg(long, default_value_t = 300)]
    idle_seconds: u64,
}

/// What every client needs to know.
#[derive(Clone)]
struct Job {
    server: SocketAddr,
    request: String,
    bytes_per_second: u64,
    idle: Duration,
}

type Outcome<T> = Result<T, String>;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let job = match Job::new(&arguments) {
        Ok(job) => job,
        Err(reason) => {
            eprintln!("error: {reason}");
            return ExitCode::from(2);
        }
    };
    let started = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..arguments.clients {
        let job = job.clone();
        clients.spawn(async move { job.run().await });
    }
    let (mut completed, mut bytes, mut failures) = (0, 0, Vec::new());
    while let Some(outcome) = clients.join_next().await {
        match outcome.expect("a client does not panic") {
            Ok(body) => {
                completed += 1;
                bytes += body;
            }
            Err(reason) => failures.push(reason),
        }
    }
    let (asked, seconds) = (arguments.clients, started.elapsed().as_secs_f64());
    println!("{completed} of {asked} completed, {bytes} bytes of bodies in {seconds:.1} s");
    if let Some(first) = failures.first() {
        eprintln!("{} failed, the first one: {first}", failures.len());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

impl Job {
    fn new(arguments: &Arguments) -> Outcome<Self> {
        let rest =
            arguments.url.strip_prefix("http://").ok_or("the URL must start with http://")?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let path = if path.is_empty() { "/" } else { path };
        let addresses = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
        let server = addresses.to_socket_addrs().ok().and_then(|mut found| found.next());
        Ok(Self {
            server: server.ok_or_else(|| format!("{host} is not a host and a port"))?,
            request: format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
            bytes_per_second: arguments.bytes_per_second,
            idle: Duration::from_secs(arguments.idle_seconds),
        })
    }

    /// Asks once; gives the length of the body.
    async fn run(self) -> Outcome<u64> {
        let mut connection = SlowConnection {
            stream: self.connect().await.map_err(|error| format!("cannot connect: {error}"))?,
            buffer: Vec::new(),
            bytes_per_second: self.bytes_per_second,
            next_read: Instant::now(),
            idle: self.idle,
        };
        connection.send(self.request.as_bytes()).await?;
        match connection.head().await? {
            Framing::Length(length) => connection.skip(length).await.map(|()| length),
            Framing::Chunked => connection.chunks().await,
        }
    }

    async fn connect(&self) -> std::io::Result<TcpStream> {
        let socket =
            Socket::new(Domain::for_address(self.server), Type::STREAM, Some(Protocol::TCP))?;
        // Before connecting: the window that is announced to the server depends on it.
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        socket.set_nonblocking(true)?;
        TcpSocket::from_std_stream(socket.into()).connect(self.server).await
    }
}

/// How the end of a body is found.
enum Framing {
    Length(u64),
    Chunked,
}

/// A connection that is read at a bounded rate.
struct SlowConnection {
    stream: TcpStream,
    /// Read and not yet used.
    buffer: Vec<u8>,
    bytes_per_second: u64,
    next_read: Instant,
    idle: Duration,
}

impl SlowConnection {
    async fn send(&mut self, mut request: &[u8]) -> Outcome<()> {
        let failed = |error| format!("cannot send: {error}");
        while !request.is_empty() {
            self.stream.writable().await.map_err(failed)?;
            match self.stream.try_write(request) {
                Ok(sent) => request = &request[sent..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(())
    }

    /// Reads once into the buffer, when the rate allows it.
    async fn fill(&mut self) -> Outcome<()> {
        sleep_until(self.next_read).await;
        let mut piece = [0; READ_SIZE];
        let count = loop {
            timeout(self.idle, self.stream.readable())
                .await
                .map_err(|_| format!("nothing came for {} s", self.idle.as_secs()))?
                .map_err(|error| format!("cannot read: {error}"))?;
            match self.stream.try_read(&mut piece) {
                Ok(0) => return Err("the connection ended before the body did".into()),
                Ok(count) => break count,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(format!("cannot read: {error}")),
            }
        };
        self.buffer.extend_from_slice(&piece[..count]);
        let cost = Duration::from_secs_f64(count as f64 / self.bytes_per_second as f64);
        self.next_read = self.next_read.max(Instant::now() - MOST_CATCHING_UP) + cost;
        Ok(())
    }

    /// Uses up `count` bytes.
    async fn skip(&mut self, mut count: u64) -> Outcome<()> {
        loop {
            let here = usize::try_from(count).unwrap_or(usize::MAX).min(self.buffer.len());
            self.buffer.drain(..here);
            count -= here as u64;
            if count == 0 {
                return Ok(());
            }
            self.fill().await?;
        }
    }

    /// Uses up a line; gives it without its end.
    async fn line(&mut self) -> Outcome<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 2);
                return Ok(line);
            }
            if self.buffer.len() > LONGEST_HEAD {
                return Err("a line of the answer's head does not end".into());
            }
            self.fill().await?;
        }
    }

    /// Uses up the status line and the headers.
    async fn head(&mut self) -> Outcome<Framing> {
        let status = self.line().await?;
        if status.split(' ').nth(1) != Some("200") {
            return Err(format!("the answer is {status:?}"));
        }
        let mut framing = None;
        loop {
            let line = self.line().await?.to_ascii_lowercase();
            let Some((name, value)) = line.split_once(':') else { break };
            match (name, value.trim()) {
                ("content-length", length) => {
                    let length = length.parse().map_err(|_| format!("a length of {length:?}"))?;
                    framing = Some(Framing::Length(length));
                }
                ("transfer-encoding", "chunked") => framing = Some(Framing::Chunked),
                ("content-encoding", coding) => return Err(format!("the body is in {coding}")),
                _ => {}
            }
        }
        framing.ok_or_else(|| "the answer says nothing of its length".into())
    }

    /// Uses up a chunked body; gives the length of what was in the chunks.
    async fn chunks(&mut self) -> Outcome<u64> {
        let mut total = 0;
        loop {
            let line = self.line().await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(size, 16)
                .map_err(|_| format!("a chunk whose size is {line:?}"))?;
            if size == 0 {
                // Trailers end with an empty line.
                while !self.line().await?.is_empty() {}
                return Ok(total);
            }
            self.skip(size).await?;
            total += size;
            if !self.line().await?.is_empty() {
                return Err("a chunk is longer than its size".into());
            }
        }
    }
}
