//! Servers that die with the test process, also when it is killed.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// The wrapper waits on its standard input, which the kernel closes when we are gone. A death
/// signal (PR_SET_PDEATHSIG) would not do: it follows the thread that started the child.
/// A stopped server has to go on before it can end. PostgreSQL ends at once at QUIT, which the shell
/// makes others ignore; they end at TERM.
const WRAPPER: &str = r#"
folder=$1 log=$2; shift 2
"$@" >"$log" 2>&1 </dev/null &
echo $!
exec >/dev/null 2>&1
cat
kill -CONT $!; kill -QUIT $!; kill -TERM $!
wait $!
rm -rf "$folder"
"#;

/// A running server, or whatever else is to end with us.
pub struct Process {
    wrapper: Child,
    pub pid: u32,
}

impl Process {
    /// Starts a program whose `folder` goes when it ends.
    pub fn start(folder: &Path, log: &Path, program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", WRAPPER, "poolwise-test-server"]).arg(folder).arg(log);
        // Ctrl-C goes to a whole group: the wrapper must outlive it to clean up.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let started = command.arg(program).args(arguments).spawn();
        let mut wrapper = started.expect("there is a shell");
        let mut line = String::new();
        let stdout = wrapper.stdout.take().expect("piped above");
        BufReader::new(stdout).read_line(&mut line).expect("the wrapper says the process id");
        let pid = line.trim().parse().expect("the wrapper says the process id");
        Self { wrapper, pid }
    }

    /// Whether the wrapper still waits for it.
    pub fn is_running(&self) -> bool {
        Path::new(&format!("/proc/{}/stat", self.pid)).exists()
    }

    /// Sends a signal to the process and, where it has any, to its children.
    pub fn signal(&self, name: &str) {
        let path = format!("/proc/{0}/task/{0}/children", self.pid);
        let children = std::fs::read_to_string(path).unwrap_or_default();
        let mut kill = Command::new("kill");
        kill.arg(format!("-{name}")).arg(self.pid.to_string()).args(children.split_whitespace());
        kill.stderr(Stdio::null()).status().expect("there is a kill command");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.wrapper.stdin.take());
        let _ = self.wrapper.wait();
    }
}

/// A program of ours that runs until it is dropped, with its log.
pub struct Running {
    process: Process,
    log: PathBuf,
}

impl Running {
    /// Starts it; its `folder` goes with it.
    pub fn start(folder: &Path, program: &str, arguments: &[&str]) -> Self {
        let log = folder.join("log");
        Self { process: Process::start(folder, &log, program, arguments), log }
    }

    /// What it has written.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }
}

/// A new folder under the system's own, open to the user that servers run as.
pub fn temp_folder(name: &str) -> PathBuf {
    let folder = tempfile::Builder::new().prefix(&format!("poolwise-test-{name}-")).tempdir();
    folder.expect("the temp folder can be written to").keep()
}

/// How to run a program as somebody who is not root, which servers refuse to be.
pub fn not_as_root(folder: &Path) -> Vec<String> {
    let id = Command::new("id").arg("-u").output().expect("there is an id command");
    if id.stdout != b"0\n" {
        return Vec::new();
    }
    let exists = |user: &str| {
        Command::new("id").arg(user).output().is_ok_and(|found| found.status.success())
    };
    let user = if exists("postgres") { "postgres" } else { "nobody" };
    let group = Command::new("id").args(["-gn", user]).output().expect("there is an id command");
    let group = String::from_utf8_lossy(&group.stdout).trim().to_owned();
    let owner = Command::new("chown").arg(format!("{user}:{group}")).arg(folder).status();
    assert!(owner.is_ok_and(|status| status.success()), "root can give a folder away");
    let [user, group] = [format!("--reuid={user}"), format!("--regid={group}")];
    vec!["setpriv".into(), user, group, "--init-groups".into()]
}

/// A port that is free, and stays so: it is below those that the kernel gives to whoever asks for
/// any. The nodes of a Redis Cluster meet 10,000 above theirs, which is below those as well.
pub fn free_port() -> u16 {
    bound().local_addr().expect("it is bound").port()
}

/// A listener on such a port. It is not let go in between: a child that is just being started has
/// whatever is open, for as long as that takes.
pub fn listener() -> tokio::net::TcpListener {
    let listener = bound();
    listener.set_nonblocking(true).expect("it is a socket");
    tokio::net::TcpListener::from_std(listener).expect("there is a runtime")
}

fn bound() -> TcpListener {
    const FIRST: u16 = 10_000;
    const COUNT: u32 = 10_000;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Another process of tests begins elsewhere.
    let begin = std::process::id().wrapping_mul(97) % COUNT;
    let mut ports = (0..COUNT).map(|_| {
        let number = begin + GIVEN.fetch_add(1, Ordering::Relaxed) % COUNT;
        FIRST + (number % COUNT) as u16
    });
    ports.find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok()).expect("a port is free")
}

/// Writes a file that only the owner of `folder` may read, as servers want it of their keys.
pub fn write_secret(folder: &Path, file: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(file, text).expect("the folder can be written to");
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
    let owner = Command::new("chown").arg("--reference").arg(folder).arg(file).status();
    assert!(owner.is_ok_and(|status| status.success()), "whoever owns the folder may give it away");
}
