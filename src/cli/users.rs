//! `poolwise users`: users with made-up names and passwords, registered with a service that runs.

use std::cell::Cell;
use std::io::IsTerminal;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use futures_util::StreamExt;
use futures_util::stream::iter;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Failure, runtime};
use crate::lab::base::{Base, RequestError};

#[derive(Debug, Subcommand)]
pub(super) enum Users {
    /// Register users with made-up names and passwords, and write both to a file
    Generate(Generate),
}

#[derive(Debug, Args)]
pub(super) struct Generate {
    /// How many
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: u32,
    /// The service
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The file (CSV with the columns name and password); it must not be there yet
    #[arg(long, value_name = "FILE", default_value = "users.csv")]
    out: PathBuf,
    /// The same names and passwords for the same number: only for tests. Without it nobody can guess them
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Registrations at a time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    at_once: u16,
}

/// For one answer: hashing a password takes its time.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How often one registration is tried where the service says to come back.
const ATTEMPTS: u32 = 100;
/// The longest time that is waited because the service says so.
const LONGEST_PAUSE: u64 = 60;

struct User {
    name: String,
    password: String,
}

impl User {
    fn new(random: &mut StdRng) -> Self {
        const NAME: &[u8] = b"abcdefghijklmnopqrstuvwxyz234567";
        const PASSWORD: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
        let mut text = |letters: &[u8], count: usize| -> String {
            (0..count).map(|_| char::from(letters[random.random_range(..letters.len())])).collect()
        };
        // 60 bits: of 100,000 no two are the same. 16 letters of 56: 93 bits.
        Self { name: format!("user-{}", text(NAME, 12)), password: text(PASSWORD, 16) }
    }

    /// # Errors
    /// A sentence that says what to do, and whether the user may be registered all the same.
    async fn register(&self, base: &Base, stopping: &Cell<bool>) -> Result<(), Unregistered> {
        let json = serde_json::json!({ "name": self.name, "password": self.password }).to_string();
        for _ in 0..ATTEMPTS {
            let posted = base.post("/auth/register", json.clone(), TIMEOUT).await;
            let (status, retry_after, body) = posted.map_err(|error| Unregistered {
                may_exist: !matches!(error, RequestError::Connect(..)),
                why: format!("{error}. Is the service running, and is --url right?"),
            })?;
            match (status.as_u16(), retry_after) {
                (201, _) => return Ok(()),
                (429 | 503, Some(_)) if stopping.get() => {
                    return Err("another one failed, so it was not tried again".into());
                }
                (429 | 503, Some(seconds)) => {
                    tokio::time::sleep(Duration::from_secs(seconds.clamp(1, LONGEST_PAUSE))).await;
                }
                (409, _) => {
                    let name = &self.name;
                    return Err(format!(
                        "there is a user {name} already: another --seed gives other users"
                    )
                    .into());
                }
                (404, _) => return Err("the service there has no sign-in; is --url right?".into()),
                (status, _) => {
                    return Err(Unregistered {
                        why: format!("the service answers {status}: {}", detail(&body)),
                        may_exist: status >= 500,
                    });
                }
            }
        }
        Err(format!("the service refused {} for {ATTEMPTS} times; try later", self.name).into())
    }
}

/// A registration that was not answered with a user.
struct Unregistered {
    why: String,
    /// Whether that says nothing of what became of it.
    may_exist: bool,
}

impl From<String> for Unregistered {
    fn from(why: String) -> Self {
        Self { why, may_exist: false }
    }
}

impl From<&str> for Unregistered {
    fn from(why: &str) -> Self {
        why.to_owned().into()
    }
}

/// What a problem document says.
fn detail(body: &[u8]) -> String {
    let problem: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let detail = problem.as_ref().and_then(|problem| problem["detail"].as_str());
    detail.unwrap_or("no reason is given").to_owned()
}

pub(super) fn main(command: &Users) -> Result<(), Failure> {
    let Users::Generate(command) = command;
    runtime()?.block_on(generate(command))
}

async fn generate(command: &Generate) -> Result<(), Failure> {
    let base = Base::parse(&command.url).await.map_err(Failure::Usage)?;
    let path = &command.out;
    let mut random = command.seed.map_or_else(StdRng::from_os_rng, StdRng::seed_from_u64);
    let users: Vec<User> = (0..command.count).map(|_| User::new(&mut random)).collect();
    let mut out = create(path)?;
    let bar = bar(command.count);
    let stopping = Cell::new(false);
    let made = iter(users).take_while(|_| std::future::ready(!stopping.get())).map(async |user| {
        user.register(&base, &stopping).await?;
        Ok::<_, Unregistered>(user)
    });
    let mut made = std::pin::pin!(made.buffer_unordered(command.at_once.into()));
    let (mut count, mut uncertain) = (0, 0);
    let mut failed = None;
    // What is under way at the first failure is followed to its end: those users may be registered.
    while let Some(user) = made.next().await {
        let written = user.and_then(|user| {
            let row = out.write_record([&user.name, &user.password]);
            let written = row.map_err(csv_io).and_then(|()| out.flush());
            let failed = |error| Unregistered { why: unwritable(path, &error), may_exist: true };
            written.map_err(failed)
        });
        match written {
            Ok(()) => count += 1,
            Err(Unregistered { why, may_exist }) => {
                uncertain += u64::from(may_exist);
                stopping.set(true);
                failed.get_or_insert(why);
            }
        }
        bar.set_position(count);
    }
    bar.finish_and_clear();
    let Some(why) = failed else {
        let (url, path) = (base.url(), path.display());
        println!("{count} users registered at {url}; names and passwords: {path}");
        return Ok(());
    };
    let uncertain = match uncertain {
        0 => String::new(),
        some => format!("\n{some} more may be registered without being in a file."),
    };
    if count == 0 {
        drop(out);
        let _ = std::fs::remove_file(path);
        return Err(Failure::Runtime(format!("{why}{uncertain}")));
    }
    let path = path.display();
    Err(Failure::Runtime(format!(
        "{why}\n{count} users were registered; they are in {path}.{uncertain}"
    )))
}

/// A new file that only its owner may read, with the names of its columns.
fn create(path: &Path) -> Result<csv::Writer<std::fs::File>, Failure> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = file.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Failure::Usage(format!("{} is there already; choose another --out", path.display()))
        }
        _ => Failure::Usage(unwritable(path, &error)),
    })?;
    let mut out = csv::Writer::from_writer(file);
    let head = out.write_record(["name", "password"]).map_err(csv_io).and_then(|()| out.flush());
    head.map_err(|error| Failure::Runtime(unwritable(path, &error)))?;
    Ok(out)
}

fn csv_io(error: csv::Error) -> std::io::Error {
    std::io::Error::other(error)
}

fn unwritable(path: &Path, error: &std::io::Error) -> String {
    format!("{} cannot be written: {error}", path.display())
}

/// A bar on a terminal; nothing elsewhere.
fn bar(count: u32) -> ProgressBar {
    let target = match std::io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let bar = ProgressBar::with_draw_target(Some(count.into()), target);
    let template = "registering [{bar:32}] {pos} of {len} users, {per_sec}, {elapsed}";
    let style = ProgressStyle::with_template(template).expect("a valid template");
    bar.set_style(style.progress_chars("=> "));
    bar
}
