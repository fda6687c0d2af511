//! The tunnel after a CONNECT: bytes in both directions, of which one thing is read. If the client's begin with TLS, they must
//! begin with a whole handshake message that names the server which the policy was asked about, or none.

use std::time::Duration;

use bytes::BytesMut;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use rustls::server::Acceptor;
use schemas::egress::{EgressReason, Host};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};

use super::counted::Counted;
use super::ledger::Visit;

/// Maximum bytes of a TLS handshake's beginning: more than any client sends before it waits for an answer.
const HELLO_BYTES: usize = 64 * 1024;
/// Time in which a beginning must be complete.
const HELLO_TIME: Duration = Duration::from_secs(10);
/// Bytes that are passed on at a time from a server that speaks first.
const GREETING_BYTES: usize = 16 * 1024;
/// TLS record type `handshake`.
const HANDSHAKE: u8 = 22;
/// All record types: change_cipher_spec, alert, handshake, application_data, heartbeat. Servers skip some of the others in
/// front of a handshake.
const RECORDS: std::ops::RangeInclusive<u8> = 20..=24;

#[derive(Debug)]
pub(super) struct Tunnel {
    pub(super) client: OnUpgrade,
    pub(super) upstream: Counted,
    pub(super) visit: Visit,
}

impl Tunnel {
    pub(super) async fn run(self) {
        let Self { client, mut upstream, mut visit } = self;
        let Ok(client) = client.await else { return };
        let mut client = TokioIo::new(client);
        let Ok((first, begun)) = first_words(&mut client, &mut upstream).await else { return };
        if !fits(&begun, visit.host()) {
            visit.failed(EgressReason::ServerNameMismatch);
            return;
        }
        // Whoever ends a connection early has its reasons.
        if upstream.write_all(&first).await.is_ok() {
            let _ = copy_bidirectional(&mut client, &mut upstream).await;
        }
    }
}

/// The first bytes of the client, until they tell which server it wants. What the server says before is passed on.
async fn first_words(
    client: &mut (impl AsyncRead + AsyncWrite + Unpin),
    upstream: &mut (impl AsyncRead + Unpin),
) -> std::io::Result<(BytesMut, Begun)> {
    let mut first = BytesMut::new();
    pass_on_greeting(client, upstream, &mut first).await?;
    let mut hello = HelloReader::default();
    let mut begun = hello.push(&first);
    let whole = async {
        while begun == Begun::Incomplete && first.len() < HELLO_BYTES {
            let known = first.len();
            if client.read_buf(&mut first).await? == 0 {
                break;
            }
            begun = hello.push(&first[known..]);
        }
        std::io::Result::Ok((first, begun))
    };
    tokio::time::timeout(HELLO_TIME, whole).await.unwrap_or_else(|late| Err(late.into()))
}

/// Returns when the client has said something, or that it will say nothing.
async fn pass_on_greeting(
    client: &mut (impl AsyncRead + AsyncWrite + Unpin),
    upstream: &mut (impl AsyncRead + Unpin),
    first: &mut BytesMut,
) -> std::io::Result<()> {
    let mut greeting = vec![0; GREETING_BYTES];
    let mut speaks = true;
    loop {
        let greeted = tokio::select! {
            said = client.read_buf(first) => return said.map(drop),
            greeted = upstream.read(&mut greeting), if speaks => greeted?,
        };
        speaks = greeted > 0;
        if speaks {
            client.write_all(&greeting[..greeted]).await?;
        } else {
            client.shutdown().await?;
        }
    }
}

/// The beginning of what a client says.
#[derive(Debug, PartialEq, Eq)]
enum Begun {
    /// Nothing at all.
    Nothing,
    /// Not TLS.
    Different,
    Incomplete,
    Tls {
        server_name: Option<String>,
    },
    /// TLS, but no handshake that can be understood.
    Broken,
}

/// Understands a client's first bytes, each once.
#[derive(Default)]
struct HelloReader {
    is_begun: bool,
    acceptor: Acceptor,
}

impl HelloReader {
    /// Call this until the answer is another than `Incomplete`.
    fn push(&mut self, mut bytes: &[u8]) -> Begun {
        let Some(&kind) = bytes.first() else { return Begun::Nothing };
        if !self.is_begun && kind != HANDSHAKE {
            return if RECORDS.contains(&kind) { Begun::Broken } else { Begun::Different };
        }
        self.is_begun = true;
        while !bytes.is_empty() {
            if self.acceptor.read_tls(&mut bytes).is_err() {
                return Begun::Broken;
            }
            match self.acceptor.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => {
                    let server_name = accepted.client_hello().server_name().map(str::to_owned);
                    return Begun::Tls { server_name };
                }
                Err(_) => return Begun::Broken,
            }
        }
        Begun::Incomplete
    }
}

fn fits(begun: &Begun, asked: &Host) -> bool {
    match (begun, asked) {
        // A handshake of which not even the beginning came leads nowhere.
        (Begun::Incomplete | Begun::Broken, _) => false,
        (Begun::Nothing | Begun::Different | Begun::Tls { server_name: None }, _) => true,
        // Whoever allows an address allows what is there.
        (Begun::Tls { .. }, Host::Address(_)) => true,
        (Begun::Tls { server_name: Some(name) }, Host::Name(_)) => name.parse().is_ok_and(|name: Host| name == *asked),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, RootCertStore};

    use super::*;

    fn client_hello(name: &str) -> Vec<u8> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut hello = Vec::new();
        connection.write_tls(&mut hello).unwrap();
        hello
    }

    fn begun(bytes: &[u8]) -> Begun {
        HelloReader::default().push(bytes)
    }

    /// The same handshake message in records of at most this many bytes.
    fn in_records(hello: &[u8], bytes: usize) -> Vec<u8> {
        let record = |content: &[u8]| {
            let length = u16::try_from(content.len()).unwrap().to_be_bytes();
            [&hello[..3], &length, content].concat()
        };
        hello[5..].chunks(bytes).flat_map(record).collect()
    }

    #[test]
    fn the_server_name_must_be_the_one_that_was_allowed() {
        for (sent, asked, expected) in [
            ("example.org", "example.org", true),
            ("example.org", "EXAMPLE.org.", true),
            ("other.example.org", "example.org", false),
            ("example.org", "192.0.2.7", true),
            // Addresses are not sent as server names.
            ("192.0.2.7", "example.org", true),
        ] {
            let hello = client_hello(sent);
            for bytes in [hello.len(), 100, 7] {
                let hello = in_records(&hello, bytes);
                assert_eq!(fits(&begun(&hello), &asked.parse().unwrap()), expected, "{sent} for {asked}");
                // However it arrives.
                let mut reader = HelloReader::default();
                let told = hello.iter().map(|byte| reader.push(&[*byte])).find(|begun| *begun != Begun::Incomplete);
                assert_eq!(told, Some(begun(&hello)));
            }
        }
    }

    #[test]
    fn other_protocols_pass_and_broken_handshakes_do_not() {
        let asked = "example.org".parse().unwrap();
        for other in [&b"SSH-2.0-x\r\n"[..], b"GET / HTTP/1.1\r\n", b""] {
            assert!(fits(&begun(other), &asked));
        }
        let whole = client_hello("example.org");
        let cut = &whole[..whole.len() - 1];
        assert_eq!((begun(cut), fits(&begun(cut), &asked)), (Begun::Incomplete, false));
        let mut broken = whole.clone();
        broken[5] = 99;
        // Records that a server may skip, in front of a handshake or in the middle of it.
        let warning = b"\x15\x03\x01\x00\x02\x01\x00";
        let cipher = b"\x14\x03\x03\x00\x01\x01";
        let [data, heartbeat] = [b"\x17\x03\x03\x00\x01x", b"\x18\x03\x03\x00\x01x"];
        let empty = b"\x16\x03\x01\x00\x00";
        let halves = in_records(&whole, whole.len() / 2 + 1);
        let (half, rest) = halves.split_at(5 + whole.len() / 2 + 1);
        for bytes in [
            broken,
            [&warning[..], &whole].concat(),
            [&cipher[..], &whole].concat(),
            [&data[..], &whole].concat(),
            [&heartbeat[..], &whole].concat(),
            [half, &cipher[..], rest].concat(),
            [half, &warning[..], rest].concat(),
        ] {
            assert!(!fits(&begun(&bytes), &asked), "{bytes:x?}");
        }
        let other = [&empty[..], &client_hello("other.example.org")].concat();
        assert!(!fits(&begun(&other), &asked), "behind an empty record");
    }

    /// Neither a server that speaks first nor one that hangs up leads past the check.
    #[tokio::test]
    async fn the_client_is_read_whoever_speaks_first() {
        for greeting in [&b"220 hello\r\n"[..], b""] {
            let (mut ours, mut client) = tokio::io::duplex(100_000);
            let (mut upstream, mut server) = tokio::io::duplex(100_000);
            server.write_all(greeting).await.unwrap();
            drop(server);
            let hello = client_hello("other.example.org");
            let talk = async {
                let mut said = Vec::new();
                client.read_to_end(&mut said).await.unwrap();
                assert_eq!(said, greeting);
                client.write_all(&hello).await.unwrap();
            };
            let (begun, ()) = tokio::join!(first_words(&mut ours, &mut upstream), talk);
            let (first, begun) = begun.unwrap();
            assert_eq!(begun, Begun::Tls { server_name: Some("other.example.org".into()) });
            assert_eq!(first, hello);
        }
    }

    proptest::proptest! {
        #[test]
        fn hostile_bytes_never_panic(mut bytes: Vec<u8>) {
            let _ = begun(&bytes);
            bytes.insert(0, HANDSHAKE);
            let _ = begun(&bytes);
        }
    }
}
