//! Legal holds: nothing of a held run or project is deleted, whoever asks and whatever its retention.

use database::Client;

use super::AdminError;
use crate::db::legal_holds;
pub use crate::db::legal_holds::{HoldChange, HoldSubject, LegalHold};

/// Sets a hold. When this returns, nothing of the subject is deleted any more, and no deletion is under way.
pub async fn set_legal_hold(
    client: &Client,
    subject: &HoldSubject,
    reason: &str,
    actor: &str,
) -> Result<LegalHold, AdminError> {
    if !legal_holds::exists(client, subject).await? {
        return Err(AdminError::NothingToHold(subject.clone()));
    }
    Ok(legal_holds::set(client, subject, reason, actor).await?)
}

pub async fn clear_legal_hold(
    client: &Client,
    subject: &HoldSubject,
    reason: &str,
    actor: &str,
) -> Result<(), AdminError> {
    let cleared = legal_holds::clear(client, subject, reason, actor).await?;
    if cleared { Ok(()) } else { Err(AdminError::NotHeld(subject.clone())) }
}

/// Lists the holds in force, the latest first.
pub async fn legal_holds(client: &Client) -> Result<Vec<LegalHold>, AdminError> {
    Ok(legal_holds::all(client).await?)
}

/// Lists every setting and clearing of a hold, the latest first.
pub async fn legal_hold_history(client: &Client) -> Result<Vec<HoldChange>, AdminError> {
    Ok(legal_holds::history(client).await?)
}
