-- Webhooks: who is told that a run has ended, and every message to them.
create table ingest.webhooks (
    id text primary key,
    org_id text not null references ingest.organizations (id),
    -- Null: runs of every project.
    project_id text references ingest.projects (id),
    url text not null,
    -- Not hashed: messages are signed with it.
    secret bytea not null,
    created_at timestamptz not null default now(),
    -- The receiver said that it is gone.
    disabled_at timestamptz
);
create index webhooks_of_org on ingest.webhooks (org_id, created_at desc, id desc);

create table ingest.webhook_deliveries (
    -- Sent as `webhook-id`: the same in every attempt.
    id text primary key,
    webhook_id text not null references ingest.webhooks (id) on delete cascade,
    org_id text not null,
    run_id text not null references ingest.runs (id),
    type text not null,
    status text not null default 'pending' check (status in ('pending', 'delivered', 'failed')),
    attempts integer not null default 0,
    -- While it is being sent: when it counts as lost.
    next_attempt_at timestamptz not null default now(),
    last_attempt_at timestamptz,
    response_status integer,
    error text,
    created_at timestamptz not null default now()
);
create index deliveries_due on ingest.webhook_deliveries (next_attempt_at) where status = 'pending';
create index deliveries_by_age on ingest.webhook_deliveries (created_at);
create index deliveries_of_webhook on ingest.webhook_deliveries (webhook_id, created_at desc, id desc);

grant select, insert, update, delete on ingest.webhooks, ingest.webhook_deliveries to crownest_ingest;

-- As before, and in the same transaction the messages to whoever wants to know.
create or replace function ingest.end_runs(p_runs text[], p_statuses text[], p_results jsonb[], p_next_seqs bigint[])
returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    with ended as (
        update ingest.runs r set status = o.status, ended = true, result = o.result, next_seq = o.next_seq
        from unnest(p_runs, p_statuses, p_results, p_next_seqs) as o (id, status, result, next_seq)
        where r.id = o.id and r.ending and not r.ended
        returning r.id, r.org_id, r.project_id
    )
    insert into ingest.webhook_deliveries (id, webhook_id, org_id, run_id, type)
    select 'whd_' || replace(gen_random_uuid()::text, '-', ''), w.id, w.org_id, ended.id, 'workspace_run.ended'
    from ended join ingest.webhooks w
        on w.org_id = ended.org_id and w.disabled_at is null
            and (w.project_id is null or w.project_id = ended.project_id);
end
$$;
