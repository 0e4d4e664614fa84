//! `seaworthy test`: the tests that a chart brings.

use std::time::Duration;

use seaworthy_release::{Filter, LogLine, Releases};

use super::install::release_failure;
use crate::cluster;
use crate::cx::Cx;
use crate::failure::{Failure, Kind, Outcome};
use crate::printing::record::{self, Show};
use crate::release_args::duration;

/// Run the tests of a release
///
///   seaworthy test web --logs
///   seaworthy test web --filter name=smoke --filter '!name=slow'
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Test {
    release: String,

    /// Print what the tests wrote
    #[arg(long)]
    logs: bool,

    /// Which tests: name=a, or !name=b to leave one out; may be repeated or separated by commas
    #[arg(long, value_delimiter = ',', value_name = "FILTER")]
    filter: Vec<String>,

    /// How long each test may take
    #[arg(long, default_value = "5m", value_parser = duration, value_name = "DURATION")]
    timeout: Duration,
}

impl Test {
    pub async fn run(self, cx: &mut Cx) -> Outcome {
        let filter = filter(&self.filter)?;
        let (client, namespace) = cluster::connect_to_namespace(cx).await?;
        let releases = Releases::new(client, namespace);
        let done = releases.test(&self.release, &filter, self.logs, self.timeout, &mut cx.teller()).await;
        let tested = done.map_err(|error| release_failure(error, "`seaworthy list` shows the releases"))?;
        cx.progress.clear();
        let show = Show { no_notes: true, ..Show::default() };
        print!("{}", record::block(&tested.release, show, &[]));
        print!("{}", logs(&tested.logs));
        match tested.failure {
            None => Ok(()),
            Some(error) => Err(Failure::new(Kind::Release, error)),
        }
    }
}

fn filter(given: &[String]) -> Result<Filter, Failure> {
    let mut filter = Filter::default();
    for one in given {
        let left_out = one.trim().strip_prefix('!').and_then(|rest| rest.trim_start().strip_prefix("name="));
        match (one.trim().strip_prefix("name="), left_out) {
            (Some(name), _) => filter.only.push(name.to_owned()),
            (None, Some(name)) => filter.without.push(name.to_owned()),
            (None, None) => {
                let error = anyhow::anyhow!("`{one}` is no filter; write `name=smoke` or `!name=slow`");
                return Err(Failure::new(Kind::Input, error));
            }
        }
    }
    Ok(filter)
}

/// As Helm heads them, container by container.
fn logs(lines: &[LogLine]) -> String {
    let (mut text, mut last) = (String::new(), None);
    for line in lines {
        let source = (&line.pod, &line.container);
        if last != Some(source) {
            text.push_str(&format!("\nPOD LOGS: {} ({})\n", line.pod, line.container));
            last = Some(source);
        }
        text.push_str(&line.text);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_name_tests_or_leave_them_out() {
        let read = filter(&["name=a".into(), "! name=b".into()]).unwrap();
        assert_eq!((read.only, read.without), (vec!["a".to_owned()], vec!["b".to_owned()]));
        assert!(filter(&["a".into()]).is_err());
    }

    #[test]
    fn logs_are_headed_once_per_container() {
        let line = |text: &str| LogLine { pod: "p".into(), container: "c".into(), text: text.into() };
        assert_eq!(logs(&[line("1"), line("2")]), "\nPOD LOGS: p (c)\n1\n2\n");
    }
}
