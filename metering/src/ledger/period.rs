//! The period of totals and budgets is a calendar month, UTC. Its only definition is the SQL functions `metering.period_of` and
//! `metering.period_end`, because statements of metering and of ingest both need it; totals are grouped by it.
