//! A network with weather, in front of a real server: refused, slow, silent or cut connections.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use super::process::listener;

/// What the network does to what passes through it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Weather {
    /// Nothing.
    Fair,
    /// Nobody listens; what is connected stays so.
    Refused,
    /// Everything arrives this much later, each way.
    Delayed(Duration),
    /// So many bytes a second, each way and connection.
    Throttled(usize),
    /// Bytes are taken and never arrive; nobody is told.
    BlackHole,
}

/// What happens to every connection that there is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Strike {
    /// Both ends are told that it is over.
    Cut,
    /// The client hears that the server says no more; the server hears nothing.
    HalfClosed,
}

/// Passes connections on to a server on this machine.
pub struct Network {
    pub port: u16,
    weather: watch::Sender<Weather>,
    strikes: broadcast::Sender<Strike>,
    /// Whether nobody listens.
    refuses: Arc<AtomicBool>,
    accepting: AbortHandle,
}

impl Network {
    /// One in fair weather.
    pub async fn to(server: u16) -> Self {
        let listener = listener();
        let port = listener.local_addr().expect("it is bound").port();
        let (weather, changes) = watch::channel(Weather::Fair);
        let strikes = broadcast::Sender::new(16);
        let refuses = Arc::new(AtomicBool::new(false));
        let accepting = accept(listener, server, changes, strikes.clone(), refuses.clone());
        let accepting = tokio::spawn(accepting).abort_handle();
        Self { port, weather, strikes, refuses, accepting }
    }

    /// Changes the weather for all connections, old and new. Whoever connects next meets the new.
    pub fn turns(&self, weather: Weather) {
        self.weather.send_replace(weather);
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        tokio::task::block_in_place(|| {
            while self.refuses.load(Ordering::SeqCst) != (weather == Weather::Refused) {
                assert!(std::time::Instant::now() < deadline, "it is never {weather:?}");
                std::thread::sleep(Duration::from_millis(1));
            }
        });
    }

    /// Closes every connection that there is now.
    pub fn cut(&self) {
        // Without a connection nobody hears it.
        let _ = self.strikes.send(Strike::Cut);
    }

    /// Closes the direction to the client of every connection that there is now.
    pub fn half_close(&self) {
        let _ = self.strikes.send(Strike::HalfClosed);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    server: u16,
    mut weather: watch::Receiver<Weather>,
    strikes: broadcast::Sender<Strike>,
    refuses: Arc<AtomicBool>,
) {
    let address = listener.local_addr().expect("it is bound");
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        let now = *weather.borrow_and_update();
        match (&listener, now) {
            (Some(_), Weather::Refused) => listener = None,
            (None, Weather::Refused) => {}
            (None, _) => listener = Some(listen_again(address).await),
            (Some(_), _) => {}
        }
        refuses.store(listener.is_none(), Ordering::SeqCst);
        let Some(open) = &listener else {
            if weather.changed().await.is_err() {
                return;
            }
            continue;
        };
        tokio::select! {
            changed = weather.changed() => if changed.is_err() { return },
            accepted = open.accept() => if let Ok((client, _)) = accepted {
                let (weather, strikes) = (weather.clone(), strikes.subscribe());
                connections.spawn(async move {
                    let _ = pass(client, server, weather, strikes).await;
                });
            },
        }
    }
}

async fn listen_again(address: SocketAddr) -> TcpListener {
    loop {
        let socket = TcpSocket::new_v4().expect("a socket can be made");
        socket.set_reuseaddr(true).expect("it can be set");
        if socket.bind(address).is_ok()
            && let Ok(listener) = socket.listen(1024)
        {
            return listener;
        }
        sleep(Duration::from_millis(10)).await;
    }
}

async fn pass(
    client: TcpStream,
    server: u16,
    weather: watch::Receiver<Weather>,
    mut strikes: broadcast::Receiver<Strike>,
) -> std::io::Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut cuts = strikes.resubscribe();
    let half_closed = async {
        loop {
            match strikes.recv().await {
                Ok(Strike::HalfClosed) => return,
                Ok(Strike::Cut) | Err(broadcast::error::RecvError::Closed) => {
                    std::future::pending::<()>().await;
                }
                Err(broadcast::error::RecvError::Lagged(_)) => {}
            }
        }
    };
    let cut = async {
        while !matches!(
            cuts.recv().await,
            Ok(Strike::Cut) | Err(broadcast::error::RecvError::Closed)
        ) {}
    };
    tokio::select! {
        () = cut => {}
        // Each way ends by itself; the connection does when both have.
        ((), ()) = async {
            tokio::join!(
                way(from_client, to_server, weather.clone(), std::future::pending()),
                way(from_server, to_client, weather, half_closed),
            )
        } => {}
    }
    Ok(())
}

/// One direction, until its sender is done, its receiver is gone, or it is closed from outside.
async fn way(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
    closed: impl Future<Output = ()>,
) {
    let (sender, mut under_way) = mpsc::channel::<(Instant, Vec<u8>)>(64);
    let mut reading_weather = weather.clone();
    let reading = async move {
        let mut buffer = vec![0; 32 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            let late = match *reading_weather.borrow_and_update() {
                Weather::Delayed(by) => by,
                _ => Duration::ZERO,
            };
            if sender.send((Instant::now() + late, buffer[..read].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let writing = async {
        while let Some((due, bytes)) = under_way.recv().await {
            sleep_until(due).await;
            loop {
                let now = *weather.borrow_and_update();
                match now {
                    Weather::BlackHole => {
                        if weather.changed().await.is_err() {
                            return;
                        }
                    }
                    Weather::Throttled(rate) => {
                        let takes = Duration::from_secs_f64(bytes.len() as f64 / rate as f64);
                        tokio::select! {
                            () = sleep(takes) => break,
                            changed = weather.changed() => if changed.is_err() { return },
                        }
                    }
                    Weather::Fair | Weather::Refused | Weather::Delayed(_) => break,
                }
            }
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = closed => {}
        ((), ()) = async { tokio::join!(reading, writing) } => {}
    }
    let _ = to.shutdown().await;
}
