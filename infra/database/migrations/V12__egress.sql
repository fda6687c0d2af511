-- Network egress: what the operator allows each project to reach, and which runs asked for it.
create table ingest.egress_policies (
    project_id text primary key references ingest.projects (id),
    -- Rules: HOST, *.HOST, HOST:PORT.
    allow text[] not null,
    changed_at timestamptz not null default now()
);
grant select, insert, update, delete on ingest.egress_policies to crownest_ingest;

-- 'egress', or null for a run without network.
alter table ingest.runs add column network text;
