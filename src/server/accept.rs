//! The accept loop: bounded connections, TCP_NODELAY, header timeout, graceful shutdown.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::stalled::CutStalled;
use crate::config;
use crate::http::Front;

/// After an accept error that is not the client's fault, such as too many open files.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Accepts until `shutdown` and for `server.drain_delay` after it, then waits for what is in flight.
pub(super) async fn serve(
    listener: TcpListener,
    front: Arc<Front>,
    shutdown: impl Future<Output = ()>,
) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(front.settings(|server| server.max_connections)));
    let accepting = async || {
        loop {
            let (stream, remote, place) = accept(&listener, &places).await;
            let Ok(local) = stream.local_addr() else { continue };
            // As they are now: an edit of the configuration holds for the connections made after it.
            front.settings(|settings| {
                serve_connection(stream, (local, remote), place, &front, settings, &graceful);
            });
        }
    };
    tokio::select! {
        () = shutdown => {}
        () = accepting() => unreachable!("it goes on for ever"),
    }
    front.drain();
    tokio::select! {
        biased;
        () = tokio::time::sleep(front.settings(|server| server.drain_delay)) => {}
        () = accepting() => unreachable!("it goes on for ever"),
    }
    drop(listener);
    let in_flight = graceful.count();
    let limit = front.settings(|server| server.shutdown_timeout);
    if tokio::time::timeout(limit, graceful.shutdown()).await.is_err() {
        tracing::warn!(in_flight, "answers in flight were cut: server.shutdown_timeout passed");
    }
}

/// The next connection, once there is a place for it. Until then clients wait in the kernel.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let place = places.clone().acquire_owned().await.expect("never closed");
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => return (stream, remote, place),
            Err(error) if is_of_the_client(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

fn is_of_the_client(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

fn serve_connection(
    stream: TcpStream,
    (local, remote): (SocketAddr, SocketAddr),
    place: OwnedSemaphorePermit,
    front: &Arc<Front>,
    settings: &config::Server,
    graceful: &GracefulShutdown,
) {
    // Without it the last packet of an answer waits for the acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let (front, connected) = (front.clone(), front.connected());
    let answer = service_fn(move |request| {
        let front = front.clone();
        async move { Ok::<_, Infallible>(front.call(request, local, remote).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(settings.header_timeout)
        .max_header_size(settings.max_header_size)
        .serve_connection(TokioIo::new(CutStalled::new(stream, settings.send_timeout)), answer);
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, client = %remote, "a connection ended early");
        }
        drop((place, connected));
    });
}
