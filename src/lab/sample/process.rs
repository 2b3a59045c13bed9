//! Processes as the kernel shows them in `/proc`: one, or a tree of them. Where `/proc` is, is a
//! parameter, so that tests can give a tree of their own. Knows nothing of what the processes do.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rustix::param::{clock_ticks_per_second, page_size};

use super::cgroup;

/// Where the kernel shows what it knows.
#[derive(Debug, Clone)]
pub(super) struct Roots {
    /// `/proc`.
    pub proc: PathBuf,
    /// The cgroup v2 hierarchy; `None` where there is none.
    pub cgroups: Option<PathBuf>,
}

impl Default for Roots {
    fn default() -> Self {
        Self { proc: "/proc".into(), cgroups: cgroup::root(Path::new("/sys/fs/cgroup")) }
    }
}

/// A process; its begin tells it from a later one of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProcessId {
    /// Its number as we see it, which in a container it does not see itself.
    pub pid: u32,
    /// When it began, in clock ticks since the machine did.
    pub began_ticks: u64,
}

/// `/proc/PID/stat` (proc_pid_stat(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    pub parent: u32,
    /// User and system time of all its threads, also of those that ended.
    pub cpu_ticks: u64,
    /// The same of its children that ended and that it waited for, and of theirs.
    pub reaped_ticks: u64,
    pub began_ticks: u64,
    pub resident_bytes: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name stands in parentheses and may contain any character, parentheses too.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        // proc_pid_stat(5) counts from 1; its field 3, the state, is our first.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            parent: field(4)? as u32,
            cpu_ticks: field(14)? + field(15)?,
            reaped_ticks: field(16)? + field(17)?,
            began_ticks: field(22)?,
            resident_bytes: field(24)? * page_size() as u64,
        })
    }
}

/// Clock ticks as seconds.
pub(super) fn seconds(ticks: u64) -> f64 {
    ticks as f64 / clock_ticks_per_second() as f64
}

impl Roots {
    /// A file of a process; `pid` may be `self`.
    pub fn read(&self, pid: impl std::fmt::Display, file: &str) -> Option<String> {
        std::fs::read_to_string(self.proc.join(pid.to_string()).join(file)).ok()
    }

    /// What the kernel says of a process.
    pub fn stat(&self, pid: impl std::fmt::Display) -> Option<Stat> {
        Stat::parse(&self.read(pid, "stat")?)
    }

    /// The same of a thread of it.
    pub fn stat_of(&self, pid: u32, thread: u32) -> Option<Stat> {
        Stat::parse(&self.read(pid, &format!("task/{thread}/stat"))?)
    }

    /// The process of this number now.
    pub fn identify(&self, pid: u32) -> Option<ProcessId> {
        Some(ProcessId { pid, began_ticks: self.stat(pid)?.began_ticks })
    }

    /// What the kernel says of a process, unless it has ended.
    pub fn alive(&self, id: ProcessId) -> Option<Stat> {
        self.stat(id.pid).filter(|stat| stat.began_ticks == id.began_ticks)
    }

    /// A value of `/proc/PID/status`.
    pub fn status(&self, pid: impl std::fmt::Display, key: &str) -> Option<String> {
        let text = self.read(pid, "status")?;
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        value.map(|value| value.trim().to_owned())
    }

    /// The cores that a process may use.
    pub fn cores(&self, pid: impl std::fmt::Display) -> Option<BTreeSet<u32>> {
        parse_list(&self.status(pid, "Cpus_allowed_list")?)
    }

    /// Whether a process may use a core that this one uses.
    pub fn shares_cores(&self, pid: u32) -> Option<bool> {
        Some(!self.cores(pid)?.is_disjoint(&self.cores("self")?))
    }

    /// Every process that there is.
    pub fn all(&self) -> Vec<u32> {
        let entries = std::fs::read_dir(&self.proc).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    }

    /// The process that calls itself `inner`, has one of these names, and began at `began_epoch`
    /// seconds since 1970: in a container a process has a number of its own, which the last value of
    /// `NSpid` shows. Name and begin make sure that it is not another one of the same number, which
    /// a server on another machine would lead to.
    pub fn find(&self, inner: u32, names: &[&str], began_epoch: f64) -> Option<ProcessId> {
        // The machine's own begin is known to the second, and clocks are set now and then.
        const APART_SECONDS: f64 = 3.0;
        let fits = |pid: u32| {
            let numbers = self.status(pid, "NSpid")?;
            let number: u32 = numbers.split_whitespace().last()?.parse().ok()?;
            let name = self.status(pid, "Name")?;
            let id = self.identify(pid)?;
            let is_it = number == inner
                && names.contains(&name.as_str())
                && (self.began_epoch(id)? - began_epoch).abs() <= APART_SECONDS;
            is_it.then_some(id)
        };
        fits(inner).or_else(|| self.all().into_iter().find_map(fits))
    }

    /// When a process began, in seconds since 1970.
    pub fn began_epoch(&self, id: ProcessId) -> Option<f64> {
        Some(self.machine_began()? + seconds(id.began_ticks))
    }

    /// When the machine began, in seconds since 1970.
    fn machine_began(&self) -> Option<f64> {
        let text = std::fs::read_to_string(self.proc.join("stat")).ok()?;
        text.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
    }
}

/// Numbers as the kernel lists them: `0-2,5`.
pub(in crate::lab) fn parse_list(text: &str) -> Option<BTreeSet<u32>> {
    let mut found = BTreeSet::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<u32>().ok();
        let (first, last) = (number(first)?, number(last)?);
        // A core number is small; a typing error must not fill the memory.
        if first > last || last > 1 << 16 {
            return None;
        }
        found.extend(first..=last);
    }
    Some(found)
}

#[cfg(test)]
pub(super) mod fixture {
    //! A `/proc` of our own.

    use std::os::unix::fs::symlink;

    use super::*;

    /// A tree of files like `/proc` and `/sys/fs/cgroup`.
    pub struct Fixture {
        pub roots: Roots,
        folder: tempfile::TempDir,
    }

    impl Fixture {
        pub fn new() -> Self {
            let folder = tempfile::tempdir().expect("the temp folder can be written to");
            let roots = Roots {
                proc: folder.path().join("proc"),
                cgroups: Some(folder.path().join("cgroup")),
            };
            let fixture = Self { roots, folder };
            fixture.file("proc/stat", "cpu  10 20 30 40 50 60 70 80 5 5\nbtime 1000\n");
            fixture
        }

        pub fn file(&self, path: &str, text: &str) {
            let path = self.folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("it is below")).expect("it can be made");
            std::fs::write(path, text).expect("it can be written");
        }

        pub fn link(&self, path: &str, to: &str) {
            let path = self.folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("it is below")).expect("it can be made");
            symlink(to, path).expect("it can be made");
        }

        /// A process: its parent, its own ticks, those of its children that ended, and its begin.
        pub fn process(&self, pid: u32, parent: u32, [own, reaped, began]: [u64; 3]) {
            let stat = format!(
                "{pid} (a (b) c) S {parent} 1 1 0 -1 4194304 0 0 0 0 {own} 0 {reaped} 0 \
                 20 0 1 0 {began} 1000000 100 0"
            );
            self.file(&format!("proc/{pid}/stat"), &stat);
        }

        pub fn ends(&self, pid: u32) {
            let path = self.roots.proc.join(pid.to_string());
            std::fs::remove_dir_all(path).expect("it was there");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fixture::Fixture;
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let fixture = Fixture::new();
        fixture.process(7, 3, [11, 13, 17]);
        let stat = fixture.roots.stat(7).expect("it is there");
        assert_eq!((stat.parent, stat.cpu_ticks, stat.reaped_ticks), (3, 11, 13));
        assert_eq!((stat.began_ticks, stat.resident_bytes), (17, 100 * page_size() as u64));
    }

    #[test]
    fn a_later_process_of_the_same_number_is_another_one() {
        let fixture = Fixture::new();
        fixture.process(7, 3, [11, 13, 17]);
        let id = fixture.roots.identify(7).expect("it is there");
        assert!(fixture.roots.alive(id).is_some());
        fixture.process(7, 3, [0, 0, 18]);
        assert_eq!(fixture.roots.alive(id), None);
    }

    #[test]
    fn a_process_is_found_by_the_number_that_it_has_in_its_container() {
        let fixture = Fixture::new();
        let hz = clock_ticks_per_second();
        for (pid, inner, name) in
            [(40, "40\t7", "postgres"), (41, "41\t7", "other"), (7, "7", "sh")]
        {
            fixture.process(pid, 1, [0, 0, 50 * hz]);
            fixture.file(
                &format!("proc/{pid}/status"),
                &format!("Name:\t{name}\nNSpid:\t{inner}\nCpus_allowed_list:\t0-1,3\n"),
            );
        }
        let find = |inner, began| fixture.roots.find(inner, &["postgres"], began);
        assert_eq!(find(7, 1051.0).map(|id| id.pid), Some(40));
        assert_eq!(find(7, 1060.0), None, "it began at another time");
        assert_eq!(find(41, 1050.0), None);
        assert_eq!(fixture.roots.cores(40), Some([0, 1, 3].into()));
    }

    #[test]
    fn this_process_is_seen_as_it_is() {
        let roots = Roots::default();
        let own = std::process::id();
        let stat = roots.stat("self").expect("there is a /proc");
        assert_eq!(stat.parent, std::os::unix::process::parent_id());
        assert!((1 << 20..1 << 36).contains(&stat.resident_bytes), "{stat:?}");
        assert_eq!(roots.identify(own).map(|id| id.pid), Some(own));
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = now.expect("it is after 1970").as_secs_f64();
        let began = roots.machine_began().expect("it says so") + seconds(stat.began_ticks);
        assert!((now - 3600.0..now + 3.0).contains(&began), "{began} of {now}");
        assert_eq!(roots.shares_cores(own), Some(true));
    }
}
