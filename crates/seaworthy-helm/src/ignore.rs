//! `.helmignore`: which files of a folder do not belong to the chart.

use crate::chart::Error;
use crate::glob;

struct Rule {
    pattern: String,
    negate: bool,
    only_folders: bool,
    /// The pattern has a slash, so it speaks of the whole path.
    whole_path: bool,
}

/// The rules of one chart, with Helm's default for dot files in `templates/`.
pub(crate) struct Rules(Vec<Rule>);

impl Rules {
    pub fn parse(text: &str) -> Result<Rules, Error> {
        let lines = text.trim_start_matches('\u{feff}').lines().chain(["templates/.?*"]);
        let rules =
            lines.map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(Rule::parse);
        rules.collect::<Result<_, _>>().map(Rules)
    }

    pub fn ignores(&self, path: &str, is_folder: bool) -> bool {
        for rule in &self.0 {
            let matches = rule.matches(path);
            match (rule.negate, rule.only_folders && !is_folder) {
                (true, true) => return true,
                (true, false) if !matches => return true,
                (false, false) if matches => return true,
                _ => {}
            }
        }
        false
    }
}

impl Rule {
    fn parse(line: &str) -> Result<Rule, Error> {
        if line.contains("**") {
            return Err(Error::Ignore(line.to_owned()));
        }
        let (negate, rest) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest));
        let (only_folders, rest) = rest.strip_suffix('/').map_or((false, rest), |rest| (true, rest));
        let pattern = rest.strip_prefix('/').unwrap_or(rest).to_owned();
        Ok(Rule { pattern, negate, only_folders, whole_path: rest.contains('/') })
    }

    fn matches(&self, path: &str) -> bool {
        let subject = if self.whole_path { path } else { path.rsplit('/').next().unwrap_or(path) };
        glob::matches(&self.pattern, subject, glob::Dialect::Path)
    }
}
