-- Runs that belong together: a label that the client chooses, to list them by.
alter table ingest.runs add column batch_id text;
create index runs_of_batch on ingest.runs (org_id, batch_id, created_at desc, id desc) where batch_id is not null;
