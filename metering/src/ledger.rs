//! The ledger: usage is recorded exactly once, and summed up by period. A usage event comes in by [`consume`], and [`record`]
//! writes it in the transaction that frees its run's slot. What a period is says [`period`], what usage costs [`pricing`].

mod consume;
mod period;
mod pricing;
mod record;

pub(crate) use consume::consume;
