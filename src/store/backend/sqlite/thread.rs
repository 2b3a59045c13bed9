//! A connection on a thread of its own, which does one job after another.

use std::sync::{Arc, mpsc};

use rusqlite::InterruptHandle;
use tokio::sync::oneshot;

use crate::store::{ErrorKind, StoreError};

type Job = Box<dyn FnOnce(&mut rusqlite::Connection) + Send>;

/// Dropping it ends the thread after its current job, and with it the connection.
pub(super) struct SqliteThread {
    jobs: mpsc::Sender<Job>,
    interrupt: Arc<InterruptHandle>,
    /// Held by the thread: gone when it has ended.
    alive: std::sync::Weak<()>,
}

impl SqliteThread {
    /// Starts a thread and opens a connection on it.
    pub async fn start(
        name: &str,
        open: impl FnOnce() -> Result<rusqlite::Connection, StoreError> + Send + 'static,
    ) -> Result<Self, StoreError> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let (opened, answer) = oneshot::channel();
        let token = Arc::new(());
        let alive = Arc::downgrade(&token);
        let serve = move || {
            let _token = token;
            let mut connection = match open() {
                Ok(connection) => connection,
                Err(error) => return drop(opened.send(Err(error))),
            };
            if opened.send(Ok(connection.get_interrupt_handle())).is_err() {
                return;
            }
            for job in queue {
                job(&mut connection);
            }
        };
        std::thread::Builder::new().name(name.into()).spawn(serve).map_err(|error| {
            StoreError::new(ErrorKind::Saturated, format_args!("no thread for SQLite: {error}"))
        })?;
        let interrupt = answer.await.map_err(|_| ended())??;
        Ok(Self { jobs, interrupt: Arc::new(interrupt), alive })
    }

    /// Queues a job; it answers by itself.
    pub fn send(
        &self,
        job: impl FnOnce(&mut rusqlite::Connection) + Send + 'static,
    ) -> Result<(), StoreError> {
        self.jobs.send(Box::new(job)).map_err(|_| ended())
    }

    /// Runs a job and waits for what it returns.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut rusqlite::Connection) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let (done, answer) = oneshot::channel();
        self.send(move |connection| drop(done.send(job(connection))))?;
        answer.await.map_err(|_| ended())
    }

    /// Whether the thread has ended.
    pub fn is_closed(&self) -> bool {
        self.alive.strong_count() == 0
    }

    /// Interrupts whatever runs, from any thread.
    pub fn interrupt_handle(&self) -> Arc<InterruptHandle> {
        self.interrupt.clone()
    }
}

fn ended() -> StoreError {
    StoreError::new(ErrorKind::Disconnected, "the thread of a SQLite connection has ended")
}
