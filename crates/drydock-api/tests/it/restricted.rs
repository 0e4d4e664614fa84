//! Real kubectl in the hands of somebody with few rights, who got in with a certificate they asked for.

use crate::kubectl::{Kubectl, found, kubectl};
use crate::{serve, world};

/// A kubeconfig for the certificate and key in the same folder.
fn kubeconfig(kubectl: &Kubectl, port: u16) -> String {
    let home = kubectl.home.display();
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: c\n  cluster:\n    \
         server: https://127.0.0.1:{port}\n    certificate-authority: {home}/ca.crt\ncontexts:\n- name: c\n  context:\n    \
         cluster: c\n    user: jane\nusers:\n- name: jane\n  user:\n    client-certificate: {home}/jane.crt\n    \
         client-key: {home}/jane.key\n"
    )
}

/// A request for `CN=jane, O=dev` with its key beside it.
fn request(kubectl: &Kubectl) -> String {
    use base64::Engine as _;
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "jane");
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "dev");
    let pem = params.serialize_request(&key).unwrap().pem().unwrap();
    std::fs::write(kubectl.home.join("jane.key"), key.serialize_pem()).unwrap();
    format!(
        "apiVersion: certificates.k8s.io/v1\nkind: CertificateSigningRequest\nmetadata: {{ name: jane }}\nspec:\n  \
         signerName: kubernetes.io/kube-apiserver-client\n  usages: [client auth]\n  request: {}\n",
        base64::engine::general_purpose::STANDARD.encode(pem)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_lets_a_certificates_owner_do_what_roles_grant_and_no_more() {
    use base64::Engine as _;
    for program in found() {
        let world = world().await;
        let (port, _shutdown) = serve(&world).await;
        let admin = kubectl(&world, &program, port).await;
        let write = |name: &str, text: &str| std::fs::write(admin.home.join(name), text).unwrap();
        write("csr.yaml", &request(&admin));
        write("ca.crt", world.pki.ca_pem());
        write("jane", &kubeconfig(&admin, port));
        let home = admin.home.display().to_string();

        admin.expect(&format!("apply -f {home}/csr.yaml"), "created").await;
        admin.expect("get csr jane", "Pending").await;
        admin.expect("certificate approve jane", "approved").await;
        admin.expect("get csr jane", "Approved,Issued").await;
        let (_, certificate) = admin.run("get csr jane -o jsonpath={.status.certificate}").await;
        let certificate = base64::engine::general_purpose::STANDARD.decode(certificate.trim()).unwrap();
        write("jane.crt", &String::from_utf8(certificate).unwrap());
        admin.expect("create role pods --verb=get,list,create --resource=pods", "created").await;
        admin.expect("create rolebinding dev --role=pods --group=dev", "created").await;
        admin.expect("create role roles --verb=create --resource=roles,rolebindings", "created").await;
        admin.expect("create rolebinding jane --role=roles --user=jane", "created").await;

        let jane = |line: &str| {
            let line = format!("--kubeconfig {home}/jane {line}");
            let admin = &admin;
            async move { admin.run(&line).await }
        };
        let refused = |outcome: (bool, String), expect: &str| {
            assert!(!outcome.0 && outcome.1.contains(expect), "{expect:?} is missing:\n{}", outcome.1);
        };
        let allowed = |outcome: (bool, String), expect: &str| {
            assert!(outcome.0 && outcome.1.contains(expect), "{expect:?} is missing:\n{}", outcome.1);
        };
        allowed(jane("get pods").await, "No resources found in default namespace.");
        allowed(jane("auth can-i list pods").await, "yes");
        refused(jane("auth can-i delete pods").await, "no");
        allowed(jane("auth can-i --list").await, "selfsubjectaccessreviews.authorization.k8s.io");
        refused(
            jane("get secrets").await,
            "Error from server (Forbidden): secrets is forbidden: User \"jane\" cannot list resource \"secrets\" in API \
             group \"\" in the namespace \"default\"",
        );
        refused(jane("get pods -n kube-system").await, "in the namespace \"kube-system\"");
        refused(jane("get nodes").await, "at the cluster scope");
        allowed(jane("create role less --verb=get --resource=pods").await, "created");
        refused(
            jane("create role more --verb=delete --resource=pods").await,
            "is attempting to grant RBAC permissions not currently held:",
        );
        refused(
            jane("create rolebinding more --clusterrole=cluster-admin --user=jane").await,
            "{APIGroups:[\"*\"], Resources:[\"*\"], Verbs:[\"*\"]}",
        );
        refused(jane("get pods --as root").await, "User \"jane\" cannot impersonate");
        allowed(admin.run("get pods --as jane --as-group dev").await, "No resources found");
        refused(admin.run("get secrets --as jane").await, "User \"jane\" cannot list");

        admin.expect("create serviceaccount bot", "created").await;
        let (made, token) = admin
            .run("create token bot --duration=20m --audience=https://kubernetes.default.svc.cluster.local")
            .await;
        assert!(made, "{token}");
        let config = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: c\n  cluster: {{ server: \"https://127.0.0.1:{port}\", \
             certificate-authority: \"{home}/ca.crt\" }}\ncontexts:\n- name: c\n  context: {{ cluster: c, user: bot }}\nusers:\n\
             - name: bot\n  user: {{ token: \"{}\" }}\n",
            token.trim()
        );
        write("bot", &config);
        let (_, who) = admin.run(&format!("--kubeconfig {home}/bot auth whoami")).await;
        assert!(who.contains("system:serviceaccount:default:bot") && who.contains("JTI="), "{who}");
        let roles = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: { name: reconciled }\n\
                     rules:\n- { verbs: [get], apiGroups: [\"\"], resources: [pods] }\n";
        write("roles.yaml", roles);
        admin.expect(&format!("auth reconcile -f {home}/roles.yaml"), "reconciled").await;
        admin.expect("get clusterrole reconciled -o jsonpath={.rules[0].verbs}", "[\"get\"]").await;
    }
}
