//! One connection with one channel and a declared topology, and the delays between attempts to connect.

use std::time::Duration;

use lapin::{Channel, Connection, ConnectionProperties};
use tokio::sync::Mutex;

use super::{Amqp, setup};

const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout of the first declaration of the queues, after other clients' turns; repairing one queue takes 10 s.
const SETUP_TIMEOUT: Duration = Duration::from_secs(45);

/// Turns of the services within this process; other processes take turns at the broker.
static SETTING_UP: Mutex<()> = Mutex::const_new(());

/// An open connection. Dropping a session closes channel and connection; unacknowledged messages go back to their
/// queues.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) channel: Channel,
    _connection: Connection,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("no answer from the broker within {} s", _0.as_secs())]
    Timeout(Duration),
    #[error(transparent)]
    Broker(#[from] lapin::Error),
}

impl Session {
    pub(super) async fn open(amqp: &Amqp, purpose: &str) -> Result<Self, ConnectError> {
        let (connection, is_complete) = within(CONNECT_TIMEOUT, async {
            let connection = connect(amqp, purpose).await?;
            let is_complete = setup::is_complete(&amqp.topology, &connection).await?;
            Ok((connection, is_complete))
        })
        .await?;
        if !is_complete {
            within(SETUP_TIMEOUT, async {
                let _turn = SETTING_UP.lock().await;
                setup::complete(&amqp.topology, connect(amqp, "setup").await?).await
            })
            .await?;
        }
        within(CONNECT_TIMEOUT, async {
            let channel = connection.create_channel().await?;
            amqp.topology.declare(&channel).await?;
            Ok(Self { channel, _connection: connection })
        })
        .await
    }

    /// Opens a session, retrying for as long as it takes.
    pub(super) async fn open_patiently(amqp: &Amqp, purpose: &str) -> Self {
        let mut delay = FIRST_DELAY;
        loop {
            match Self::open(amqp, purpose).await {
                Ok(session) => return session,
                Err(error) => {
                    tracing::warn!(service = amqp.service, purpose, %error, ?delay, "cannot connect to the broker; retrying");
                    tokio::time::sleep(delay).await;
                    delay = (delay * 2).min(LONGEST_DELAY);
                }
            }
        }
    }
}

async fn connect(amqp: &Amqp, purpose: &str) -> lapin::Result<Connection> {
    let name = format!("crownest {} {purpose}", amqp.service);
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    Connection::connect(amqp.url.reveal(), properties).await
}

async fn within<T>(limit: Duration, work: impl Future<Output = lapin::Result<T>>) -> Result<T, ConnectError> {
    Ok(tokio::time::timeout(limit, work).await.map_err(|_| ConnectError::Timeout(limit))??)
}
