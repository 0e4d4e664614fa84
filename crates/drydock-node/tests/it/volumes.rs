//! Volumes in containers: config that changes at once, shared memory, directories with owners.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use drydock_node::protocol::{DirSpec, Mount, MountSource, VolumeContent, VolumeFile};

use crate::world::{world, world_of_users};

pub fn bind(path: &Path, target: &str) -> Mount {
    let source = MountSource::Bind { path: path.to_owned(), sub_path: None };
    Mount { target: target.into(), source, read_only: false }
}

pub fn tmpfs(target: &str) -> Mount {
    let source = MountSource::Tmpfs { size_bytes: Some(1 << 20), mode: 0o1777 };
    Mount { target: target.into(), source, read_only: false }
}

fn config(text: &str) -> VolumeContent {
    let file = VolumeFile { path: "app.conf".to_owned(), mode: 0o440, uid: None, bytes: text.into() };
    VolumeContent { volume: "pod/config".to_owned(), files: vec![file], fs_group: Some(2000) }
}

#[tokio::test]
async fn config_arrives_and_its_change_too() {
    let Some(world) = world_of_users().await else { return };
    world.sandbox("pod").await;
    let path = world.client.write_volume(config("one\n")).await.unwrap();
    let mut spec = world.script("c", "pod", "sleep 100");
    spec.mounts = vec![Mount { read_only: true, ..bind(&path, "/config") }];
    spec.user.uid = Some(1000);
    spec.user.extra_groups = vec![2000];
    world.start(spec).await;
    let read = async || String::from_utf8(world.exec("c", "cat /config/app.conf").await.output).unwrap();
    assert_eq!(read().await, "one\n");
    world.client.write_volume(config("two\n")).await.unwrap();
    assert_eq!(read().await, "two\n");
    assert!(!path.exists(), "a secret is not on the host's disk");
    let written = world.exec("c", "echo x > /config/app.conf").await;
    assert_ne!(written.exit.code, 0);
    world.client.remove_volume("pod").await.unwrap();
    world.end().await;
}

#[tokio::test]
async fn containers_of_a_pod_share_a_memory_volume() {
    let Some(mut world) = world().await else { return };
    world.sandbox("pod").await;
    let path = world.client.make_tmpfs("pod/cache", Some(1 << 20), None).await.unwrap();
    let mut writer =
        world.script("a", "pod", "echo shared > /cache/file; head -c 2000000 /dev/zero > /cache/big");
    writer.mounts = vec![bind(&path, "/cache")];
    let (said, _) = world.run(writer).await;
    assert!(said.contains("No space left"), "{said}");
    let mut reader = world.script("b", "pod", "cat /cache/file");
    reader.mounts = vec![bind(&path, "/cache")];
    assert_eq!(world.run(reader).await.0, "shared\n");
    world.client.remove_volume("pod/cache").await.unwrap();
    world.end().await;
}

#[tokio::test]
async fn a_sub_path_is_made_when_missing_and_cannot_leave_the_volume() {
    let Some(mut world) = world().await else { return };
    world.sandbox("pod").await;
    let volume = world.dir.path().join("volume");
    std::fs::create_dir(&volume).unwrap();
    std::os::unix::fs::symlink("/etc", volume.join("escape")).unwrap();
    let with = |sub: &str| Mount {
        target: "/data".into(),
        source: MountSource::Bind { path: volume.clone(), sub_path: Some(sub.to_owned()) },
        read_only: false,
    };
    let mut spec = world.script("a", "pod", "touch /data/made");
    spec.mounts = vec![with("a/b")];
    world.run(spec).await;
    assert!(volume.join("a/b/made").exists());
    let mut spec = world.script("b", "pod", "ls /data");
    spec.mounts = vec![with("escape")];
    assert!(!world.client.create_container(spec).await.is_ok_and(|_| volume.join("etc/passwd").exists()));
    let mut spec = world.script("d", "pod", "ls /data");
    spec.mounts = vec![with("../..")];
    let error = world.client.create_container(spec).await.unwrap_err();
    assert_eq!(error.to_string(), "sub-path `../..` leaves the volume");
    world.end().await;
}

#[tokio::test]
async fn a_directory_gets_its_owner_and_group() {
    let Some(world) = world_of_users().await else { return };
    let path = world.dir.path().canonicalize().unwrap().join("volumes/claim");
    let spec = DirSpec { path: path.clone(), mode: 0o777, uid: None, gid: None, fs_group: Some(70) };
    world.client.make_dir(spec.clone()).await.unwrap();
    let about = std::fs::metadata(&path).unwrap();
    // Rootless the host knows the group by another number.
    let rootless = world.client.ping().await.unwrap().rootless;
    assert!(rootless || about.gid() == 70, "{}", about.gid());
    assert_eq!(about.mode() & 0o7777, 0o2777);
    let error = world.client.make_dir(DirSpec { path: "/etc/x".into(), ..spec }).await.unwrap_err();
    assert_eq!(error.to_string(), "`/etc/x` is not inside the node's folder");
    world.client.remove_dir(&path).await.unwrap();
    assert!(!path.exists());
    assert!(world.client.remove_dir(world.dir.path()).await.is_err());
    world.end().await;
}

#[tokio::test]
async fn dev_shm_is_the_pods() {
    let Some(mut world) = world().await else { return };
    world.sandbox("pod").await;
    world.run(world.script("a", "pod", "echo mine > /dev/shm/x")).await;
    assert_eq!(world.run(world.script("b", "pod", "cat /dev/shm/x")).await.0, "mine\n");
    world.end().await;
}
