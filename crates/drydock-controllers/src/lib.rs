//! Kubernetes controllers that talk only through kube::Client.
