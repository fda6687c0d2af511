//! Network egress, seen from inside real sandboxes: what the policy allows is reached, through the proxy, and nothing
//! else is. Names lead to loopback addresses of this machine, one of which the operator has opened.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]
#[path = "../sandbox/tests/support/mod.rs"]
mod support;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use executor::egress::{Gateway, Proxy};
use sandbox::Sandbox;
use schemas::egress::{EgressAttempt, EgressPolicy, EgressReason, EgressReport};
use support::{DEADLINE, Machine, Outcome, collect};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// The address that the operator opens.
const OPEN: &str = "127.0.0.2";
/// One that nobody has opened.
const CLOSED: &str = "127.0.0.3";
const TIME: &str = "--max-time 20 -s";

/// A server that tells what each of its connections said first, answers as an HTTP server, and waits for the end.
struct Server {
    address: SocketAddr,
    heard: mpsc::UnboundedReceiver<Heard>,
    connections: Arc<AtomicU32>,
}

#[derive(Debug, PartialEq, Eq)]
enum Heard {
    First(Vec<u8>),
    End,
}

impl Server {
    async fn start(address: &str) -> Self {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, heard) = mpsc::unbounded_channel();
        let connections = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                let tell = tell.clone();
                tokio::spawn(async move {
                    let mut first = vec![0; 16 * 1024];
                    let length = stream.read(&mut first).await.unwrap_or(0);
                    first.truncate(length);
                    let is_http = first.starts_with(b"GET ");
                    let _ = tell.send(Heard::First(first));
                    if is_http {
                        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\nconnection: keep-alive\r\n\r\nanswered";
                        let _ = stream.write_all(answer.as_bytes()).await;
                    }
                    while stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {}
                    let _ = tell.send(Heard::End);
                });
            }
        });
        Self { address, heard, connections }
    }

    async fn next(&mut self) -> Heard {
        tokio::time::timeout(DEADLINE, self.heard.recv()).await.expect("the server heard nothing").unwrap()
    }

    fn connections(&self) -> u32 {
        self.connections.load(Ordering::Relaxed)
    }
}

/// Names of a world of our own, each with its addresses, and how often each was looked up.
#[derive(Clone, Default)]
struct Names {
    addresses: Arc<HashMap<String, Vec<IpAddr>>>,
    lookups: Arc<Mutex<HashMap<String, u32>>>,
}

impl Names {
    fn new(names: &[(&str, &[&str])]) -> Self {
        let parsed = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let addresses = names.iter().map(|(name, texts)| ((*name).to_owned(), parsed(texts))).collect();
        Self { addresses: Arc::new(addresses), lookups: Arc::default() }
    }

    fn gateway(&self) -> Gateway {
        let names = self.clone();
        Gateway::new(&[OPEN.parse().unwrap()]).with_resolver(Arc::new(move |name, port| {
            *names.lookups.lock().unwrap().entry(name.to_owned()).or_default() += 1;
            let found = names.addresses.get(name).ok_or_else(|| io::Error::other("no such name"))?;
            Ok(found.iter().map(|address| SocketAddr::new(*address, port)).collect())
        }))
    }
}

fn policy(rules: &[String]) -> EgressPolicy {
    EgressPolicy { allow: rules.iter().map(|rule| rule.parse().unwrap()).collect() }
}

fn serve(sandbox: &mut Sandbox, rules: &[String], names: &Names) -> Proxy {
    Proxy::start(sandbox.take_listener().expect("a listener"), policy(rules), &names.gateway())
}

async fn run(machine: &Machine, command: &str, rules: &[String], names: &Names) -> (Outcome, EgressReport) {
    let mut sandbox = machine.start_with_proxy(command).await;
    let proxy = serve(&mut sandbox, rules, names);
    let outcome = collect(sandbox).await;
    let report = tokio::time::timeout(DEADLINE, proxy.finish()).await.expect("the proxy ends");
    (outcome, report)
}

fn brief(attempt: &EgressAttempt) -> (&str, u16, bool, Option<EgressReason>, u64) {
    (&attempt.host, attempt.port, attempt.allowed, attempt.reason, attempt.count)
}

#[tokio::test]
async fn what_is_allowed_is_reached_with_and_without_a_tunnel() {
    let machine = Machine::open().await;
    let mut server = Server::start(OPEN).await;
    let port = server.address.port();
    let names = Names::new(&[("mirror.example", &[OPEN])]);
    let command = format!(
        "curl {TIME} -H 'Host: other.example' -H 'Proxy-Authorization: Basic c2VjcmV0' -H 'X-Mine: 1' \
            http://MIRROR.example:{port}/a?b; echo; \
         curl {TIME} --proxytunnel http://mirror.example:{port}/c; echo; \
         python3 -c 'import urllib.request; print(urllib.request.urlopen(\"http://mirror.example:{port}/d\").read())'"
    );
    let (run, report) = run(&machine, &command, &[format!("mirror.example:{port}")], &names).await;
    assert_eq!(run.out(), "answered\nanswered\nb'answered'", "{}", run.err());

    let Heard::First(head) = server.next().await else { panic!("the connection ended") };
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("GET /a?b HTTP/1.1\r\n"), "{head}");
    let lower = head.to_lowercase();
    assert!(lower.contains(&format!("\r\nhost: mirror.example:{port}\r\n")), "not the host that was checked: {head}");
    assert!(lower.contains("x-mine: 1"), "{head}");
    assert!(!lower.contains("proxy-") && !lower.contains("other.example"), "{head}");

    let [attempt] = &report.attempts[..] else { panic!("{report:?}") };
    assert_eq!(brief(attempt), ("mirror.example", port, true, None, 3));
    assert!(attempt.bytes_sent > 200 && attempt.bytes_received > 200, "{attempt:?}");
    assert!(!format!("{report:?}").contains("c2VjcmV0"), "{report:?}");
}

#[tokio::test]
async fn what_is_not_allowed_is_refused_with_a_reason() {
    let machine = Machine::open().await;
    let server = Server::start(OPEN).await;
    let port = server.address.port();
    let names = Names::new(&[
        ("mirror.example", &[OPEN]),
        ("denied.example", &[OPEN]),
        ("near.example", &[CLOSED, "10.0.0.1", "169.254.169.254", "::1", "fd00:ec2::254"]),
        ("dead.example", &[OPEN]),
    ]);
    let rules: Vec<String> = [
        format!("mirror.example:{port}"),
        format!("near.example:{port}"),
        format!("{CLOSED}:{port}"),
        "dead.example:1".to_owned(),
        "unknown.example".to_owned(),
    ]
    .into();
    let command = format!(
        "show() {{ curl {TIME} -o /tmp/body -w '%{{http_code}} ' \"$1\"; cat /tmp/body; }}; \
         show http://denied.example:{port}/; show http://mirror.example:1/; show http://near.example:{port}/; \
         show http://{CLOSED}:{port}/; show http://{OPEN}:{port}/; \
         show http://dead.example:1/; show http://unknown.example/; \
         curl {TIME} -o /dev/null -w '%{{http_connect}}\\n' https://denied.example:{port}/; \
         curl {TIME} -o /dev/null -w '%{{http_connect}}\\n' https://near.example:{port}/"
    );
    let (run, report) = run(&machine, &command, &rules, &names).await;
    let out = run.out();
    let lines: Vec<&str> = out.lines().filter(|line| !line.starts_with("Allowed: ")).collect();
    let expected = [
        ("403", "the egress policy of the project does not allow it"),
        ("403", "the egress policy of the project does not allow it"),
        ("403", "it has no address that a run may reach"),
        ("403", "it has no address that a run may reach"),
        ("403", "the egress policy of the project does not allow it"),
        ("502", "it does not answer"),
        ("502", "its name cannot be resolved"),
        ("403", ""),
        ("403", ""),
    ];
    assert_eq!(lines.len(), expected.len(), "{out}");
    for (line, (status, why)) in lines.iter().zip(expected) {
        assert!(line.starts_with(status) && line.contains(why), "{line}");
    }
    assert!(out.contains(&format!("Allowed: mirror.example:{port}, ")), "{out}");
    assert_eq!(server.connections(), 0);

    let mut seen: Vec<_> = report.attempts.iter().map(brief).collect();
    seen.sort_by_key(|(host, port, ..)| (*host, *port));
    let mut expected = [
        ("127.0.0.2", port, false, Some(EgressReason::HostNotAllowed), 1),
        ("127.0.0.3", port, false, Some(EgressReason::AddressNotAllowed), 1),
        ("dead.example", 1, true, Some(EgressReason::Unreachable), 1),
        ("denied.example", port, false, Some(EgressReason::HostNotAllowed), 2),
        ("mirror.example", 1, false, Some(EgressReason::HostNotAllowed), 1),
        ("near.example", port, false, Some(EgressReason::AddressNotAllowed), 2),
        ("unknown.example", 80, true, Some(EgressReason::NameNotResolved), 1),
    ];
    expected.sort_by_key(|(host, port, ..)| (*host, *port));
    assert_eq!(seen, expected);
    let allowed: Vec<String> = report.allow.iter().map(ToString::to_string).collect();
    assert_eq!(allowed, rules);
    let lookups = names.lookups.lock().unwrap();
    assert!(!lookups.contains_key("denied.example"), "a name that is not allowed is not even looked up: {lookups:?}");
}

#[tokio::test]
async fn a_name_with_several_addresses_leads_to_those_that_are_open() {
    let machine = Machine::open().await;
    let good = Server::start(OPEN).await;
    let port = good.address.port();
    let evil = std::net::TcpListener::bind((CLOSED, port)).unwrap();
    evil.set_nonblocking(true).unwrap();
    let names = Names::new(&[("mirror.example", &[CLOSED, OPEN, "127.0.0.1"])]);
    let command = format!("for n in 1 2 3; do curl {TIME} http://mirror.example:{port}/; done");
    let (run, report) = run(&machine, &command, &[format!("mirror.example:{port}")], &names).await;
    assert_eq!(run.out(), "answered".repeat(3), "{}", run.err());
    assert_eq!(good.connections(), 3);
    // The connection goes to an address of the lookup that was checked: there is no second lookup to answer otherwise.
    assert_eq!(names.lookups.lock().unwrap()["mirror.example"], 3);
    assert_eq!(report.attempts[0].count, 3);
    let tried = evil.accept().map_err(|error| error.kind());
    assert_eq!(tried.err(), Some(io::ErrorKind::WouldBlock), "an address that is not open was tried");
}

#[tokio::test]
async fn tls_is_begun_only_with_the_server_that_was_asked_for() {
    let machine = Machine::open().await;
    let mut server = Server::start(OPEN).await;
    let port = server.address.port();
    let names = Names::new(&[("mirror.example", &[OPEN])]);
    let begin = |name: &str| {
        format!(
            "import socket, ssl\n\
             s = socket.create_connection(('127.0.0.1', 3128), 20)\n\
             s.sendall(b'CONNECT mirror.example:{port} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')\n\
             head = s.recv(1000)\n\
             assert head.startswith(b'HTTP/1.1 200'), head\n\
             i, o = ssl.MemoryBIO(), ssl.MemoryBIO()\n\
             tls = ssl.create_default_context().wrap_bio(i, o, server_hostname='{name}')\n\
             try: tls.do_handshake()\n\
             except ssl.SSLWantReadError: pass\n\
             hello = o.read()\n\
             s.sendall(hello[:7]); s.sendall(hello[7:])\n\
             if '{name}' != 'mirror.example': assert s.recv(1) == b'', 'not closed'\n"
        )
    };
    let command = format!("python3 -c \"{}\" && python3 -c \"{}\"", begin("other.example"), begin("mirror.example"));
    let (run, report) = run(&machine, &command, &[format!("mirror.example:{port}")], &names).await;
    assert_eq!(run.code(), Some(0), "{}", run.err());
    // The connection of the first one was made, and nothing was said.
    assert_eq!(server.next().await, Heard::First(Vec::new()));
    assert_eq!(server.next().await, Heard::End);
    let Heard::First(hello) = server.next().await else { panic!("the connection ended") };
    assert!(hello.starts_with(&[22, 3]), "{hello:?}");
    let seen: Vec<_> = report.attempts.iter().map(brief).collect();
    assert!(seen.contains(&("mirror.example", port, false, Some(EgressReason::ServerNameMismatch), 1)), "{seen:?}");
    assert!(seen.contains(&("mirror.example", port, true, None, 1)), "{seen:?}");
}

#[tokio::test]
async fn there_is_no_way_around_the_proxy() {
    let machine = Machine::open().await;
    let server = Server::start(OPEN).await;
    let port = server.address.port();
    let names = Names::new(&[("mirror.example", &[OPEN])]);
    let script = format!(
        r"
import errno, fcntl, os, socket, struct
def fails(what, expected):
    try: what()
    except OSError as error: assert error.errno in expected, error
    else: raise SystemExit('it worked')
tcp = lambda to: lambda: socket.create_connection(to, 5)
gone = [errno.ENETUNREACH, errno.ECONNREFUSED]
fails(tcp(('{OPEN}', {port})), [errno.ECONNREFUSED])
fails(tcp(('1.1.1.1', 443)), [errno.ENETUNREACH])
fails(tcp(('169.254.169.254', 80)), [errno.ENETUNREACH])
fails(lambda: socket.socket(socket.AF_INET6).connect(('2606:4700::1111', 443)), gone)
fails(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('8.8.8.8', 53)), [errno.ENETUNREACH])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
fails(lambda: fcntl.ioctl(s, 0x8914, struct.pack('16sh22x', b'lo', 0)), [errno.EPERM])
devices = [line.split(':')[0].strip() for line in open('/proc/net/dev') if ':' in line]
assert devices == ['lo'], devices
open('/proc/sys/net/ipv4/ip_forward')
fails(lambda: open('/proc/sys/net/ipv4/ip_forward', 'w'), [errno.EACCES, errno.EROFS])
mine = socket.socket(); mine.bind(('127.0.0.1', 0)); mine.listen()
socket.create_connection(mine.getsockname(), 5)
print(os.environ['HTTPS_PROXY'], os.environ['no_proxy'])
"
    );
    std::fs::write(machine.tree.join("around.py"), script).unwrap();
    let (run, report) = run(&machine, "python3 around.py", &[format!("mirror.example:{port}")], &names).await;
    assert_eq!(run.out(), "http://127.0.0.1:3128 localhost,127.0.0.1,::1", "{}", run.err());
    assert_eq!((server.connections(), report.attempts.len()), (0, 0), "{report:?}");
}

#[tokio::test]
async fn each_run_has_a_proxy_of_its_own_or_none() {
    let machine = Machine::open().await;
    let server = Server::start(OPEN).await;
    let port = server.address.port();
    let names = Names::new(&[("one.example", &[OPEN]), ("two.example", &[OPEN])]);
    let command = format!(
        "for name in one two; do curl {TIME} -o /dev/null -w '%{{http_code}} ' http://$name.example:{port}/; done"
    );
    let (one, two) = ([format!("one.example:{port}")], [format!("two.example:{port}")]);
    let (first, second) = tokio::join!(run(&machine, &command, &one, &names), run(&machine, &command, &two, &names));
    assert_eq!((first.0.out().as_str(), second.0.out().as_str()), ("200 403", "403 200"));

    let mut without =
        machine.start("env | grep -i proxy; curl -s -x http://127.0.0.1:3128 http://one.example/; echo $?").await;
    assert!(without.take_listener().is_none());
    assert_eq!(collect(without).await.out(), "7", "there is nothing to connect to");
}

#[tokio::test]
async fn nothing_is_open_when_the_run_is_over() {
    let machine = Machine::open().await;
    let mut server = Server::start(OPEN).await;
    let port = server.address.port();
    let names = Names::new(&[("mirror.example", &[OPEN])]);
    // The command waits inside of a tunnel, and is killed there.
    let command = format!(
        "exec python3 -c \"import socket\ns = socket.create_connection(('127.0.0.1', 3128))\n\
         s.sendall(b'CONNECT mirror.example:{port} HTTP/1.1\\r\\n\\r\\n')\n\
         s.recv(1000); s.sendall(b'waiting'); s.recv(1)\""
    );
    let mut sandbox = machine.start_with_proxy(&command).await;
    let proxy = serve(&mut sandbox, &[format!("mirror.example:{port}")], &names);
    assert_eq!(server.next().await, Heard::First(b"waiting".to_vec()));
    // Also while the command would go on: a proxy that is gone takes its connections along.
    let report = tokio::time::timeout(DEADLINE, proxy.finish()).await.expect("the proxy ends");
    assert_eq!(server.next().await, Heard::End);
    assert_eq!(report.attempts[0].bytes_sent, 7);
    assert!(collect(sandbox).await.finished.cleanup.is_ok());

    let mut sandbox = machine.start_with_proxy("sleep 60").await;
    let proxy = serve(&mut sandbox, &[], &names);
    drop(proxy);
    sandbox.kill().unwrap();
    assert_eq!(collect(sandbox).await.exit.signal, Some(9));
}

#[tokio::test]
async fn hostile_clients_hurt_nobody() {
    let machine = Machine::open().await;
    let server = Server::start(OPEN).await;
    let port = server.address.port();
    let names = Names::new(&[("mirror.example", &[OPEN])]);
    let script = format!(
        r"
import os, socket, urllib.request
PROXY = ('127.0.0.1', 3128)
def say(text):
    s = socket.create_connection(PROXY, 20)
    try:
        s.sendall(text)
        s.shutdown(socket.SHUT_WR)
        while s.recv(65536): pass
    except OSError: pass
    s.close()
for text in [b'', b'\0' * 100000, os.urandom(100000), b'GET / HTTP/1.1\r\nA: ' + b'b' * 1000000 + b'\r\n\r\n',
        b'GET http://mirror.example/ HTTP/1.1\r\n' + b'a: b\r\n' * 5000 + b'\r\n', b'GET / HTTP/1.1\r\nHost: mirror.example\r\n\r\n',
        b'CONNECT 127.1:80 HTTP/1.1\r\n\r\n', b'CONNECT mirror.example HTTP/1.1\r\n\r\n', b'CONNECT mirror.example:0 HTTP/1.1\r\n\r\n',
        b'CONNECT u@mirror.example:{port} HTTP/1.1\r\n\r\n', b'CONNECT mirror.example:99999 HTTP/1.1\r\n\r\n',
        b'GET https://mirror.example/ HTTP/1.1\r\n\r\n', b'GET ftp://mirror.example/ HTTP/1.1\r\n\r\n',
        b'CONNECT ' + b'a' * 300 + b'.example:443 HTTP/1.1\r\n\r\n', b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n']:
    say(text)
# As many as are served at a time and more wait with half a head each, then go away.
held = [socket.create_connection(PROXY, 20) for _ in range(200)]
for s in held: s.send(b'CONNECT mir')
for s in held: s.close()
for n in range(1100): say(b'CONNECT h%d.example:443 HTTP/1.1\r\n\r\n' % n)
print(urllib.request.urlopen('http://mirror.example:{port}/').read())
"
    );
    std::fs::write(machine.tree.join("hostile.py"), script).unwrap();
    let (run, report) = run(&machine, "python3 hostile.py", &[format!("mirror.example:{port}")], &names).await;
    assert_eq!(run.out(), "b'answered'", "{}", run.err());
    assert_eq!(server.connections(), 1);
    assert_eq!((report.attempts.len(), report.attempts_not_listed), (1_000, 101));
    assert!(report.attempts.iter().all(|attempt| attempt.host.ends_with(".example") && attempt.count == 1));
}
