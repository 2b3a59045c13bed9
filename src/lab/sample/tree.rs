//! What a process and everything under it use: a server that works in many processes.

use super::process::{ProcessId, Roots, seconds};

/// How often a sum is taken anew when processes ended meanwhile.
const ATTEMPTS: usize = 5;

/// Memory of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TreeMemory {
    pub bytes: u64,
    /// How it was counted.
    pub method: MemoryMethod,
}

/// How memory that processes share is counted once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MemoryMethod {
    /// Proportional set size: each page divided by the processes that map it.
    Pss,
    /// What each has of its own, and the largest share of what they have in common: without the
    /// rights to read the sizes above.
    Estimate,
}

impl Roots {
    /// The children of a process now.
    fn children(&self, pid: u32) -> Vec<u32> {
        if let Some(text) = self.read(pid, &format!("task/{pid}/children")) {
            return text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
        }
        // Kernels without that file.
        let is_child = |child: &u32| self.stat(child).is_some_and(|stat| stat.parent == pid);
        self.all().into_iter().filter(is_child).collect()
    }

    /// A process and all under it.
    pub fn tree(&self, pid: u32) -> Vec<u32> {
        let mut found = vec![pid];
        let mut next = 0;
        while let Some(&pid) = found.get(next) {
            found.extend(self.children(pid));
            next += 1;
        }
        found
    }

    /// Every thread of a process and of all under it: its number, its begin, and the ticks that it used.
    pub fn threads(&self, root: ProcessId) -> Vec<(u32, u64, u64)> {
        let of = |pid: u32| {
            let folder = self.proc.join(pid.to_string()).join("task");
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            let threads = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
            threads.filter_map(move |thread: u32| {
                let stat = self.stat_of(pid, thread)?;
                Some((thread, stat.began_ticks, stat.cpu_ticks))
            })
        };
        self.tree(root.pid).into_iter().flat_map(of).collect()
    }

    /// CPU time in seconds that a process and all under it have used, those that ended included;
    /// `None` when it has ended itself.
    ///
    /// When a process ends, its parent takes over what it had used (`cutime`, `cstime`) at the moment
    /// that it waits for it. So a parent is always read before its children: one that ends between
    /// is missed this time, and none is ever counted twice. The sum is taken anew while that
    /// happens, and the largest counts: each is a lower bound.
    pub fn tree_cpu_seconds(&self, root: ProcessId) -> Option<f64> {
        let mut largest = 0;
        for _ in 0..ATTEMPTS {
            let before = self.alive(root)?;
            let (ticks, missed) = self.subtree_ticks(root.pid)?;
            largest = largest.max(ticks);
            let after = self.alive(root)?;
            if !missed && before.reaped_ticks == after.reaped_ticks {
                break;
            }
        }
        Some(seconds(largest))
    }

    /// Ticks of a process and all under it, and whether one vanished while we looked.
    fn subtree_ticks(&self, pid: u32) -> Option<(u64, bool)> {
        let stat = self.stat(pid)?;
        let mut sum = stat.cpu_ticks + stat.reaped_ticks;
        let mut missed = false;
        for child in self.children(pid) {
            match self.subtree_ticks(child) {
                Some((ticks, below)) => {
                    sum += ticks;
                    missed |= below;
                }
                None => missed = true,
            }
        }
        Some((sum, missed))
    }

    /// Memory of a process and all under it, `except` one; what they share is counted once. `None`
    /// when it has ended.
    ///
    /// Reading PSS walks the page tables of every process: 0.1 to 1 ms each.
    pub fn tree_memory(&self, root: ProcessId, except: Option<ProcessId>) -> Option<TreeMemory> {
        self.alive(root)?;
        let except = except.filter(|id| self.alive(*id).is_some()).map(|id| id.pid);
        let tree = self.tree(root.pid).into_iter().filter(|pid| Some(*pid) != except);
        let mut pss = Some(0);
        let (mut private, mut shared) = (0, 0);
        for pid in tree {
            if let Some(sum) = pss {
                // An empty or unreadable file of a process that is there: no right to read it.
                match self.read(pid, "smaps_rollup").as_deref().and_then(parse_pss) {
                    Some(bytes) => pss = Some(sum + bytes),
                    None if self.stat(pid).is_some_and(|stat| stat.resident_bytes > 0) => {
                        pss = None
                    }
                    None => {}
                }
            }
            if let Some((resident, common)) =
                self.read(pid, "statm").as_deref().and_then(parse_statm)
            {
                private += resident.saturating_sub(common);
                shared = shared.max(common);
            }
        }
        Some(match pss {
            Some(bytes) => TreeMemory { bytes, method: MemoryMethod::Pss },
            None => TreeMemory { bytes: private + shared, method: MemoryMethod::Estimate },
        })
    }
}

/// Proportional set size in bytes from `/proc/PID/smaps_rollup`.
fn parse_pss(text: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    Some(value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Resident bytes, and of them those of files and shared memory, from `/proc/PID/statm`.
fn parse_statm(text: &str) -> Option<(u64, u64)> {
    let mut pages = text.split_whitespace().skip(1).map(str::parse::<u64>);
    let page = rustix::param::page_size() as u64;
    Some((pages.next()?.ok()? * page, pages.next()?.ok()? * page))
}

#[cfg(test)]
mod tests {
    use rustix::param::{clock_ticks_per_second, page_size};

    use super::super::process::fixture::Fixture;
    use super::*;

    fn ticks(fixture: &Fixture, pid: u32) -> f64 {
        let root = fixture.roots.identify(pid).expect("it is there");
        let sum = fixture.roots.tree_cpu_seconds(root).expect("it has not ended");
        (sum * clock_ticks_per_second() as f64).round()
    }

    #[test]
    fn the_sum_has_the_living_the_dead_and_those_below() {
        let fixture = Fixture::new();
        fixture.process(10, 1, [100, 1000, 5]);
        fixture.process(11, 10, [20, 3, 6]);
        fixture.process(12, 11, [4, 0, 7]);
        fixture.process(90, 1, [9999, 9999, 8]);
        assert_eq!(ticks(&fixture, 10), 1127.0);
        let mut tree = fixture.roots.tree(10);
        tree.sort_unstable();
        assert_eq!(tree, [10, 11, 12]);
    }

    #[test]
    fn a_child_that_ends_is_not_lost() {
        let fixture = Fixture::new();
        fixture.process(10, 1, [100, 0, 5]);
        fixture.process(11, 10, [40, 0, 6]);
        assert_eq!(ticks(&fixture, 10), 140.0);
        fixture.process(10, 1, [100, 40, 5]);
        fixture.ends(11);
        assert_eq!(ticks(&fixture, 10), 140.0);
    }

    #[test]
    fn a_child_that_is_listed_and_gone_does_not_break_the_sum() {
        let fixture = Fixture::new();
        fixture.process(10, 1, [100, 0, 5]);
        fixture.file("proc/10/task/10/children", "11 12 ");
        fixture.process(12, 10, [7, 0, 6]);
        assert_eq!(ticks(&fixture, 10), 107.0);
    }

    #[test]
    fn what_processes_share_is_counted_once() {
        let fixture = Fixture::new();
        for (pid, pss) in [(10, 300), (11, 200), (12, 50)] {
            fixture.process(pid, if pid == 10 { 1 } else { 10 }, [0, 0, 5]);
            let rollup = format!("00-ff ---p 0 [rollup]\nRss: 900 kB\nPss:   {pss} kB\n");
            fixture.file(&format!("proc/{pid}/smaps_rollup"), &rollup);
            fixture.file(&format!("proc/{pid}/statm"), &format!("99 {pss} 40 1 0 9 0"));
        }
        let root = fixture.roots.identify(10).expect("it is there");
        let memory = |except| fixture.roots.tree_memory(root, except).expect("it is there");
        assert_eq!(memory(None), TreeMemory { bytes: 550 * 1024, method: MemoryMethod::Pss });
        let own = fixture.roots.identify(12);
        assert_eq!(memory(own).bytes, 500 * 1024);
        // As with the processes of another user.
        fixture.file("proc/11/smaps_rollup", "");
        let estimate = (260 + 160 + 10 + 40) * page_size() as u64;
        let expected = TreeMemory { bytes: estimate, method: MemoryMethod::Estimate };
        assert_eq!(memory(None), expected);
    }
}
