//! A network that can be held up and cut, in front of a real server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use super::process::listener;

/// A connection is held up after this much of what the server sends: some of 60,000 rows.
const HOLD_AFTER: usize = 1024 * 1024;

/// Passes connections on to a server on this machine.
pub struct Proxy {
    pub port: u16,
    line: Arc<Line>,
    accepting: AbortHandle,
}

#[derive(Default)]
struct Line {
    goes_on: AtomicBool,
    holding: AtomicBool,
    /// Bytes of the server's that pass in a second on one connection; 0 is as fast as it can.
    speed: AtomicU32,
    cut: tokio::sync::Notify,
}

impl Proxy {
    /// One that holds up every connection until it is told to go on.
    pub async fn to(server: u16) -> Self {
        let listener = listener();
        let port = listener.local_addr().expect("it is bound").port();
        let line = Arc::new(Line::default());
        let accepting = tokio::spawn(accept(listener, server, line.clone())).abort_handle();
        Self { port, line, accepting }
    }

    /// Whether some connection is held up.
    pub fn is_holding(&self) -> bool {
        self.line.holding.load(Ordering::SeqCst)
    }

    /// Lets everything through from now on.
    pub fn go_on(&self) {
        self.line.goes_on.store(true, Ordering::SeqCst);
    }

    /// Lets so many bytes a second of what the server sends pass on each connection, from now on.
    pub fn slow_down(&self, bytes_per_second: u32) {
        self.line.speed.store(bytes_per_second, Ordering::SeqCst);
    }

    /// Closes every connection that there is now.
    pub fn cut(&self) {
        self.line.cut.notify_waiters();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, server: u16, line: Arc<Line>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let line = line.clone();
        connections.spawn(async move {
            tokio::select! {
                () = line.cut.notified() => {}
                _ = pass(client, server, &line) => {}
            }
        });
    }
}

async fn pass(client: TcpStream, server: u16, line: &Line) -> std::io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    // Otherwise the kernel takes all that the server has, and the server is done too early.
    socket.set_recv_buffer_size(32 * 1024)?;
    let server = socket.connect(([127, 0, 0, 1], server).into()).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let back = async {
        let (mut passed, mut buffer) = (0, vec![0; 64 * 1024]);
        loop {
            if passed > HOLD_AFTER && !line.goes_on.load(Ordering::SeqCst) {
                line.holding.store(true, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            }
            let read = from_server.read(&mut buffer).await?;
            if read == 0 {
                return Ok(());
            }
            passed += read;
            to_client.write_all(&buffer[..read]).await?;
            let speed = line.speed.load(Ordering::SeqCst);
            if speed > 0 {
                tokio::time::sleep(Duration::from_secs_f64(read as f64 / f64::from(speed))).await;
            }
        }
    };
    tokio::select! {
        ended = back => ended,
        ended = copy(&mut from_client, &mut to_server) => ended.map(drop),
    }
}
