//! Which chart, and which values: the flags that `template`, `install`, `upgrade` and others share with Helm.
//!
//! [`SourceArgs::load`] turns a reference into a chart, [`ValuesArgs::merge`] turns `-f` and `--set...` into values.
//! The order in which values win is Helm's: files, `--set-json`, `--set`, `--set-string`, `--set-file`, `--set-literal`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use seaworthy_helm::post_render::{self, PostRender};
use seaworthy_helm::{Chart, Limits, Values, hints, limits, merge_maps, parse_values_within, set};
use seaworthy_repo::dependencies::{Manager, Tell};
use seaworthy_repo::{Access, Archive, Bound, Request, Settings, Source, provenance};
use std::io::Read as _;

use crate::commands::package::source_date_epoch;
use crate::cx::Cx;
use crate::failure::{Failure, Kind, Or, Outcome};
use crate::helm_files;

/// Where a chart comes from.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct SourceArgs {
    /// Version or range of the chart, such as 1.2.3 or ^1.2; the newest when absent
    #[arg(long, value_name = "VERSION")]
    pub version: Option<String>,

    /// Count versions before a release too; the same as --version '>0.0.0-0'
    #[arg(long)]
    pub devel: bool,

    /// URL of the chart's repository, for a chart named without one
    #[arg(long, value_name = "URL")]
    pub repo: Option<String>,

    #[command(flatten)]
    pub hosts: HostArgs,

    /// Send the login to every host that the repository refers to
    #[arg(long)]
    pub pass_credentials: bool,

    /// Check the chart's signature before using it
    #[arg(long)]
    pub verify: bool,

    /// Public keys for --verify [default: ~/.gnupg/pubring.gpg]
    #[arg(long, value_name = "FILE")]
    pub keyring: Option<PathBuf>,

    #[command(flatten)]
    pub limits: LimitArgs,
}

/// How hosts of charts are spoken to.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct HostArgs {
    /// Login at the repository or registry
    #[arg(long, value_name = "NAME")]
    pub username: Option<String>,

    /// Password at the repository or registry; others on this machine can see it, prefer `registry login`
    #[arg(long, value_name = "PASSWORD", hide_env_values = true)]
    pub password: Option<String>,

    /// Certificate authorities to trust, in PEM
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,

    /// Client certificate, in PEM
    #[arg(long, value_name = "FILE")]
    pub cert_file: Option<PathBuf>,

    /// Key of the client certificate, in PEM
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,

    /// Do not check the host's certificate
    #[arg(long)]
    pub insecure_skip_tls_verify: bool,

    /// Speak with registries without TLS
    #[arg(long)]
    pub plain_http: bool,
}

/// Bounds on what a chart may cost.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct LimitArgs {
    /// Raise a bound on charts, such as chart-bytes=200Mi or template-steps=100M; may be repeated
    #[arg(long, value_name = "NAME=VALUE", env = limits::ENVIRONMENT, value_delimiter = ',')]
    pub limit: Vec<String>,
}

/// What the person sets.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ValuesArgs {
    /// Values in a YAML file, at a URL, or `-` for stdin; may be repeated, later ones win
    #[arg(short = 'f', long, value_name = "FILE")]
    pub values: Vec<String>,

    /// Values: a.b=1,c[0]=x,d={e,f}; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,

    /// Values that stay texts
    #[arg(long, value_name = "KEY=VALUE")]
    pub set_string: Vec<String>,

    /// Values in JSON: a={"b":1}, or a whole map
    #[arg(long, value_name = "KEY=JSON")]
    pub set_json: Vec<String>,

    /// Values from files: key=path
    #[arg(long, value_name = "KEY=FILE")]
    pub set_file: Vec<String>,

    /// A text as it is, commas and braces included
    #[arg(long, value_name = "KEY=TEXT")]
    pub set_literal: Vec<String>,
}

/// A program that changes the manifests.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct PostRenderArgs {
    /// Plugin of Helm, or program, that reads all manifests on stdin and prints what they shall be instead
    #[arg(long, value_name = "NAME")]
    pub post_renderer: Option<String>,

    /// Argument of the post-renderer; may be repeated
    #[arg(long, value_name = "ARG", allow_hyphen_values = true, requires = "post_renderer")]
    pub post_renderer_args: Vec<String>,
}

impl PostRenderArgs {
    pub fn find(&self) -> Result<Option<Arc<dyn PostRender>>, Failure> {
        let Some(name) = self.post_renderer.as_deref().filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        let plugins = helm_files::settings().plugins;
        let program = post_render::Program::find(name, &self.post_renderer_args, &plugins);
        let program = program.or_fail(Kind::Input, "cannot use `--post-renderer`")?;
        Ok(Some(Arc::new(program)))
    }
}

/// Tells of values that the chart does not know, each with what was probably meant.
pub fn tell_unknown_values(cx: &Cx, chart: &Chart, values: &Values) {
    hints::unknown_values(chart, values).iter().for_each(|unknown| cx.progress.warn(unknown.to_string()));
}

impl LimitArgs {
    pub fn limits(&self) -> Result<Limits, Failure> {
        let mut limits = Limits::default();
        self.limit
            .iter()
            .try_for_each(|limit| limits.set(limit))
            .or_fail(Kind::Input, "cannot read `--limit`")?;
        Ok(limits)
    }
}

impl HostArgs {
    pub fn access(&self) -> Access {
        Access {
            username: self.username.clone().unwrap_or_default(),
            password: self.password.clone().unwrap_or_default(),
            pass_credentials: false,
            ca_file: self.ca_file.clone(),
            cert_file: self.cert_file.clone(),
            key_file: self.key_file.clone(),
            insecure_skip_tls_verify: self.insecure_skip_tls_verify,
            plain_http: self.plain_http,
        }
    }
}

impl SourceArgs {
    pub fn request(&self, reference: &str) -> Result<Request, Failure> {
        Ok(Request {
            version: self.version.clone().unwrap_or_default(),
            devel: self.devel,
            repo: self.repo.clone(),
            access: Access { pass_credentials: self.pass_credentials, ..self.hosts.access() },
            provenance: self.verify,
            limits: self.limits.limits()?,
            ..Request::new(reference)
        })
    }

    /// Finds the chart a reference means, and fetches it when it is not on this machine.
    pub async fn locate(&self, reference: &str) -> Result<Source, Failure> {
        self.locate_with(reference, false).await
    }

    /// The same with its signature, where that is wanted for keeping.
    pub async fn locate_with(&self, reference: &str, provenance: bool) -> Result<Source, Failure> {
        let mut request = self.request(reference)?;
        request.provenance |= provenance;
        let source = seaworthy_repo::locate(&request, &helm_files::settings()).await;
        source.or_fail(Kind::Input, format!("cannot find the chart `{reference}`"))
    }

    /// The chart with everything that it is made of; `update` fetches what is missing in `charts/`.
    pub async fn load_complete(&self, cx: &Cx, reference: &str, update: bool) -> Result<Chart, Failure> {
        let chart = self.load(reference).await?;
        if chart.metadata.deprecated {
            cx.progress.warn("this chart is deprecated");
        }
        let Err(missing) = chart.check_dependencies() else { return Ok(chart) };
        let folder = Path::new(reference);
        if !update || !folder.is_dir() {
            let failure = Failure::new(Kind::Input, missing);
            return Err(failure.hint(format!(
                "`seaworthy dependency update {reference}` fetches them, and so does `--dependency-update`"
            )));
        }
        let args = DependencyArgs::for_update(&self.hosts, &self.limits);
        args.update(folder, &mut |line| cx.progress.step("", line)).await?;
        self.load(reference).await
    }

    /// The chart itself, its signature checked where that is wanted.
    pub async fn load(&self, reference: &str) -> Result<Chart, Failure> {
        let limits = self.limits.limits()?;
        let source = self.locate(reference).await?;
        let tried = || format!("cannot load the chart `{reference}`");
        match &source {
            Source::Archive(archive) => drop(self.verify(archive).await?),
            Source::Path(path) if self.verify => {
                let archive = Archive::read(path, &limits).or_fail(Kind::Input, tried())?;
                self.verify(&archive).await?;
            }
            Source::Path(_) => {}
        }
        source.load(&limits).or_fail(Kind::Input, tried())
    }

    /// Checks the signature of an archive where that is wanted, and tells whose it is.
    pub async fn verify(&self, archive: &Archive) -> Result<Option<provenance::Verification>, Failure> {
        if !self.verify {
            return Ok(None);
        }
        let tried = || format!("cannot trust `{}`", archive.file_name);
        let signature = archive
            .provenance
            .as_deref()
            .ok_or_else(|| provenance::Error::Missing(format!("{}.prov", archive.file_name)));
        let keyring = self.keyring.clone().unwrap_or_else(|| helm_files::settings().keyring);
        let signature = signature.or_fail(Kind::Input, tried())?;
        let verified = provenance::verify(&archive.data, &archive.file_name, signature, &keyring).await;
        verified.map(Some).or_fail(Kind::Input, tried())
    }
}

/// How the charts in `charts/` are fetched.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct DependencyArgs {
    /// Use indexes of repositories as they were last fetched
    #[arg(long)]
    pub skip_refresh: bool,

    /// Check signatures
    #[arg(long)]
    pub verify: bool,

    /// Public keys for --verify [default: ~/.gnupg/pubring.gpg]
    #[arg(long, value_name = "FILE")]
    pub keyring: Option<PathBuf>,

    #[command(flatten)]
    pub hosts: HostArgs,

    #[command(flatten)]
    pub limits: LimitArgs,
}

impl DependencyArgs {
    /// What `--dependency-update` of other commands does.
    pub fn for_update(hosts: &HostArgs, limits: &LimitArgs) -> Self {
        DependencyArgs { hosts: hosts.clone(), limits: limits.clone(), ..DependencyArgs::default() }
    }

    pub async fn update(&self, folder: &Path, tell: Tell<'_>) -> Outcome {
        let settings = helm_files::settings();
        let done = self.manager(folder, &settings)?.update(tell).await;
        done.or_fail(Kind::Input, format!("cannot update the dependencies of `{}`", folder.display()))
    }

    pub async fn build(&self, folder: &Path, tell: Tell<'_>) -> Outcome {
        let settings = helm_files::settings();
        let done = self.manager(folder, &settings)?.build(tell).await;
        done.or_fail(Kind::Input, format!("cannot build the dependencies of `{}`", folder.display()))
    }

    fn manager<'s>(&self, folder: &Path, settings: &'s Settings) -> Result<Manager<'s>, Failure> {
        let keyring = || self.keyring.clone().unwrap_or_else(|| settings.keyring.clone());
        Ok(Manager {
            folder: folder.to_owned(),
            settings,
            access: self.hosts.access(),
            limits: self.limits.limits()?,
            skip_refresh: self.skip_refresh,
            keyring: self.verify.then(keyring),
            time_unix_s: source_date_epoch()?,
        })
    }
}

impl ValuesArgs {
    /// The values of the person, merged in Helm's order.
    pub async fn merge(&self, limits: &Limits) -> Result<Values, Failure> {
        let mut values = Values::new();
        for file in &self.values {
            let text = read_text(file, limits).await?;
            let read = parse_values_within(file, &text, limits);
            merge_maps(&mut values, read.or_fail(Kind::Input, format!("failed to parse {file}"))?);
        }
        apply("--set-json", &self.set_json, |line| set::set_json(line, &mut values))?;
        apply("--set", &self.set, |line| set::set(line, &mut values))?;
        apply("--set-string", &self.set_string, |line| set::set_string(line, &mut values))?;
        let contents = self.named_files(limits).await?;
        let read = |path: &str| contents.get(path).cloned().ok_or_else(|| "it was not read".to_owned());
        apply("--set-file", &self.set_file, |line| set::set_file(line, &mut values, &read))?;
        apply("--set-literal", &self.set_literal, |line| set::set_literal(line, &mut values))?;
        Ok(values)
    }

    /// The contents of all files that `--set-file` names: what is far away cannot be fetched while a line is parsed.
    async fn named_files(&self, limits: &Limits) -> Result<BTreeMap<String, String>, Failure> {
        let mut contents = BTreeMap::new();
        for line in &self.set_file {
            let names = std::cell::RefCell::new(Vec::new());
            let collect = |path: &str| {
                names.borrow_mut().push(path.to_owned());
                Ok(String::new())
            };
            set::set_file(line, &mut Values::new(), &collect)
                .or_fail(Kind::Input, "failed parsing --set-file data")?;
            for name in names.into_inner() {
                let text = read_text(&name, limits).await?;
                contents.insert(name, text);
            }
        }
        Ok(contents)
    }
}

fn apply(
    flag: &'static str,
    lines: &[String],
    each: impl FnMut(&String) -> Result<(), set::Error>,
) -> Result<(), Failure> {
    lines.iter().try_for_each(each).or_fail(Kind::Input, format!("failed parsing {flag} data"))
}

/// A file, stdin, or what stands at a URL.
async fn read_text(place: &str, limits: &Limits) -> Result<String, Failure> {
    let tried = format!("cannot read the values `{place}`");
    let bound = Bound { bytes: limits.values_bytes, name: "values-bytes" };
    let data = match place.trim() {
        "-" => bounded(std::io::stdin(), bound).or_fail(Kind::Input, tried.clone())?,
        url if url.starts_with("http://") || url.starts_with("https://") => {
            let url = seaworthy_repo::parse_url(url).or_fail(Kind::Input, tried.clone())?;
            let fetched = seaworthy_repo::fetch(&url, &url, &Access::default(), bound).await;
            fetched.or_fail(Kind::Input, tried.clone())?
        }
        _ => {
            let file = std::fs::File::open(place).or_fail(Kind::Input, tried.clone())?;
            bounded(file, bound).or_fail(Kind::Input, tried.clone())?
        }
    };
    String::from_utf8(data).or_fail(Kind::Input, tried)
}

fn bounded(from: impl std::io::Read, bound: Bound) -> std::io::Result<Vec<u8>> {
    let mut data = Vec::new();
    from.take(bound.bytes as u64 + 1).read_to_end(&mut data)?;
    if data.len() > bound.bytes {
        let told = format!(
            "it is larger than the limit of {} bytes; raise it with `--limit {}=`",
            bound.bytes, bound.name
        );
        return Err(std::io::Error::other(told));
    }
    Ok(data)
}
