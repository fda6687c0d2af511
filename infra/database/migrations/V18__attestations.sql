-- What was signed about a run: SHA-256 of the DSSE payload, which another key would sign unchanged. Null for what was
-- sealed before there were signatures.
alter table collector.seals add column attestation_sha256 text;
