//! The image store: an OCI image layout with a name on every entry.
//!
//! Several processes may use one store at a time: blobs are content-addressed and renamed into
//! place, and changes of `index.json` happen under a file lock.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use oci_spec::image::{
    Arch, Config, Descriptor, DescriptorBuilder, ImageConfiguration, ImageConfigurationBuilder, ImageIndex,
    ImageIndexBuilder, ImageManifest, ImageManifestBuilder, MediaType, Os, RootFsBuilder, Sha256Digest,
};
use rustix::fs::FlockOperation;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use crate::HealthCheck;
use crate::error::{At, Error, Result};
use crate::layer::{LayerTar, digest_text};
use crate::reference::normalize;
use crate::unpack;

const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// What an image was built from, so that an unchanged build is recognised without running it.
const INPUTS: &str = "dev.seaworthy.inputs";
/// A manifest or configuration larger than this is not one.
const MAX_DOCUMENT_BYTES: u64 = 4 << 20;

/// A store rooted at one folder. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ImageStore {
    root: PathBuf,
}

/// An image that is complete in the store.
#[derive(Debug, Clone)]
pub struct Image {
    /// Full name, e.g. `docker.io/library/redis:7-alpine`.
    pub name: String,
    /// Digest of the manifest: the identity of the image.
    pub digest: String,
    pub config: Config,
    /// Base layer first.
    pub layers: Vec<Layer>,
}

#[derive(Debug, Clone)]
pub struct Layer {
    pub digest: String,
    /// Digest of the uncompressed archive; names the unpacked folder.
    pub diff_id: String,
    pub media_type: MediaType,
    pub size_bytes: u64,
}

impl Image {
    /// Sum of the layers as they are stored.
    pub fn size_bytes(&self) -> u64 {
        self.layers.iter().map(|layer| layer.size_bytes).sum()
    }
}

/// An image to be added: layers just built, base layer first.
pub struct NewImage {
    pub name: String,
    pub layers: Vec<LayerTar>,
    pub config: Config,
    pub health: Option<HealthCheck>,
    /// Fingerprint of what the image was built from, if the builder keeps one.
    pub inputs: Option<String>,
}

impl ImageStore {
    /// Opens the store in `root`, creating an empty one if there is none.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        let blobs = root.join("blobs/sha256");
        fs::create_dir_all(&blobs).at("create", &blobs)?;
        fs::create_dir_all(root.join("tmp")).at("create", root.join("tmp"))?;
        let layout = root.join("oci-layout");
        if !layout.exists() {
            fs::write(&layout, r#"{"imageLayoutVersion":"1.0.0"}"#).at("write", &layout)?;
        }
        Ok(Self { root })
    }

    /// Folder for files that will be moved into the store.
    pub fn scratch(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// The image called `name` (any form), or `None` when the store does not have it.
    pub fn resolve(&self, name: &str) -> Result<Option<Image>> {
        let full = normalize(name)?;
        let index = self.index()?;
        let found = index.manifests().iter().find(|entry| annotation(entry, REF_NAME) == Some(full.as_str()));
        found.map(|entry| self.load(&full, entry)).transpose()
    }

    /// Every image, by name.
    pub fn list(&self) -> Result<Vec<Image>> {
        let index = self.index()?;
        let named = index.manifests().iter().filter_map(|entry| Some((annotation(entry, REF_NAME)?, entry)));
        let mut images = named.map(|(name, entry)| self.load(name, entry)).collect::<Result<Vec<_>>>()?;
        images.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(images)
    }

    /// The newest image whose name starts with `repository` and that was built from `inputs`.
    pub fn built_from(&self, repository: &str, inputs: &str) -> Result<Option<Image>> {
        let prefix = format!("{}:", normalize(repository)?.trim_end_matches(":latest"));
        let index = self.index()?;
        for entry in index.manifests().iter().rev() {
            let Some(name) = annotation(entry, REF_NAME).filter(|name| name.starts_with(&prefix)) else {
                continue;
            };
            if annotation(entry, INPUTS) == Some(inputs) {
                return self.load(name, entry).map(Some);
            }
        }
        Ok(None)
    }

    /// Adds an image built here and returns it. An image of the same name is replaced.
    pub fn add(&self, new: NewImage) -> Result<Image> {
        let diff_ids: Vec<String> = new.layers.iter().map(|layer| layer.digest.clone()).collect();
        let mut layers = Vec::new();
        for layer in new.layers {
            layers.push(descriptor(MediaType::ImageLayer, &layer.digest, layer.size)?);
            self.keep_blob(layer.file, &layer.digest)?;
        }
        let configuration = ImageConfigurationBuilder::default()
            .architecture(Arch::default())
            .os(Os::Linux)
            .config(new.config)
            .rootfs(RootFsBuilder::default().typ("layers").diff_ids(diff_ids).build()?)
            .build()?;
        let mut configuration = serde_json::to_value(configuration)?;
        if let Some(check) = &new.health {
            configuration["config"]["Healthcheck"] = serde_json::to_value(check)?;
        }
        let config = self.put_document(MediaType::ImageConfig, &configuration)?;
        let manifest = ImageManifestBuilder::default()
            .schema_version(2u32)
            .media_type(MediaType::ImageManifest)
            .config(config)
            .layers(layers)
            .build()?;
        let manifest = self.put_document(MediaType::ImageManifest, &manifest)?;
        self.tag(&new.name, manifest, new.inputs)
    }

    /// Names a manifest whose blobs are all in the store.
    pub(crate) fn tag(&self, name: &str, mut manifest: Descriptor, inputs: Option<String>) -> Result<Image> {
        let full = normalize(name)?;
        let mut notes = HashMap::from([(REF_NAME.to_owned(), full.clone())]);
        notes.extend(inputs.map(|inputs| (INPUTS.to_owned(), inputs)));
        manifest.set_annotations(Some(notes));
        let image = self.load(&full, &manifest)?;
        self.change_index(|entries| {
            entries.retain(|entry| annotation(entry, REF_NAME) != Some(full.as_str()));
            entries.push(manifest);
        })?;
        Ok(image)
    }

    /// Forgets a name. Returns whether it was there. Blobs and unpacked layers that no other name uses go too.
    pub fn remove(&self, name: &str) -> Result<bool> {
        let full = normalize(name)?;
        let mut removed = false;
        self.change_index(|entries| {
            let before = entries.len();
            entries.retain(|entry| annotation(entry, REF_NAME) != Some(full.as_str()));
            removed = entries.len() < before;
        })?;
        self.sweep()?;
        Ok(removed)
    }

    /// Overlay lower directories of `image`, top layer first; unpacks what is not unpacked yet.
    /// Blocks for as long as the disk needs.
    pub fn unpack(&self, image: &Image) -> Result<Vec<PathBuf>> {
        let unpacked = self.root.join("unpacked");
        fs::create_dir_all(&unpacked).at("create", &unpacked)?;
        let folders = image.layers.iter().map(|layer| unpack::layer(self, &unpacked, image, layer));
        folders.rev().collect()
    }

    pub(crate) fn blob_path(&self, digest: &str) -> PathBuf {
        self.root.join("blobs").join(digest.replacen(':', "/", 1))
    }

    /// Moves a complete temporary file to its place; a blob that is there already is left alone.
    pub(crate) fn keep_blob(&self, file: NamedTempFile, digest: &str) -> Result<()> {
        let path = self.blob_path(digest);
        if path.exists() {
            return Ok(());
        }
        file.persist(&path).map_err(|refused| refused.error).at("write", &path)?;
        Ok(())
    }

    pub(crate) fn put_bytes(&self, media_type: MediaType, bytes: &[u8]) -> Result<Descriptor> {
        let digest = digest_text(Sha256::new_with_prefix(bytes));
        let mut file = NamedTempFile::new_in(self.scratch()).at("create a file in", self.scratch())?;
        file.write_all(bytes).at("write", file.path())?;
        self.keep_blob(file, &digest)?;
        descriptor(media_type, &digest, bytes.len() as u64)
    }

    /// Goes through `Value`, whose maps are sorted: the same document always has the same digest.
    fn put_document(&self, media_type: MediaType, document: &impl serde::Serialize) -> Result<Descriptor> {
        let bytes = serde_json::to_vec(&serde_json::to_value(document)?)?;
        self.put_bytes(media_type, &bytes)
    }

    fn load(&self, name: &str, entry: &Descriptor) -> Result<Image> {
        let digest = entry.digest().to_string();
        let manifest: ImageManifest = self.document(&digest)?;
        let configuration: ImageConfiguration = self.document(manifest.config().digest().as_ref())?;
        let diff_ids = configuration.rootfs().diff_ids();
        if diff_ids.len() != manifest.layers().len() {
            return Err(self.damaged(format!(
                "`{name}` lists {} layers and {} diff ids",
                manifest.layers().len(),
                diff_ids.len()
            )));
        }
        let layers = manifest.layers().iter().zip(diff_ids);
        let layers = layers.map(|(layer, diff_id)| Layer {
            digest: layer.digest().to_string(),
            diff_id: diff_id.clone(),
            media_type: layer.media_type().clone(),
            size_bytes: layer.size(),
        });
        let config = configuration.config().clone().unwrap_or_default();
        Ok(Image { name: name.to_owned(), digest, config, layers: layers.collect() })
    }

    fn document<T: serde::de::DeserializeOwned>(&self, digest: &str) -> Result<T> {
        let path = self.blob_path(digest);
        let file = File::open(&path).at("open", &path)?;
        let mut bytes = Vec::new();
        file.take(MAX_DOCUMENT_BYTES).read_to_end(&mut bytes).at("read", &path)?;
        serde_json::from_slice(&bytes).map_err(|error| self.damaged(format!("blob `{digest}`: {error}")))
    }

    fn damaged(&self, what: String) -> Error {
        Error::Damaged { path: self.root.clone(), what }
    }

    fn index(&self) -> Result<ImageIndex> {
        let path = self.root.join("index.json");
        match fs::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map_err(|error| self.damaged(format!("index.json: {error}")))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => empty_index(),
            Err(source) => Err(Error::Io { action: "read", path, source }),
        }
    }

    fn change_index(&self, change: impl FnOnce(&mut Vec<Descriptor>)) -> Result<()> {
        let lock_path = self.root.join("lock");
        let lock = File::create(&lock_path).at("create", &lock_path)?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive).at("lock", &lock_path)?;
        let mut index = self.index()?;
        let mut entries = index.manifests().clone();
        change(&mut entries);
        index.set_manifests(entries);
        let path = self.root.join("index.json");
        let mut file = NamedTempFile::new_in(self.scratch()).at("create a file in", self.scratch())?;
        file.write_all(&serde_json::to_vec_pretty(&serde_json::to_value(&index)?)?)
            .at("write", file.path())?;
        file.as_file().sync_all().at("write", &path)?;
        file.persist(&path).map_err(|refused| refused.error).at("write", &path)?;
        Ok(())
    }

    /// Removes blobs and unpacked layers that no image names.
    fn sweep(&self) -> Result<()> {
        let mut used = BTreeMap::new();
        for image in self.list()? {
            let manifest: ImageManifest = self.document(&image.digest)?;
            used.insert(manifest.config().digest().to_string(), ());
            used.insert(image.digest, ());
            used.extend(image.layers.into_iter().flat_map(|layer| [(layer.digest, ()), (layer.diff_id, ())]));
        }
        for folder in ["blobs/sha256", "unpacked"] {
            let folder = self.root.join(folder);
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let path = entry.path();
                match used.contains_key(&format!("sha256:{name}")) {
                    true => continue,
                    false if path.is_dir() => fs::remove_dir_all(&path).at("remove", &path)?,
                    false => fs::remove_file(&path).at("remove", &path)?,
                }
            }
        }
        Ok(())
    }
}

fn annotation<'a>(entry: &'a Descriptor, key: &str) -> Option<&'a str> {
    entry.annotations().as_ref()?.get(key).map(String::as_str)
}

fn descriptor(media_type: MediaType, digest: &str, size: u64) -> Result<Descriptor> {
    let digest: Sha256Digest = digest.trim_start_matches("sha256:").parse()?;
    Ok(DescriptorBuilder::default().media_type(media_type).digest(digest).size(size).build()?)
}

fn empty_index() -> Result<ImageIndex> {
    Ok(ImageIndexBuilder::default().schema_version(2u32).manifests(Vec::<Descriptor>::new()).build()?)
}

impl ImageStore {
    pub fn root(&self) -> &Path {
        &self.root
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::{LayerBuilder, Owner};
    use oci_spec::image::ConfigBuilder;

    fn store() -> (tempfile::TempDir, ImageStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = ImageStore::open(folder.path()).unwrap();
        (folder, store)
    }

    fn add(store: &ImageStore, name: &str, content: &str) -> Image {
        let mut layer = LayerBuilder::new(&store.scratch()).unwrap();
        layer.bytes("hello", content.as_bytes(), 0o644, Owner::default()).unwrap();
        let config = ConfigBuilder::default().cmd(vec!["/hello".to_owned()]).build().unwrap();
        let layers = vec![layer.finish().unwrap()];
        store
            .add(NewImage { name: name.into(), layers, config, health: None, inputs: Some(content.into()) })
            .unwrap()
    }

    #[test]
    fn an_added_image_is_found_by_its_short_name() {
        let (_folder, store) = store();
        let added = add(&store, "hello:1", "hi");
        let found = store.resolve("docker.io/library/hello:1").unwrap().unwrap();
        assert_eq!(found.digest, added.digest);
        assert_eq!(found.config.cmd().as_deref(), Some(&["/hello".to_owned()][..]));
    }

    #[test]
    fn an_unknown_image_is_none_not_an_error() {
        let (_folder, store) = store();
        assert!(store.resolve("nothing").unwrap().is_none());
    }

    #[test]
    fn unchanged_inputs_are_recognised() {
        let (_folder, store) = store();
        add(&store, "hello:1", "one");
        let second = add(&store, "hello:2", "two");
        assert_eq!(store.built_from("hello", "two").unwrap().unwrap().name, second.name);
        assert!(store.built_from("hello", "three").unwrap().is_none());
        assert!(store.built_from("hell", "two").unwrap().is_none());
    }

    #[test]
    fn unpacking_gives_the_files_back() {
        let (_folder, store) = store();
        let image = add(&store, "hello:1", "hi");
        let folders = store.unpack(&image).unwrap();
        assert_eq!(fs::read_to_string(folders[0].join("hello")).unwrap(), "hi");
    }

    #[test]
    fn removing_the_last_name_frees_the_blobs() {
        let (_folder, store) = store();
        let image = add(&store, "hello:1", "hi");
        assert!(store.remove("hello:1").unwrap());
        assert!(!store.blob_path(&image.digest).exists());
        assert!(!store.remove("hello:1").unwrap());
    }

    #[test]
    fn a_damaged_index_names_the_store() {
        let (folder, store) = store();
        fs::write(folder.path().join("index.json"), "{").unwrap();
        assert!(store.list().unwrap_err().to_string().contains(&folder.path().display().to_string()));
    }
}
