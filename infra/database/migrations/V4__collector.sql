-- Tables of the collector: what was received and is not yet in the object store, and what was sealed.

create table collector.segments (
    run_id text not null,
    first_seq bigint not null,
    last_seq bigint not null,
    attempt integer not null,
    plain_bytes bigint not null,
    -- One zstd frame of NDJSON, as it came.
    frame bytea not null,
    primary key (run_id, first_seq)
);
-- The frames are compressed already.
alter table collector.segments alter column frame set storage external;

create table collector.parts (
    run_id text not null,
    part integer not null,
    object_key text not null,
    size_bytes bigint not null,
    sha256 text not null,
    first_seq bigint not null,
    last_seq bigint not null,
    index_offset bigint not null,
    -- Merkle leaves of the frames, 32 bytes each.
    leaves bytea not null,
    primary key (run_id, part)
);

create table collector.gaps (
    run_id text not null,
    first_seq bigint not null,
    last_seq bigint not null,
    primary key (run_id, first_seq)
);

-- The outcome as it was fixed, so that sealing again gives the same bytes. sealed_at is null until all is durable.
create table collector.seals (
    run_id text primary key,
    ending jsonb not null,
    decided_at timestamptz not null,
    last_seq bigint not null,
    sealed_at timestamptz,
    -- The segments are gone; readers find the events in the object store.
    pruned boolean not null default false,
    evidence_key text,
    evidence_sha256 text
);
create index unsealed on collector.seals (decided_at) where sealed_at is null;
create index to_prune on collector.seals (sealed_at) where not pruned;

create table collector.artifacts (
    id text primary key,
    org_id text not null,
    project_id text not null,
    run_id text not null,
    sandbox_id text not null,
    name text not null,
    source_path text not null,
    object_key text not null,
    size_bytes bigint not null,
    sha256 text not null,
    content_type text not null,
    created_at timestamptz not null,
    retention_expires_at timestamptz,
    deleted_at timestamptz
);
create index artifacts_of_run on collector.artifacts (run_id);

create table collector.outbox (
    id bigint generated always as identity primary key,
    exchange text not null,
    routing_key text not null,
    body bytea not null,
    headers jsonb not null
);

grant select, insert, update, delete on all tables in schema collector to crownest_collector;

-- For readers: the segments after a seq, in order, until about p_max_bytes of events are reached (at least one).
create function collector.segments_after(p_run text, p_after bigint, p_max_bytes bigint)
returns table (first_seq bigint, last_seq bigint, plain_bytes bigint, frame bytea)
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select first_seq, last_seq, plain_bytes, frame
    from (
        select segments.*, sum(plain_bytes) over (order by first_seq) - plain_bytes as before
        from (
            select * from collector.segments
            where run_id = p_run and last_seq > p_after
            order by first_seq limit 256
        ) as segments
    ) as page
    where before < p_max_bytes
    order by first_seq;
end;

create function collector.parts_of_run(p_run text)
returns table (object_key text, size_bytes bigint, first_seq bigint, last_seq bigint, index_offset bigint)
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select object_key, size_bytes, first_seq, last_seq, index_offset
    from collector.parts where run_id = p_run order by part;
end;

create function collector.evidence_of_run(p_run text)
returns table (evidence_key text, evidence_sha256 text)
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select evidence_key, evidence_sha256 from collector.seals where run_id = p_run and sealed_at is not null;
end;

create function collector.find_artifact(p_org text, p_artifact text) returns setof collector.artifacts
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select * from collector.artifacts where org_id = p_org and id = p_artifact;
end;

-- Marks an artifact as deleted; its digest stays. Deleting twice keeps the first time.
create function collector.delete_artifact(p_org text, p_artifact text) returns setof collector.artifacts
language sql security definer set search_path = pg_catalog, pg_temp
begin atomic
    update collector.artifacts set deleted_at = coalesce(deleted_at, clock_timestamp())
    where org_id = p_org and id = p_artifact returning *;
end;

grant execute on function collector.segments_after, collector.parts_of_run, collector.evidence_of_run,
    collector.find_artifact, collector.delete_artifact to crownest_ingest;
