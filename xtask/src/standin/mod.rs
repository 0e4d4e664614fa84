//! `cargo xtask standins`: images named `redis:7-alpine` and `postgres:16-alpine` for machines that reach no registry.
//!
//! They are made of Debian's own packages, fetched from whatever mirror the machine uses, and keep the contract of
//! the official images: names, ports, users, folders, entrypoints. What they are and which versions they really hold
//! is in their labels. They exist to run the example offline; nothing else may be concluded from them.
//!
//! Start at [`run`]. `apt` fetches packages, `rootfs` picks the files an image needs, `recipes` says what they are.

mod apt;
mod elf;
mod recipes;
mod rootfs;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use seaworthy_image::layer::LayerBuilder;
use seaworthy_image::{Config, ConfigBuilder, ImageStore, NewImage, STAND_IN_LABEL};

use self::apt::Packages;
use self::recipes::{RECIPES, Recipe};
use self::rootfs::Rootfs;

const ENTRYPOINT: &str = "usr/local/bin/docker-entrypoint.sh";
const USAGE: &str = "usage: cargo xtask standins [--out FOLDER] [--fresh]";

struct Options {
    /// The image store that receives them.
    out: PathBuf,
    /// Make them anew even when they are there.
    fresh: bool,
}

/// Makes the images that are missing, or were made by an older recipe.
pub fn run(args: &[String]) -> anyhow::Result<()> {
    let options = parse(args)?;
    let store = ImageStore::open(&options.out)?;
    let mut wanted = Vec::new();
    for recipe in RECIPES {
        let known = store.built_from(recipe.repository(), &recipe.fingerprint())?;
        match known.filter(|_| !options.fresh) {
            Some(image) => eprintln!("{} is there ({})", recipe.name, megabytes(image.size_bytes())),
            None => wanted.push(recipe),
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let packages = Packages::fetch(&state_home()?.join("standins"), recipes::PACKAGES)?;
    for recipe in wanted {
        make(&store, &packages, recipe)?;
    }
    Ok(())
}

fn parse(args: &[String]) -> anyhow::Result<Options> {
    let mut options = Options { out: images_folder()?, fresh: false };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--out" => options.out = PathBuf::from(args.next().context(USAGE)?),
            "--fresh" => options.fresh = true,
            other => bail!("unknown argument `{other}`\n{USAGE}"),
        }
    }
    Ok(options)
}

fn make(store: &ImageStore, packages: &Packages, recipe: &Recipe) -> anyhow::Result<()> {
    let staging = tempfile::Builder::new().prefix("standin-").tempdir_in(packages.folder())?;
    let mut rootfs = Rootfs::new(packages.root(), staging.path())?;
    rootfs.base()?;
    (recipe.fill)(&mut rootfs).with_context(|| format!("cannot put `{}` together", recipe.name))?;
    rootfs.write(ENTRYPOINT, recipe.entrypoint, 0o755)?;
    let mut layer = LayerBuilder::new(&store.scratch())?;
    let owners = rootfs.owners();
    layer.tree(staging.path(), |path| owners.get(path).copied().unwrap_or_default())?;
    let version = packages.version(recipe.package)?;
    let image = store.add(NewImage {
        name: recipe.name.to_owned(),
        layers: vec![layer.finish()?],
        config: config(recipe, &version)?,
        health: None,
        inputs: Some(recipe.fingerprint()),
    })?;
    let size = megabytes(image.size_bytes());
    eprintln!("made {}: {} {version} from Debian ({size}), a stand-in", recipe.name, recipe.software);
    Ok(())
}

fn config(recipe: &Recipe, version: &str) -> anyhow::Result<Config> {
    let label = format!("{} {version} from Debian 12 in place of `{}`", recipe.software, recipe.name);
    let labels = [
        (STAND_IN_LABEL.to_owned(), label),
        ("org.opencontainers.image.title".to_owned(), format!("stand-in for {}", recipe.name)),
        ("org.opencontainers.image.version".to_owned(), version.to_owned()),
    ];
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<String>>();
    Ok(ConfigBuilder::default()
        .env(texts(recipe.env))
        .entrypoint(vec![format!("/{ENTRYPOINT}")])
        .cmd(texts(recipe.command))
        .exposed_ports(texts(&[recipe.port]))
        .volumes(texts(&[recipe.volume]))
        .working_dir(recipe.working_dir)
        .stop_signal(recipe.stop_signal)
        .labels(labels)
        .build()?)
}

/// The image store that `seaworthy` uses.
pub fn images_folder() -> anyhow::Result<PathBuf> {
    Ok(state_home()?.join("images"))
}

fn state_home() -> anyhow::Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(home) = set("SEAWORTHY_HOME") {
        return Ok(home);
    }
    let data = match set("XDG_DATA_HOME") {
        Some(data) => data,
        None => {
            set("HOME").context("neither SEAWORTHY_HOME nor HOME is set")?.join(Path::new(".local/share"))
        }
    };
    Ok(data.join("seaworthy"))
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
