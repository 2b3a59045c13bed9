//! What people and their tools expect of a command: completions, manual pages, a version, exit codes, colour where
//! it helps, and a unit for systemd.

use std::path::Path;
use std::process::{Command, Output};

use crate::command::outcome;
use crate::harness::{folder, unique};

#[path = "../../build.rs"]
#[expect(dead_code, reason = "its main is for cargo")]
mod build;

const POOLWISE: &str = env!("CARGO_BIN_EXE_poolwise");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).current_dir(root()).output();
    output.unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// What Bash would offer for the last of these words.
fn offered(words: &[&str]) -> Vec<String> {
    let script = r#"
        source <("$0" completions bash)
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _poolwise "$1" "${@: -1}" "${@: -2:1}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let output = run("bash", &[&["-c", script, POOLWISE], words].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_values() {
    assert_eq!(offered(&["poolwise", "la"]), ["lab"]);
    assert_eq!(offered(&["poolwise", "config", "du"]), ["dump"]);
    assert_eq!(offered(&["poolwise", "lab", "run", "--allow"]), ["--allow-remote"]);
    assert!(offered(&["poolwise", "completions", ""]).contains(&"fish".to_owned()));
}

#[test]
fn other_shells_get_completions_of_every_command() {
    for (shell, sign) in [("zsh", "#compdef poolwise"), ("fish", "complete -c poolwise")] {
        let (code, out, error) = outcome(&["completions", shell]);
        assert_eq!((code, &*error), (0, ""));
        assert!(out.contains(sign), "{shell}: {out}");
        for word in ["serve", "seed", "postman", "doctor", "generate", "allow-remote"] {
            assert!(out.contains(word), "{shell} does not know {word}");
        }
    }
    let (code, _, error) = outcome(&["completions", "dos"]);
    assert!(code == 2 && error.contains("bash"), "{error}");
}

#[test]
fn every_command_has_a_manual_page() {
    let place = folder().join(unique("man"));
    let (code, out, error) = outcome(&["man", "--out", place.to_str().unwrap()]);
    assert_eq!((code, &*error), (0, ""));
    let page = |name: &str| {
        let path = place.join(format!("{name}.1"));
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}\n{out}"))
    };
    let (_, help, _) = outcome(&["--help"]);
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands: Vec<&str> = commands
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.len() > 8, "{commands:?}");
    for name in commands {
        let page = page(&format!("poolwise-{name}"));
        assert!(page.contains(&format!(".TH poolwise-{name} 1")), "{page}");
    }
    let main = page("poolwise");
    for part in ["poolwise\\-lab(1)", "EXIT STATUS", "NO_COLOR", "\\-\\-config"] {
        assert!(main.contains(part), "{part} in {main}");
    }
    let run = page("poolwise-lab-run");
    for part in
        ["\\fBpoolwise lab run\\fR", "\\-\\-allow\\-remote", "poolwise\\-lab\\-run \\- Run a plan"]
    {
        assert!(run.contains(part), "{part} in {run}");
    }
    assert!(out.lines().count() > 20, "{out}");
    assert_eq!(outcome(&["man", "lab", "run"]), (0, run, String::new()));
    assert_eq!(outcome(&["man"]), (0, main, String::new()));
    let (code, _, error) = outcome(&["man", "lab", "fly"]);
    assert!(code == 2 && error.contains("lab fly") && error.contains("lab run"), "{error}");
}

#[test]
fn the_version_says_what_was_built() {
    let (code, out, _) = outcome(&["--version"]);
    assert_eq!((code, out), (0, format!("poolwise {}\n", poolwise::version::VERSION)));
    assert!(poolwise::version::VERSION.starts_with(env!("CARGO_PKG_VERSION")));
}

#[test]
fn exit_codes_are_documented() {
    let (_, help, _) = outcome(&["--help"]);
    let document = std::fs::read_to_string(root().join("docs/CLI.md")).unwrap();
    for code in ["0", "1", "2", "3", "130"] {
        assert!(help.contains(&format!("\n  {code} ")), "{help}");
        assert!(document.contains(&format!("\n| {code} |")), "{code}");
    }
}

#[test]
fn every_command_is_in_the_document() {
    let (_, help, _) = outcome(&["--help"]);
    let document = std::fs::read_to_string(root().join("docs/CLI.md")).unwrap();
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    for line in commands.take_while(|line| !line.is_empty()) {
        let name = line.split_whitespace().next().unwrap();
        assert!(name == "help" || document.contains(&format!("`poolwise {name}")), "{name}");
    }
}

/// What a command writes on a terminal of its own.
fn on_a_terminal(arguments: &str, no_color: Option<&str>) -> String {
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command"]).arg(format!("{POOLWISE} {arguments}"));
    command.arg("/dev/null").current_dir(root()).env("TERM", "xterm-256color");
    command.env_remove("NO_COLOR").env_remove("CLICOLOR").env_remove("CLICOLOR_FORCE");
    if let Some(value) = no_color {
        command.env("NO_COLOR", value);
    }
    text(&command.output().expect("these tests need script: apt-get install bsdutils").stdout)
}

/// A start that ends with a line in the log: a port that somebody has.
fn failing_start() -> (std::net::TcpListener, String) {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().unwrap();
    (taken, format!("serve --listen {address}"))
}

#[test]
fn only_a_terminal_gets_colours_and_only_if_they_are_wanted() {
    const COLOUR: &str = "\u{1b}[";
    let (_taken, start) = failing_start();
    for (arguments, part) in
        [("--help", "Usage"), ("fly", "unrecognized"), (&*start, "poolwise 0.")]
    {
        let coloured = on_a_terminal(arguments, None);
        assert!(coloured.contains(part) && coloured.contains(COLOUR), "{coloured:?}");
        let empty = on_a_terminal(arguments, Some(""));
        assert!(empty.contains(COLOUR), "an empty NO_COLOR says nothing: {empty:?}");
        let plain = on_a_terminal(arguments, Some("1"));
        assert!(plain.contains(part) && !plain.contains(COLOUR), "{plain:?}");
        let words: Vec<&str> = arguments.split(' ').collect();
        let (_, out, error) = outcome(&words);
        assert!((out.clone() + &error).contains(part), "{out}{error}");
        assert!(!out.contains(COLOUR) && !error.contains(COLOUR), "{out:?}{error:?}");
    }
}

#[test]
fn the_unit_is_one_that_systemd_takes_and_finds_safe() {
    let unit = std::fs::read_to_string(root().join("deploy/systemd/poolwise.service")).unwrap();
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("it starts");
    let (program, arguments) = start.split_once(' ').expect("it has arguments");
    assert_eq!(program, "/usr/local/bin/poolwise");
    // The same words, but for the file, are a command line that we take.
    let words: Vec<&str> = arguments.split(' ').collect();
    let (code, _, error) = outcome(&words);
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("/etc/poolwise/poolwise.toml cannot be read"), "{error}");

    let place = folder().join(unique("unit"));
    std::fs::create_dir(&place).unwrap();
    let here = place.join("poolwise.service");
    std::fs::write(&here, unit.replace(program, POOLWISE)).unwrap();
    let here = here.to_str().unwrap();
    let needs = "these tests need systemd-analyze: apt-get install systemd";
    let analyze = |arguments: &[&str]| {
        let output = Command::new("systemd-analyze").args(arguments).output().expect(needs);
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    };
    let (fine, said) = analyze(&["verify", "--man=no", here]);
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("poolwise")).collect();
    assert!(fine && ours.is_empty(), "{said}");
    // 0 is as safe as can be, 10 is root without any limit; "OK" is below 4.
    let (fine, said) =
        analyze(&["security", "--offline=yes", "--no-pager", "--threshold=20", here]);
    assert!(fine, "{said}");
}

/// What its first lines say, below a folder of our own instead of /etc.
#[test]
fn the_configuration_that_the_unit_says_how_to_make_is_right_with_and_without_a_password() {
    let unit = std::fs::read_to_string(root().join("deploy/systemd/poolwise.service")).unwrap();
    let recipe: Vec<&str> = unit.lines().filter_map(|line| line.strip_prefix("#   ")).collect();
    let wants_password = recipe.iter().position(|line| line.starts_with("sed ")).expect("it edits");
    for (lines, is_with) in [(&recipe[..wants_password], false), (&recipe[..], true)] {
        let place = folder().join(unique("etc"));
        let credentials = place.join("credentials");
        std::fs::create_dir_all(&credentials).unwrap();
        let here = |text: &str| text.replace("/etc/poolwise", place.to_str().unwrap());
        let ours = |line: &&&str| line.contains("/etc/poolwise");
        let script: Vec<String> = lines.iter().filter(ours).map(|line| here(line)).collect();
        let script = script.join("\n").replace("poolwise auth", &format!("{POOLWISE} auth"));
        let script = format!("set -e; echo secret | {{\n{script}\n}}");
        let done = run("bash", &["-c", &script]);
        assert!(done.status.success(), "{script}: {}", text(&done.stderr));

        // What systemd does with the lines of the unit, and with those that the recipe says to turn on.
        let mut command = Command::new(POOLWISE);
        for line in unit.lines() {
            let line = match line.strip_prefix("# ") {
                Some(off) if is_with && off.contains("database_password") => off,
                _ => line,
            };
            if let Some((name, file)) =
                line.strip_prefix("LoadCredential=").and_then(|all| all.split_once(':'))
            {
                let copied = std::fs::copy(here(file), credentials.join(name));
                copied.unwrap_or_else(|error| panic!("{line}: {error}"));
            } else if let Some((name, value)) =
                line.strip_prefix("Environment=").and_then(|all| all.split_once('='))
            {
                command.env(name, value.replace("%d", credentials.to_str().unwrap()));
            }
        }
        let copied = std::fs::read_dir(&credentials).unwrap().count();
        assert_eq!(copied, if is_with { 2 } else { 1 });
        let file = place.join("poolwise.toml");
        let command = command.args(["config", "check", "--config"]).arg(&file).current_dir(&place);
        let checked = command.output().unwrap();
        assert!(checked.status.success(), "{}", text(&checked.stderr));
        assert_eq!(text(&checked.stderr), "", "no warning either");
    }
}

#[test]
fn the_commit_is_that_of_the_repository_and_of_no_other() {
    let place = folder().join(unique("repository"));
    let inner = place.join("inner");
    std::fs::create_dir_all(&inner).unwrap();
    assert_eq!(build::commit(&place), None, "there is no repository");
    let git = |arguments: &[&str]| {
        let who = ["-c", "user.name=Ada", "-c", "user.email=ada@shop.example"];
        let place = place.to_str().unwrap();
        let output = run("git", &[&["-C", place], &who[..], arguments].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).trim().to_owned()
    };
    git(&["init", "--quiet"]);
    assert_eq!(build::commit(&place), None, "there is no commit");
    git(&["commit", "--quiet", "--allow-empty", "--message", "one"]);
    let first = git(&["rev-parse", "HEAD"]);
    assert_eq!(build::commit(&place), Some(first.clone()));
    assert_eq!(build::commit(&inner), None, "it is the outer folder's");
    assert!(!build::followed(&place).is_empty());
    git(&["commit", "--quiet", "--allow-empty", "--message", "two"]);
    assert_ne!(build::commit(&place), Some(first.clone()));
    assert_eq!(build::shown(&first), format!(" ({})", &first[..12]));
}
