//! Ends a service and removes its folder when the lab itself is killed and cannot.

use std::path::Path;
use std::process::Stdio;

use tokio::process::{Child, Command};

/// Waits on its standard input, which the kernel closes when the lab ends, however it ends. A death
/// signal (PR_SET_PDEATHSIG) would not do: it follows the thread that started the process, and
/// setting it needs code that is unsafe. The begin of the process (field 22 of its stat) tells it
/// from a later one of the same number; one in state Z has ended.
const SCRIPT: &str = r#"
pid=$1 began=$2 folder=$3
cat >/dev/null
same() {
    case "$(cut -d ' ' -f 3,22 "/proc/$pid/stat" 2>/dev/null)" in
        Z*) false ;;
        *" $began") true ;;
        *) false ;;
    esac
}
if same; then kill -TERM "$pid"; fi
seconds=0
while same && [ $seconds -lt 15 ]; do sleep 1; seconds=$((seconds + 1)); done
if same; then kill -KILL "$pid"; fi
rm -rf "$folder"
"#;

/// A shell that waits for our end.
pub(super) struct Guard(Child);

impl Guard {
    /// Guards a process, which has to be our child. `None` where there is no shell: then a killed
    /// lab leaves its service behind.
    pub fn watch(pid: u32, folder: &Path) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let began = stat.split(' ').nth(21)?;
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "poolwise-lab-guard", &pid.to_string(), began]).arg(folder);
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
