//! The command that drives: a process group of its own, which never outlives the lab.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::time::{Instant, sleep};

use crate::lab::base::Base;
use crate::lab::target::Guard;

/// How often it is looked at.
const POLL: Duration = Duration::from_millis(20);
/// How long it may take to end once it is asked to.
const END_WITHIN: Duration = Duration::from_secs(10);

/// A command in the making.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// The program, as it was given.
    pub program: String,
    arguments: Vec<String>,
}

impl Line {
    /// Looks for the program before anything is started.
    ///
    /// # Errors
    /// A sentence, when there is none of that name.
    pub fn of(command: &[String]) -> Result<Self, String> {
        let (program, arguments) = command.split_first().ok_or("there is no COMMAND behind --")?;
        let is_there = match program.contains('/') {
            // It may stand in the address, which is known later only.
            true => program.contains('{') || Path::new(program).is_file(),
            false => std::env::var_os("PATH").is_some_and(|path| {
                std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
            }),
        };
        if !is_there {
            return Err(format!(
                "there is no program {program:?}: install it, or write its path, such as ./{program}"
            ));
        }
        Ok(Self { program: program.clone(), arguments: arguments.to_vec() })
    }

    /// Starts it, with the address of the service in its environment and in place of `{url}`, `{host}`
    /// and `{port}`.
    ///
    /// # Errors
    /// A sentence, when it cannot be started.
    pub fn start(&self, base: &Base) -> Result<Driver, String> {
        let (host, port) = host_and_port(base);
        let filled = |text: &String| {
            let text = text.replace("{url}", &base.url());
            text.replace("{host}", &host).replace("{port}", &port)
        };
        let mut command = Command::new(filled(&self.program));
        command.args(self.arguments.iter().map(filled)).env("POOLWISE_URL", base.url());
        // Its group is not the terminal's, so that reading from it would stop it.
        command.stdin(Stdio::null()).process_group(0);
        let started = command.spawn();
        let child =
            started.map_err(|error| format!("{} cannot be started: {error}", self.program))?;
        let pid = child.id();
        let group = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let group = group.ok_or_else(|| format!("{} has no process number", self.program))?;
        Ok(Driver { child, group, pid, is_over: false, guard: Guard::watch_group(pid) })
    }
}

fn host_and_port(base: &Base) -> (String, String) {
    let authority = base.authority();
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            (host.to_owned(), port.to_owned())
        }
        _ => (authority.to_owned(), "80".to_owned()),
    }
}

/// The command while it runs. Dropping it kills its group.
pub(super) struct Driver {
    child: Child,
    group: Pid,
    /// The process that was started.
    pub pid: u32,
    /// Whether it was waited for, and its number may be somebody else's.
    is_over: bool,
    guard: Option<Guard>,
}

impl Driver {
    /// Until it has ended by itself. It stays a process that can be looked at until [`Driver::end`].
    pub async fn ended(&self) {
        while !self.has_ended() {
            sleep(POLL).await;
        }
    }

    fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        !matches!(waitid(WaitId::Pid(self.group), options), Ok(None))
    }

    /// Asks the group to end, and waits until all of it has; what has not after [`END_WITHIN`] is killed.
    pub async fn stop(&self) {
        self.signal(Signal::TERM);
        // One that was stopped goes on first.
        self.signal(Signal::CONT);
        let until = Instant::now() + END_WITHIN;
        let lives = || !self.has_ended() || others_of(self.pid);
        while lives() && Instant::now() < until {
            sleep(POLL).await;
        }
        if lives() {
            self.signal(Signal::KILL);
            self.ended().await;
        }
    }

    /// Ends what is left of the group, and says how the command ended.
    ///
    /// # Errors
    /// When the system does not say.
    pub async fn end(mut self) -> std::io::Result<ExitStatus> {
        // The first process is there until it is waited for, so nobody else has the group's number.
        let others = || others_of(self.pid);
        if others() {
            self.signal(Signal::TERM);
            let until = Instant::now() + END_WITHIN;
            while others() && Instant::now() < until {
                sleep(POLL).await;
            }
            if others() {
                self.signal(Signal::KILL);
            }
        }
        let status = self.child.wait();
        self.is_over = true;
        if let Some(guard) = self.guard.take() {
            guard.dismiss().await;
        }
        status
    }

    fn signal(&self, signal: Signal) {
        // It may be empty by now.
        let _ = kill_process_group(self.group, signal);
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if !self.is_over {
            self.signal(Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// Whether a process other than the first one of a group lives in it.
fn others_of(group: u32) -> bool {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let lives_in_it = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // State, parent, group; the name before them may contain anything.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?;
        Some(fields.nth(1)?.parse::<u32>().ok()? == group && !matches!(state, "Z" | "X"))
    };
    pids.filter(|pid| *pid != group).any(|pid| lives_in_it(pid) == Some(true))
}

/// How a process ended, in words.
pub(super) fn words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}
