//! The command's files: what is at `/`, and which parts of it can be changed.
use sandbox::Limits;

use crate::case::{Case, Expect, Try, check};
use crate::engine::{Engine, on_each_engine};

use Engine::{Bubblewrap, Rootless, Runc, Runsc};
use Expect::Says;
use Try::{Python, Shell};

const GUEST: &str = "these are the guest's, made by its kernel";

#[rustfmt::skip]
pub(crate) const CASES: &[Case] = &[
    Case { name: "the root has nothing else", mechanism: "pivot_root(2)",
        command: Python("print(*sorted(os.listdir('/')))"),
        expect: Says("bin dev etc home lib lib64 proc sbin tmp usr workspace"),
        differs: &[(Runsc, GUEST, Says("bin dev etc home lib lib64 proc sbin sys tmp usr workspace"))] },
    Case { name: "there is nothing above the root", mechanism: "pivot_root(2)",
        command: Python("print(os.listdir('/../../..') == os.listdir('/'), os.stat('/..').st_ino == os.stat('/').st_ino)"), expect: Says("True True"), differs: &[] },
    Case { name: "the root is read-only", mechanism: "MS_RDONLY",
        command: Shell("for d in / /usr /usr/bin /etc /bin /home /proc /sys /dev/pts; do (: > $d/x) 2>/dev/null && echo wrote $d; done; true"), expect: Says(""), differs: &[] },
    Case { name: "its own folders are writable", mechanism: "tmpfs(5), overlayfs, bind mounts",
        command: Shell("for d in /workspace /tmp /dev/shm $HOME; do echo x > $d/x && cat $d/x; done"), expect: Says("x\nx\nx\nx"), differs: &[] },
    Case { name: "modes of its own folders", mechanism: "tmpfs(5), chmod(2)",
        command: Python("print(*[oct(os.stat(d).st_mode & 0o7777) for d in ['/tmp', '/home/runner', '/workspace']])"), expect: Says("0o1777 0o700 0o755"), differs: &[] },
    Case { name: "owner of its own folders", mechanism: "user namespaces, idmapped mounts",
        command: Python("print(*[os.stat(d).st_uid for d in ['/tmp', '/home/runner', '/workspace', 'hello.txt']])"), expect: Says("1000 1000 1000 1000"), differs: &[] },
    Case { name: "files of the host belong to nobody", mechanism: "user namespaces",
        command: Python("print(os.stat('/usr/bin/env').st_uid, tried(lambda: os.chmod('/usr/bin/env', 0o777)))"), expect: Says("65534 EROFS"),
        differs: &[(Runsc, "the guest's kernel checks the owner first", Says("65534 EPERM"))] },
    Case { name: "no setuid and no device on any file system", mechanism: "MS_NOSUID, MS_NODEV",
        command: Python("print(*[d for d in ['/', '/usr', '/workspace', '/tmp', '/home/runner'] if not os.statvfs(d).f_flag & os.ST_NOSUID])"), expect: Says(""),
        differs: &[(Runsc, "the guest's kernel does not show its flags; no_new_privs and no capability are what holds", Says("/ /usr /workspace /tmp /home/runner"))] },
    Case { name: "secrets of the host are not there", mechanism: "mount namespace",
        command: Shell("cat /etc/shadow /etc/machine-id /root/.ssh/id_rsa /var/run/docker.sock 2>/dev/null; test -e /mnt; echo $?"), expect: Says("1"), differs: &[] },
    Case { name: "devices are harmless", mechanism: "a /dev made for the purpose",
        command: Python("print(*sorted(os.listdir('/dev')))"),
        expect: Says("core fd full null ptmx pts random shm stderr stdin stdout tty urandom zero"),
        differs: &[(Runc, "it has no link to /proc/kcore", Says("fd full null ptmx pts random shm stderr stdin stdout tty urandom zero")),
                   (Runsc, GUEST, Says("fd full fuse net null ptmx pts random shm stderr stdin stdout tty urandom zero"))] },
    Case { name: "no block device", mechanism: "raw disks",
        command: Python("print([n for n in os.listdir('/dev') if os.path.exists('/dev/' + n) and stat.S_ISBLK(os.stat('/dev/' + n).st_mode)])"), expect: Says("[]"), differs: &[] },
    Case { name: "device nodes cannot be made", mechanism: "mknod(2), CAP_MKNOD",
        command: Python("print(tried(lambda: os.mknod('d', stat.S_IFBLK | 0o666, os.makedev(8, 0))), tried(lambda: os.mknod('c', stat.S_IFCHR | 0o666, os.makedev(1, 1))))"), expect: Says("EPERM EPERM"), differs: &[(Bubblewrap, "Landlock is asked first", Says("EACCES EACCES"))] },
    Case { name: "FIFOs and sockets can be made", mechanism: "mknod(2)",
        command: Python("os.mkfifo('f'); s = socket.socket(socket.AF_UNIX); s.bind('s'); print(*sorted(os.listdir('.')))"), expect: Says("f hello.txt s src"), differs: &[] },
    Case { name: "programs in the home are found", mechanism: "PATH",
        command: Shell("mkdir -p ~/.local/bin; printf '#!/bin/sh\necho own' > ~/.local/bin/tool; chmod +x ~/.local/bin/tool; tool"), expect: Says("own"), differs: &[] },
    Case { name: "FIFOs and sockets work in /tmp", mechanism: "unix(7), fifo(7)",
        command: Python("s = socket.socket(socket.AF_UNIX); s.bind('/tmp/s'); s.listen(); c = socket.socket(socket.AF_UNIX); c.connect('/tmp/s'); a, _ = s.accept(); c.send(b'sent'); os.mkfifo('/tmp/f'); f = os.open('/tmp/f', os.O_RDWR); os.write(f, b' and written'); print((a.recv(9) + os.read(f, 99)).decode())"), expect: Says("sent and written"), differs: &[] },
    Case { name: "files without a name can be made in /tmp", mechanism: "O_TMPFILE, unlink(2)",
        command: Python("import tempfile; f = tempfile.TemporaryFile(); f.write(b'x' * 99999); f.flush(); print(os.fstat(f.fileno()).st_size, os.listdir('/tmp'))"), expect: Says("99999 []"), differs: &[] },
    Case { name: "files cannot be made to stay", mechanism: "FS_IOC_SETFLAGS: immutable and append-only files cannot be removed",
        command: Python("\nimport fcntl, struct\ndef flag(path, bit):\n    with open(path, 'w') as f: fcntl.ioctl(f, 0x40086602, struct.pack('l', bit))\nprint(*[tried(lambda: flag(path, bit)) for path in ['/tmp/x', 'x'] for bit in [0x10, 0x20]])"), expect: Says("EPERM EPERM EPERM EPERM"),
        differs: &[(Runsc, "the guest's kernel knows no such flags", Says("ENOTTY ENOTTY ENOTTY ENOTTY"))] },
    Case { name: "/tmp is apart from the workspace", mechanism: "rename(2) and link(2) over mounts",
        command: Python("open('a', 'w'); open('/tmp/b', 'w'); print(tried(lambda: os.rename('a', '/tmp/a')), tried(lambda: os.link('/tmp/b', 'b')), os.listdir('/tmp/..') == os.listdir('/'))"), expect: Says("EXDEV EXDEV True"), differs: &[] },
    Case { name: "files of the host cannot be linked", mechanism: "hard links over mounts",
        command: Python("print(tried(lambda: os.link('/usr/bin/env', '/workspace/env')) != 'ok')"), expect: Says("True"), differs: &[] },
    Case { name: "kernel memory cannot be read", mechanism: "/proc/kcore, /dev/mem",
        command: Shell("head -c1 /proc/kcore /dev/mem /dev/kmem /dev/port 2>/dev/null | grep -v '==>' | wc -c"), expect: Says("0"), differs: &[] },
    Case { name: "the kernel's log cannot be read", mechanism: "syslog(2), /proc/kmsg",
        command: Shell("dmesg >/dev/null 2>&1 && echo read; timeout 1 head -c1 /proc/kmsg 2>/dev/null | wc -c"), expect: Says("0"),
        differs: &[(Runsc, "the guest's kernel has a log of its own", Says("read\n0"))] },
    Case { name: "keys of others cannot be seen", mechanism: "keyrings are not namespaced: CVE-2016-0728",
        command: Python("keys = open('/proc/keys').read() if os.path.exists('/proc/keys') else ''; print([k for k in keys.splitlines() if ' 0 ' in k.split('keyring')[0][-12:]])"), expect: Says("[]"), differs: &[] },
    Case { name: "timers and scheduler of the host cannot be seen", mechanism: "masked paths: CVE-2025-31133, CVE-2025-52565",
        command: Shell("cat /proc/timer_list /proc/sched_debug /proc/latency_stats /proc/scsi/scsi 2>/dev/null | wc -c"), expect: Says("0"), differs: &[] },
    Case { name: "kernel tunables are read-only", mechanism: "sysctl: CVE-2019-16884, CVE-2025-52881",
        command: Shell("for f in kernel/core_pattern kernel/modprobe kernel/sysrq kernel/hostname vm/overcommit_memory net/ipv4/ip_forward fs/suid_dumpable user/max_user_namespaces; do (echo 1 > /proc/sys/$f) 2>/dev/null && echo wrote $f; done; true"), expect: Says(""), differs: &[] },
    Case { name: "the machine cannot be rebooted by a file", mechanism: "/proc/sysrq-trigger: CVE-2025-31133",
        command: Shell("(echo h > /proc/sysrq-trigger) 2>/dev/null && echo wrote; true"), expect: Says(""), differs: &[] },
    Case { name: "security labels cannot be changed by a file", mechanism: "/proc/self/attr: CVE-2019-16884, CVE-2025-52881",
        command: Shell("for f in current exec; do (echo unconfined > /proc/self/attr/$f) 2>/dev/null && echo wrote $f; done; true"), expect: Says(""), differs: &[] },
    Case { name: "the program that runs cannot be overwritten", mechanism: "/proc/self/exe: CVE-2019-5736",
        command: Python("print({tried(lambda: open(f'/proc/{p}/exe', 'r+b')) != 'ok' for p in [*filter(str.isdigit, os.listdir('/proc')), 'self']})"), expect: Says("{True}"), differs: &[] },
    Case { name: "no program of the engine can be reached", mechanism: "/proc/<pid>/exe: CVE-2019-5736",
        command: Python("print({os.path.basename(os.path.realpath(f'/proc/{p}/exe')) for p in os.listdir('/proc') if p.isdigit()} & {'bwrap', 'runc', 'runsc', 'crownest-sandbox'})"), expect: Says("set()"), differs: &[] },
    Case { name: "no control group can be made", mechanism: "release_agent: CVE-2022-0492",
        command: Shell("for d in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir $d/x 2>/dev/null && echo made $d/x; done; mkdir c; mount -t cgroup -o memory none c 2>/dev/null && echo mounted; true"), expect: Says(""), differs: &[] },
    Case { name: "control groups of the host are not named", mechanism: "cgroup namespace",
        command: Shell("grep -v ':/$' /proc/self/cgroup; true"), expect: Says(""), differs: &[] },
    Case { name: "firmware and devices cannot be changed", mechanism: "sysfs",
        command: Shell("for f in /sys/kernel/uevent_helper /sys/power/state /sys/class/mem /sys/firmware; do (: > $f) 2>/dev/null && echo wrote $f; done; true"), expect: Says(""), differs: &[] },
    Case { name: "magic links lead nowhere", mechanism: "/proc/<pid>/root: CVE-2024-21626",
        command: Python("print({p for p in os.listdir('/proc') if p.isdigit() and tried(lambda: os.listdir(f'/proc/{p}/root/root')) == 'ok'}, os.listdir('/proc/self/root') == os.listdir('/'))"), expect: Says("set() True"), differs: &[] },
    Case { name: "changes do not reach the cached tree", mechanism: "overlayfs: CVE-2023-0386",
        command: Shell("echo changed > hello.txt && rm -r src && cat hello.txt"), expect: Says("changed"), differs: &[] },
    Case { name: "the next run starts from the archive", mechanism: "overlayfs",
        command: Shell("cat hello.txt src/main.c"), expect: Says("hello\nint main;"), differs: &[] },
    Case { name: "folders of the archive can be renamed", mechanism: "overlayfs redirect_dir",
        command: Shell("mv src renamed && cat renamed/main.c"), expect: Says("int main;"), differs: &[] },
    Case { name: "folders of the archive can be renamed in one step", mechanism: "rename(2), overlayfs redirect_dir",
        command: Python("print(tried(lambda: os.rename('src', 'renamed')))"), expect: Says("ok"),
        differs: &[(Rootless, "overlayfs without privilege has no redirects: `mv` copies", Says("EXDEV"))] },
];

async fn what_the_command_finds(engine: Engine) {
    check(engine, CASES, Limits::default()).await;
}

on_each_engine!(what_the_command_finds);
