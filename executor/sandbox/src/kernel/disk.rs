//! A file system of its own for what the runs of one slot write: as large as the limit and no larger, so that "disk full"
//! is the kernel's word, and on every kernel and file system of the host (quotas need support of both).
//!
//! It is an ext4 without journal on a loop device over a sparse file that has no name. Nothing of it is attached to the
//! host's mounts: it lives as long as the executor holds it, and the kernel takes all of it apart when the executor is
//! gone, however that happens. Space that a run frees goes back to the host (`discard`).
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
};

/// `linux/loop.h`
const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4c82;
const LOOP_CONFIGURE: libc::Ioctl = 0x4c0a;
/// The device is freed with its last user.
const LO_FLAGS_AUTOCLEAR: u32 = 4;
/// Tries to get a loop device: another process may take the one that we were offered.
const ATTEMPTS: usize = 32;
/// Bytes per inode: as many files as mkfs.ext4 allows by default.
pub(crate) const BYTES_PER_INODE: u64 = 16_384;
/// A disk with less free space counts as full: the file system itself needs some.
const FULL_BELOW_BYTES: u64 = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Disk {
    /// The root of a mount that is attached nowhere.
    root: OwnedFd,
    device: PathBuf,
    /// Bytes that the empty file system uses.
    empty_bytes: u64,
}

/// Disk space that a run had taken when it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskUsage {
    pub used_bytes: u64,
    /// The limit was reached.
    pub is_full: bool,
    pub kept: Kept,
}

/// The mechanism that keeps a disk limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// "Full" means that no space, or no inode, was left.
    ByFileSystem,
    /// "Full" means that there was more than the limit: at the end, or (`ended_run`) so that the run was ended for it.
    ByMeasuring { ended_run: bool },
}

/// `struct loop_config`, of which only the first members and the flags matter here.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    /// `struct loop_info64` up to `lo_flags`.
    numbers: [u64; 5],
    number: [u32; 3],
    flags: u32,
    /// Names, key, init.
    rest: [u64; 22],
    reserved: [u64; 8],
}

impl Disk {
    /// Makes the file system, which takes some 30 ms and a few hundred KiB of the host's disk. Blocking.
    pub(crate) fn create(folder: &Path, bytes: u64) -> io::Result<Self> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let image = rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR)?;
        rustix::fs::ftruncate(&image, bytes)?;
        let (device, held) = attach(&image)?;
        make_file_system(&device)?;
        let root = mount(&device, &["discard", "noinit_itable"])?;
        drop(held);
        let mut disk = Self { root, device, empty_bytes: 0 };
        disk.empty_bytes = disk.usage()?.used_bytes;
        Ok(disk)
    }

    /// The block device, for further mounts of the same file system.
    pub(crate) fn device(&self) -> &Path {
        &self.device
    }

    /// A folder in it, as a path that works in this process.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.root.as_raw_fd()))
    }

    pub(crate) fn usage(&self) -> io::Result<DiskUsage> {
        let state = rustix::fs::fstatvfs(&self.root)?;
        let free_bytes = state.f_bfree * state.f_frsize;
        let used_bytes = (state.f_blocks * state.f_frsize).saturating_sub(free_bytes);
        Ok(DiskUsage {
            used_bytes: used_bytes.saturating_sub(self.empty_bytes),
            is_full: state.f_bavail * state.f_frsize < FULL_BELOW_BYTES || state.f_ffree == 0,
            kept: Kept::ByFileSystem,
        })
    }
}

/// The file system on `device`, which is mounted already or needs `options`; attached nowhere.
pub(crate) fn mount(device: &Path, options: &[&str]) -> io::Result<OwnedFd> {
    let context = fsopen("ext4", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let context = context.as_fd();
    fsconfig_set_string(context, "source", device)?;
    for option in options {
        fsconfig_set_flag(context, *option)?;
    }
    fsconfig_create(context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID;
    Ok(fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// A loop device over the image. It goes when the descriptor is closed, unless something is mounted from it.
fn attach(image: &OwnedFd) -> io::Result<(PathBuf, File)> {
    let open = |path: &Path| OpenOptions::new().read(true).write(true).open(path);
    let control = open(Path::new("/dev/loop-control"))?;
    let config = LoopConfig {
        fd: u32::try_from(image.as_raw_fd()).map_err(io::Error::other)?,
        block_size: 0,
        numbers: [0; 5],
        number: [0; 3],
        flags: LO_FLAGS_AUTOCLEAR,
        rest: [0; 22],
        reserved: [0; 8],
    };
    for _ in 0..ATTEMPTS {
        // SAFETY: takes no argument.
        #[expect(unsafe_code, reason = "ioctl")]
        let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) };
        if number < 0 {
            return Err(io::Error::last_os_error());
        }
        let device = PathBuf::from(format!("/dev/loop{number}"));
        let file = open(&device)?;
        // SAFETY: reads a `struct loop_config`, which `config` is laid out as, and which outlives the call.
        #[expect(unsafe_code, reason = "ioctl")]
        let result = unsafe { libc::ioctl(file.as_raw_fd(), LOOP_CONFIGURE, &raw const config) };
        if result == 0 {
            return Ok((device, file));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::ResourceBusy {
            return Err(error);
        }
    }
    Err(io::Error::other("no free loop device"))
}

fn make_file_system(device: &Path) -> io::Result<()> {
    let output = Command::new("mkfs.ext4")
        .args(["-q", "-F", "-m", "0", "-i", &BYTES_PER_INODE.to_string(), "-O", "^has_journal,^resize_inode"])
        .args(["-E", "lazy_itable_init=1,nodiscard"])
        .arg(device)
        .env_clear()
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| io::Error::other(format!("mkfs.ext4 (Debian: e2fsprogs): {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("mkfs.ext4: {}: {}", output.status, complaint.trim())))
}

#[cfg(test)]
mod tests {
    use super::LoopConfig;

    #[test]
    fn the_configuration_has_the_size_that_the_kernel_reads() {
        assert_eq!(size_of::<LoopConfig>(), 304);
        assert_eq!(std::mem::offset_of!(LoopConfig, flags), 8 + 52);
    }
}
