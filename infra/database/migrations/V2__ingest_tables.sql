-- Tables of ingest: who may ask, what was asked, and where each run is.

create table ingest.organizations (
    id text primary key,
    name text not null,
    created_at timestamptz not null default now()
);

create table ingest.projects (
    id text primary key,
    org_id text not null references ingest.organizations (id),
    name text not null,
    is_default boolean not null default false,
    created_at timestamptz not null default now()
);
create index projects_of_org on ingest.projects (org_id, created_at desc, id desc);
create unique index one_default_project on ingest.projects (org_id) where is_default;

create table ingest.api_keys (
    id text primary key,
    org_id text not null references ingest.organizations (id),
    name text not null,
    prefix text not null,
    last4 text not null,
    sha256 bytea not null unique,
    scopes text[] not null,
    project_ids text[],
    created_by_user_id text not null,
    created_at timestamptz not null default now(),
    revoked_at timestamptz,
    last_used_at timestamptz
);
create index api_keys_of_org on ingest.api_keys (org_id, created_at desc, id desc);

create table ingest.idempotency (
    org_id text not null,
    credential_id text not null,
    method text not null,
    route text not null,
    key text not null,
    fingerprint bytea not null,
    status_code integer not null,
    answer jsonb not null,
    created_at timestamptz not null default now(),
    primary key (org_id, credential_id, method, route, key)
);
create index idempotency_by_age on ingest.idempotency (created_at);

create table ingest.templates (
    id text not null,
    version_id text primary key,
    slug text not null,
    version text not null,
    is_current boolean not null default false
);
create unique index one_current_version on ingest.templates (slug) where is_current;
-- The standard template until imported root filesystems arrive: the executor presents its host's /usr read-only.
insert into ingest.templates (id, version_id, slug, version, is_current)
values ('tpl_pythonnode', 'tplv_pythonnodehost', 'python-node', 'host', true);

create table ingest.runs (
    id text primary key,
    org_id text not null,
    project_id text not null references ingest.projects (id),
    status text not null constraint run_status check (status in (
        'awaiting_archive', 'archive_uploaded', 'starting', 'extracting', 'running', 'collecting',
        'succeeded', 'failed', 'canceled'
    )),
    command text not null,
    template_id text not null,
    template_slug text not null,
    template_version text not null,
    template_version_id text not null,
    artifacts jsonb not null,
    metadata jsonb not null,
    source_metadata jsonb,
    timeout_ms bigint not null,
    keep_sandbox boolean not null,
    traceparent text not null,
    created_at timestamptz not null,
    archive_sha256 text,
    archive_size bigint,
    uploaded_at timestamptz,
    queued_at timestamptz,
    cancel_requested_at timestamptz,
    -- When the time to upload and start it was over. Set once, so that the collector is told once.
    expired_at timestamptz,
    -- The fencing token: what an older attempt says is dropped.
    attempt integer not null default 0,
    -- One past the last stored event.
    next_seq bigint not null default 1,
    -- The collector has fixed the outcome; nothing but the seal follows.
    ending boolean not null default false,
    -- The status is terminal. No index may mention what changes more often: a run's row is updated about eight
    -- times, and an update that touches no indexed column writes to no index (HOT).
    ended boolean not null default false,
    -- The members of the API's RunResult.
    result jsonb not null default '{}'
) with (fillfactor = 80);
create index runs_of_org on ingest.runs (org_id, created_at desc, id desc);
create index runs_of_project on ingest.runs (project_id, created_at desc, id desc);
-- For gauges and expiry: looking at what is not over must not read what is.
create index open_runs on ingest.runs (created_at) where not ended;

create table ingest.attempts (
    run_id text not null references ingest.runs (id),
    attempt integer not null,
    executor_id text not null,
    sandbox_id text not null,
    command_id text not null,
    claimed_at timestamptz not null,
    -- Set when the next claim found this attempt's executor gone.
    lost_at timestamptz,
    primary key (run_id, attempt)
);

create table ingest.uploads (
    id text primary key,
    org_id text not null,
    run_id text not null references ingest.runs (id),
    sha256 text not null,
    size_bytes bigint not null,
    status text not null check (status in ('pending', 'uploaded', 'finalized')),
    expires_at timestamptz not null,
    created_at timestamptz not null default now()
);
create index uploads_of_run on ingest.uploads (run_id);

-- Archives that are in the object store, verified. Content-addressed for each organization.
create table ingest.archives (
    org_id text not null,
    sha256 text not null,
    size_bytes bigint not null,
    uploaded_at timestamptz not null default now(),
    primary key (org_id, sha256)
);

create table ingest.outbox (
    id bigint generated always as identity primary key,
    exchange text not null,
    routing_key text not null,
    body bytea not null,
    headers jsonb not null
);

grant select, insert, update, delete on all tables in schema ingest to crownest_ingest;
