//! Images from a registry into the store.
//!
//! Every blob is checked against its digest on the way; an image is named only when it is whole.

use std::time::Duration;

use oci_client::Client;
use oci_client::client::ClientConfig;
use oci_client::secrets::RegistryAuth;
use oci_spec::image::{MediaType, Sha256Digest};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use crate::error::{At, Error, Result};
use crate::layer::digest_text;
use crate::reference::parse;
use crate::store::{Image, ImageStore};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const READ_TIMEOUT: Duration = Duration::from_secs(30);
const MANIFESTS: &[&str] =
    &["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];

/// Pulls `name` (any form) for this machine's platform and returns it.
///
/// Waits at most 5 s for a connection and 30 s for the next byte.
pub async fn pull(store: &ImageStore, name: &str) -> Result<Image> {
    // A second installation is harmless: the first provider stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let reference = parse(name)?;
    let failed = |source| Error::Pull {
        image: name.to_owned(),
        registry: reference.resolve_registry().to_owned(),
        source: Box::new(source),
    };
    let config = ClientConfig {
        connect_timeout: Some(CONNECT_TIMEOUT),
        read_timeout: Some(READ_TIMEOUT),
        ..Default::default()
    };
    let client = Client::try_from(config).map_err(failed)?;
    let auth = RegistryAuth::Anonymous;
    let (manifest, digest, configuration) =
        client.pull_manifest_and_config(&reference, &auth).await.map_err(failed)?;
    let pinned = reference.clone_with_digest(digest.clone());
    let (raw, _) = client.pull_manifest_raw(&pinned, &auth, MANIFESTS).await.map_err(failed)?;
    if digest_text(Sha256::new_with_prefix(&raw)) != digest {
        return Err(Error::PullRefused {
            image: name.to_owned(),
            reason: "its manifest does not match its digest".into(),
        });
    }
    for layer in &manifest.layers {
        // Names a file: only a well-formed digest may.
        let _: Sha256Digest = layer.digest.trim_start_matches("sha256:").parse()?;
        if store.blob_path(&layer.digest).exists() {
            continue;
        }
        let file = NamedTempFile::new_in(store.scratch()).at("create a file in", store.scratch())?;
        let mut out = tokio::fs::File::from_std(file.reopen().at("open", file.path())?);
        client.pull_blob(&reference, layer, &mut out).await.map_err(failed)?;
        out.sync_all().await.at("write", file.path())?;
        store.keep_blob(file, &layer.digest)?;
    }
    store.put_bytes(MediaType::ImageConfig, configuration.as_bytes())?;
    let manifest = store.put_bytes(MediaType::ImageManifest, &raw)?;
    store.tag(name, manifest, None)
}
