//! The tables of metering, one module each.

pub(crate) mod ledger;
pub(crate) mod reservations;
pub(crate) mod totals;
