//! `seaworthy registry`: logins at registries, shared with Helm and Docker.

use seaworthy_repo::Access;
use seaworthy_repo::registry::{Login, Logins, Session};

use crate::chart_args::HostArgs;
use crate::cx::Cx;
use crate::failure::{Failure, Kind, Or, Outcome};
use crate::helm_files;
use crate::secret_input;

/// Log in to registries of charts; the logins are Helm's
///
///   echo "$TOKEN" | seaworthy registry login registry.example.com -u me --password-stdin
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Registry {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Log in to a registry
    Login(LoginArgs),
    /// Forget the login at a registry
    Logout(LogoutArgs),
}

#[derive(Debug, clap::Args)]
struct LoginArgs {
    /// Host, and port where it is not the usual one
    host: String,

    /// Name at the registry
    #[arg(short, long, value_name = "NAME")]
    username: Option<String>,

    /// Password or token; others on this machine can see it, prefer --password-stdin
    #[arg(short, long, value_name = "PASSWORD")]
    password: Option<String>,

    /// Read the password or token from stdin
    #[arg(long, conflicts_with = "password")]
    password_stdin: bool,

    /// Do not check the registry's certificate
    #[arg(long)]
    insecure: bool,

    /// Speak without TLS
    #[arg(long)]
    plain_http: bool,

    /// Certificate authorities to trust, in PEM
    #[arg(long, value_name = "FILE")]
    ca_file: Option<std::path::PathBuf>,

    /// Client certificate, in PEM
    #[arg(long, value_name = "FILE")]
    cert_file: Option<std::path::PathBuf>,

    /// Key of the client certificate, in PEM
    #[arg(long, value_name = "FILE")]
    key_file: Option<std::path::PathBuf>,
}

#[derive(Debug, clap::Args)]
struct LogoutArgs {
    /// Host, and port where it is not the usual one
    host: String,
}

impl Registry {
    pub async fn run(self, cx: &mut Cx) -> Outcome {
        let logins = Logins::new(&helm_files::settings());
        match self.action {
            Action::Login(login) => login.run(cx, &logins).await,
            Action::Logout(LogoutArgs { host }) => {
                logins.remove(&host).await.or_fail(Kind::Input, format!("cannot log out of {host}"))?;
                println!("Removing login credentials for {host}");
                Ok(())
            }
        }
    }
}

impl LoginArgs {
    async fn run(self, cx: &mut Cx, logins: &Logins) -> Outcome {
        let host = self.host.split('/').next().unwrap_or_default();
        if host != self.host {
            cx.progress.warn(format!("a login is for a whole registry: `{host}`"));
        }
        let login = self.ask(cx).await?;
        let hosts = HostArgs {
            ca_file: self.ca_file.clone(),
            cert_file: self.cert_file.clone(),
            key_file: self.key_file.clone(),
            insecure_skip_tls_verify: self.insecure,
            plain_http: self.plain_http,
            ..HostArgs::default()
        };
        let access =
            Access { username: login.username.clone(), password: login.secret.clone(), ..hosts.access() };
        let tried = || format!("cannot log in to {host}");
        let session = Session::at(host, &access, logins).await.or_fail(Kind::Input, tried())?;
        session.ping().await.or_fail(Kind::Input, tried())?;
        logins.put(host, &login).await.or_fail(Kind::Input, tried())?;
        println!("Login Succeeded");
        Ok(())
    }

    /// Name and password: from flags, from stdin, or from whoever sits there.
    async fn ask(&self, cx: &Cx) -> Result<Login, Failure> {
        let secret = match &self.password {
            Some(password) => {
                cx.progress
                    .warn("a password on the command line can be seen by others; use --password-stdin");
                password.clone()
            }
            None => secret_input::read("Password: ", self.password_stdin)
                .await
                .or_fail(Kind::Input, "cannot read the password")?,
        };
        if secret.is_empty() {
            return Err(Failure::new(Kind::Input, anyhow::anyhow!("password required")));
        }
        Ok(Login { username: self.username.clone().unwrap_or_default(), secret })
    }
}
