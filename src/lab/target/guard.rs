//! Ends a service and removes its folder, or a load tool with its group, when the lab itself is killed
//! and cannot.

use std::path::Path;
use std::process::Stdio;

use tokio::process::{Child, Command};

/// Waits on its standard input, which the kernel closes when the lab ends, however it ends. A death
/// signal (PR_SET_PDEATHSIG) would not do: it follows the thread that started the process, and
/// setting it needs code that is unsafe. The begin of the process (field 22 of its stat) tells it
/// from a later one of the same number; one in state Z has ended. The name before them may have spaces.
/// A group outlives its first process, and no other process gets its number while it lives.
const SCRIPT: &str = r#"
pid=$1 began=$2 folder=$3 whom=$4
cat >/dev/null
left() {
    stat=$(cat "/proc/$pid/stat" 2>/dev/null) || stat=
    set -- ${stat##*) }
    [ $# = 0 ] || [ "${20}" = "$began" ] || return 1
    case $whom in
        -*) kill -s 0 -- "$whom" 2>/dev/null ;;
        *) [ $# != 0 ] && [ "$1" != Z ] ;;
    esac
}
if left; then
    kill -s TERM -- "$whom"
    seconds=0
    while left && [ $seconds -lt 15 ]; do sleep 1; seconds=$((seconds + 1)); done
    if left; then kill -s KILL -- "$whom"; fi
fi
[ -z "$folder" ] || rm -rf "$folder"
"#;

/// A shell that waits for our end.
pub(in crate::lab) struct Guard(Child);

impl Guard {
    /// Guards a process, which has to be our child. `None` where there is no shell: then a killed
    /// lab leaves its service behind.
    pub fn watch(pid: u32, folder: &Path) -> Option<Self> {
        Self::start(pid, folder, &pid.to_string())
    }

    /// Guards a child that leads a process group of its own, with its group.
    pub fn watch_group(pid: u32) -> Option<Self> {
        Self::start(pid, Path::new(""), &format!("-{pid}"))
    }

    fn start(pid: u32, folder: &Path, whom: &str) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let began = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?;
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "poolwise-lab-guard", &pid.to_string(), began]);
        command.arg(folder).arg(whom);
        // Ctrl-C goes to a whole group: it must outlive us.
        command.process_group(0).stdin(Stdio::piped());
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok().map(Self)
    }

    /// Ends it without its doing anything; the process has ended.
    pub async fn dismiss(mut self) {
        // Killed before its standard input is closed.
        let _ = self.0.kill().await;
    }
}
