//! There is no network but a loopback device of the sandbox's own.
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};

use sandbox::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::case::{Case, Expect, PRELUDE, Try, attempt, check};
use crate::engine::{Engine, on_each_engine};
use crate::support::collect;

use Engine::Runsc;
use Expect::Says;
use Try::{Python, Shell};

const NO_ROUTE: &[(Engine, &str, Expect)] = &[(Runsc, "the guest's kernel words it so", Says("EHOSTUNREACH"))];

#[rustfmt::skip]
pub(crate) const CASES: &[Case] = &[
    Case { name: "only a loopback device", mechanism: "network namespace",
        command: Shell("tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '"), expect: Says("lo"), differs: &[] },
    Case { name: "no route to the world", mechanism: "network namespace",
        command: Python("print(tried(lambda: socket.create_connection(('192.0.2.1', 80), 2)))"), expect: Says("ENETUNREACH"), differs: NO_ROUTE },
    Case { name: "no route to the world by IPv6", mechanism: "network namespace",
        command: Python("print(tried(lambda: socket.create_connection(('2001:db8::1', 80), 2)))"), expect: Says("ENETUNREACH"), differs: NO_ROUTE },
    Case { name: "no route to the cloud's metadata", mechanism: "169.254.169.254",
        command: Python("print(tried(lambda: socket.create_connection(('169.254.169.254', 80), 2)))"), expect: Says("ENETUNREACH"), differs: NO_ROUTE },
    Case { name: "names do not resolve", mechanism: "network namespace",
        command: Python("\ntry: socket.getaddrinfo('example.com', 80)\nexcept socket.gaierror: print('unknown')"), expect: Says("unknown"), differs: &[] },
    Case { name: "its own loopback works", mechanism: "network namespace",
        command: Python("s = socket.create_server(('127.0.0.1', 0)); c = socket.create_connection(s.getsockname()); p, _ = s.accept(); c.send(b'x'); print(p.recv(1))"), expect: Says("b'x'"), differs: &[] },
    Case { name: "its own loopback works by IPv6", mechanism: "network namespace",
        command: Python("s = socket.create_server(('::1', 0), family=socket.AF_INET6); socket.create_connection(s.getsockname()[:2]); print('works')"), expect: Says("works"), differs: &[] },
    Case { name: "UNIX sockets work", mechanism: "unix(7)",
        command: Python("s = socket.socket(socket.AF_UNIX); s.bind('s'); s.listen(); c = socket.socket(socket.AF_UNIX); c.connect('s'); print('works')"), expect: Says("works"), differs: &[] },
    Case { name: "packets cannot be made", mechanism: "SOCK_RAW, CAP_NET_RAW: CVE-2020-14386",
        command: Python("print(tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)))"), expect: Says("EPERM"), differs: &[] },
    Case { name: "devices cannot be changed", mechanism: "CAP_NET_ADMIN",
        command: Python("import fcntl, struct; s = socket.socket(); print(tried(lambda: fcntl.ioctl(s, 0x8914, struct.pack('16sh', b'lo', 0))))"), expect: Says("EPERM"),
        differs: &[(Runsc, "the guest's kernel has no such call", Says("ENOTTY"))] },
];

async fn what_can_be_reached(engine: Engine) {
    check(engine, CASES, Limits::default()).await;
}

/// CVE-2020-15257: abstract sockets of the host are in its network namespace, whatever is mounted.
async fn sockets_of_the_host_cannot_be_reached(engine: Engine) {
    let machine = engine.open().await;
    let name = format!("crownest-conformance-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("an address");
    let listener = UnixListener::bind_addr(&address).expect("an abstract socket");
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    let port = tcp.local_addr().expect("an address").port();
    let script = format!(
        "s = socket.socket(socket.AF_UNIX); print(tried(lambda: s.connect(b'\\0{name}')), \
         tried(lambda: socket.create_connection(('127.0.0.1', {port}), 2)))"
    );
    let script: &'static str = Box::leak(script.into_boxed_str());
    let run = attempt(&machine, Python(script), Limits::default()).await;
    assert_eq!(run.out(), "ECONNREFUSED ECONNREFUSED", "{}", run.err());
    for refused in [listener.set_nonblocking(true), tcp.set_nonblocking(true)] {
        refused.expect("a mode");
    }
    assert!(listener.accept().is_err() && tcp.accept().is_err(), "nobody has connected");
}

/// With egress there is a socket that the executor serves. It is the only thing more.
async fn a_proxy_is_all_that_egress_adds(engine: Engine) {
    let machine = engine.open().await;
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    let port = tcp.local_addr().expect("an address").port();
    let script = format!(
        "{PRELUDE}
print(os.environ['https_proxy'], sorted(n for _, n in socket.if_nameindex()))
c = socket.create_connection(('127.0.0.1', 3128), 20); c.sendall(b'ping'); print(c.recv(4))
print(tried(lambda: socket.create_connection(('127.0.0.1', {port}), 2)))
print(tried(lambda: socket.create_connection(('192.0.2.1', 80), 2)) in ('ENETUNREACH', 'EHOSTUNREACH'))
print(tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)))
"
    );
    let mut sandbox = machine.start_with_proxy(&format!("exec python3 -c \"{script}\"")).await;
    let listener = sandbox.take_listener().expect("there is egress");
    let serve = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.expect("a connection");
        let mut said = [0; 4];
        connection.read_exact(&mut said).await.expect("four bytes");
        connection.write_all(b"pong").await.expect("four bytes");
        said
    });
    let run = collect(sandbox).await;
    // A guest whose connections are the host's knows no raw sockets at all.
    let raw = if engine == Runsc { "EAFNOSUPPORT" } else { "EPERM" };
    let expected = format!("http://127.0.0.1:3128 ['lo']\nb'pong'\nECONNREFUSED\nTrue\n{raw}");
    assert_eq!(run.out(), expected, "{}", run.err());
    assert_eq!(&serve.await.expect("the proxy ends"), b"ping");
    tcp.set_nonblocking(true).expect("a mode");
    assert!(tcp.accept().is_err(), "nobody has connected");
}

on_each_engine!(what_can_be_reached, sockets_of_the_host_cannot_be_reached, a_proxy_is_all_that_egress_adds);
