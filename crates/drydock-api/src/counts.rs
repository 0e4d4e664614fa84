//! `/metrics` of the API itself: how many requests of which kind were answered how, and how long they took.
//!
//! In the text form of Prometheus, under the names of a real API server. Only what is served is counted by name, so that
//! clients cannot make the list grow; watches and streams are counted, not timed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{Method, StatusCode, Uri};

use crate::request::{Query, ResourcePath, Target};

/// Upper bounds of the classes of durations, in seconds.
const CLASSES_S: [f64; 10] = [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 5.0, 60.0];

/// More lines than this are not kept, whatever is asked for.
const MAX_LINES: usize = 4096;

#[derive(Debug, Default)]
pub(crate) struct Counts {
    lines: Mutex<BTreeMap<Line, Count>>,
}

/// What tells one line from another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    group: String,
    version: String,
    resource: String,
    subresource: String,
    verb: &'static str,
    scope: &'static str,
    code: u16,
}

#[derive(Debug, Default)]
struct Count {
    requests: u64,
    /// Requests by class of duration; those of the last bound and above are in the total only.
    classes: [u64; CLASSES_S.len()],
    total: Duration,
    timed: u64,
}

/// One request on its way.
#[derive(Debug)]
pub(crate) struct Begun {
    line: Option<Line>,
    is_timed: bool,
    since: Instant,
}

impl Begun {
    pub fn of(method: &Method, uri: &Uri, is_served: impl Fn(&ResourcePath) -> bool) -> Self {
        let since = Instant::now();
        let Ok(Target::Resource(path)) = Target::parse(uri.path()) else {
            return Self { line: None, is_timed: false, since };
        };
        let verb = path.verb(method, &Query::of(uri));
        if !is_served(&path) {
            return Self { line: None, is_timed: false, since };
        }
        let is_timed = !path.is_long_running(verb);
        let scope = match (&path.name, &path.namespace) {
            (Some(_), _) => "resource",
            (None, Some(_)) => "namespace",
            (None, None) => "cluster",
        };
        let ResourcePath { group, version, plural: resource, subresource, .. } = path;
        let verb = match verb {
            "create" => "POST",
            "update" => "PUT",
            "get" => "GET",
            "list" => "LIST",
            "watch" => "WATCH",
            "patch" => "PATCH",
            "delete" => "DELETE",
            "deletecollection" => "DELETECOLLECTION",
            _ => "",
        };
        let line = Line { group, version, resource, subresource, verb, scope, code: 0 };
        Self { line: Some(line), is_timed, since }
    }
}

impl Counts {
    pub fn end(&self, begun: Begun, code: StatusCode) {
        let Some(line) = begun.line else { return };
        let line = Line { code: code.as_u16(), ..line };
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= MAX_LINES && !lines.contains_key(&line) {
            return;
        }
        let count = lines.entry(line).or_default();
        count.requests += 1;
        if !begun.is_timed {
            return;
        }
        let took = begun.since.elapsed();
        count.timed += 1;
        count.total += took;
        for (class, bound) in count.classes.iter_mut().zip(CLASSES_S) {
            *class += u64::from(took.as_secs_f64() <= bound);
        }
    }

    /// All lines as Prometheus reads them.
    pub fn text(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = String::from(
            "# HELP apiserver_request_total Counter of apiserver requests broken out for each verb, group, version, \
             resource, scope and HTTP response code.\n# TYPE apiserver_request_total counter\n",
        );
        for (line, count) in lines.iter() {
            let labels = line.labels();
            let _ = writeln!(
                out,
                "apiserver_request_total{{code=\"{}\",{labels}}} {}",
                line.code, count.requests
            );
        }
        out.push_str(
            "# HELP apiserver_request_duration_seconds Response latency distribution in seconds.\n\
             # TYPE apiserver_request_duration_seconds histogram\n",
        );
        // Prometheus wants one series per set of labels, and the code is none of this one's.
        let mut timed: BTreeMap<String, Count> = BTreeMap::new();
        for (line, count) in lines.iter().filter(|(_, count)| count.timed > 0) {
            timed.entry(line.labels()).or_default().add(count);
        }
        drop(lines);
        timed.iter().for_each(|(labels, count)| count.write(&mut out, labels));
        out
    }
}

impl Line {
    fn labels(&self) -> String {
        let Self { group, version, resource, subresource, verb, scope, .. } = self;
        format!(
            "component=\"apiserver\",dry_run=\"\",group=\"{group}\",resource=\"{resource}\",scope=\"{scope}\",\
             subresource=\"{subresource}\",verb=\"{verb}\",version=\"{version}\""
        )
    }
}

impl Count {
    fn add(&mut self, other: &Self) {
        self.timed += other.timed;
        self.total += other.total;
        self.classes.iter_mut().zip(other.classes).for_each(|(class, other)| *class += other);
    }

    fn write(&self, out: &mut String, labels: &str) {
        let name = "apiserver_request_duration_seconds";
        for (bound, class) in CLASSES_S.iter().zip(self.classes) {
            let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {class}");
        }
        let _ = writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {}", self.timed);
        let _ = writeln!(out, "{name}_sum{{{labels}}} {}", self.total.as_secs_f64());
        let _ = writeln!(out, "{name}_count{{{labels}}} {}", self.timed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(counts: &Counts, method: Method, path: &str, code: StatusCode) {
        let begun = Begun::of(&method, &path.parse().expect("a path"), |path| path.plural != "nopes");
        counts.end(begun, code);
    }

    #[test]
    fn requests_are_counted_by_what_they_were_and_how_they_ended() {
        let counts = Counts::default();
        count(&counts, Method::GET, "/api/v1/namespaces/a/pods/x", StatusCode::OK);
        count(&counts, Method::GET, "/api/v1/namespaces/a/pods/y", StatusCode::OK);
        count(&counts, Method::GET, "/api/v1/namespaces/a/pods/z", StatusCode::NOT_FOUND);
        let text = counts.text();
        let labels = "component=\"apiserver\",dry_run=\"\",group=\"\",resource=\"pods\",scope=\"resource\",subresource=\"\",verb=\"GET\",version=\"v1\"";
        assert!(text.contains(&format!("apiserver_request_total{{code=\"200\",{labels}}} 2\n")), "{text}");
        assert!(text.contains(&format!("apiserver_request_total{{code=\"404\",{labels}}} 1\n")), "{text}");
        assert!(text.contains(&format!("duration_seconds_count{{{labels}}} 3\n")), "{text}");
        assert!(text.contains(&format!("duration_seconds_bucket{{{labels},le=\"+Inf\"}} 3\n")), "{text}");
    }

    #[test]
    fn watches_are_counted_and_not_timed() {
        let counts = Counts::default();
        count(&counts, Method::GET, "/api/v1/pods?watch=true", StatusCode::OK);
        let text = counts.text();
        assert!(text.contains("verb=\"WATCH\"") && !text.contains("duration_seconds_count{"), "{text}");
    }

    #[test]
    fn what_is_not_served_makes_no_line() {
        let counts = Counts::default();
        count(&counts, Method::GET, "/api/v1/nopes", StatusCode::NOT_FOUND);
        count(&counts, Method::GET, "/healthz", StatusCode::OK);
        assert!(!counts.text().contains("apiserver_request_total{"));
    }
}
