//! `seaworthy get`: what is stored of a release.

use seaworthy_release::{Release, Releases};

use crate::cluster;
use crate::cx::Cx;
use crate::failure::{Failure, Kind, Or, Outcome};
use crate::printing::record::{self, Show};
use crate::printing::{self, Output, OutputArgs};

/// Show what is stored of a release
///
///   seaworthy get values web               what was set
///   seaworthy get manifest web --revision 2
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Get {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Everything: values, hooks, manifest and notes
    All(All),
    /// The hooks, tests included
    Hooks(Which),
    /// The objects, as they were applied
    Manifest(Which),
    /// Chart, version, labels, how it is applied
    Metadata(Metadata),
    /// What the chart had to say
    Notes(Which),
    /// The values that were set
    Values(Values),
}

#[derive(Debug, clap::Args)]
struct Which {
    release: String,

    /// An earlier revision
    #[arg(long, value_name = "NUMBER")]
    revision: Option<u64>,
}

#[derive(Debug, clap::Args)]
struct All {
    #[command(flatten)]
    which: Which,

    /// Print what this template makes of it: {{.Release.Name}}
    #[arg(long, value_name = "TEMPLATE")]
    template: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Metadata {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, clap::Args)]
struct Values {
    #[command(flatten)]
    which: Which,

    /// All values, the chart's defaults included
    #[arg(short, long)]
    all: bool,

    #[command(flatten)]
    output: OutputArgs,
}

impl Get {
    pub async fn run(self, cx: &mut Cx) -> Outcome {
        match self.what {
            What::All(All { which, template }) => {
                let release = find(cx, &which).await?;
                let show = Show { metadata: true, everything: true, no_notes: false };
                match template.filter(|template| !template.is_empty()) {
                    Some(template) => print!("{}", templated(&release, template)?),
                    None => print!("{}", record::block(&release, show, &[])),
                }
            }
            What::Hooks(which) => print!("{}", record::hooks(&find(cx, &which).await?)),
            What::Manifest(which) => println!("{}", find(cx, &which).await?.manifest),
            What::Notes(which) => {
                let notes = find(cx, &which).await?.info.notes;
                if !notes.is_empty() {
                    println!("NOTES:\n{notes}");
                }
            }
            What::Metadata(Metadata { which, output }) => {
                let metadata = record::Metadata::of(&find(cx, &which).await?);
                return printing::print(output.output, &metadata, || metadata.text());
            }
            What::Values(values) => return print_values(cx, values).await,
        }
        Ok(())
    }
}

fn templated(release: &Release, template: String) -> Result<String, Failure> {
    let text = seaworthy_helm::execute_text(&template, &record::fields(release));
    text.or_fail(Kind::Input, "cannot execute `--template`")
}

async fn find(cx: &Cx, which: &Which) -> Result<Release, Failure> {
    let (client, namespace) = cluster::connect_to_namespace(cx).await?;
    let found = Releases::new(client, namespace).get(&which.release, which.revision).await;
    found.map_err(|error| {
        Failure::new(Kind::Release, error).hint("`seaworthy list -A` shows the releases of all namespaces")
    })
}

async fn print_values(cx: &Cx, args: Values) -> Outcome {
    let release = find(cx, &args.which).await?;
    let values = match args.all {
        true => record::computed(&release)
            .map_err(|error| Failure::new(Kind::Input, anyhow::anyhow!("{error}")))?,
        false => record::user_values(&release),
    };
    if args.output.output == Output::Table {
        let title = if args.all { "COMPUTED VALUES:" } else { "USER-SUPPLIED VALUES:" };
        print!("{title}\n{}", record::values_text(&values));
        return Ok(());
    }
    printing::print(args.output.output, &values, String::new)
}
