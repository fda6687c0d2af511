//! The tunnel after a CONNECT: bytes in both directions, of which one thing is read. If they begin with a TLS handshake, the
//! server name in it must be the one that the policy was asked about.

use bytes::BytesMut;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use rustls::server::Acceptor;
use schemas::egress::{EgressReason, Host};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};

use super::counted::Counted;
use super::ledger::Visit;

/// More than any client says before it waits for an answer.
const HELLO_BYTES: usize = 64 * 1024;
/// TLS record type `handshake`.
const HANDSHAKE: u8 = 22;

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
        let Ok(first) = first_words(&mut client, &upstream).await else { return };
        if let Hello::Other = hello(&first, visit.host()) {
            visit.failed(EgressReason::ServerNameMismatch);
            return;
        }
        // Whoever ends a connection early has its reasons.
        if upstream.write_all(&first).await.is_ok() {
            let _ = copy_bidirectional(&mut client, &mut upstream).await;
        }
    }
}

/// The first bytes of the client, until they tell which server it wants; none if the server speaks first.
async fn first_words(client: &mut (impl AsyncRead + Unpin), upstream: &Counted) -> std::io::Result<BytesMut> {
    let mut first = BytesMut::new();
    while first.len() < HELLO_BYTES {
        let read = tokio::select! {
            read = client.read_buf(&mut first) => read?,
            // In TLS the client speaks first: what is begun must be finished before anything else matters.
            () = upstream.readable(), if first.is_empty() => return Ok(first),
        };
        if read == 0 || !matches!(begun(&first), Begun::Incomplete) {
            break;
        }
    }
    Ok(first)
}

#[derive(Debug)]
enum Begun {
    /// Not TLS.
    Different,
    Incomplete,
    Tls {
        server_name: Option<String>,
    },
    Broken,
}

fn begun(first: &[u8]) -> Begun {
    match first.first() {
        None => Begun::Incomplete,
        Some(&HANDSHAKE) => {
            let mut acceptor = Acceptor::default();
            let mut rest = first;
            while !rest.is_empty() {
                if acceptor.read_tls(&mut rest).is_err() {
                    return Begun::Broken;
                }
                match acceptor.accept() {
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
        Some(_) => Begun::Different,
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Hello {
    Fine,
    /// For another server, or not to be understood.
    Other,
}

fn hello(first: &[u8], asked: &Host) -> Hello {
    let fits = match (begun(first), asked) {
        // A handshake of which not even the beginning came leads nowhere.
        (Begun::Incomplete, _) => first.is_empty(),
        (Begun::Broken, _) => false,
        (Begun::Different | Begun::Tls { server_name: None }, _) => true,
        // Whoever allows an address allows what is there.
        (Begun::Tls { .. }, Host::Address(_)) => true,
        (Begun::Tls { server_name: Some(name) }, Host::Name(_)) => name.parse().is_ok_and(|name: Host| name == *asked),
    };
    if fits { Hello::Fine } else { Hello::Other }
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

    #[test]
    fn the_server_name_must_be_the_one_that_was_allowed() {
        for (sent, asked, expected) in [
            ("example.org", "example.org", Hello::Fine),
            ("example.org", "EXAMPLE.org.", Hello::Fine),
            ("other.example.org", "example.org", Hello::Other),
            ("example.org", "192.0.2.7", Hello::Fine),
            // Addresses are not sent as server names.
            ("192.0.2.7", "example.org", Hello::Fine),
        ] {
            let bytes = client_hello(sent);
            assert_eq!(hello(&bytes, &asked.parse().unwrap()), expected, "{sent} for {asked}");
        }
    }

    #[test]
    fn other_protocols_pass_and_broken_handshakes_do_not() {
        let asked = "example.org".parse().unwrap();
        for other in [&b"SSH-2.0-x\r\n"[..], b"GET / HTTP/1.1\r\n", b""] {
            assert_eq!(hello(other, &asked), Hello::Fine);
        }
        let whole = client_hello("example.org");
        assert!(matches!(begun(&whole[..whole.len() - 1]), Begun::Incomplete));
        assert_eq!(hello(&whole[..whole.len() - 1], &asked), Hello::Other);
        let mut broken = whole;
        broken[5] = 99;
        assert_eq!(hello(&broken, &asked), Hello::Other);
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
