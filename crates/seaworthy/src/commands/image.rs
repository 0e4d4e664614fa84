//! `seaworthy image`: what the local image store holds.

use crate::cx::Cx;
use crate::failure::{Failure, Kind, Outcome};
use crate::images;
use crate::project::{self, ProjectArgs};
use crate::table;

/// Build and list images; no daemon is needed
#[derive(Debug, clap::Args)]
pub struct Image {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Build and pull the images of the app
    Build(ProjectArgs),
    /// List the images of the local store
    Ls,
    /// Pull an image from its registry
    Pull { name: String },
    /// Remove an image from the local store
    Rm { name: String },
}

impl Image {
    pub async fn run(self, cx: &mut Cx) -> Outcome {
        match self.action {
            Action::Build(args) => build(cx, &args).await,
            Action::Ls => ls(cx),
            Action::Pull { name } => pull(cx, &name).await,
            Action::Rm { name } => rm(cx, &name),
        }
    }
}

async fn build(cx: &mut Cx, args: &ProjectArgs) -> Outcome {
    let since = std::time::Instant::now();
    let project = project::load(args)?;
    let images = images::prepare(cx, &project.folder, &project.loaded.app).await?;
    cx.progress.timed("images", images.summary(), since);
    images.built.iter().for_each(|(service, image)| println!("{service}   {image}"));
    Ok(())
}

fn ls(cx: &mut Cx) -> Outcome {
    let images = images::open(cx)?.list().map_err(|error| Failure::new(Kind::Image, error))?;
    let rows: Vec<[String; 3]> = images.iter().map(row).collect();
    print!("{}", table::render(["IMAGE", "DIGEST", "SIZE"], &rows));
    Ok(())
}

fn row(image: &seaworthy_image::Image) -> [String; 3] {
    let digest = image.digest.trim_start_matches("sha256:").chars().take(12).collect();
    [image.name.clone(), digest, format!("{:.1} MB", image.size_bytes() as f64 / 1e6)]
}

async fn pull(cx: &mut Cx, name: &str) -> Outcome {
    cx.progress.live(format!("pulling {name}"));
    let image = seaworthy_image::pull(&images::open(cx)?, name)
        .await
        .map_err(|error| Failure::new(Kind::Image, error))?;
    println!("{}@{}", image.name, image.digest);
    Ok(())
}

fn rm(cx: &mut Cx, name: &str) -> Outcome {
    match images::open(cx)?.remove(name).map_err(|error| Failure::new(Kind::Image, error))? {
        true => Ok(()),
        false => Err(Failure::new(Kind::Image, anyhow::anyhow!("there is no image `{name}`"))
            .hint("`seaworthy image ls` lists them")),
    }
}
