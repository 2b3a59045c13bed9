//! Which cores the load driver and the service may use: `--cpus driver=1,service=0`. Everyone on the
//! same cores takes time from the others, and a report says so; pinning keeps them apart.

use std::collections::{BTreeSet, HashSet};

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::lab::sample::parse_list;

/// Which cores the load driver and the service may use; `None` leaves one as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins {
    /// The load driver: this process.
    pub driver: Option<BTreeSet<u32>>,
    /// The service that the lab starts.
    pub service: Option<BTreeSet<u32>>,
}

impl Pins {
    /// Reads `driver=1,service=0`, or lists and ranges: `driver=2-3,service=0,1`.
    ///
    /// # Errors
    /// A sentence, when it is not of that form or names a core that this process may not use.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::within(text, &allowed())
    }

    fn within(text: &str, allowed: &BTreeSet<u32>) -> Result<Self, String> {
        let wrong = |what: &str| {
            format!("--cpus {text:?}: {what}; it is written like driver=1,service=0 or service=0-2")
        };
        let mut pins = Self::default();
        let mut who = None;
        for part in text.split(',') {
            let list = match part.split_once('=') {
                Some((name, list)) => {
                    let name = name.trim();
                    let place = match name {
                        "driver" => &mut pins.driver,
                        "service" => &mut pins.service,
                        _ => return Err(wrong(&format!("{name:?} cannot be pinned"))),
                    };
                    if place.replace(BTreeSet::new()).is_some() {
                        return Err(wrong(&format!("{name} is given twice")));
                    }
                    who = Some(name == "driver");
                    list
                }
                None => part,
            };
            let place = match who {
                Some(true) => &mut pins.driver,
                Some(false) => &mut pins.service,
                None => return Err(wrong("it does not say who")),
            };
            let cores = parse_list(list.trim())
                .ok_or_else(|| wrong(&format!("{list:?} is not a core or a range of cores")))?;
            if let Some(core) = cores.iter().find(|core| !allowed.contains(core)) {
                let allowed: Vec<String> = allowed.iter().map(u32::to_string).collect();
                let allowed = allowed.join(", ");
                return Err(wrong(&format!("core {core} is not among those allowed: {allowed}")));
            }
            place.get_or_insert_default().extend(cores);
        }
        Ok(pins)
    }

    /// Pins this process: every thread that it has, and with them those that they start. Call it
    /// before the load begins; where no cores are given for the driver it does nothing.
    ///
    /// # Errors
    /// A sentence, when the kernel refuses.
    pub fn pin_driver(&self) -> Result<(), String> {
        let Some(cores) = &self.driver else { return Ok(()) };
        let refused =
            |error: std::io::Error| format!("--cpus: the driver cannot be pinned: {error}");
        let mut pinned = HashSet::new();
        // A thread may start another one meanwhile: until there is none that is new.
        loop {
            let mut found_one = false;
            for entry in std::fs::read_dir("/proc/self/task").map_err(refused)?.flatten() {
                let thread = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
                let Some(thread) = thread.and_then(Pid::from_raw) else { continue };
                if pinned.insert(thread) {
                    found_one = true;
                    match sched_setaffinity(Some(thread), &set(cores)) {
                        // It has ended meanwhile.
                        Err(error) if error == rustix::io::Errno::SRCH => {}
                        outcome => outcome.map_err(|error| refused(error.into()))?,
                    }
                }
            }
            if !found_one {
                return Ok(());
            }
        }
    }

    /// Runs `start` with this thread on the cores of the service, which a process that it starts
    /// inherits from its first instruction on.
    ///
    /// # Errors
    /// A sentence, when the kernel refuses.
    pub(super) fn for_service<T>(&self, start: impl FnOnce() -> T) -> Result<T, String> {
        let Some(cores) = &self.service else { return Ok(start()) };
        let refused = |error| format!("--cpus: the service cannot be pinned to {cores:?}: {error}");
        let before = sched_getaffinity(None).map_err(refused)?;
        sched_setaffinity(None, &set(cores)).map_err(refused)?;
        let started = start();
        sched_setaffinity(None, &before).map_err(refused)?;
        Ok(started)
    }
}

/// The cores that this process may use.
fn allowed() -> BTreeSet<u32> {
    let found = sched_getaffinity(None).unwrap_or_default();
    (0..CpuSet::MAX_CPU).filter(|core| found.is_set(*core)).map(|core| core as u32).collect()
}

fn set(cores: &BTreeSet<u32>) -> CpuSet {
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core as usize));
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Pins, String> {
        Pins::within(text, &(0..4).collect())
    }

    #[test]
    fn cores_are_read_as_numbers_lists_and_ranges() {
        let pins = |driver: &[u32], service: &[u32]| {
            let set = |cores: &[u32]| (!cores.is_empty()).then(|| cores.iter().copied().collect());
            Ok(Pins { driver: set(driver), service: set(service) })
        };
        assert_eq!(parse("driver=1,service=0"), pins(&[1], &[0]));
        assert_eq!(parse("service=0,2-3, driver = 1"), pins(&[1], &[0, 2, 3]));
        assert_eq!(parse("service=0-1"), pins(&[], &[0, 1]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, word) in [
            ("", "who"),
            ("1,2", "who"),
            ("driver=1,driver=2", "twice"),
            ("database=1", "\"database\""),
            ("driver=", "\"\""),
            ("driver=x", "\"x\""),
            ("driver=3-1", "\"3-1\""),
            ("driver=4", "core 4"),
            ("driver=0-99999999", "range"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(word) && error.contains("driver=1,service=0"), "{error}");
        }
    }

    #[test]
    fn the_cores_of_the_service_are_given_back_after_the_start() {
        let before = allowed();
        let last = *before.last().expect("there is one");
        let pins = Pins { driver: None, service: Some([last].into()) };
        let during = pins.for_service(allowed).expect("the core is allowed");
        assert_eq!((during, allowed()), ([last].into(), before));
    }
}
