//! `seaworthy repo`: repositories of charts with names; the names are Helm's too.

use std::path::PathBuf;

use jiff::Zoned;
use seaworthy_repo::manage::{self, Added};
use seaworthy_repo::{Entry, Repositories, Settings, directory};

use crate::chart_args::LimitArgs;
use crate::cx::Cx;
use crate::failure::{Failure, Kind, Or, Outcome};
use crate::helm_files;
use crate::printing::{self, Output, OutputArgs};
use crate::{secret_input, table};

/// Give names to repositories of charts, shared with Helm
///
///   seaworthy repo add charts https://charts.example.com
///   seaworthy repo update
///   seaworthy search repo web
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Repo {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Give a repository a name
    Add(Box<Add>),
    /// List the repositories
    #[command(visible_alias = "ls")]
    List(List),
    /// Fetch the indexes of the repositories anew
    #[command(visible_alias = "up")]
    Update(Update),
    /// Forget repositories
    #[command(visible_alias = "rm")]
    Remove(Remove),
    /// Write the index of a folder of packed charts
    Index(Index),
}

#[derive(Debug, clap::Args)]
struct Add {
    name: String,
    url: String,

    /// Login at the repository
    #[arg(long, value_name = "NAME")]
    username: Option<String>,

    /// Password at the repository; others on this machine can see it, prefer --password-stdin
    #[arg(long, value_name = "PASSWORD")]
    password: Option<String>,

    /// Read the password from stdin
    #[arg(long, conflicts_with = "password")]
    password_stdin: bool,

    /// Send the login to every host that the repository refers to
    #[arg(long)]
    pass_credentials: bool,

    /// Certificate authorities to trust, in PEM
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,

    /// Client certificate, in PEM
    #[arg(long, value_name = "FILE")]
    cert_file: Option<PathBuf>,

    /// Key of the client certificate, in PEM
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,

    /// Do not check the host's certificate
    #[arg(long)]
    insecure_skip_tls_verify: bool,

    /// Take the name from another repository
    #[arg(long)]
    force_update: bool,

    /// Add repositories that were given up too
    #[arg(long)]
    allow_deprecated_repos: bool,

    /// Bounds of time are our own; for Helm's sake
    #[arg(long, hide = true)]
    timeout: Option<String>,

    #[command(flatten)]
    limits: LimitArgs,
}

#[derive(Debug, clap::Args)]
struct List {
    /// Leave the header out
    #[arg(long)]
    no_headers: bool,

    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, clap::Args)]
struct Update {
    /// Only these
    repositories: Vec<String>,

    /// Bounds of time are our own; for Helm's sake
    #[arg(long, hide = true)]
    timeout: Option<String>,

    #[command(flatten)]
    limits: LimitArgs,
}

#[derive(Debug, clap::Args)]
struct Remove {
    #[arg(required = true)]
    repositories: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct Index {
    /// Folder with the archives
    folder: PathBuf,

    /// URL the folder will be found at
    #[arg(long, value_name = "URL", default_value = "")]
    url: String,

    /// Index whose other versions are kept
    #[arg(long, value_name = "FILE")]
    merge: Option<PathBuf>,

    /// Write JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    limits: LimitArgs,
}

impl Repo {
    pub async fn run(self, cx: &mut Cx) -> Outcome {
        let settings = helm_files::settings();
        match self.action {
            Action::Add(add) => add.run(cx, &settings).await,
            Action::List(list) => list.run(&settings),
            Action::Update(update) => update.run(&settings).await,
            Action::Remove(remove) => remove.run(&settings),
            Action::Index(index) => index.run(),
        }
    }
}

impl Add {
    async fn run(self, cx: &Cx, settings: &Settings) -> Outcome {
        let (name, url, replace) = (self.name.clone(), self.url.clone(), self.force_update);
        if !self.allow_deprecated_repos {
            manage::check_available(&url).map_err(|error| Failure::new(Kind::Input, error))?;
        }
        let limits = self.limits.limits()?;
        let entry = self.entry(cx).await?;
        let added = manage::add(entry, replace, settings, &limits).await;
        match added.or_fail(Kind::Input, format!("cannot add the repository `{name}`"))? {
            Added::New => println!("\"{name}\" has been added to your repositories"),
            Added::Same => println!("\"{name}\" already exists with the same configuration, skipping"),
        }
        Ok(())
    }

    async fn entry(self, cx: &Cx) -> Result<Entry, Failure> {
        let password = match (&self.username, self.password) {
            (_, Some(password)) => {
                cx.progress
                    .warn("a password on the command line can be seen by others; use --password-stdin");
                password
            }
            (Some(_), None) => secret_input::read("Password: ", self.password_stdin)
                .await
                .or_fail(Kind::Input, "cannot read the password")?,
            (None, None) => String::new(),
        };
        let path = |path: Option<PathBuf>| path.map(|path| path.display().to_string()).unwrap_or_default();
        Ok(Entry {
            name: self.name,
            url: self.url,
            username: self.username.unwrap_or_default(),
            password,
            cert_file: path(self.cert_file),
            key_file: path(self.key_file),
            ca_file: path(self.ca_file),
            insecure_skip_tls_verify: self.insecure_skip_tls_verify,
            pass_credentials_all: self.pass_credentials,
        })
    }
}

#[derive(serde::Serialize)]
struct Listed {
    name: String,
    url: String,
}

impl List {
    fn run(self, settings: &Settings) -> Outcome {
        let known = known(settings)?;
        if known.is_empty() && self.output.output == Output::Table {
            eprintln!("no repositories to show");
            return Ok(());
        }
        let listed: Vec<Listed> =
            known.into_iter().map(|entry| Listed { name: entry.name, url: entry.url }).collect();
        printing::print(self.output.output, &listed, || {
            let header = (!self.no_headers).then(|| ["NAME", "URL"].map(str::to_owned));
            let rows = listed.iter().map(|one| [one.name.clone(), one.url.clone()]);
            let rows: Vec<[String; 2]> = header.into_iter().chain(rows).collect();
            format!("{}\n", table::tabbed(&rows, usize::MAX))
        })
    }
}

fn known(settings: &Settings) -> Result<Vec<Entry>, Failure> {
    let known = Repositories::load(&settings.repository_config);
    known.map(|known| known.repositories).or_fail(Kind::Input, "cannot read the names of repositories")
}

impl Update {
    async fn run(self, settings: &Settings) -> Outcome {
        let input = |text: String| Failure::new(Kind::Input, anyhow::anyhow!(text));
        let mut known = known(settings)?;
        if known.is_empty() {
            let told = "no repositories found. You must add one before updating".to_owned();
            return Err(input(told).hint("`seaworthy repo add NAME URL` adds one"));
        }
        let names = &self.repositories;
        if let Some(unknown) = names.iter().find(|name| !known.iter().any(|entry| entry.name == **name)) {
            let told = format!("no repositories found matching '{unknown}'.  Nothing will be updated");
            return Err(input(told));
        }
        known.retain(|entry| names.is_empty() || names.contains(&entry.name));
        let limits = self.limits.limits()?;
        println!("Hang tight while we grab the latest from your chart repositories...");
        let refreshed = known.iter().map(|entry| async {
            let done = manage::refresh(entry, settings, &limits).await;
            report(entry, &done);
            done.is_err().then(|| entry.url.clone())
        });
        let failed: Vec<String> = futures::future::join_all(refreshed).await.into_iter().flatten().collect();
        if !failed.is_empty() {
            let told = format!("failed to update the following repositories: [{}]", failed.join(" "));
            return Err(input(told));
        }
        println!("Update Complete. ⎈Happy Helming!⎈");
        Ok(())
    }
}

fn report(entry: &Entry, done: &Result<(), manage::Error>) {
    let Entry { name, url, .. } = entry;
    match done {
        Ok(()) => println!("...Successfully got an update from the \"{name}\" chart repository"),
        Err(error) => {
            let causes: Vec<String> = chain(error).collect();
            let why = causes.join(": ");
            println!("...Unable to get an update from the \"{name}\" chart repository ({url}):\n\t{why}");
        }
    }
}

/// An error and its causes.
fn chain(error: &dyn std::error::Error) -> impl Iterator<Item = String> {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string)
}

impl Remove {
    fn run(self, settings: &Settings) -> Outcome {
        for name in &self.repositories {
            let removed = manage::remove(name, settings);
            removed.or_fail(Kind::Input, format!("cannot remove the repository `{name}`"))?;
            println!("\"{name}\" has been removed from your repositories");
        }
        Ok(())
    }
}

impl Index {
    fn run(self) -> Outcome {
        let limits = self.limits.limits()?;
        let wanted = directory::Wanted { url: self.url, merge: self.merge, json: self.json };
        let now = Zoned::now().strftime("%Y-%m-%dT%H:%M:%S.%9f%:z").to_string();
        directory::index(&self.folder, &wanted, &now, &limits)
            .or_fail(Kind::Input, format!("cannot index `{}`", self.folder.display()))
    }
}
