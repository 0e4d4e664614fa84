//! The cluster's keys and certificates, made on the first start and reused afterwards.
//!
//! A folder with a CA, a serving certificate, the administrator's client certificate and the key that signs service
//! accounts' tokens. All files have mode 0600. What exists is used as it is: delete a file to have it made anew.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{Timestamp, ToSpan as _};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rcgen::{KeyUsagePurpose, date_time_ymd};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;

use crate::auth::token::Signer;

const VALID_YEARS: i64 = 10;
/// The names under which the API is reached: from the host, and from pods.
const NAMES: &[&str] = &[
    "127.0.0.1",
    "::1",
    "localhost",
    "10.96.0.1",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
];

#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    #[error("cannot use `{}`", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("cannot make a certificate")]
    Certificate(#[from] rcgen::Error),
    #[error("`{}` is not readable as PEM; delete it to have it made anew", path.display())]
    Pem { path: PathBuf },
    #[error("`{}` does not hold the keys that Secrets are sealed with; put the right file back", path.display())]
    SealingKey { path: PathBuf },
    #[error("no random numbers are to be had")]
    Random,
    #[error("the certificates cannot be used for TLS")]
    Tls(#[from] rustls::Error),
    #[error("the certificates cannot be used to verify clients")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// Everything that is signed, and the means to sign more.
#[derive(Debug)]
pub struct Pki {
    ca: String,
    serving: Credentials,
    admin: Credentials,
    signer: Signer,
}

/// A certificate and its key, as PEM.
struct Credentials {
    certificate: String,
    key: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

impl Pki {
    /// Reads the folder, making what is missing. Blocks on the disk.
    pub fn open(folder: &Path) -> Result<Self, PkiError> {
        fs::create_dir_all(folder).map_err(|source| PkiError::File { path: folder.to_owned(), source })?;
        let ca_key = key(&folder.join("ca.key"))?;
        let ca = stored(&folder.join("ca.crt"), || Ok(ca_params().self_signed(&ca_key)?.pem()))?;
        let issuer = Issuer::new(ca_params(), ca_key);
        let serving = credentials(folder, "apiserver", serving_params()?, &issuer)?;
        let admin = credentials(folder, "admin", admin_params(), &issuer)?;
        let token_key = key(&folder.join("sa.key"))?;
        let unusable = || PkiError::Pem { path: folder.join("sa.key") };
        let former = former_token_keys(folder)?;
        let signer = Signer::from_pkcs8(token_key.serialized_der(), &former).ok_or_else(unusable)?;
        Ok(Self { ca, serving, admin, signer })
    }

    /// Gives the tokens a new key from the next opening on. What the former one signed stays good.
    pub fn rotate_token_key(folder: &Path) -> Result<(), PkiError> {
        let present = folder.join("sa.key");
        let former = folder.join(format!("sa-{}.key", Timestamp::now().as_millisecond()));
        fs::rename(&present, former).map_err(|source| PkiError::File { path: present.clone(), source })?;
        key(&present).map(drop)
    }

    /// The CA's certificate as PEM, for those who must trust the API.
    pub fn ca_pem(&self) -> &str {
        &self.ca
    }

    /// Whether a token was signed by a key that counts; says nothing of what it is bound to.
    pub fn accepts_token_signature(&self, token: &str) -> bool {
        self.signer.verify(token).is_some()
    }

    pub(crate) fn signer(&self) -> &Signer {
        &self.signer
    }

    /// TLS for the listener: HTTP/2 and HTTP/1.1, client certificates of our CA welcome but not required, since
    /// service accounts bring tokens instead.
    pub fn server_tls(&self) -> Result<Arc<rustls::ServerConfig>, PkiError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.ca) {
            roots.add(certificate)?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .allow_unauthenticated()
            .build()?;
        let key = PrivateKeyDer::from_pem_slice(self.serving.key.as_bytes());
        let key = key.map_err(|_| PkiError::Pem { path: "apiserver.key".into() })?;
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(certificates(&self.serving.certificate), key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// A kubeconfig for the administrator, with everything inline.
    pub fn kubeconfig(&self, server: &str) -> String {
        let data = |pem: &str| STANDARD.encode(pem);
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: drydock\nclusters:\n- name: drydock\n  cluster:\n    \
             server: {server}\n    certificate-authority-data: {}\ncontexts:\n- name: drydock\n  context:\n    \
             cluster: drydock\n    user: drydock-admin\nusers:\n- name: drydock-admin\n  user:\n    \
             client-certificate-data: {}\n    client-key-data: {}\n",
            data(&self.ca),
            data(&self.admin.certificate),
            data(&self.admin.key),
        )
    }

    /// Writes [`Pki::kubeconfig`] to a file only its owner may read, replacing it in one step.
    pub fn write_kubeconfig(&self, path: &Path, server: &str) -> Result<(), PkiError> {
        write_private(path, &self.kubeconfig(server))
    }
}

fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok).collect()
}

fn credentials(
    folder: &Path,
    name: &str,
    params: CertificateParams,
    issuer: &Issuer<'_, KeyPair>,
) -> Result<Credentials, PkiError> {
    let key = key(&folder.join(format!("{name}.key")))?;
    let path = folder.join(format!("{name}.crt"));
    let certificate = stored(&path, || Ok(params.signed_by(&key, issuer)?.pem()))?;
    Ok(Credentials { certificate, key: key.serialize_pem() })
}

fn key(path: &Path) -> Result<KeyPair, PkiError> {
    let pem = stored(path, || Ok(KeyPair::generate()?.serialize_pem()))?;
    KeyPair::from_pem(&pem).map_err(|_| PkiError::Pem { path: path.to_owned() })
}

/// Keys that signed tokens before the present one, as `sa-*.key` in the folder: their tokens are still good.
fn former_token_keys(folder: &Path) -> Result<Vec<Vec<u8>>, PkiError> {
    let at = |source| PkiError::File { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(at)? {
        let path = entry.map_err(at)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
        if name.starts_with("sa-") && name.ends_with(".key") {
            files.push(path);
        }
    }
    files.sort();
    files.iter().map(|path| Ok(key(path)?.serialized_der().to_vec())).collect()
}

fn ca_params() -> CertificateParams {
    let mut params = params("drydock-ca");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params
}

fn serving_params() -> Result<CertificateParams, PkiError> {
    let names: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    let mut params = params("drydock-api");
    params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

fn admin_params() -> CertificateParams {
    let mut params = params("drydock-admin");
    params.distinguished_name.push(DnType::OrganizationName, crate::auth::MASTERS);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.use_authority_key_identifier_extension = true;
    let day = |at: Timestamp| {
        let date = at.to_zoned(jiff::tz::TimeZone::UTC).date();
        date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    // A day of tolerance for clocks; whole days, so that the CA's parameters are the same on every start of a day.
    let now = Timestamp::now();
    params.not_before = day(now.saturating_sub(24.hours()).unwrap_or(now));
    params.not_after = day(now.saturating_add((VALID_YEARS * 365 * 24).hours()).unwrap_or(now));
    params
}

/// The file's content, made and written first if there is none.
fn stored(path: &Path, make: impl FnOnce() -> Result<String, PkiError>) -> Result<String, PkiError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let text = make()?;
            write_private(path, &text)?;
            Ok(text)
        }
        Err(source) => Err(PkiError::File { path: path.to_owned(), source }),
    }
}

pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), PkiError> {
    let failed = |source| PkiError::File { path: path.to_owned(), source };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let draft = path.with_file_name(name);
    // A draft that an earlier process left behind may have another mode.
    let _ = fs::remove_file(&draft);
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&draft).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&draft, path).map_err(failed)
}
