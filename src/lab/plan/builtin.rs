//! The plans that are compiled in.

/// The plan that is the manual of every key.
pub(super) const MANUAL: &str = include_str!("../../../config/lab/case.toml");

macro_rules! plans {
    ($($name:literal),* $(,)?) => {
        /// Every compiled-in plan: its name and its text.
        pub(super) const ALL: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../../config/lab/", $name, ".toml"))),)*];
    };
}

plans![
    "case",
    "quick",
    "open",
    "paged",
    "pool-size",
    "break-point",
    "smoke",
    "baseline",
    "read",
    "read-heavy",
    "write-heavy",
    "shop",
    "invalidation",
    "stages",
    "spike",
    "soak",
    "suite",
    "targets-e",
];

/// The text of the plan of this name.
pub(super) fn text(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}
