//! What `.Capabilities` tells a template about the cluster and about Helm.

use std::rc::Rc;

use seaworthy_template::{Failure, Object, Param, Value};

/// The cluster's version and APIs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// With a leading `v`, for example `v1.36.0`.
    pub kube_version: String,
    /// `group/version` and, from a live cluster, `group/version/Kind`.
    pub api_versions: Vec<String>,
    /// The version that Helm reports about itself.
    pub helm_version: String,
}

/// The APIs Helm assumes when it asks no cluster.
const DEFAULT_APIS: &str = "v1 admissionregistration.k8s.io/v1 admissionregistration.k8s.io/v1alpha1 \
    admissionregistration.k8s.io/v1beta1 internal.apiserver.k8s.io/v1alpha1 apps/v1 apps/v1beta1 apps/v1beta2 \
    authentication.k8s.io/v1 authentication.k8s.io/v1alpha1 authentication.k8s.io/v1beta1 authorization.k8s.io/v1 \
    authorization.k8s.io/v1beta1 autoscaling/v1 autoscaling/v2 batch/v1 batch/v1beta1 certificates.k8s.io/v1 \
    certificates.k8s.io/v1beta1 certificates.k8s.io/v1alpha1 coordination.k8s.io/v1alpha2 \
    coordination.k8s.io/v1beta1 coordination.k8s.io/v1 discovery.k8s.io/v1 discovery.k8s.io/v1beta1 \
    events.k8s.io/v1 events.k8s.io/v1beta1 extensions/v1beta1 flowcontrol.apiserver.k8s.io/v1 \
    flowcontrol.apiserver.k8s.io/v1beta1 flowcontrol.apiserver.k8s.io/v1beta2 flowcontrol.apiserver.k8s.io/v1beta3 \
    lifecycle.k8s.io/v1alpha1 networking.k8s.io/v1 networking.k8s.io/v1beta1 node.k8s.io/v1 node.k8s.io/v1alpha1 \
    node.k8s.io/v1beta1 policy/v1 policy/v1beta1 rbac.authorization.k8s.io/v1 rbac.authorization.k8s.io/v1beta1 \
    rbac.authorization.k8s.io/v1alpha1 resource.k8s.io/v1 resource.k8s.io/v1beta2 resource.k8s.io/v1beta1 \
    resource.k8s.io/v1alpha3 scheduling.k8s.io/v1alpha3 scheduling.k8s.io/v1beta1 scheduling.k8s.io/v1 \
    storage.k8s.io/v1beta1 storage.k8s.io/v1 storage.k8s.io/v1alpha1 storagemigration.k8s.io/v1 \
    storagemigration.k8s.io/v1beta1 apiextensions.k8s.io/v1beta1 apiextensions.k8s.io/v1";

impl Default for Capabilities {
    fn default() -> Self {
        Capabilities {
            kube_version: "v1.37.0".into(),
            api_versions: DEFAULT_APIS.split_whitespace().map(str::to_owned).collect(),
            helm_version: "v4.3".into(),
        }
    }
}

/// A text that is no version of Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid kube version `{0}`: it should look like `1.36` or `v1.36.0`")]
pub struct BadVersion(String);

impl Capabilities {
    /// Takes a version as a person writes it, with or without `v`, with or without what vendors append.
    pub fn set_version(&mut self, version: &str) -> Result<(), BadVersion> {
        let core = version.trim_start_matches('v').split(['-', '+']).next().unwrap_or_default();
        let mut parts = core.split('.');
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if parts.clone().count() < 2 || !parts.all(is_number) {
            return Err(BadVersion(version.to_owned()));
        }
        self.kube_version = format!("v{}", version.trim_start_matches('v'));
        Ok(())
    }

    /// Major and minor version as text; empty when the version cannot be read.
    fn major_minor(&self) -> (String, String) {
        let mut parts = self.kube_version.trim_start_matches('v').split(['.', '-', '+']);
        let mut part = || parts.next().unwrap_or_default().to_owned();
        (part(), part())
    }

    /// The version without what vendors append, for constraints.
    pub fn plain_version(&self) -> String {
        let core = self.kube_version.trim_start_matches('v').split(['-', '+']).next().unwrap_or_default();
        format!("v{core}")
    }

    pub(crate) fn for_template(&self) -> Value {
        let (major, minor) = self.major_minor();
        let version =
            KubeVersion { version: self.kube_version.clone(), plain: self.plain_version(), major, minor };
        Value::Object(Rc::new(Root {
            fields: vec![
                ("KubeVersion", Value::Object(Rc::new(version))),
                ("APIVersions", Value::Object(Rc::new(ApiVersions(self.api_versions.clone())))),
                ("HelmVersion", Value::Object(Rc::new(HelmVersion(self.helm_version.clone())))),
            ],
        }))
    }
}

struct Root {
    fields: Vec<(&'static str, Value)>,
}

impl Object for Root {
    fn type_name(&self) -> &'static str {
        "*common.Capabilities"
    }

    fn kind(&self) -> &'static str {
        "ptr"
    }

    fn field(&self, name: &str) -> Option<Value> {
        self.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    }

    fn ordered(&self) -> Option<Vec<(Rc<str>, Value)>> {
        Some(self.fields.iter().map(|(name, value)| (Rc::from(*name), value.clone())).collect())
    }

    fn plain(&self) -> Value {
        Value::map(self.fields.clone())
    }
}

struct KubeVersion {
    version: String,
    plain: String,
    major: String,
    minor: String,
}

impl Object for KubeVersion {
    fn type_name(&self) -> &'static str {
        "common.KubeVersion"
    }

    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "Version" => Some(Value::str(&self.version)),
            "Major" => Some(Value::str(&self.major)),
            "Minor" => Some(Value::str(&self.minor)),
            _ => None,
        }
    }

    fn method(&self, name: &str) -> Option<&'static [Param]> {
        matches!(name, "String" | "GitVersion").then_some(&[])
    }

    fn call(&self, name: &str, _: &[Value]) -> Result<Value, Failure> {
        Ok(Value::str(if name == "String" { &self.plain } else { &self.version }))
    }

    fn plain(&self) -> Value {
        Value::map(["Version", "Major", "Minor"].map(|name| (name, self.field(name).unwrap_or_default())))
    }

    fn ordered(&self) -> Option<Vec<(Rc<str>, Value)>> {
        let names = ["Version", "Major", "Minor"];
        Some(names.map(|name| (Rc::from(name), self.field(name).unwrap_or_default())).to_vec())
    }

    fn text(&self) -> Option<String> {
        Some(self.plain.clone())
    }

    fn formatted(&self) -> Option<String> {
        Some(format!("{{{} {} {} {}}}", self.version, self.plain, self.major, self.minor))
    }
}

struct ApiVersions(Vec<String>);

impl Object for ApiVersions {
    fn type_name(&self) -> &'static str {
        "common.VersionSet"
    }

    fn kind(&self) -> &'static str {
        "slice"
    }

    fn method(&self, name: &str) -> Option<&'static [Param]> {
        (name == "Has").then_some(&[Param::Str])
    }

    fn call(&self, _: &str, args: &[Value]) -> Result<Value, Failure> {
        let wanted = args.first().and_then(Value::as_bytes).unwrap_or_default();
        Ok(Value::Bool(self.0.iter().any(|known| known.as_bytes() == wanted)))
    }

    fn plain(&self) -> Value {
        Value::strings(&self.0)
    }
}

struct HelmVersion(String);

impl Object for HelmVersion {
    fn type_name(&self) -> &'static str {
        "version.BuildInfo"
    }

    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "Version" => Some(Value::str(&self.0)),
            "GitCommit" | "GitTreeState" | "GoVersion" | "KubeClientVersion" => Some(Value::str("")),
            _ => None,
        }
    }

    fn plain(&self) -> Value {
        Value::map([("version", Value::str(&self.0))])
    }
}
