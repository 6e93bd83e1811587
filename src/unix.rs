//! What only Unix has.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit of open descriptors to what the system allows us: every session, file and upstream connection
/// takes one.
pub fn raise_descriptor_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum && setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_err() {
        tracing::warn!(?current, ?maximum, "cannot raise the limit of open descriptors");
    }
}

/// Has the C library's allocator give memory back: two arenas instead of eight for each core, and large blocks (a
/// password check takes 19 MiB, a Graph request 4) returned as soon as they are free. To be called before any thread
/// starts. docs/performance.md has what it is worth.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "mallopt has no safe wrapper; it only sets numbers, and no thread runs yet")]
pub fn keep_memory_small() {
    const KIB: libc::c_int = 1024;
    let settings = [
        (libc::M_ARENA_MAX, 2),
        (libc::M_MMAP_THRESHOLD, 512 * KIB),
        (libc::M_TRIM_THRESHOLD, 4096 * KIB),
        (libc::M_TOP_PAD, 512 * KIB),
    ];
    for (parameter, value) in settings {
        // SAFETY: takes two integers; an unknown parameter is refused with 0, and nothing depends on it.
        let _supported = unsafe { libc::mallopt(parameter, value) };
    }
}

/// Other allocators keep their own ways.
#[cfg(not(target_env = "gnu"))]
pub fn keep_memory_small() {}
