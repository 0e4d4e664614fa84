//! Which chart, and which values: the flags that `template`, `install`, `upgrade` and others share with Helm.
//!
//! [`SourceArgs::load`] turns a reference into a chart, [`ValuesArgs::merge`] turns `-f` and `--set...` into values.
//! The order in which values win is Helm's: files, `--set-json`, `--set`, `--set-string`, `--set-file`, `--set-literal`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use seaworthy_helm::{Chart, Limits, Values, limits, merge_maps, parse_values_within, set};
use seaworthy_repo::{Access, Bound, Request, Settings, Source};
use std::io::Read as _;

use crate::failure::{Failure, Kind, Or};

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
        let request = self.request(reference)?;
        let source = seaworthy_repo::locate(&request, &Settings::from_environment()).await;
        source.or_fail(Kind::Input, format!("cannot find the chart `{reference}`"))
    }

    /// The chart itself.
    pub async fn load(&self, reference: &str) -> Result<Chart, Failure> {
        let limits = self.limits.limits()?;
        let source = self.locate(reference).await?;
        source.load(&limits).or_fail(Kind::Input, format!("cannot load the chart `{reference}`"))
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
