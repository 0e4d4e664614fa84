//! `seaworthy list`: the releases of a namespace, or of all.

use std::collections::BTreeMap;

use seaworthy_release::{Release, Releases, Status, newest};

use crate::cluster;
use crate::cx::Cx;
use crate::failure::{Failure, Kind, Or, Outcome};
use crate::printing::record::Listed;
use crate::printing::{self, Output, OutputArgs, go};

/// List releases, those of Helm included
///
///   seaworthy list                   in the current namespace
///   seaworthy list -A --failed       what failed anywhere
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, visible_alias = "ls")]
pub struct List {
    /// In all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,

    /// Only names that match this regular expression
    #[arg(short, long, value_name = "REGEX")]
    filter: Option<String>,

    /// Only releases with these labels: a=b,c!=d
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,

    #[command(flatten)]
    states: States,

    /// Sort by date, oldest first
    #[arg(short, long)]
    date: bool,

    /// Sort the other way round
    #[arg(short, long)]
    reverse: bool,

    /// At most this many; 0 for all
    #[arg(short, long, default_value_t = 256, value_name = "NUMBER")]
    max: usize,

    /// Leave out this many from the start
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    offset: usize,

    /// Names only; -q and --quiet do the same
    #[arg(long)]
    short: bool,

    /// Leave the header out
    #[arg(long)]
    no_headers: bool,

    /// Times in this layout of Go: "2006-01-02 15:04"
    #[arg(long, value_name = "LAYOUT")]
    time_format: Option<String>,

    #[command(flatten)]
    output: OutputArgs,
}

/// Which states are wanted; all when none is named.
#[derive(Debug, Clone, Default, clap::Args)]
struct States {
    /// Every state, as without these flags
    #[arg(short, long)]
    all: bool,
    /// Those that are deployed
    #[arg(long)]
    deployed: bool,
    /// Those that failed
    #[arg(long)]
    failed: bool,
    /// Those that are being changed, or were when something cut it off
    #[arg(long)]
    pending: bool,
    /// Revisions that a later one replaced
    #[arg(long)]
    superseded: bool,
    /// Those that were uninstalled with --keep-history
    #[arg(long)]
    uninstalled: bool,
    /// Those that are being uninstalled
    #[arg(long)]
    uninstalling: bool,
}

impl States {
    fn wants(&self, status: Status) -> bool {
        let none =
            [self.deployed, self.failed, self.pending, self.superseded, self.uninstalled, self.uninstalling];
        if self.all || !none.contains(&true) {
            return true;
        }
        match status {
            Status::Deployed => self.deployed,
            Status::Failed => self.failed,
            Status::PendingInstall | Status::PendingUpgrade | Status::PendingRollback => self.pending,
            Status::Superseded => self.superseded,
            Status::Uninstalled => self.uninstalled,
            Status::Uninstalling => self.uninstalling,
            Status::Unknown => false,
        }
    }

    /// Old revisions are wanted only by who asks for nothing else.
    fn only_superseded(&self) -> bool {
        let others =
            [self.all, self.deployed, self.failed, self.pending, self.uninstalled, self.uninstalling];
        self.superseded && !others.contains(&true)
    }
}

impl List {
    pub async fn run(mut self, cx: &mut Cx) -> Outcome {
        self.short |= cx.quiet;
        let filter = self.filter.as_deref().map(regex::Regex::new).transpose();
        let filter = filter.or_fail(Kind::Input, "cannot read `--filter`")?;
        let selector = self.selector.as_deref().map(Selector::read).transpose()?.unwrap_or_default();
        let (client, namespace) = cluster::connect_to_namespace(cx).await?;
        let found = Releases::new(client, namespace).all(self.all_namespaces).await;
        let mut found = found.map_err(|error| Failure::new(Kind::Release, error))?;
        if !self.states.only_superseded() {
            found = newest(found);
        }
        found.retain(|release| {
            self.states.wants(release.info.status)
                && filter.as_ref().is_none_or(|filter| filter.is_match(&release.name))
                && selector.matches(&release.labels)
        });
        self.sort(&mut found);
        let limit = if self.max == 0 { usize::MAX } else { self.max };
        let shown: Vec<Release> = found.into_iter().skip(self.offset).take(limit).collect();
        self.print(&shown)
    }

    fn sort(&self, releases: &mut [Release]) {
        match self.date {
            true => releases.sort_by(|a, b| a.info.last_deployed.cmp(&b.info.last_deployed)),
            false => releases.sort_by(|a, b| (&a.name, a.version).cmp(&(&b.name, b.version))),
        }
        if self.reverse {
            releases.reverse();
        }
    }

    fn print(&self, releases: &[Release]) -> Outcome {
        if self.short {
            let names: Vec<&str> = releases.iter().map(|release| release.name.as_str()).collect();
            let lines = || names.iter().fold(String::new(), |text, name| text + name + "\n");
            return printing::print(self.output.output, &names, lines);
        }
        let lines: Vec<Listed> =
            releases.iter().map(|release| Listed::of(release, self.time_format.as_deref())).collect();
        if lines.is_empty() && self.no_headers && self.output.output == Output::Table {
            return Ok(());
        }
        printing::print(self.output.output, &lines, || {
            let header = (!self.no_headers).then(Listed::header);
            let rows: Vec<Vec<String>> = header.into_iter().chain(lines.iter().map(Listed::row)).collect();
            go::table(&rows)
        })
    }
}

/// A label selector of equalities.
#[derive(Debug, Default)]
struct Selector(Vec<(String, bool, String)>);

impl Selector {
    fn read(text: &str) -> Result<Self, Failure> {
        let wrong =
            || Failure::new(Kind::Input, anyhow::anyhow!("`{text}` is no selector such as `a=b,c!=d`"));
        let term = |term: &str| {
            let (key, is_equal, value) = match (term.split_once("!="), term.split_once('=')) {
                (Some((key, value)), _) => (key, false, value),
                (None, Some((key, value))) => (key, true, value.trim_start_matches('=')),
                (None, None) => return Err(wrong()),
            };
            Ok((key.trim().to_owned(), is_equal, value.trim().to_owned()))
        };
        let terms = text.split(',').filter(|part| !part.trim().is_empty());
        Ok(Self(terms.map(term).collect::<Result<_, _>>()?))
    }

    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|(key, is_equal, value)| (labels.get(key) == Some(value)) == *is_equal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(selector: &str, expect: bool) {
        let labels = BTreeMap::from([("team".to_owned(), "shop".to_owned())]);
        assert_eq!(Selector::read(selector).unwrap().matches(&labels), expect, "{selector}");
    }

    #[test]
    fn selectors_compare() {
        check("team=shop", true);
        check("team==shop", true);
        check("team!=shop", false);
        check("other!=x", true);
        check("team=shop,other=x", false);
    }

    #[test]
    fn old_revisions_are_shown_only_to_who_asks_for_nothing_else() {
        let states = States { superseded: true, ..Default::default() };
        assert!(
            states.only_superseded() && states.wants(Status::Superseded) && !states.wants(Status::Deployed)
        );
        assert!(States::default().wants(Status::Failed));
    }
}
