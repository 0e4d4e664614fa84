//! Images of an app: build what changed, find what is named, pull what is missing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use seaworthy_app::{App, Build, HealthTest, Healthcheck, Image, Service};
use seaworthy_image::cargo_build::{self, Built, CargoImage};
use seaworthy_image::{Error, HealthCheck, ImageStore};

use crate::cx::Cx;
use crate::failure::{Failure, Kind, Or};

/// What became of the images.
#[derive(Default)]
pub struct Images {
    /// Service name to the name of the image built for it.
    pub built: BTreeMap<String, String>,
    pub rebuilt: usize,
    pub unchanged: usize,
    pub present: usize,
    pub pulled: usize,
    /// Images that stand in for the real ones, and what they hold.
    pub stand_ins: Vec<String>,
}

impl Images {
    pub fn summary(&self) -> String {
        let parts = [
            (self.rebuilt, "built"),
            (self.unchanged, "unchanged"),
            (self.present, "present"),
            (self.pulled, "pulled"),
        ];
        let told: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        told.join(", ")
    }
}

/// Sees to it that the store holds every image `app` runs.
pub async fn prepare(cx: &Cx, folder: &Path, app: &App) -> Result<Images, Failure> {
    let store = open(cx)?;
    let mut images = Images::default();
    for (context, services) in contexts(folder, app)? {
        build(cx, &store, &context, app, &services, &mut images).await?;
    }
    for service in &app.services {
        if let Image::Reference(reference) = &service.image {
            find_or_pull(cx, &store, service, reference, &mut images).await?;
        }
    }
    Ok(images)
}

pub fn open(cx: &Cx) -> Result<ImageStore, Failure> {
    ImageStore::open(cx.home.images()).or_fail(Kind::Image, "cannot open the image store")
}

/// Services to build, by folder: one run of cargo serves all of a folder.
fn contexts<'a>(folder: &Path, app: &'a App) -> Result<BTreeMap<PathBuf, Vec<&'a Service>>, Failure> {
    let mut contexts: BTreeMap<PathBuf, Vec<&Service>> = BTreeMap::new();
    for service in &app.services {
        let Image::Build(build) = &service.image else { continue };
        let context = folder.join(&build.context);
        check_builder(service, build, &context)?;
        contexts.entry(context).or_default().push(service);
    }
    Ok(contexts)
}

fn check_builder(service: &Service, build: &Build, context: &Path) -> Result<(), Failure> {
    let refuse =
        |why: String| Err(Failure::new(Kind::Image, anyhow!("cannot build `{}`: {why}", service.name)));
    match build.builder.as_deref() {
        Some("cargo") | None if context.join("Cargo.toml").is_file() => Ok(()),
        Some("cargo") | None if !context.is_dir() => {
            refuse(format!("there is no folder `{}`", context.display()))
        }
        Some("cargo") => refuse(format!("`{}` has no Cargo.toml", context.display())),
        None => refuse(format!(
            "`{}` has no Cargo.toml, and the cargo builder is the only one yet",
            context.display()
        ))
        .map_err(|failure| failure.hint("build the image elsewhere and name it with `image:`")),
        Some(other) => refuse(format!("there is no builder `{other}` yet; `cargo` is the only one")),
    }
}

async fn build(
    cx: &Cx,
    store: &ImageStore,
    context: &Path,
    app: &App,
    services: &[&Service],
    images: &mut Images,
) -> Result<(), Failure> {
    let wanted: Vec<CargoImage> = services.iter().map(|service| cargo_image(app, service)).collect();
    cx.progress.live(format!("building {}", names(services)));
    let progress = |line: &str| cx.progress.live(format!("building: {line}"));
    let built = cargo_build::build(store, context, &wanted, progress)
        .await
        .map_err(|error| Failure::new(Kind::Image, error))?;
    for (service, Built { image, reused }) in services.iter().zip(built) {
        match reused {
            true => images.unchanged += 1,
            false => images.rebuilt += 1,
        }
        images.built.insert(service.name.clone(), image.name);
    }
    Ok(())
}

fn cargo_image(app: &App, service: &Service) -> CargoImage {
    CargoImage {
        repository: repository(&app.image_name(service)).to_owned(),
        package: service.name.clone(),
        ports: service.ports.iter().map(|port| port.container).collect(),
        health: service.healthcheck.as_ref().and_then(health),
    }
}

/// A line for a shell is left out: the images have none.
fn health(check: &Healthcheck) -> Option<HealthCheck> {
    let HealthTest::Exec(command) = &check.test else { return None };
    Some(HealthCheck {
        command: command.clone(),
        interval_s: check.interval_s,
        timeout_s: check.timeout_s,
        start_period_s: check.start_period_s,
        retries: check.retries,
    })
}

/// The name without its tag: the tag of what we build is taken from its content.
pub fn repository(image: &str) -> &str {
    let last = image.rfind('/').map_or(0, |slash| slash + 1);
    image[last..].find(':').map_or(image, |colon| &image[..last + colon])
}

fn names(services: &[&Service]) -> String {
    services.iter().map(|service| service.name.as_str()).collect::<Vec<_>>().join(", ")
}

async fn find_or_pull(
    cx: &Cx,
    store: &ImageStore,
    service: &Service,
    reference: &str,
    images: &mut Images,
) -> Result<(), Failure> {
    let found = store.resolve(reference).map_err(|error| Failure::new(Kind::Image, error))?;
    let image = match found {
        Some(image) => {
            images.present += 1;
            image
        }
        None => {
            cx.progress.live(format!("pulling {reference}"));
            let pulled = seaworthy_image::pull(store, reference).await;
            images.pulled += 1;
            pulled.map_err(|error| no_image(service, reference, error))?
        }
    };
    let title = image.config.labels().as_ref().and_then(|labels| labels.get(seaworthy_image::STAND_IN_LABEL));
    images.stand_ins.extend(title.map(|what| format!("`{reference}` is a stand-in: {what}")));
    Ok(())
}

fn no_image(service: &Service, reference: &str, error: Error) -> Failure {
    let tried = format!(
        "service `{}` needs the image `{reference}`, which is not in the local store and cannot be pulled",
        service.name
    );
    Failure::new(Kind::Image, anyhow::Error::new(error).context(tried))
        .hint("check the name and the network; without a registry, `cargo xtask standins` in Seaworthy's own source prepares redis and postgres")
}
