//! Two runs at one time that use the same files: neither learns from it what the other does, nor gets in its way.
use sandbox::{Limits, Sandbox};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;

use crate::case::{PRELUDE, Try, attempt};
use crate::engine::{Engine, on_each_engine};
use crate::support::{DEADLINE, Machine, Outcome, collect};

/// Files and folders that all runs have, on every engine.
const SHARED: &str = "
import fcntl
shared = ['/', '/etc', '/etc/passwd', '/bin/sh', '/bin/true', '/usr', '/usr/bin', '/usr/bin/env', '/usr/lib', sys.executable,
          '/workspace', '/workspace/hello.txt', '/workspace/src', '/tmp', '/home/runner', '/proc', '/proc/self/status']
devices = ['/dev', '/dev/null', '/dev/zero', '/dev/full', '/dev/random', '/dev/urandom', '/dev/shm']
def locked(name, how):
    file = open(name, 'rb') if not os.path.isdir(name) else os.open(name, os.O_RDONLY)
    held.append(file)
    return tried(lambda: how(file))
held = []
ways = {
    'flock': lambda file: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB),
    'lease': lambda file: fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK),
    'dnotify': lambda file: fcntl.fcntl(file, fcntl.F_NOTIFY, fcntl.DN_ACCESS | fcntl.DN_MULTISHOT),
}
";

/// Watches and locks everything, then tells what it saw when it is asked to end.
const OBSERVER: &str = "
seen = []
signal.signal(signal.SIGIO, lambda *_: seen.append('dnotify'))
inotify = libc.inotify_init1(os.O_NONBLOCK)
names = {}
for name in shared + devices:
    watch = libc.inotify_add_watch(inotify, name.encode(), 0xfff)
    if watch >= 0: names[watch] = name
def events():
    try: data = os.read(inotify, 1 << 16)
    except BlockingIOError: return
    while data:
        watch, length = int.from_bytes(data[:4], 'little'), int.from_bytes(data[12:16], 'little')
        seen.append(names.get(watch, '?'))
        data = data[16 + length:]
def end(*_):
    events()
    print('seen', sorted(set(seen)), flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, end)
for name in shared + devices:
    for way in ways: locked(name, ways[way])
while events(): pass
events()
seen.clear()
print('ready', flush=True)
while True: signal.pause()
";

/// Uses and locks everything; says which locks somebody else has.
const USER: &str = "
for name in shared + devices:
    if os.path.isdir(name): os.listdir(name)
    elif name != '/dev/full': open(name, 'rb').read(1)
print(tried(lambda: subprocess.run(['/usr/bin/env', 'true'], check=True)), [n for n in shared + devices if locked(n, ways['flock']) == 'EAGAIN'])
";

async fn observer(machine: &Machine) -> (Sandbox, Receiver) {
    let env = [("SCRIPT".into(), format!("{PRELUDE}{SHARED}{OBSERVER}").into())];
    let mut sandbox = machine.start_with("exec python3 -c \"$SCRIPT\"", &env, Limits::default()).await;
    let mut stdout = sandbox.take_stdout().expect("not taken yet");
    let mut said = [0; 6];
    let read = tokio::time::timeout(DEADLINE, stdout.read_exact(&mut said)).await.expect("the observer hangs");
    assert!(
        read.is_ok() && said == *b"ready\n",
        "{}",
        String::from_utf8_lossy(&collected(sandbox, stdout, &said).await.1)
    );
    (sandbox, stdout)
}

/// Its output until its end, on both streams.
async fn collected(mut sandbox: Sandbox, mut stdout: Receiver, said: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut out, mut err) = (said.to_vec(), Vec::new());
    let mut stderr = sandbox.take_stderr().expect("not taken yet");
    let all = async { tokio::join!(stdout.read_to_end(&mut out), stderr.read_to_end(&mut err), sandbox.wait()) };
    let _ = tokio::time::timeout(DEADLINE, all).await.expect("the run hangs");
    assert!(sandbox.finish().await.cleanup.is_ok());
    (out, err)
}

async fn a_run_neither_sees_nor_stops_another(engine: Engine) {
    let machine = engine.open().await;
    let (sandbox, stdout) = observer(&machine).await;
    let script = format!("{SHARED}{USER}");
    let user: Outcome = attempt(&machine, Try::Python(Box::leak(script.into_boxed_str())), Limits::default()).await;
    sandbox.terminate().expect("a signal");
    let (out, err) = collected(sandbox, stdout, b"").await;
    let (out, err) = (String::from_utf8_lossy(&out), String::from_utf8_lossy(&err));
    // Linux opens no device of a file system that a user namespace has made: without root they are the host's.
    let devices = "'/dev/full', '/dev/null', '/dev/random', '/dev/urandom', '/dev/zero'";
    let (locks, seen) = match engine {
        Engine::Rootless => (
            "ok ['/dev/null', '/dev/zero', '/dev/full', '/dev/random', '/dev/urandom']".to_owned(),
            format!("seen [{devices}]"),
        ),
        _ => ("ok []".to_owned(), "seen []".to_owned()),
    };
    assert_eq!(user.out(), locks, "{}", user.err());
    assert_eq!(out.trim(), seen, "{err}");
}

/// The table of mounts names no folder of the executor, but for `/tmp` where there is no slot's disk.
async fn mounts_do_not_tell_where_the_executor_keeps_things(engine: Engine) {
    let machine = Machine::open_with(|config| {
        config.engine = engine.config();
        config.disk = sandbox::DiskLimit::WherePossible(64 << 20);
    })
    .await;
    let run = collect(machine.start("cat /proc/self/mountinfo").await).await;
    let folder = machine.folder.path().file_name().expect("a name").to_string_lossy().into_owned();
    let telling: Vec<String> = run.out().lines().filter(|line| line.contains(&folder)).map(str::to_owned).collect();
    let allowed = |line: &String| engine == Engine::Rootless && line.split(' ').nth(4) == Some("/tmp");
    assert!(telling.iter().all(allowed), "{telling:#?}");
}

on_each_engine!(a_run_neither_sees_nor_stops_another, mounts_do_not_tell_where_the_executor_keeps_things);
