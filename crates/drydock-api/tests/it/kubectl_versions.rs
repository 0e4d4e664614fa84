//! What differs between versions of kubectl: protobuf bodies, and which OpenAPI document they validate and explain with.
//!
//! One short round per version that the machine has, each in a namespace of its own.

use crate::kubectl::{Kubectl, found_versions, kubectl};
use crate::{serve, world};

const ALL: &[&str] = &["1.27", "1.28", "1.29", "1.30", "1.31", "1.32", "1.33"];

const MANIFEST: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: { name: settings }
data: { color: red }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: main, image: "example/web:1", ports: [{ containerPort: 8080 }] }] }
"#;

/// Generators and what they print. Newer versions send all of these as protobuf.
const GENERATORS: &[(&str, &str)] = &[
    ("create configmap made --from-literal=a=b", "configmap/made created"),
    ("create secret generic made --from-literal=a=b", "secret/made created"),
    ("create deployment made --image=example/a --replicas=0", "deployment.apps/made created"),
    ("create job made --image=example/a", "job.batch/made created"),
    ("create ingress made --rule=example.com/*=web:80", "ingress.networking.k8s.io/made created"),
    ("create role made --verb=get --resource=pods", "role.rbac.authorization.k8s.io/made created"),
    ("create rolebinding made --role=made --user=u", "rolebinding.rbac.authorization.k8s.io/made created"),
    ("create quota made --hard=pods=3", "resourcequota/made created"),
    ("create serviceaccount made", "serviceaccount/made created"),
    ("create token made", "eyJ"),
    ("create service clusterip made --tcp=80:80", "service/made created"),
    (
        "create poddisruptionbudget made --selector=a=b --min-available=1",
        "poddisruptionbudget.policy/made created",
    ),
    ("run made --image=example/a", "pod/made created"),
    ("autoscale deployment made --max=3", "horizontalpodautoscaler.autoscaling/made autoscaled"),
    ("create configmap dry --from-literal=a=b --dry-run=server", "configmap/dry created (server dry run)"),
    ("auth can-i create pods", "yes"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_version_of_kubectl_creates_applies_validates_and_explains() {
    let world = world().await;
    let (port, _shutdown) = serve(&world).await;
    for program in found_versions(ALL) {
        round(&kubectl(&world, &program, port).await).await;
    }
}

async fn round(kubectl: &Kubectl) {
    let namespace = kubectl.name().replace('.', "-");
    kubectl.expect(&format!("create namespace {namespace}"), "created").await;
    kubectl.expect(&format!("config set-context --current --namespace {namespace}"), "modified").await;
    for (line, expect) in GENERATORS {
        kubectl.expect(line, expect).await;
    }
    // A zero that was said is kept: only a decoder that knows pointers tells it from silence.
    kubectl.expect("get deployment made -o jsonpath={.spec.replicas}", "0").await;
    let file = kubectl.write("app.yaml", MANIFEST);
    kubectl.expect(&format!("apply -f {file}"), "deployment.apps/web created").await;
    kubectl.expect(&format!("apply -f {file}"), "deployment.apps/web unchanged").await;
    let changed = kubectl.write("changed.yaml", &MANIFEST.replace("color: red", "color: blue"));
    let (_, text) = kubectl.run(&format!("diff -f {changed}")).await;
    assert!(text.contains("+  color: blue"), "{}: {text}", kubectl.name());
    kubectl.expect(&format!("apply -f {changed}"), "configmap/settings configured").await;
    kubectl.expect(&format!("apply --server-side --force-conflicts -f {file}"), "serverside-applied").await;
    let wrong = kubectl.write("wrong.yaml", &MANIFEST.replace("replicas: 2", "replcas: 2"));
    let (succeeded, text) = kubectl.run(&format!("apply -f {wrong}")).await;
    assert!(!succeeded && text.contains("unknown field \"spec.replcas\""), "{}: {text}", kubectl.name());
    kubectl.expect("explain deployment.spec.replicas", "Number of desired pods").await;
    kubectl.expect("api-resources", "networkpolicies").await;
    kubectl.expect("api-versions", "apps/v1").await;
    kubectl.expect(&format!("delete -f {file}"), "deleted").await;
}
