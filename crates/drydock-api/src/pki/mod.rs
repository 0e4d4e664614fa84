//! The cluster's keys and certificates, made on the first start, reused afterwards and renewed before they expire.
//!
//! A folder with a CA, a serving certificate, the administrator's client certificate and the key that signs service
//! accounts' tokens. All files have mode 0600. The CA lives for decades and is never replaced; the certificates live a
//! year and are made anew two months before their end, at a start or while running (see [`Pki::renew`]): connections
//! that are open stay, new ones see the new certificate, and the kubeconfig is written again.
//!
//! `request` signs what others ask for; `der` writes it.

mod anybody;
mod der;
pub mod request;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rcgen::{KeyUsagePurpose, date_time_ymd};
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

pub(crate) use anybody::tls_of_anybody;

use crate::auth::signer::Signer;

const DAY: SignedDuration = SignedDuration::from_hours(24);
const CA_DAYS: i32 = 30 * 365;
const DAYS: i32 = 365;
/// With less than this left a certificate is made anew.
const RENEWED_DAYS: i32 = 60;
/// The names under which the API is reached: from the host, and from pods.
const NAMES: &[&str] = &[
    "127.0.0.1",
    "::1",
    "localhost",
    "10.96.0.1",
    "10.244.0.1",
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
    folder: PathBuf,
    ca: String,
    ca_der: CertificateDer<'static>,
    ca_key: KeyPair,
    admin: RwLock<Credentials>,
    serving: Arc<Serving>,
    signer: Signer,
    /// Kubeconfigs to write again when the administrator's certificate is renewed, each with its server.
    written: Mutex<Vec<(PathBuf, String)>>,
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

/// The serving certificate of the moment, as TLS asks for it at each handshake.
#[derive(Debug)]
struct Serving(RwLock<Arc<CertifiedKey>>);

impl Serving {
    fn now(&self) -> Arc<CertifiedKey> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, key: CertifiedKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
    }
}

impl ResolvesServerCert for Serving {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.now())
    }
}

impl Pki {
    /// Reads the folder, making what is missing or about to expire. Blocks on the disk.
    pub fn open(folder: &Path) -> Result<Self, PkiError> {
        fs::create_dir_all(folder).map_err(|source| PkiError::File { path: folder.to_owned(), source })?;
        let ca_key = key(&folder.join("ca.key"))?;
        let ca_path = folder.join("ca.crt");
        let ca = stored(&ca_path, || Ok(ca_params().self_signed(&ca_key)?.pem()))?;
        let ca_der = first(&ca).ok_or(PkiError::Pem { path: ca_path })?;
        let now = Timestamp::now();
        let serving = credentials(folder, &SERVING, &ca_key, now)?;
        let admin = credentials(folder, &ADMIN, &ca_key, now)?;
        let token_key = key(&folder.join("sa.key"))?;
        let unusable = || PkiError::Pem { path: folder.join("sa.key") };
        let former = former_token_keys(folder)?;
        let signer = Signer::from_pkcs8(token_key.serialized_der(), &former).ok_or_else(unusable)?;
        Ok(Self {
            folder: folder.to_owned(),
            ca,
            ca_der,
            ca_key,
            admin: RwLock::new(admin),
            serving: Arc::new(Serving(RwLock::new(Arc::new(certified(&serving)?)))),
            signer,
            written: Mutex::default(),
        })
    }

    /// Makes anew what expires within two months of `now`. Returns whether anything was. Blocks on the disk.
    pub fn renew(&self, now: Timestamp) -> Result<bool, PkiError> {
        let (before, serving) = (self.serving.now(), credentials(&self.folder, &SERVING, &self.ca_key, now)?);
        let serving = certified(&serving)?;
        let new_serving = serving.cert != before.cert;
        if new_serving {
            self.serving.set(serving);
        }
        let admin = credentials(&self.folder, &ADMIN, &self.ca_key, now)?;
        let new_admin = {
            let mut held = self.admin.write().unwrap_or_else(PoisonError::into_inner);
            let changed = held.certificate != admin.certificate;
            *held = admin;
            changed
        };
        if new_admin {
            let written = self.written.lock().unwrap_or_else(PoisonError::into_inner).clone();
            for (path, server) in written {
                write_private(&path, &self.kubeconfig(&server))?;
            }
        }
        Ok(new_serving || new_admin)
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

    /// A certificate for what somebody asked for and somebody else approved, as PEM.
    pub(crate) fn sign_request(
        &self,
        request: &request::Request,
        usages: &[&str],
        life: SignedDuration,
        now: Timestamp,
    ) -> Result<String, request::RequestError> {
        let der = request::issue(request, usages, life, (&self.ca_der, &self.ca_key), now)?;
        Ok(pem("CERTIFICATE", &der))
    }

    /// TLS for the listener: HTTP/2 and HTTP/1.1, client certificates of our CA welcome but not required, since
    /// service accounts bring tokens instead.
    pub fn server_tls(&self) -> Result<Arc<rustls::ServerConfig>, PkiError> {
        let provider = provider();
        let mut roots = RootCertStore::empty();
        roots.add(self.ca_der.clone())?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .allow_unauthenticated()
            .build()?;
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(self.serving.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// A kubeconfig for the administrator, with everything inline.
    pub fn kubeconfig(&self, server: &str) -> String {
        let data = |pem: &str| STANDARD.encode(pem);
        let admin = self.admin.read().unwrap_or_else(PoisonError::into_inner);
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: drydock\nclusters:\n- name: drydock\n  cluster:\n    \
             server: {server}\n    certificate-authority-data: {}\ncontexts:\n- name: drydock\n  context:\n    \
             cluster: drydock\n    user: drydock-admin\nusers:\n- name: drydock-admin\n  user:\n    \
             client-certificate-data: {}\n    client-key-data: {}\n",
            data(&self.ca),
            data(&admin.certificate),
            data(&admin.key),
        )
    }

    /// Writes [`Pki::kubeconfig`] to a file only its owner may read, replacing it in one step. The file is written
    /// again whenever the certificate in it is renewed.
    pub fn write_kubeconfig(&self, path: &Path, server: &str) -> Result<(), PkiError> {
        write_private(path, &self.kubeconfig(server))?;
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.retain(|(known, _)| known != path);
        written.push((path.to_owned(), server.to_owned()));
        Ok(())
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned() + "\n");
    format!("-----BEGIN {label}-----\n{}-----END {label}-----\n", lines.collect::<String>())
}

fn first(pem: &str) -> Option<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).find_map(Result::ok)
}

fn certified(credentials: &Credentials) -> Result<CertifiedKey, PkiError> {
    let unusable = || PkiError::Pem { path: "apiserver.key".into() };
    let chain = vec![first(&credentials.certificate).ok_or_else(unusable)?];
    let key = PrivateKeyDer::from_pem_slice(credentials.key.as_bytes()).map_err(|_| unusable())?;
    Ok(CertifiedKey::from_der(chain, key, &provider())?)
}

/// A certificate of the cluster's own: the name of its files, and what it says.
struct Own {
    file: &'static str,
    names: &'static [&'static str],
    params: fn(Timestamp) -> Result<CertificateParams, PkiError>,
}

const SERVING: Own = Own { file: "apiserver", names: NAMES, params: serving_params };
const ADMIN: Own = Own { file: "admin", names: &[], params: admin_params };

/// What the files hold, made anew when it is missing, of another cluster, or about to expire.
fn credentials(folder: &Path, own: &Own, ca_key: &KeyPair, now: Timestamp) -> Result<Credentials, PkiError> {
    let key = key(&folder.join(format!("{}.key", own.file)))?;
    let path = folder.join(format!("{}.crt", own.file));
    let sign = || {
        let issuer = Issuer::new(ca_params(), KeyPair::try_from(ca_key.serialized_der())?);
        Ok((own.params)(now)?.signed_by(&key, &issuer)?.pem())
    };
    let mut certificate = stored(&path, sign)?;
    if !is_good(&certificate, own.names, now) {
        certificate = sign()?;
        write_private(&path, &certificate)?;
        tracing::info!(file = %path.display(), "the certificate was renewed");
    }
    Ok(Credentials { certificate, key: key.serialize_pem() })
}

/// Whether a certificate lasts for a while yet and names everything it should.
fn is_good(pem: &str, names: &[&str], now: Timestamp) -> bool {
    let Some(der) = first(pem) else { return false };
    let Ok((_, certificate)) = X509Certificate::from_der(&der) else { return false };
    let left_s = certificate.validity().not_after.timestamp() - now.as_second();
    let said = certificate.subject_alternative_name().ok().flatten();
    let said: Vec<String> = said.iter().flat_map(|said| &said.value.general_names).map(name_text).collect();
    left_s > (DAY * RENEWED_DAYS).as_secs() && names.iter().all(|name| said.iter().any(|said| said == name))
}

fn name_text(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        GeneralName::IPAddress(bytes) => match (<[u8; 4]>::try_from(*bytes), <[u8; 16]>::try_from(*bytes)) {
            (Ok(v4), _) => std::net::Ipv4Addr::from(v4).to_string(),
            (_, Ok(v6)) => std::net::Ipv6Addr::from(v6).to_string(),
            _ => String::new(),
        },
        _ => String::new(),
    }
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

pub(crate) fn ca_params() -> CertificateParams {
    let mut params = params("drydock-ca", CA_DAYS, Timestamp::now());
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params
}

fn serving_params(now: Timestamp) -> Result<CertificateParams, PkiError> {
    let names: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    let mut params = params("drydock-api", DAYS, now);
    params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

fn admin_params(now: Timestamp) -> Result<CertificateParams, PkiError> {
    let mut params = params("drydock-admin", DAYS, now);
    params.distinguished_name.push(DnType::OrganizationName, crate::auth::MASTERS);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

fn params(name: &str, days: i32, now: Timestamp) -> CertificateParams {
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
    params.not_before = day(now.saturating_sub(DAY).unwrap_or(now));
    params.not_after = day(now.saturating_add(DAY * days).unwrap_or(now));
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
    fs::rename(&draft, path).map_err(failed)?;
    // What a new key has sealed must not outlive the key in a power cut.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after_days(days: i32) -> Timestamp {
        Timestamp::now() + DAY * days
    }

    #[test]
    fn certificates_are_renewed_before_they_expire_and_not_earlier() {
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::open(folder.path()).unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        pki.write_kubeconfig(&kubeconfig, "https://x").unwrap();
        let (before, ca) = (fs::read_to_string(&kubeconfig).unwrap(), pki.ca_pem().to_owned());
        assert!(!pki.renew(after_days(200)).unwrap());
        assert!(pki.renew(after_days(320)).unwrap());
        assert_ne!(fs::read_to_string(&kubeconfig).unwrap(), before);
        assert!(!pki.renew(after_days(320)).unwrap(), "once is enough");
        let again = Pki::open(folder.path()).unwrap();
        assert_eq!(again.ca_pem(), ca);
        assert_eq!(again.kubeconfig("https://x"), fs::read_to_string(&kubeconfig).unwrap());
    }

    #[test]
    fn a_serving_certificate_that_lacks_a_name_is_made_anew() {
        let now = Timestamp::now();
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::new(ca_params(), KeyPair::generate().unwrap());
        let pem = serving_params(now).unwrap().signed_by(&key, &issuer).unwrap().pem();
        assert!(is_good(&pem, NAMES, now));
        assert!(!is_good(&pem, &["another.name"], now));
    }
}
