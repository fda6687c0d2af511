//! Admission: who gets a slot, and who waits. Ingest reserves slots by `metering.reserve_run`; this module gives free ones to
//! the runs that wait. The slot limit itself is `metering.free_slots`, the budget `metering.budget_is_spent`.

pub(crate) mod queue;
mod quota;
