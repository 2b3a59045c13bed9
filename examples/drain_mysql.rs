//! What the driver alone can do on MySQL and MariaDB: tasks that run one prepared statement again and
//! again, each on a connection of its own, and throw the rows away. `scripts/bench.sh` holds the
//! service against it.
//!
//! `cargo run --release --features mysql --example drain_mysql -- URL 'select ... where category = ?' electronics`
//! prints the statements that ended in time and how many seconds that took.

use std::time::{Duration, Instant};

use clap::Parser;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};

#[derive(Parser)]
struct Arguments {
    /// Where the server is: `mysql://USER:PASSWORD@HOST:PORT/NAME`.
    url: String,
    /// The statement, with one `?`.
    statement: String,
    /// What to bind to it.
    value: String,
    /// Connections, each with a task of its own.
    #[arg(long, default_value_t = 8)]
    tasks: usize,
    /// Whole seconds to go on for.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

#[tokio::main]
async fn main() -> Result<(), mysql_async::Error> {
    let Arguments { url, statement, value, tasks, seconds } = Arguments::parse();
    let options = Opts::from_url(&url)?;
    let mut connections = Vec::new();
    for _ in 0..tasks {
        connections.push(Conn::new(options.clone()).await?);
    }
    let begin = Instant::now();
    let end = begin + Duration::from_secs(seconds);
    let draining: Vec<_> = connections
        .into_iter()
        .map(|connection| tokio::spawn(drain(connection, statement.clone(), value.clone(), end)))
        .collect();
    let mut drained = 0;
    for task in draining {
        drained += task.await.expect("it does not panic")?;
    }
    println!("{drained} {:.6}", begin.elapsed().as_secs_f64());
    Ok(())
}

/// How many times the statement was run to its last row.
async fn drain(
    mut connection: Conn,
    statement: String,
    value: String,
    end: Instant,
) -> Result<u64, mysql_async::Error> {
    let statement = connection.prep(statement).await?;
    let mut drained = 0;
    while Instant::now() < end {
        let rows = connection.exec_iter(&statement, (&value,)).await?;
        rows.for_each_and_drop(drop).await?;
        drained += 1;
    }
    Ok(drained)
}
