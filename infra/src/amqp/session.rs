//! One connection with one channel and the topology declared, and how long to wait before trying again.

use std::time::Duration;

use lapin::{Channel, Connection, ConnectionProperties};
use tokio::sync::Mutex;

use super::Amqp;

const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// One declaration at a time in this process: RabbitMQ 3.10 answers INTERNAL_ERROR to some of those who declare the
/// same new quorum queue at the same moment. Other processes may still meet; then one of them connects again.
static DECLARING: Mutex<()> = Mutex::const_new(());

/// Dropping it closes the channel and the connection; what was not acknowledged goes back to its queue.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) channel: Channel,
    _connection: Connection,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("no answer from the broker within {} s", CONNECT_TIMEOUT.as_secs())]
    Timeout,
    #[error(transparent)]
    Broker(#[from] lapin::Error),
}

impl Session {
    pub(super) async fn open(amqp: &Amqp, purpose: &str) -> Result<Self, ConnectError> {
        let opening = async {
            let name = format!("crownest {} {purpose}", amqp.service);
            let properties = ConnectionProperties::default().with_connection_name(name.into());
            let connection = Connection::connect(amqp.url.reveal(), properties).await?;
            let channel = connection.create_channel().await?;
            {
                let _turn = DECLARING.lock().await;
                amqp.topology.declare(&channel).await?;
            }
            Ok(Self { channel, _connection: connection })
        };
        tokio::time::timeout(CONNECT_TIMEOUT, opening).await.unwrap_or(Err(ConnectError::Timeout))
    }

    /// Opens a session, however long it takes.
    pub(super) async fn open_patiently(amqp: &Amqp, purpose: &str) -> Self {
        let mut delay = FIRST_DELAY;
        loop {
            match Self::open(amqp, purpose).await {
                Ok(session) => return session,
                Err(error) => {
                    tracing::warn!(service = amqp.service, purpose, %error, ?delay, "no broker, trying again");
                    tokio::time::sleep(delay).await;
                    delay = (delay * 2).min(LONGEST_DELAY);
                }
            }
        }
    }
}
