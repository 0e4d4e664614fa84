//! `seaworthy search`: charts in the repositories that have names.

use seaworthy_repo::search::{Hit, Query, search};
use seaworthy_repo::{Index, Repositories, cached_index};

use crate::chart_args::LimitArgs;
use crate::cx::Cx;
use crate::failure::{Failure, Kind, Or, Outcome};
use crate::helm_files;
use crate::printing::{self, Output, OutputArgs};
use crate::table;

/// Find charts in the repositories that `repo add` named
///
///   seaworthy search repo web
///   seaworthy search repo web --versions --version '^1'
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, disable_version_flag = true)]
pub struct Search {
    #[command(subcommand)]
    place: Place,
}

#[derive(Debug, clap::Subcommand)]
enum Place {
    /// In the repositories that have names, as the last `repo update` left them
    Repo(InRepositories),
}

#[derive(Debug, clap::Args)]
#[command(disable_version_flag = true)]
struct InRepositories {
    /// Words of the name, description or keywords; all charts without
    keyword: Vec<String>,

    /// The words are a regular expression
    #[arg(short, long)]
    regexp: bool,

    /// A line for each version
    #[arg(short = 'l', long)]
    versions: bool,

    /// Versions before a release count too; the same as --version '>0.0.0-0'
    #[arg(long)]
    devel: bool,

    /// Only versions in this range
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,

    /// Widest column
    #[arg(long, default_value_t = 50, value_name = "NUMBER")]
    max_col_width: usize,

    /// Finding nothing is an error
    #[arg(long)]
    fail_on_no_result: bool,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    limits: LimitArgs,
}

#[derive(serde::Serialize)]
struct Found {
    name: String,
    version: String,
    app_version: String,
    description: String,
}

impl Search {
    pub fn run(self, cx: &mut Cx) -> Outcome {
        let Place::Repo(asked) = self.place;
        let indexes = asked.indexes(cx)?;
        let found: Vec<Found> = asked.search(&indexes)?.into_iter().map(Found::of).collect();
        if found.is_empty() && asked.fail_on_no_result {
            return Err(Failure::new(Kind::Input, anyhow::anyhow!("no results found")));
        }
        if found.is_empty() && asked.output.output == Output::Table {
            println!("No results found");
            return Ok(());
        }
        printing::print(asked.output.output, &found, || {
            let header = ["NAME", "CHART VERSION", "APP VERSION", "DESCRIPTION"].map(str::to_owned);
            let rows: Vec<[String; 4]> =
                std::iter::once(header).chain(found.iter().map(Found::row)).collect();
            format!("{}\n", table::tabbed(&rows, asked.max_col_width))
        })
    }
}

impl Found {
    fn of(hit: Hit) -> Self {
        let Hit { name, version, .. } = hit;
        Self {
            name,
            version: version.version,
            app_version: version.app_version,
            description: version.description,
        }
    }

    fn row(&self) -> [String; 4] {
        [&self.name, &self.version, &self.app_version, &self.description].map(String::clone)
    }
}

impl InRepositories {
    /// The indexes on this machine; one that is missing is told and passed over.
    fn indexes(&self, cx: &Cx) -> Result<Vec<(String, Index)>, Failure> {
        let (settings, limits) = (helm_files::settings(), self.limits.limits()?);
        let known = Repositories::load(&settings.repository_config)
            .or_fail(Kind::Input, "cannot read the names of repositories")?;
        if known.repositories.is_empty() {
            return Err(Failure::new(Kind::Input, anyhow::anyhow!("no repositories configured"))
                .hint("`seaworthy repo add NAME URL` adds one"));
        }
        let index = |name: String| match cached_index(&name, &settings, &limits) {
            Some(index) => Some((name, index)),
            None => {
                cx.progress.warn(format!(
                    "the index of repository `{name}` is missing or broken; `seaworthy repo update` fetches it"
                ));
                None
            }
        };
        Ok(known.repositories.into_iter().filter_map(|entry| index(entry.name)).collect())
    }

    fn search(&self, indexes: &[(String, Index)]) -> Result<Vec<Hit>, Failure> {
        let words = self.keyword.join(" ");
        let lower = words.to_lowercase();
        let pattern = match self.regexp {
            true => Some(regex::Regex::new(&words).or_fail(Kind::Input, "cannot read the keyword")?),
            false => None,
        };
        let position = |line: &str| match &pattern {
            Some(pattern) => pattern.find(line).map(|found| found.start()),
            // As Helm looks: where the word stands in the line in small letters.
            None => line.to_lowercase().find(&lower).filter(|at| line.is_char_boundary(*at)),
        };
        let version = match &self.version {
            Some(version) => version,
            None if self.devel => ">0.0.0-0",
            None => "",
        };
        let query = Query {
            position: (!words.is_empty()).then_some(&position),
            version,
            all_versions: self.versions,
        };
        let wrong =
            || anyhow::anyhow!("an invalid version/constraint format: improper constraint: {version}");
        search(indexes, &query).ok_or_else(|| Failure::new(Kind::Input, wrong()))
    }
}
