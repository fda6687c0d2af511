-- Root file systems of templates, and the one that a run was created with.
-- Versions never change: a row is added, and which one is current is the only thing that moves.
alter table ingest.templates
    -- As `schemas::message::RootFs`; null for the /usr of the executor's host.
    add column root_fs jsonb,
    add column created_at timestamptz not null default now();
create unique index one_name_for_each_version on ingest.templates (slug, version);

alter table ingest.runs add column template_root_fs jsonb;
