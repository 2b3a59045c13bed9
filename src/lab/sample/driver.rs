//! What the load driver uses: this process, or a command with all processes under it.

use std::collections::HashMap;

use tokio::time::Instant;

use super::counter::Counter;
use super::limit;
use super::process::{ProcessId, Roots, seconds};
use crate::lab::record::Usage;

/// Two readings of threads that are closer say what the clock's grain is.
const SHORTEST_SECONDS: f64 = 0.25;

/// The ticks of threads by number and begin.
type Threads = HashMap<(u32, u64), u64>;

/// The load driver.
#[derive(Debug, Default)]
pub(super) struct Driver {
    who: Who,
    cpu: Counter,
    /// The ticks of each thread, by its number and begin, and when they were read.
    threads: Option<(Instant, Threads)>,
}

#[derive(Debug, Default, Clone, Copy)]
enum Who {
    /// This process.
    #[default]
    Own,
    /// A process that is not there yet.
    Awaited,
    /// Another process, with all under it.
    Tree(ProcessId),
}

impl Driver {
    /// One that is not there yet.
    pub fn awaited() -> Self {
        Self { who: Who::Awaited, ..Self::default() }
    }

    /// Another process, with all under it.
    pub fn tree(root: ProcessId) -> Self {
        Self { who: Who::Tree(root), ..Self::default() }
    }

    /// Where its figures come from.
    pub fn source(&self) -> &'static str {
        match self.who {
            Who::Own => "its own process: CPU time, with that of the sampling; resident memory",
            Who::Awaited | Who::Tree(_) => {
                "the command and all processes under it: CPU time, also of those that ended; resident \
                 memory, where what they share counts for each"
            }
        }
    }

    /// What it used so far, and the share of a core that its busiest thread used since the last look: of
    /// this process nobody asks.
    pub fn look(&mut self, roots: &Roots) -> (Usage, Option<f64>) {
        let root = match self.who {
            Who::Awaited => return (Usage::default(), None),
            Who::Tree(root) => root,
            Who::Own => {
                let Some(stat) = roots.stat("self") else { return (Usage::default(), None) };
                return (self.usage(roots, seconds(stat.cpu_ticks), stat.resident_bytes), None);
            }
        };
        let Some(now) = roots.tree_cpu_seconds(root) else { return (Usage::default(), None) };
        let tree = roots.tree(root.pid).into_iter();
        let memory = tree.filter_map(|pid| Some(roots.stat(pid)?.resident_bytes)).sum();
        (self.usage(roots, now, memory), self.busiest_thread(roots, root))
    }

    fn usage(&mut self, roots: &Roots, cpu_seconds: f64, memory_bytes: u64) -> Usage {
        Usage {
            cpu_seconds: Some(self.cpu.at_least(cpu_seconds)),
            memory_bytes: Some(memory_bytes),
            memory_limit_bytes: limit(roots, "self"),
            ..Usage::default()
        }
    }

    fn busiest_thread(&mut self, roots: &Roots, root: ProcessId) -> Option<f64> {
        let now = Instant::now();
        let read = roots.threads(root).into_iter();
        let read: Threads = read.map(|(thread, began, ticks)| ((thread, began), ticks)).collect();
        let (before, last) = self.threads.replace((now, read))?;
        let took = now.saturating_duration_since(before).as_secs_f64();
        let (_, read) = self.threads.as_ref()?;
        let used = |(thread, ticks): (&(u32, u64), &u64)| {
            ticks.saturating_sub(last.get(thread).copied().unwrap_or(0))
        };
        let most = read.iter().map(used).max()?;
        (took >= SHORTEST_SECONDS).then(|| seconds(most) / took)
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_command_that_computes_keeps_one_thread_busy_and_its_children_count() {
        let mut command = Command::new("sh");
        // Two processes under it; the second one sleeps.
        command.args(["-c", "(while :; do :; done) & busy=$!; sleep 5; kill $busy"]);
        let mut child = command.stdin(Stdio::null()).spawn().expect("there is a shell");
        let roots = Roots::default();
        let root = roots.identify(child.id()).expect("it was just started");
        let mut driver = Driver::tree(root);
        assert_eq!(driver.look(&roots).1, None, "nothing was read before");
        let mut seen = (0.0, 0.0);
        // On a busy machine it gets its share late.
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let (usage, busiest) = driver.look(&roots);
            seen = (usage.cpu_seconds.expect("it lives"), busiest.expect("it was read before"));
            if seen.0 > 0.05 && seen.1 > 0.02 {
                break;
            }
        }
        let tree = roots.tree(root.pid);
        for pid in tree.iter().rev() {
            let pid = rustix::process::Pid::from_raw(*pid as i32).expect("it is a process");
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        child.wait().expect("it is ours");
        assert!(seen.0 > 0.05 && (0.02..1.3).contains(&seen.1), "{seen:?}");
    }
}
