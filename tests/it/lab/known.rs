//! A server whose behaviour is known, and which notes what it did: what the load driver reports is
//! held against its notes.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

/// What it does with a request.
#[derive(Debug, Clone, Copy)]
pub struct Reply {
    pub delay: Duration,
    pub status: u16,
    pub body_bytes: usize,
    pub cache: Option<&'static str>,
    pub ending: Ending,
}

/// How an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Whole.
    Whole,
    /// Whole, and then the connection is closed without a word before.
    WholeThenClosed,
    /// The connection is closed after half of the announced length.
    HalfALength,
    /// The connection is closed after a chunk of half the length, without the last one.
    HalfAChunked,
    /// The connection is closed instead.
    Closed,
    /// There is none, and the connection stays open.
    Never,
}

impl Default for Reply {
    fn default() -> Self {
        let (delay, ending) = (Duration::ZERO, Ending::Whole);
        Self { delay, status: 200, body_bytes: 100, cache: None, ending }
    }
}

/// What it notes of a request.
#[derive(Debug, Clone)]
pub struct Note {
    /// Path and query.
    pub target: String,
    /// The head as it came.
    pub head: String,
    /// Which connection it came over.
    pub connection: u64,
    pub received: Instant,
    /// When it began to write the answer; `None` if it did not.
    pub answered: Option<Instant>,
}

/// A running server. It ends when it is dropped.
pub struct Known {
    pub address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

struct State {
    reply: Box<dyn Fn(u64) -> Reply + Send + Sync>,
    notes: Mutex<Vec<Note>>,
    connections: AtomicU64,
    stalled_until: Mutex<Option<Instant>>,
}

impl Known {
    /// Answers request number `n` (from 0, in the order in which they come) as `reply(n)` says.
    pub async fn start(reply: impl Fn(u64) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(State {
            reply: Box::new(reply),
            notes: Mutex::default(),
            connections: AtomicU64::new(0),
            stalled_until: Mutex::default(),
        });
        let accepting = tokio::spawn(accept(listener, state.clone()));
        Self { address, state, accepting }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request so far, in the order in which they came.
    pub fn notes(&self) -> Vec<Note> {
        self.state.notes.lock().expect("no panic").clone()
    }

    /// How many connections it has been asked for.
    pub fn connections(&self) -> u64 {
        self.state.connections.load(SeqCst)
    }

    /// How many of them a request came over.
    pub fn connections_used(&self) -> u64 {
        let used: BTreeSet<u64> = self.notes().iter().map(|note| note.connection).collect();
        used.len() as u64
    }

    /// Answers nothing for a while.
    pub fn stall(&self, time: Duration) {
        *self.state.stalled_until.lock().expect("no panic") = Some(Instant::now() + time);
    }

    /// Closes its port and all connections.
    pub fn kill(&self) {
        self.accepting.abort();
    }

    /// How many requests it had in its hands at that moment.
    pub fn in_hand(&self, at: Instant) -> usize {
        let holds = |note: &&Note| note.received <= at && note.answered.is_none_or(|end| at < end);
        self.notes().iter().filter(holds).count()
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    // Aborted with this task.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let number = state.connections.fetch_add(1, SeqCst);
        connections.spawn(serve(stream, number, state.clone()));
    }
}

async fn serve(mut stream: TcpStream, connection: u64, state: Arc<State>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        while !read.ends_with(b"\r\n\r\n") {
            match stream.read(&mut buffer).await? {
                0 => return Ok(()),
                count => read.extend_from_slice(&buffer[..count]),
            }
        }
        let head = String::from_utf8(std::mem::take(&mut read)).expect("heads are ASCII");
        let target = head.split(' ').nth(1).expect("a request has a target").to_owned();
        let received = Instant::now();
        let number = {
            let mut notes = state.notes.lock().expect("no panic");
            notes.push(Note { target, head, connection, received, answered: None });
            notes.len() - 1
        };
        let reply = (state.reply)(number as u64);
        if !reply.delay.is_zero() {
            sleep(reply.delay).await;
        }
        let stalled_until = *state.stalled_until.lock().expect("no panic");
        if let Some(until) = stalled_until {
            sleep_until(until).await;
        }
        if reply.ending == Ending::Never {
            std::future::pending::<()>().await;
        }
        state.notes.lock().expect("no panic")[number].answered = Some(Instant::now());
        stream.write_all(&answer(reply)).await?;
        if reply.ending != Ending::Whole {
            return stream.shutdown().await;
        }
    }
}

/// What goes over the wire.
fn answer(reply: Reply) -> Vec<u8> {
    let Reply { status, body_bytes, cache, ending, .. } = reply;
    let body = vec![b'x'; body_bytes];
    let half = &body[..body_bytes / 2];
    let cache = cache.map_or(String::new(), |word| format!("x-cache: {word}\r\n"));
    let head = format!("HTTP/1.1 {status} known\r\n{cache}");
    let plain = format!("{head}content-length: {body_bytes}\r\n\r\n").into_bytes();
    match ending {
        Ending::Whole | Ending::WholeThenClosed => [&plain, &body[..]].concat(),
        Ending::HalfALength => [&plain, half].concat(),
        Ending::HalfAChunked => {
            let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n", half.len());
            [chunked.as_bytes(), half, b"\r\n"].concat()
        }
        Ending::Closed | Ending::Never => Vec::new(),
    }
}
