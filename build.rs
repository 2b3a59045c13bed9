//! Tells the program what it was built from: `POOLWISE_BUILD` is " (COMMIT)" in a release build, " (development
//! build)" in others, and empty where no commit is known. `POOLWISE_COMMIT` in the environment names it
//! where there is no repository, as in a container.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=POOLWISE_COMMIT");
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let folder = variable("CARGO_MANIFEST_DIR").unwrap_or_else(|| ".".into());
    // A development build that followed each commit would compile everything anew after it.
    let release = variable("PROFILE").is_some_and(|profile| profile == "release");
    let build = match variable("POOLWISE_COMMIT") {
        Some(commit) => shown(&commit),
        None if !release => " (development build)".into(),
        None => {
            for file in followed(Path::new(&folder)) {
                println!("cargo::rerun-if-changed={file}");
            }
            commit(Path::new(&folder)).map(|commit| shown(&commit)).unwrap_or_default()
        }
    };
    println!("cargo::rustc-env=POOLWISE_BUILD={build}");
}

pub(crate) fn shown(commit: &str) -> String {
    let short: String = commit.trim().chars().take(12).collect();
    format!(" ({short})")
}

/// The commit that is checked out in this folder; `None` where it is no repository of its own, or there is no git.
pub(crate) fn commit(folder: &Path) -> Option<String> {
    let top = git(folder, &["rev-parse", "--show-toplevel"])?;
    let same = Path::new(&top).canonicalize().ok()? == folder.canonicalize().ok()?;
    if same { git(folder, &["rev-parse", "HEAD"]) } else { None }
}

/// The files that change with the commit.
pub(crate) fn followed(folder: &Path) -> Vec<String> {
    let paths = ["HEAD", "logs/HEAD"].into_iter().filter_map(|name| {
        let path = folder.join(git(folder, &["rev-parse", "--git-path", name])?);
        path.exists().then(|| path.display().to_string())
    });
    paths.collect()
}

fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(folder).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
