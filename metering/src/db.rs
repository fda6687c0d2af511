//! Metering's statements, one module for each table. They are in one dialect with every other service's: `database::row`.

pub(crate) mod ledger;
pub(crate) mod reservations;
pub(crate) mod totals;
