//! What a container cannot do, seen from inside.

use crate::world::{world, world_of_users};

/// Fields of `/proc/self/status`, printed by bash alone.
const STATUS: &str =
    "while read a b; do case $a in Cap*|NoNewPrivs:|Seccomp:) echo $a $b;; esac; done < /proc/self/status";

#[tokio::test]
async fn root_in_a_container_has_dockers_powers_and_a_filter() {
    let Some(mut world) = world().await else { return };
    let said = world.say(STATUS).await;
    let expected = "CapInh: 0000000000000000\nCapPrm: 00000000a80425fb\nCapEff: 00000000a80425fb\n\
                    CapBnd: 00000000a80425fb\nCapAmb: 0000000000000000\nNoNewPrivs: 0\nSeccomp: 2\n";
    assert_eq!(said, expected);
    world.end().await;
}

#[tokio::test]
async fn another_user_has_no_powers_and_the_bounds_asked_for() {
    let Some(mut world) = world_of_users().await else { return };
    world.sandbox("pod").await;
    let mut spec = world.script("c", "pod", STATUS);
    spec.user.uid = Some(65534);
    spec.security.drop_capabilities = vec!["ALL".to_owned()];
    spec.security.add_capabilities = vec!["NET_BIND_SERVICE".to_owned()];
    spec.security.no_new_privs = true;
    let (said, _) = world.run(spec).await;
    let expected = "CapInh: 0000000000000000\nCapPrm: 0000000000000000\nCapEff: 0000000000000000\n\
                    CapBnd: 0000000000000400\nCapAmb: 0000000000000000\nNoNewPrivs: 1\nSeccomp: 2\n";
    assert_eq!(said, expected);
    world.end().await;
}

#[tokio::test]
async fn a_container_sees_only_itself() {
    let Some(mut world) = world().await else { return };
    let said =
        world.say("echo /proc/[0-9]*; ls /proc/self/fd | tr '\\n' ' '; echo; ls /dev | tr '\\n' ' '").await;
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "/proc/1");
    // 3 is the directory that `ls` itself reads.
    assert_eq!(lines[1], "0 1 2 3 ");
    assert_eq!(lines[2], "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero ");
    world.end().await;
}

#[tokio::test]
async fn a_read_only_root_cannot_be_written_and_its_volumes_can() {
    let Some(mut world) = world().await else { return };
    world.sandbox("pod").await;
    let script = "touch /x; touch /etc/x; touch /dev/shm/x && touch /tmp/x && echo written";
    let mut spec = world.script("c", "pod", script);
    spec.read_only_root = true;
    spec.mounts = vec![crate::volumes::tmpfs("/tmp")];
    let (said, exit) = world.run(spec).await;
    assert_eq!((said.matches("Read-only file system").count(), exit.code), (2, 0), "{said}");
    assert!(said.contains("written\n"), "{said}");
    world.end().await;
}

#[tokio::test]
async fn the_kernels_settings_cannot_be_written_and_its_secrets_are_hidden() {
    let Some(mut world) = world().await else { return };
    let script = "(echo 1 > /proc/sys/kernel/printk) 2>&1; (echo x > /sys/kernel/uevent_seqnum) 2>&1; \
                  cat /proc/interrupts /proc/timer_list; ls /sys/firmware";
    let said = world.say(script).await;
    assert_eq!(said.lines().count(), 2, "{said}");
    assert_eq!(said.matches("Read-only file system").count(), 2, "{said}");
    world.end().await;
}

#[tokio::test]
async fn a_device_that_a_container_makes_opens_nothing() {
    let Some(mut world) = world_of_users().await else { return };
    // 1:3 is /dev/null: harmless, and openable anywhere devices are allowed. Rootless it is not even made.
    let said =
        world.say("for d in / /dev/ /dev/shm/; do mknod ${d}n c 1 3; cat ${d}n && echo open; done").await;
    let refused = ["Permission denied", "Operation not permitted"].map(|words| said.matches(words).count());
    assert_eq!((refused[0] + refused[1], said.contains("open\n")), (3, false), "{said}");
    world.end().await;
}

#[tokio::test]
async fn namespaces_and_mounts_cannot_be_made() {
    let Some(mut world) = world().await else { return };
    // unshare(CLONE_NEWUSER), mount, bpf, and clone3, which must look absent rather than forbidden.
    let calls = "for my $c ([272, 0x10000000], [165, 0], [321, 0], [435, 0]) \
                 { $r = syscall($c->[0], $c->[1], 0, 0, 0, 0); print \"$r \", $!+0, \"\\n\" }";
    let said = world.say(&format!("perl -e '{calls}'")).await;
    assert_eq!(said, "-1 1\n-1 1\n-1 1\n-1 38\n");
    world.end().await;
}

#[tokio::test]
async fn the_nodes_program_cannot_be_overwritten_through_proc_self_exe() {
    let Some(mut world) = world().await else { return };
    world.sandbox("pod").await;
    // The program this container asks for is whatever executes it: the node's own, useless in there.
    let mut attacker = world.script("c", "pod", "");
    attacker.args = vec!["/proc/self/exe".to_owned()];
    assert_ne!(world.run(attacker).await.1.code, 0);
    // What it gets hold of that way lies on a mount that is read-only wherever it is reached from.
    let program = format!("/proc/{}/exe", world.client.node_pid().unwrap());
    let writable = nix::unistd::access(program.as_str(), nix::unistd::AccessFlags::W_OK);
    let rootless = world.client.ping().await.unwrap().rootless;
    let expected = if rootless { nix::errno::Errno::EACCES } else { nix::errno::Errno::EROFS };
    assert_eq!(writable, Err(expected));
    world.end().await;
}

#[tokio::test]
async fn a_link_in_the_image_cannot_lead_a_mount_outside() {
    let Some(mut world) = world().await else { return };
    world.sandbox("pod").await;
    let evil = world.dir.path().join("evil");
    std::fs::create_dir(&evil).unwrap();
    std::os::unix::fs::symlink("/../../../../../../../../../../tmp", evil.join("data")).unwrap();
    let volume = world.dir.path().join("volume");
    std::fs::create_dir(&volume).unwrap();
    std::fs::write(volume.join("file"), "inside\n").unwrap();
    let mut spec = world.script("c", "pod", "cat /tmp/file");
    spec.rootfs.layers.insert(0, evil);
    spec.mounts = vec![crate::volumes::bind(&volume, "/data")];
    assert_eq!(world.run(spec).await.0, "inside\n");
    world.end().await;
}

#[tokio::test]
async fn an_image_with_a_link_where_proc_belongs_is_refused() {
    let Some(world) = world().await else { return };
    world.sandbox("pod").await;
    let evil = world.dir.path().join("evil");
    std::fs::create_dir(&evil).unwrap();
    std::os::unix::fs::symlink("/tmp", evil.join("proc")).unwrap();
    let mut spec = world.script("c", "pod", "true");
    spec.rootfs.layers.insert(0, evil);
    let error = world.client.create_container(spec).await.unwrap_err();
    assert_eq!(error.to_string(), "the image has a symlink where /proc belongs");
    world.end().await;
}

#[tokio::test]
async fn privileged_and_root_where_forbidden_are_refused() {
    let Some(world) = world().await else { return };
    world.sandbox("pod").await;
    let mut privileged = world.script("c", "pod", "true");
    privileged.security.privileged = true;
    let error = world.client.create_container(privileged).await.unwrap_err();
    assert!(error.to_string().starts_with("privileged containers are refused"));
    let mut root = world.script("c", "pod", "true");
    root.user.must_not_be_root = true;
    let error = world.client.create_container(root).await.unwrap_err();
    assert_eq!(error.to_string(), "container has runAsNonRoot and image will run as root");
    world.end().await;
}
