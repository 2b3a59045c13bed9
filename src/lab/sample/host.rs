//! The machine of the load driver: what it is, and how busy it is as a whole.

use super::process::{Roots, seconds};
use crate::lab::record::{Host, HostUsage};

/// What the machine is. The cores are those that this process may use now; who pinned whom is for
/// the caller to add.
pub fn host() -> Host {
    let roots = Roots::default();
    let uname = rustix::system::uname();
    let kernel = format!("{} {}", lossy(uname.sysname()), lossy(uname.release()));
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    Host {
        cpu_model: cpu_model(&roots).unwrap_or_else(|| lossy(uname.machine())),
        cores: roots.cores("self").map_or(1, |cores| cores.len() as u32),
        memory_bytes: roots.memory_bytes().unwrap_or_default(),
        system: match name.map(|name| name.trim_matches('"')) {
            Some(name) if !name.is_empty() => format!("{name}, {kernel}"),
            _ => kernel,
        },
        driver_cores: None,
        service_cores: None,
    }
}

fn lossy(text: &std::ffi::CStr) -> String {
    text.to_string_lossy().into_owned()
}

fn cpu_model(roots: &Roots) -> Option<String> {
    let text = std::fs::read_to_string(roots.proc.join("cpuinfo")).ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

impl Roots {
    /// The machine's memory in bytes.
    pub fn memory_bytes(&self) -> Option<u64> {
        let text = std::fs::read_to_string(self.proc.join("meminfo")).ok()?;
        let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        Some(total.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
    }

    /// The whole machine, all its cores, also those that this process may not use: others that work
    /// on them are of interest too.
    pub fn host_usage(&self) -> Option<HostUsage> {
        let text = std::fs::read_to_string(self.proc.join("stat")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
        // user nice system idle iowait irq softirq steal; guests are within user and nice.
        let ticks: Vec<u64> = line.split_whitespace().flat_map(str::parse).collect();
        let [user, nice, system, idle, waiting, interrupts, soft, steal, ..] = ticks[..] else {
            return None;
        };
        let busy = user + nice + system + interrupts + soft;
        Some(HostUsage {
            busy_seconds: seconds(busy),
            total_seconds: seconds(busy + idle + waiting + steal),
            steal_seconds: seconds(steal),
            swapped_pages: self.swapped_pages().unwrap_or_default(),
        })
    }

    fn swapped_pages(&self) -> Option<u64> {
        let text = std::fs::read_to_string(self.proc.join("vmstat")).ok()?;
        let pages = ["pswpin ", "pswpout "].map(|key| {
            let found = text.lines().find_map(|line| line.strip_prefix(key));
            found.and_then(|pages| pages.trim().parse::<u64>().ok()).unwrap_or_default()
        });
        Some(pages.iter().sum())
    }
}

#[cfg(test)]
mod tests {
    use rustix::param::clock_ticks_per_second;

    use super::super::process::fixture::Fixture;
    use super::*;

    #[test]
    fn time_that_others_got_is_neither_busy_nor_idle() {
        let fixture = Fixture::new();
        fixture.file("proc/vmstat", "pswpin 3\npswpin_x 9\npswpout 4\n");
        fixture.file("proc/meminfo", "MemTotal:       16 kB\n");
        let hz = clock_ticks_per_second() as f64;
        let usage = fixture.roots.host_usage().expect("it is there");
        assert_eq!(usage.busy_seconds, (10 + 20 + 30 + 60 + 70) as f64 / hz);
        assert_eq!(usage.total_seconds, (10 + 20 + 30 + 40 + 50 + 60 + 70 + 80) as f64 / hz);
        assert_eq!((usage.steal_seconds, usage.swapped_pages), (80.0 / hz, 7));
        assert_eq!(fixture.roots.memory_bytes(), Some(16 * 1024));
    }

    #[test]
    fn this_machine_is_known() {
        let host = host();
        assert!(host.cores >= 1 && host.memory_bytes > 1 << 20, "{host:?}");
        assert!(!host.cpu_model.is_empty() && host.system.contains("Linux"), "{host:?}");
        let usage = Roots::default().host_usage().expect("there is a /proc");
        assert!(0.0 < usage.busy_seconds && usage.busy_seconds < usage.total_seconds);
    }
}
