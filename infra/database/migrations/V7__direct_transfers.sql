-- Archives that clients put straight into the store, by presigned URLs.
-- Where such a client may write. Whatever is there is nobody's before it was verified, and is removed after its time.
alter table ingest.uploads add column staging_key text;
create index uploads_in_store on ingest.uploads (expires_at) where staging_key is not null;
