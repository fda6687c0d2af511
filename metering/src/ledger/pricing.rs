//! Prices have their only definition in the SQL function `metering.pricing`. Ingest reports usage in credits with what
//! `metering.usage_summary` returns; metering itself multiplies nothing yet.
