//! Certificates for those who ask: a PKCS #10 request becomes a certificate of our CA.
//!
//! Subject, key and alternative names are taken over byte for byte; everything else the cluster says. The request's
//! own signature is verified, so nobody gets a certificate for a key they do not hold.
//!
//! Start at [`Request::parse`] and [`issue`].

use jiff::{SignedDuration, Timestamp};
use rcgen::{KeyPair, SigningKey as _};
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::pki_types::CertificateDer;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::cri_attributes::ParsedCriAttribute;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::pki::der;

const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const AUTHORITY_KEY: &[u8] = &[0x55, 0x1d, 0x23];
const SUBJECT_KEY: &[u8] = &[0x55, 0x1d, 0x0e];
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
/// Clocks may differ by this much.
const BACKDATED: SignedDuration = SignedDuration::from_mins(5);

/// Bits of the key usage, from the left.
const KEY_USAGES: &[(&str, u8)] = &[
    ("digital signature", 0),
    ("signing", 0),
    ("content commitment", 1),
    ("key encipherment", 2),
    ("data encipherment", 3),
    ("key agreement", 4),
    ("crl sign", 6),
    ("encipher only", 7),
];
/// The last byte of `id-kp`, 1.3.6.1.5.5.7.3.
const EXTENDED_USAGES: &[(&str, u8)] = &[
    ("server auth", 1),
    ("client auth", 2),
    ("code signing", 3),
    ("email protection", 4),
    ("s/mime", 4),
    ("ipsec end system", 5),
    ("ipsec tunnel", 6),
    ("ipsec user", 7),
    ("timestamping", 8),
    ("ocsp signing", 9),
];
const ID_KP: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03];

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RequestError {
    #[error("PEM block type must be CERTIFICATE REQUEST")]
    Pem,
    #[error("the certificate request is malformed")]
    Malformed,
    #[error("the certificate request is not signed by its own key")]
    Signature,
    #[error("the certificate request could not be signed")]
    Signing,
    #[error("the cluster's own certificate is unreadable")]
    Authority,
}

/// What a certificate request says, as far as signers look at it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    pub common_name: String,
    pub organizations: Vec<String>,
    pub dns_names: usize,
    pub ip_addresses: usize,
    /// Mail addresses and URIs.
    pub other_names: usize,
    pub(crate) subject: Vec<u8>,
    pub(crate) public_key: Vec<u8>,
    pub(crate) alternative_names: Option<Vec<u8>>,
}

impl Request {
    /// Reads and verifies a request in PEM.
    pub fn parse(pem: &[u8]) -> Result<Self, RequestError> {
        let (pem, _) = Pem::read(std::io::Cursor::new(pem)).map_err(|_| RequestError::Pem)?;
        if pem.label != "CERTIFICATE REQUEST" && pem.label != "NEW CERTIFICATE REQUEST" {
            return Err(RequestError::Pem);
        }
        let parsed = X509CertificationRequest::from_der(&pem.contents);
        let (_, request) = parsed.map_err(|_| RequestError::Malformed)?;
        request.verify_signature().map_err(|_| RequestError::Signature)?;
        let info = &request.certification_request_info;
        let text = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| {
            attribute.as_str().map(str::to_owned).map_err(|_| RequestError::Malformed)
        };
        let mut found = Self {
            common_name: info.subject.iter_common_name().next().map(text).transpose()?.unwrap_or_default(),
            organizations: info.subject.iter_organization().map(text).collect::<Result<_, _>>()?,
            subject: info.subject.as_raw().to_vec(),
            public_key: info.subject_pki.raw.to_vec(),
            ..Self::default()
        };
        for attribute in info.iter_attributes() {
            let ParsedCriAttribute::ExtensionRequest(wanted) = attribute.parsed_attribute() else { continue };
            for extension in &wanted.extensions {
                if let ParsedExtension::SubjectAlternativeName(names) = extension.parsed_extension() {
                    found.alternative_names = Some(extension.value.to_vec());
                    names.general_names.iter().for_each(|name| found.count(name));
                }
            }
        }
        Ok(found)
    }

    fn count(&mut self, name: &GeneralName<'_>) {
        match name {
            GeneralName::DNSName(_) => self.dns_names += 1,
            GeneralName::IPAddress(_) => self.ip_addresses += 1,
            _ => self.other_names += 1,
        }
    }
}

/// Signs what `request` asks for with the key of the CA whose certificate is `authority`. Returns DER.
pub fn issue(
    request: &Request,
    usages: &[&str],
    life: SignedDuration,
    (authority, key): (&CertificateDer<'_>, &KeyPair),
    now: Timestamp,
) -> Result<Vec<u8>, RequestError> {
    let (_, authority) = X509Certificate::from_der(authority).map_err(|_| RequestError::Authority)?;
    let last = Timestamp::from_second(authority.validity().not_after.timestamp()).unwrap_or(Timestamp::MAX);
    let until = now.saturating_add(life).map_err(|_| RequestError::Signing)?.min(last);
    let from = now.saturating_sub(BACKDATED).map_err(|_| RequestError::Signing)?;
    let mut serial = [0; 16];
    SystemRandom::new().fill(&mut serial).map_err(|_| RequestError::Signing)?;
    // Positive, and never shorter than it says.
    serial[0] = (serial[0] & 0x7f) | 0x40;
    let algorithm = der::sequence(&[der::tlv(der::OBJECT_ID, ECDSA_WITH_SHA256)]);
    let body = der::sequence(&[
        der::tagged(0, &der::tlv(der::INTEGER, &[2])),
        der::tlv(der::INTEGER, &serial),
        algorithm.clone(),
        authority.subject().as_raw().to_vec(),
        der::sequence(&[der::time(from), der::time(until)]),
        request.subject.clone(),
        request.public_key.clone(),
        der::tagged(3, &der::sequence(&extensions(request, usages, &authority))),
    ]);
    let signature = key.sign(&body).map_err(|_| RequestError::Signing)?;
    Ok(der::sequence(&[body, algorithm, der::bits(&signature, 0)]))
}

fn extensions(request: &Request, usages: &[&str], authority: &X509Certificate<'_>) -> Vec<Vec<u8>> {
    let mut list = vec![der::extension(BASIC_CONSTRAINTS, true, &der::sequence(&[]))];
    let key_usage = KEY_USAGES.iter().filter(|(name, _)| usages.contains(name));
    let bits = key_usage.fold(0_u8, |bits, (_, place)| bits | (0x80 >> place));
    if bits != 0 {
        let unused = bits.trailing_zeros() as u8;
        list.push(der::extension(KEY_USAGE, true, &der::bits(&[bits], unused)));
    }
    let extended = EXTENDED_USAGES.iter().filter(|(name, _)| usages.contains(name));
    let mut extended: Vec<Vec<u8>> =
        extended.map(|(_, last)| der::tlv(der::OBJECT_ID, &[ID_KP, &[*last]].concat())).collect();
    extended.dedup();
    if !extended.is_empty() {
        list.push(der::extension(EXTENDED_KEY_USAGE, false, &der::sequence(&extended)));
    }
    if let Some(id) = subject_key_id(authority) {
        list.push(der::extension(AUTHORITY_KEY, false, &der::sequence(&[der::tlv(0x80, &id)])));
    }
    if let Some(names) = &request.alternative_names {
        list.push(der::extension(SUBJECT_ALT_NAME, false, names));
    }
    list
}

fn subject_key_id(certificate: &X509Certificate<'_>) -> Option<Vec<u8>> {
    certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) if extension.oid.as_bytes() == SUBJECT_KEY => {
            Some(id.0.to_vec())
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, SanType};

    use super::*;

    fn authority() -> (CertificateDer<'static>, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let certificate = crate::pki::ca_params().self_signed(&key).unwrap();
        (certificate.der().clone(), key)
    }

    fn asked(name: &str, organization: &str, san: Option<&str>) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationName, organization);
        params.subject_alt_names.extend(san.map(|san| SanType::DnsName(san.try_into().unwrap())));
        params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap()
    }

    #[test]
    fn a_request_becomes_a_certificate_that_the_authority_vouches_for() {
        let (certificate, key) = authority();
        let request = Request::parse(asked("jane", "dev", Some("a.example")).as_bytes()).unwrap();
        assert_eq!(
            (request.common_name.as_str(), &*request.organizations),
            ("jane", &["dev".to_owned()][..])
        );
        assert_eq!((request.dns_names, request.ip_addresses, request.other_names), (1, 0, 0));
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let usages = ["client auth", "digital signature"];
        let life = SignedDuration::from_hours(1);
        let der = issue(&request, &usages, life, (&certificate, &key), now).unwrap();
        let (rest, issued) = X509Certificate::from_der(&der).unwrap();
        assert!(rest.is_empty());
        let (_, authority) = X509Certificate::from_der(&certificate).unwrap();
        issued.verify_signature(Some(authority.public_key())).unwrap();
        assert_eq!(issued.validity().not_after.timestamp(), now.as_second() + 3600);
        assert!(!issued.is_ca());
        let usage = issued.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth);
        assert!(issued.key_usage().unwrap().unwrap().value.digital_signature());
        assert_eq!(issued.subject_alternative_name().unwrap().unwrap().value.general_names.len(), 1);
        let user = crate::auth::user_of_certificate(&CertificateDer::from(der.clone())).unwrap();
        assert_eq!((user.name.as_str(), user.groups[0].as_str()), ("jane", "dev"));
    }

    #[test]
    fn no_certificate_outlives_its_authority() {
        let (certificate, key) = authority();
        let request = Request::parse(asked("jane", "dev", None).as_bytes()).unwrap();
        let life = SignedDuration::from_hours(24 * 365 * 100);
        let der = issue(&request, &[], life, (&certificate, &key), Timestamp::now()).unwrap();
        let (_, issued) = X509Certificate::from_der(&der).unwrap();
        let (_, authority) = X509Certificate::from_der(&certificate).unwrap();
        assert_eq!(issued.validity().not_after.timestamp(), authority.validity().not_after.timestamp());
    }

    #[test]
    fn a_request_that_was_changed_is_not_signed() {
        let pem = asked("jane", "dev", None);
        let (block, _) = Pem::read(std::io::Cursor::new(pem.as_bytes())).unwrap();
        let at = block.contents.windows(4).position(|window| window == b"jane").unwrap();
        let mut changed = block.contents.clone();
        changed[at] = b'r';
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(changed);
        let pem = format!("-----BEGIN CERTIFICATE REQUEST-----\n{text}\n-----END CERTIFICATE REQUEST-----\n");
        assert_eq!(Request::parse(pem.as_bytes()).unwrap_err(), RequestError::Signature);
        assert_eq!(Request::parse(b"nonsense").unwrap_err(), RequestError::Pem);
    }
}
