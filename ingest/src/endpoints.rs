//! The operations of the API, one file each: a constant that declares it, and its handler.

mod api_keys;
mod archives;
mod artifacts;
mod evidence;
mod projects;
mod runs;
mod templates;
mod usage;
mod webhooks;

use crate::operation::Endpoint;

/// The `OPERATION` of each file, served by the `handle` beside it.
macro_rules! endpoints {
    ($($($file:ident)::+,)+) => {
        vec![$($($file)::+::OPERATION.served_by($($file)::+::handle)),+]
    };
}

/// Lists what the router serves and the document describes, in the order of a run's life.
pub(crate) fn all() -> Vec<Endpoint> {
    endpoints![
        projects::list,
        projects::create,
        templates::list,
        templates::get,
        usage,
        api_keys::list,
        api_keys::get,
        api_keys::revoke,
        runs::list,
        runs::create,
        runs::get,
        archives::upload_archive,
        archives::create_transfer,
        archives::upload_staged,
        archives::finalize_archive,
        runs::start,
        runs::cancel,
        runs::events,
        evidence::get,
        evidence::attestations,
        evidence::inclusion,
        evidence::event_log_part,
        evidence::jwks,
        evidence::log,
        artifacts::of_sandbox,
        artifacts::get,
        artifacts::delete,
        artifacts::download_url,
        artifacts::download,
        artifacts::tombstone,
        webhooks::list,
        webhooks::create,
        webhooks::get,
        webhooks::delete,
        webhooks::deliveries,
        webhooks::redeliver,
    ]
}
