//! From a compose file to a running application on Kubernetes.
fn main() {}
