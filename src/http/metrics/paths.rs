//! From a path to the route that it is counted under: one of those that there are, or `other`.

use std::collections::HashMap;
use std::sync::Arc;

use crate::observe::{HttpMeter, RouteMeter};

/// Under which all paths are counted that lead nowhere.
const OTHER: &str = "other";

/// Every route.
pub(in crate::http) struct Paths {
    fixed: HashMap<String, Arc<RouteMeter>>,
    /// Those in which something varies, in parts.
    varying: Vec<(Vec<String>, Arc<RouteMeter>)>,
    other: Arc<RouteMeter>,
}

impl Paths {
    /// Those of `patterns`, counted in `meter`.
    pub fn new(patterns: impl Iterator<Item = String>, meter: &HttpMeter) -> Self {
        let (mut fixed, mut varying) = (HashMap::new(), Vec::new());
        for pattern in patterns {
            let route = meter.route(&pattern);
            if pattern.contains('{') {
                varying.push((pattern.split('/').map(str::to_owned).collect(), route));
            } else {
                fixed.insert(pattern, route);
            }
        }
        Self { fixed, varying, other: meter.route(OTHER) }
    }

    /// The one of this path.
    pub fn of(&self, path: &str) -> &Arc<RouteMeter> {
        let fits = |pattern: &[String]| {
            let mut parts = path.split('/');
            let fit = |pattern: &String| {
                let part = parts.next();
                part.is_some_and(|part| part == pattern || pattern.starts_with('{'))
            };
            pattern.iter().all(fit) && parts.next().is_none()
        };
        let varying = || self.varying.iter().find(|(pattern, _)| fits(pattern));
        let found = self.fixed.get(path).or_else(|| varying().map(|(_, route)| route));
        found.unwrap_or(&self.other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_counted_under_its_route_and_nowhere_else() {
        let patterns = ["/", "/products/{id}", "/products/direct", "/strategies/{name}/products"];
        let paths = Paths::new(patterns.map(str::to_owned).into_iter(), &HttpMeter::default());
        for (path, pattern) in [
            ("/", "/"),
            ("/products/direct", "/products/direct"),
            ("/products/7", "/products/{id}"),
            ("/products/x%2Fy", "/products/{id}"),
            ("/strategies/a/products", "/strategies/{name}/products"),
            ("/products", "other"),
            ("/products/7/", "other"),
            ("/products/7/8", "other"),
            ("//", "other"),
            ("", "other"),
            ("*", "other"),
            ("/{id}", "other"),
        ] {
            assert_eq!(paths.of(path).pattern(), pattern, "{path}");
        }
    }
}
