//! What `--help` and the manual page say beyond the options: exit codes and the environment.

/// What a process ends with, and what that means.
pub(super) const EXIT_CODES: [(&str, &str); 5] = [
    ("0", "done"),
    ("1", "something that it depends on failed; of a check, what it looks for was found"),
    ("2", "the command line or the configuration is wrong: the same again fails again"),
    ("3", "lab run: a figure is beyond its critical value"),
    ("130", "ended at once by a second Ctrl-C"),
];

/// Variables of the environment.
pub(super) const ENVIRONMENT: [(&str, &str); 2] = [
    (
        "POOLWISE__SECTION__KEY",
        "a key of the configuration, over the files: POOLWISE__DATABASE__POOL_SIZE=4",
    ),
    ("NO_COLOR", "when it is not empty, a terminal gets no colours; nothing else gets any"),
];

/// Both as text.
pub(super) fn more() -> String {
    let mut text = String::new();
    for (heading, lines) in [("Exit codes", &EXIT_CODES[..]), ("Environment", &ENVIRONMENT)] {
        let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        text += &format!("{heading}:\n");
        for (name, meaning) in lines {
            text += &format!("  {name:width$}  {meaning}\n");
        }
        text += "\n";
    }
    text + "docs/CLI.md has more."
}
