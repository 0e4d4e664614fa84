//! Keys, certificates, password hashes and AES, as Sprig makes them.
//!
//! Signatures are ring's; what ring leaves out (making RSA and DSA keys, the outer form of certificates) is in this
//! folder. Nothing here is kept: a key exists in the rendered text only.

mod certificates;
mod der;
mod keys;
mod passwords;
mod primes;

use std::rc::Rc;

use super::coding::base64_decode;
use super::{Cx, Function, Returned, f, int, items, string, text};
use crate::error::Failure;
use crate::gofmt::print;
use crate::value::Param::{Int, List, Object as ObjectParam, Str, Uint32};
use crate::value::{Object, Value};

use certificates::Request;
use keys::PrivateKey;

const CERTIFICATE: &str = "sprig.certificate";

pub const TABLE: &[Function] = &[
    f("bcrypt", &[Str], |_, a| string(passwords::bcrypt(bytes(&a[0])))),
    f("htpasswd", &[Str, Str], |_, a| {
        let user = text(&a[0]);
        match user.contains(':') {
            true => string(format!("invalid username: {user}")),
            false => string(format!("{user}:{}", passwords::bcrypt(bytes(&a[1])))),
        }
    }),
    f("derivePassword", &[Uint32, Str, Str, Str, Str], |_, a| {
        let counter = u32::try_from(int(&a[0])).unwrap_or(0);
        string(passwords::derive(counter, &text(&a[1]), bytes(&a[2]), bytes(&a[3]), bytes(&a[4])))
    }),
    f("encryptAES", &[Str, Str], |_, a| string(passwords::encrypt(bytes(&a[0]), bytes(&a[1]))?)),
    f("decryptAES", &[Str, Str], |_, a| string(passwords::decrypt(bytes(&a[0]), bytes(&a[1]))?)),
    f("genPrivateKey", &[Str], |_, a| match PrivateKey::generate(&text(&a[0]))? {
        Some(key) => string(key.to_pem()),
        None => string(format!("Unknown type {}", text(&a[0]))),
    }),
    f("buildCustomCert", &[Str, Str], |_, a| custom(bytes(&a[0]), bytes(&a[1]))),
    f("genCA", &[Str, Int], |cx, a| authority(cx, a, rsa()?)),
    f("genCAWithKey", &[Str, Int, Str], |cx, a| authority(cx, a, given(&a[2])?)),
    f("genSelfSignedCert", &[Str, List, List, Int], |cx, a| self_signed(cx, a, rsa()?)),
    f("genSelfSignedCertWithKey", &[Str, List, List, Int, Str], |cx, a| self_signed(cx, a, given(&a[4])?)),
    f("genSignedCert", &[Str, List, List, Int, ObjectParam(CERTIFICATE)], |cx, a| signed(cx, a, rsa()?)),
    f("genSignedCertWithKey", &[Str, List, List, Int, ObjectParam(CERTIFICATE), Str], |cx, a| {
        signed(cx, a, given(&a[5])?)
    }),
];

fn bytes(value: &Value) -> &[u8] {
    value.as_bytes().unwrap_or_default()
}

/// What `genCA` and its siblings return.
struct Certificate {
    cert: String,
    key: String,
}

impl Object for Certificate {
    fn type_name(&self) -> &'static str {
        CERTIFICATE
    }

    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "Cert" => Some(Value::str(&self.cert)),
            "Key" => Some(Value::str(&self.key)),
            _ => None,
        }
    }

    fn plain(&self) -> Value {
        Value::map([("Cert", Value::str(&self.cert)), ("Key", Value::str(&self.key))])
    }

    fn formatted(&self) -> Option<String> {
        Some(format!("{{{} {}}}", self.cert, self.key))
    }
}

fn certificate(cert: String, key: String) -> Returned {
    Ok(Value::Object(Rc::new(Certificate { cert, key })))
}

/// A new RSA key of the size Sprig gives certificates.
fn rsa() -> Result<PrivateKey, Failure> {
    Ok(PrivateKey::Rsa(primes::rsa_key(2048)?))
}

fn given(pem: &Value) -> Result<PrivateKey, Failure> {
    PrivateKey::from_pem(&text(pem)).map_err(|reason| format!("parsing private key: {reason}").into())
}

fn custom(cert: &[u8], key: &[u8]) -> Returned {
    let cert = base64_decode(cert).map_err(|_| "unable to decode base64 certificate")?;
    let key = base64_decode(key).map_err(|_| "unable to decode base64 private key")?;
    let (cert, key) = (String::from_utf8_lossy(&cert), String::from_utf8_lossy(&key));
    let (_, decoded) = der::from_pem(&cert).ok_or("unable to decode certificate")?;
    if certificates::Issuer::read(&decoded).is_none() {
        return Err("error parsing certificate: decodedCert.Bytes: x509: malformed certificate".into());
    }
    PrivateKey::from_pem(&key).map_err(|reason| format!("error parsing private key: {reason}"))?;
    certificate(cert.into_owned(), key.into_owned())
}

fn authority(cx: &mut Cx<'_>, args: &[Value], key: PrivateKey) -> Returned {
    let request = Request { is_authority: true, ..request(cx, &args[0], None, None, &args[1])? };
    certificate(request.issue(&key, None)?, key.to_pem())
}

fn self_signed(cx: &mut Cx<'_>, args: &[Value], key: PrivateKey) -> Returned {
    let request = request(cx, &args[0], Some(&args[1]), Some(&args[2]), &args[3])?;
    certificate(request.issue(&key, None)?, key.to_pem())
}

fn signed(cx: &mut Cx<'_>, args: &[Value], key: PrivateKey) -> Returned {
    let Value::Object(authority) = &args[4] else { return Err("unable to decode certificate".into()) };
    let field = |name| authority.field(name).map(|value| text(&value).into_owned()).unwrap_or_default();
    let (_, decoded) = der::from_pem(&field("Cert")).ok_or("unable to decode certificate")?;
    let issuer = certificates::Issuer::read(&decoded)
        .ok_or("error parsing certificate: decodedSignerCert.Bytes: x509: malformed certificate")?;
    let signer = PrivateKey::from_pem(&field("Key"))
        .map_err(|reason| format!("error parsing private key: {reason}"))?;
    let request = request(cx, &args[0], Some(&args[1]), Some(&args[2]), &args[3])?;
    certificate(request.issue(&key, Some((&issuer, &signer)))?, key.to_pem())
}

fn request(
    cx: &Cx<'_>,
    name: &Value,
    ips: Option<&Value>,
    hosts: Option<&Value>,
    days: &Value,
) -> Result<Request, Failure> {
    let list = |value: Option<&Value>| value.and_then(items).unwrap_or_default();
    let shown = |value: &Value| String::from_utf8_lossy(&print(value)).into_owned();
    let mut addresses = Vec::new();
    for ip in list(ips) {
        let Some(written) = ip.as_bytes() else {
            return Err(format!("error parsing ip: {} is not a string", shown(&ip)).into());
        };
        let written = String::from_utf8_lossy(written);
        addresses.push(written.parse().map_err(|_| format!("error parsing ip: {written}"))?);
    }
    let mut names = Vec::new();
    for host in list(hosts) {
        let Some(written) = host.as_bytes() else {
            let reason = format!("error processing alternate dns name: {} is not a string", shown(&host));
            return Err(reason.into());
        };
        names.push(String::from_utf8_lossy(written).into_owned());
    }
    let now = cx.runtime.now();
    let hours = int(days).saturating_mul(24).clamp(-8_000_000, 8_000_000);
    let until = now.checked_add(jiff::SignedDuration::from_hours(hours)).unwrap_or(now);
    Ok(Request { name: text(name).into_owned(), addresses, names, from: now, until, is_authority: false })
}

#[cfg(test)]
mod tests;
