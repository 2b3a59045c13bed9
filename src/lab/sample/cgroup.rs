//! Control groups, version 2: what a container has used and may use. Knows nothing of containers.

use std::path::{Path, PathBuf};

use super::process::Roots;

/// The cgroup v2 hierarchy below where cgroups are mounted: there, or in `unified` where version 1
/// is mounted beside it.
pub(super) fn root(mounted: &Path) -> Option<PathBuf> {
    let candidates = [mounted.to_owned(), mounted.join("unified")];
    candidates.into_iter().find(|path| path.join("cgroup.controllers").exists())
}

/// A control group that holds one component and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    /// As the kernel names it: `/system.slice/docker-ab12.scope`.
    pub path: String,
    folder: PathBuf,
}

impl Group {
    /// The group of a process, when it counts CPU and memory and when all in it belong to the tree
    /// under that process; then it counts also what has ended, and what the kernel does for it.
    pub fn of_its_own(roots: &Roots, pid: u32) -> Option<Self> {
        let path = path_of(roots, pid)?;
        let ours = path_of(roots, "self").unwrap_or_default();
        if path == "/" || format!("{ours}/").starts_with(&format!("{path}/")) {
            return None;
        }
        let group = Self { folder: folder(roots, &path)?, path };
        let tree = roots.tree(pid);
        let alone = members(&group.folder).iter().all(|member| tree.contains(member));
        (alone && group.cpu_seconds().is_some() && group.memory_bytes().is_some()).then_some(group)
    }

    /// CPU time used, in seconds.
    pub fn cpu_seconds(&self) -> Option<f64> {
        Some(value(&self.folder.join("cpu.stat"), "usage_usec")? as f64 / 1e6)
    }

    /// Memory in use without file pages that nobody has needed for a while, as `docker stats` counts
    /// it: a database that was loaded from files would else show them all as its own.
    pub fn memory_bytes(&self) -> Option<u64> {
        let current: u64 = number(&self.folder.join("memory.current"))?;
        let unused = value(&self.folder.join("memory.stat"), "inactive_file").unwrap_or_default();
        Some(current.saturating_sub(unused))
    }
}

/// What the memory of a process may grow to by the limits of its group and of those above it.
pub(super) fn memory_limit(roots: &Roots, pid: impl std::fmt::Display) -> Option<u64> {
    let root = roots.cgroups.as_deref()?;
    let pid = pid.to_string();
    let unified = path_of(roots, &pid).and_then(|path| {
        let folder = folder(roots, &path)?;
        let above = folder.ancestors().take_while(|folder| folder.starts_with(root));
        above.filter_map(|folder| number(&folder.join("memory.max"))).min()
    });
    unified.or_else(|| memory_limit_of_version_1(roots, &pid))
}

/// The same where version 1, which is mounted beside what we read, still limits memory.
fn memory_limit_of_version_1(roots: &Roots, pid: &str) -> Option<u64> {
    /// Its word for none is the largest number of pages.
    const NONE_BYTES: u64 = 1 << 62;
    let root = roots.cgroups.as_deref()?.parent()?.join("memory");
    let text = roots.read(pid, "cgroup")?;
    let path = text.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        controllers.split(',').any(|name| name == "memory").then_some(path)
    })?;
    let folder = root.join(path.trim_start_matches('/'));
    let above = folder.ancestors().take_while(|folder| folder.starts_with(&root));
    let limits = above.filter_map(|folder| number(&folder.join("memory.limit_in_bytes")));
    limits.filter(|bytes| *bytes < NONE_BYTES).min()
}

/// The path of a process's group. In a container the kernel tells it from our own group on, which is not
/// known itself (`/../ab12`): then it is looked for, where the whole hierarchy is mounted.
fn path_of(roots: &Roots, pid: impl std::fmt::Display) -> Option<String> {
    let pid = pid.to_string();
    let text = roots.read(&pid, "cgroup")?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    if !path.contains("..") {
        return Some(path.to_owned());
    }
    let known = path.split('/').filter(|part| !matches!(*part, "" | ".."));
    let known: PathBuf = known.collect();
    let root = roots.cgroups.as_deref()?;
    let found = holder(root, &known, pid.parse().ok()?)?;
    Some(format!("/{}", found.strip_prefix(root).ok()?.display()))
}

/// The folder at or below this one whose path ends like this and that holds a process itself.
fn holder(folder: &Path, end: &Path, pid: u32) -> Option<PathBuf> {
    if folder.ends_with(end) && own_members(folder).contains(&pid) {
        return Some(folder.to_owned());
    }
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.into_iter().find_map(|entry| holder(&entry.path(), end, pid))
}

fn folder(roots: &Roots, path: &str) -> Option<PathBuf> {
    Some(roots.cgroups.as_ref()?.join(path.trim_start_matches('/')))
}

/// The processes of a group and of those below it.
fn members(folder: &Path) -> Vec<u32> {
    let mut found = own_members(folder);
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.extend(members(&entry.path()));
        }
    }
    found
}

/// The processes of a group alone.
fn own_members(folder: &Path) -> Vec<u32> {
    let text = std::fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// The one number of a file; `None` for `max`.
fn number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// A value of a file of keys and values.
fn value(path: &Path, key: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let found = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    found?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::process::fixture::Fixture;
    use super::*;

    /// A server in a container, and the lab elsewhere.
    fn container() -> Fixture {
        let fixture = Fixture::new();
        fixture.process(10, 1, [0, 0, 5]);
        fixture.process(11, 10, [0, 0, 5]);
        fixture.file("proc/10/cgroup", "3:cpu:/x\n0::/docker/ab12\n");
        fixture.file("proc/self/cgroup", "0::/user.slice\n");
        fixture.file("cgroup/docker/ab12/cgroup.procs", "10\n11\n");
        fixture.file("cgroup/docker/ab12/cpu.stat", "usage_usec 2500000\nuser_usec 1\n");
        fixture.file("cgroup/docker/ab12/memory.current", "5000\n");
        fixture.file("cgroup/docker/ab12/memory.stat", "anon 1\ninactive_file 1500\n");
        fixture.file("cgroup/docker/ab12/memory.max", "max\n");
        fixture.file("cgroup/docker/memory.max", "8000\n");
        fixture.file("cgroup/memory.max", "max\n");
        fixture
    }

    #[test]
    fn a_container_says_what_it_used_and_may_use() {
        let fixture = container();
        let group = Group::of_its_own(&fixture.roots, 10).expect("it is its own");
        assert_eq!(group.path, "/docker/ab12");
        assert_eq!((group.cpu_seconds(), group.memory_bytes()), (Some(2.5), Some(3500)));
        assert_eq!(memory_limit(&fixture.roots, 10), Some(8000), "the limit of the one above");
        fixture.file("cgroup/docker/ab12/memory.max", "6000\n");
        assert_eq!(memory_limit(&fixture.roots, 10), Some(6000));
        assert_eq!(memory_limit(&fixture.roots, "self"), None);
    }

    #[test]
    fn from_within_a_container_the_group_is_looked_for() {
        let fixture = container();
        fixture.file("proc/self/cgroup", "0::/\n");
        for told in ["/../ab12", "/../../docker/ab12"] {
            fixture.file("proc/10/cgroup", &format!("0::{told}\n"));
            let group = Group::of_its_own(&fixture.roots, 10).expect(told);
            assert_eq!((&*group.path, group.cpu_seconds()), ("/docker/ab12", Some(2.5)));
            assert_eq!(memory_limit(&fixture.roots, 10), Some(8000), "{told}");
        }
        // One of the same name that holds others.
        fixture.file("cgroup/elsewhere/ab12/cgroup.procs", "77\n");
        fixture.file("cgroup/docker/ab12/cgroup.procs", "");
        assert_eq!(Group::of_its_own(&fixture.roots, 10), None);
    }

    #[test]
    fn version_1_still_says_the_limit() {
        let mut fixture = container();
        let unified = fixture.roots.cgroups.as_ref().expect("it is there").join("unified");
        fixture.roots.cgroups = Some(unified);
        fixture
            .file("proc/10/cgroup", "5:cpu,cpuacct:/x\n4:memory:/docker/ab12\n0::/docker/ab12\n");
        fixture.file("cgroup/unified/docker/ab12/cgroup.procs", "10\n11\n");
        let none = "9223372036854771712\n";
        fixture.file("cgroup/memory/memory.limit_in_bytes", none);
        fixture.file("cgroup/memory/docker/ab12/memory.limit_in_bytes", none);
        assert_eq!(memory_limit(&fixture.roots, 10), None);
        fixture.file("cgroup/memory/docker/ab12/memory.limit_in_bytes", "7000\n");
        assert_eq!(memory_limit(&fixture.roots, 10), Some(7000));
    }

    #[test]
    fn a_group_with_others_in_it_is_not_its_own() {
        let fixture = container();
        fixture.file("cgroup/docker/ab12/below/cgroup.procs", "99\n");
        assert_eq!(Group::of_its_own(&fixture.roots, 10), None);
    }

    #[test]
    fn a_group_that_holds_the_lab_too_is_not_its_own() {
        let fixture = container();
        fixture.file("proc/self/cgroup", "0::/docker/ab12/lab\n");
        assert_eq!(Group::of_its_own(&fixture.roots, 10), None);
        fixture.file("proc/self/cgroup", "0::/docker/ab123\n");
        assert!(Group::of_its_own(&fixture.roots, 10).is_some());
    }

    #[test]
    fn a_group_that_does_not_count_or_cannot_be_seen_is_of_no_use() {
        for (file, text) in [
            ("cgroup/docker/ab12/memory.current", ""),
            ("cgroup/docker/ab12/cpu.stat", ""),
            ("proc/10/cgroup", "0::/../ef34\n"),
            ("proc/10/cgroup", "0::/\n"),
        ] {
            let fixture = container();
            fixture.file(file, text);
            assert_eq!(Group::of_its_own(&fixture.roots, 10), None, "{file}");
        }
    }

    #[test]
    fn the_hierarchy_is_found_beside_version_1_too() {
        let folder = tempfile::tempdir().expect("the temp folder can be written to");
        assert_eq!(root(folder.path()), None);
        let unified = folder.path().join("unified");
        std::fs::create_dir(&unified).expect("it can be made");
        std::fs::write(unified.join("cgroup.controllers"), "").expect("it can be written");
        assert_eq!(root(folder.path()), Some(unified));
    }
}
