//! Where containers get their root file systems.
//!
//! The local store first, then the registry, as `imagePullPolicy` allows. A missing image is an error that
//! says how to get it.

use std::path::PathBuf;

use futures::future::BoxFuture;
use seaworthy_image::{Image, ImageStore};

/// The most of an error that goes into a pod's status.
const MESSAGE_MAX_CHARS: usize = 1024;

/// An image ready to run: everything the agent needs to know of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadyImage {
    /// Full name, for people.
    pub name: String,
    /// `sha256:...` of the manifest.
    pub digest: String,
    pub env: Vec<(String, String)>,
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    pub user: Option<String>,
    pub working_dir: Option<PathBuf>,
    /// Such as `SIGQUIT`.
    pub stop_signal: Option<String>,
    /// Overlay lower directories, the topmost first.
    pub layers: Vec<PathBuf>,
    /// Whether it had to be fetched from a registry just now.
    pub pulled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullPolicy {
    Always,
    IfNotPresent,
    Never,
}

impl PullPolicy {
    /// The container's policy, or the default for `image`: `Always` for `:latest` or no tag.
    pub fn of(policy: Option<&str>, image: &str) -> Self {
        match policy {
            Some("Always") => PullPolicy::Always,
            Some("Never") => PullPolicy::Never,
            Some("IfNotPresent") => PullPolicy::IfNotPresent,
            _ if image.contains('@') => PullPolicy::IfNotPresent,
            _ => match image.rsplit('/').next().and_then(|last| last.split_once(':')) {
                Some((_, tag)) if tag != "latest" => PullPolicy::IfNotPresent,
                _ => PullPolicy::Always,
            },
        }
    }
}

/// Why a container has no image; the reason is what the pod's status shows.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ImageError {
    /// `ErrImagePull`, `ErrImageNeverPull` or `InvalidImageName`.
    pub reason: &'static str,
    pub message: String,
}

/// A source of images. The real one is [`StoreImages`]; tests bring their own.
pub trait Images: Send + Sync + 'static {
    fn ready(&self, name: String, policy: PullPolicy) -> BoxFuture<'_, Result<ReadyImage, ImageError>>;
}

/// The image store of `seaworthy image`, shared with the engine.
pub struct StoreImages {
    store: ImageStore,
}

impl StoreImages {
    pub fn new(store: ImageStore) -> Self {
        StoreImages { store }
    }

    /// `Always` asks the registry first, but an image built or imported here needs no registry: when the
    /// registry cannot be asked, what the store has is used, as a person offline expects.
    async fn find(&self, name: &str, policy: PullPolicy) -> Result<(Image, bool), ImageError> {
        let store = self.store.clone();
        let wanted = name.to_owned();
        let local = blocking(move || store.resolve(&wanted)).await?;
        let local = match local {
            Ok(local) => local,
            Err(error @ seaworthy_image::Error::BadReference { .. }) => {
                return Err(ImageError { reason: "InvalidImageName", message: chain(&error) });
            }
            Err(error) => return Err(pull_error(chain(&error))),
        };
        match (local, policy) {
            (Some(image), PullPolicy::Never | PullPolicy::IfNotPresent) => Ok((image, false)),
            (Some(image), PullPolicy::Always) => match seaworthy_image::pull(&self.store, name).await {
                Ok(fresh) => Ok((fresh, true)),
                Err(error) => {
                    tracing::debug!(image = name, error = %chain(&error), "using the image in the store");
                    Ok((image, false))
                }
            },
            (None, PullPolicy::Never) => Err(ImageError {
                reason: "ErrImageNeverPull",
                message: format!(
                    "image `{name}` is not in the store and its pull policy is Never; build it with `seaworthy \
                     up` or import it with `seaworthy image import`"
                ),
            }),
            (None, _) => match seaworthy_image::pull(&self.store, name).await {
                Ok(image) => Ok((image, true)),
                Err(error) => Err(pull_error(format!(
                    "image `{name}` is not in the store and cannot be pulled: {}; import it with `seaworthy \
                     image import`, or check the name and the network",
                    chain(&error)
                ))),
            },
        }
    }
}

impl Images for StoreImages {
    fn ready(&self, name: String, policy: PullPolicy) -> BoxFuture<'_, Result<ReadyImage, ImageError>> {
        Box::pin(async move {
            let (image, pulled) = self.find(&name, policy).await?;
            let store = self.store.clone();
            let (image, layers) = blocking(move || {
                let layers = store.unpack(&image);
                (image, layers)
            })
            .await?;
            let layers = layers.map_err(|error| pull_error(chain(&error)))?;
            Ok(describe(image, layers, pulled))
        })
    }
}

fn describe(image: Image, layers: Vec<PathBuf>, pulled: bool) -> ReadyImage {
    let config = &image.config;
    let env = config.env().iter().flatten().filter_map(|e| e.split_once('='));
    ReadyImage {
        env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        entrypoint: config.entrypoint().clone().unwrap_or_default(),
        cmd: config.cmd().clone().unwrap_or_default(),
        user: config.user().clone().filter(|user| !user.is_empty()),
        working_dir: config.working_dir().clone().filter(|dir| !dir.is_empty()).map(PathBuf::from),
        stop_signal: config.stop_signal().clone(),
        name: image.name,
        digest: image.digest,
        layers,
        pulled,
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ImageError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| pull_error(error.to_string()))
}

fn pull_error(message: String) -> ImageError {
    ImageError { reason: "ErrImagePull", message: message.chars().take(MESSAGE_MAX_CHARS).collect() }
}

/// An error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(policy: Option<&str>, image: &str, expect: PullPolicy) {
        assert_eq!(PullPolicy::of(policy, image), expect);
    }

    #[test]
    fn latest_is_always_pulled_and_a_tag_is_not() {
        check(None, "redis", PullPolicy::Always);
        check(None, "redis:latest", PullPolicy::Always);
        check(None, "redis:7-alpine", PullPolicy::IfNotPresent);
        check(None, "localhost:5000/redis", PullPolicy::Always);
        check(None, "redis@sha256:abc", PullPolicy::IfNotPresent);
    }
    #[test]
    fn a_stated_policy_wins() {
        check(Some("Never"), "redis:latest", PullPolicy::Never);
    }

    #[tokio::test]
    async fn a_missing_image_that_must_not_be_pulled_says_how_to_get_it() {
        let dir = std::env::temp_dir().join(format!("images-{}", std::process::id()));
        let images = StoreImages::new(ImageStore::open(&dir).unwrap());
        let error = images.ready("nothing:1".into(), PullPolicy::Never).await.unwrap_err();
        assert_eq!(error.reason, "ErrImageNeverPull");
        assert!(error.message.contains("seaworthy image import"), "{}", error.message);
        std::fs::remove_dir_all(dir).unwrap();
    }
}
