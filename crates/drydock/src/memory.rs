//! How much memory the process keeps for nothing.

/// glibc gives each thread an arena of its own and returns little of it; an engine that mostly waits is better off
/// with two for all. To be called before there are threads.
pub fn share_arenas() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `mallopt` only sets a parameter of the allocator; no other thread runs yet.
    unsafe {
        // Refused means as it was before.
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}
