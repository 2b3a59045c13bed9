//! What could not be seen of the components.

use super::{Source, Sources};

impl Sources {
    /// What of the service, the database and Redis could not be seen, and why, each with its name.
    pub fn not_visible(&self) -> Vec<(&'static str, &str)> {
        let all = [("API", &self.api), ("database", &self.database), ("Redis", &self.redis)];
        let mut found = Vec::new();
        for (name, source) in all {
            if let Source::Seen { not_visible, .. } = source {
                found.extend(not_visible.iter().map(|what| (name, what.as_str())));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_no_gap_and_the_driver_does_not_count() {
        let seen = |what: &[&str]| Source::Seen {
            usage: None,
            counters: None,
            not_visible: what.iter().map(|&what| what.to_owned()).collect(),
            shares_cores: None,
        };
        let sources = Sources {
            api: seen(&[]),
            database: Source::Absent { why: "it runs inside the service".into() },
            redis: seen(&["CPU: it does not say", "memory"]),
            driver: seen(&["network bytes"]),
        };
        let gaps = [("Redis", "CPU: it does not say"), ("Redis", "memory")];
        assert_eq!(sources.not_visible(), gaps);
    }
}
