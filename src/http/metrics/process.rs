//! This process under the names that every Prometheus client uses for its own.
//!
//! Read from the kernel when asked, which takes microseconds: a sample of up to a second ago would make the
//! rates of a short scrape interval uneven.

use std::fmt;
use std::sync::OnceLock;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use super::super::State;
use super::text::{Text, plain};

pub(super) fn write(text: &mut Text<'_>, state: &State) -> fmt::Result {
    let stat = Stat::read();
    let of = |read: fn(&Stat) -> f64| stat.iter().flat_map(move |stat| plain(read(stat)));
    text.counter(
        "process_cpu_seconds_total",
        "CPU time that the process has used, user and system.",
        of(|stat| stat.cpu_seconds),
    )?;
    text.gauge(
        "process_resident_memory_bytes",
        "Memory of the process in RAM.",
        of(|stat| stat.resident_bytes),
    )?;
    text.gauge(
        "process_virtual_memory_bytes",
        "Memory that the process has mapped.",
        of(|stat| stat.virtual_bytes),
    )?;
    let started = stat.iter().filter_map(|stat| Some(boot_time()? + stat.since_boot_seconds));
    text.gauge(
        "process_start_time_seconds",
        "When the process started, in seconds since 1970.",
        started.flat_map(plain),
    )?;
    text.gauge(
        "process_open_fds",
        "Files and sockets that the process has open.",
        open_files().into_iter().flat_map(plain),
    )?;
    text.gauge(
        "process_max_fds",
        "Files and sockets that the process may have open.",
        getrlimit(Resource::Nofile).current.into_iter().flat_map(plain),
    )?;
    text.gauge(
        "process_threads",
        "Threads of the process, at the last look of the sampler.",
        state.sampler.latest().process.threads.into_iter().flat_map(plain),
    )?;
    text.gauge(
        "poolwise_build_info",
        "Always 1; the label is the version of the program.",
        [(vec![("version", env!("CARGO_PKG_VERSION"))], 1u64)],
    )
}

/// What `/proc/self/stat` says (proc_pid_stat(5)).
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_seconds: f64,
    since_boot_seconds: f64,
    virtual_bytes: f64,
    resident_bytes: f64,
}

impl Stat {
    fn read() -> Option<Self> {
        let text = std::fs::read_to_string("/proc/self/stat").ok()?;
        Self::parse(&text, clock_ticks_per_second() as f64, page_size() as f64)
    }

    /// Fields are numbered from 1 there; the first two may contain blanks and end with the last `)`.
    fn parse(text: &str, ticks_per_second: f64, page_size: f64) -> Option<Self> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        Some(Self {
            cpu_seconds: (field(14)? + field(15)?) / ticks_per_second,
            since_boot_seconds: field(22)? / ticks_per_second,
            virtual_bytes: field(23)?,
            resident_bytes: field(24)? * page_size,
        })
    }
}

/// When the machine started, in seconds since 1970.
fn boot_time() -> Option<f64> {
    static BOOT_TIME: OnceLock<Option<f64>> = OnceLock::new();
    *BOOT_TIME.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/stat").ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("btime "))?;
        line.trim().parse().ok()
    })
}

fn open_files() -> Option<u64> {
    let entries = std::fs::read_dir("/proc/self/fd").ok()?;
    // Without the one that counts them.
    Some((entries.count() as u64).saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernel_is_read_whatever_the_program_is_called() {
        let text =
            "7 (a) b) c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 5 0 1200 4096000 25 99";
        let expected = Stat {
            cpu_seconds: 3.0,
            since_boot_seconds: 12.0,
            virtual_bytes: 4_096_000.0,
            resident_bytes: 102_400.0,
        };
        assert_eq!(Stat::parse(text, 100.0, 4096.0), Some(expected));
        assert_eq!(Stat::parse("7 (a) S 1", 100.0, 4096.0), None);
    }
}
