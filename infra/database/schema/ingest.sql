-- Schema `ingest` as the migrations leave it. Generated, never edited: write a migration, then run
--     UPDATE_SCHEMA=1 cargo nextest run -p crownest-tests schema_files

grant usage on schema ingest to crownest_collector, crownest_executor, crownest_ingest, crownest_metering;

-- Credentials of clients. A key itself is not stored, only its SHA-256.
create table ingest.api_keys (
    id text not null,
    org_id text not null,
    name text not null,
    prefix text not null,
    last4 text not null,
    sha256 bytea not null,
    scopes text[] not null,
    -- The projects that the key is limited to. Null: all of the organization.
    project_ids text[],
    created_by_user_id text not null,
    created_at timestamptz not null default now(),
    revoked_at timestamptz,
    last_used_at timestamptz,
    constraint api_keys_pkey primary key (id),
    constraint api_keys_sha256_key unique (sha256),
    constraint api_keys_org_id_fkey foreign key (org_id) references ingest.organizations(id)
);
create index api_keys_of_org on ingest.api_keys (org_id, created_at desc, id desc);
grant select, insert, update, delete on ingest.api_keys to crownest_ingest;

-- Verified archives in the object store, content-addressed per organization.
create table ingest.archives (
    org_id text not null,
    sha256 text not null,
    size_bytes bigint not null,
    uploaded_at timestamptz not null default now(),
    constraint archives_pkey primary key (org_id, sha256)
);
grant select, insert, update, delete on ingest.archives to crownest_ingest;

-- Claims of runs by executors.
create table ingest.attempts (
    run_id text not null,
    attempt integer not null,
    executor_id text not null,
    sandbox_id text not null,
    command_id text not null,
    claimed_at timestamptz not null,
    -- When the next claim found the executor of this attempt gone.
    lost_at timestamptz,
    constraint attempts_pkey primary key (run_id, attempt),
    constraint attempts_run_id_fkey foreign key (run_id) references ingest.runs(id)
);
create index attempts_of_sandbox on ingest.attempts (sandbox_id);
grant select, insert, update, delete on ingest.attempts to crownest_ingest;

-- What the operator allows each project to reach.
create table ingest.egress_policies (
    project_id text not null,
    -- Rules: HOST, *.HOST, HOST:PORT.
    allow text[] not null,
    changed_at timestamptz not null default now(),
    constraint egress_policies_pkey primary key (project_id),
    constraint egress_policies_project_id_fkey foreign key (project_id) references ingest.projects(id)
);
grant select, insert, update, delete on ingest.egress_policies to crownest_ingest;

-- Answers by Idempotency-Key, each written in the transaction of its effect. A repeated request gets the stored answer.
create table ingest.idempotency (
    org_id text not null,
    credential_id text not null,
    method text not null,
    route text not null,
    key text not null,
    -- Digest of the request. Another request with the same key is refused.
    fingerprint bytea not null,
    status_code integer not null,
    answer jsonb not null,
    created_at timestamptz not null default now(),
    constraint idempotency_pkey primary key (org_id, credential_id, method, route, key)
);
create index idempotency_by_age on ingest.idempotency (created_at);
grant select, insert, update, delete on ingest.idempotency to crownest_ingest;

-- The tenants.
create table ingest.organizations (
    id text not null,
    name text not null,
    created_at timestamptz not null default now(),
    constraint organizations_pkey primary key (id)
);
grant select, insert, update, delete on ingest.organizations to crownest_ingest;

-- Messages that were committed and are not yet published (database::Outbox).
create table ingest.outbox (
    id bigint generated always as identity,
    exchange text not null,
    routing_key text not null,
    body bytea not null,
    headers jsonb not null,
    constraint outbox_pkey primary key (id)
);
grant select, insert, update, delete on ingest.outbox to crownest_ingest;

-- Projects of an organization. Each run belongs to one; at most one of them is the default.
create table ingest.projects (
    id text not null,
    org_id text not null,
    name text not null,
    is_default boolean not null default false,
    created_at timestamptz not null default now(),
    constraint projects_pkey primary key (id),
    constraint projects_org_id_fkey foreign key (org_id) references ingest.organizations(id)
);
create unique index one_default_project on ingest.projects (org_id) where is_default;
create index projects_of_org on ingest.projects (org_id, created_at desc, id desc);
grant select, insert, update, delete on ingest.projects to crownest_ingest;

-- Values of environment variables until the run has ended. Not in ingest.runs,
    whose readers have no business with them.
create table ingest.run_env (
    run_id text not null,
    -- Encrypted by ingest, for this run only. PostgreSQL never has the key.
    sealed bytea not null,
    constraint run_env_pkey primary key (run_id),
    constraint run_env_run_id_fkey foreign key (run_id) references ingest.runs(id) on delete cascade
);
grant select, insert, update, delete on ingest.run_env to crownest_ingest;

-- What was asked for, and where it is. A row is updated about eight times, and an update that touches no indexed column
-- writes to no index (HOT): no index may mention what changes more often than `ended`.
create table ingest.runs (
    id text not null,
    org_id text not null,
    project_id text not null,
    status text not null,
    command text not null,
    template_id text not null,
    template_slug text not null,
    template_version text not null,
    template_version_id text not null,
    artifacts jsonb not null,
    metadata jsonb not null,
    source_metadata jsonb,
    timeout_ms bigint not null,
    traceparent text not null,
    created_at timestamptz not null,
    archive_sha256 text,
    archive_size bigint,
    uploaded_at timestamptz,
    queued_at timestamptz,
    cancel_requested_at timestamptz,
    -- When the time to upload the archive and start the run was over. Set once, so that the collector is told once.
    expired_at timestamptz,
    -- The fencing token: messages of an older attempt are dropped.
    attempt integer not null default 0,
    -- One past the last stored event.
    next_seq bigint not null default 1,
    -- The collector has fixed the outcome; only the seal follows.
    ending boolean not null default false,
    -- The status is terminal.
    ended boolean not null default false,
    -- The members of the API's RunResult.
    result jsonb not null default '{}'::jsonb,
    -- A label that the client chooses, to list runs that belong together.
    batch_id text,
    -- Names of environment variables. Their values are in ingest.run_env.
    env_keys text[] not null default '{}'::text[],
    -- The root file system of the template version when the run was created.
    template_root_fs jsonb,
    -- The word egress, or null for a run without network.
    network text,
    constraint runs_pkey primary key (id),
    constraint runs_project_id_fkey foreign key (project_id) references ingest.projects(id),
    constraint run_status check (status in ('awaiting_archive', 'archive_uploaded', 'starting', 'extracting', 'running',
        'collecting', 'succeeded', 'failed', 'canceled'))
) with (fillfactor=80);
-- For gauges and expiry, which look at unfinished runs without reading ended ones.
create index open_runs on ingest.runs (created_at) where (not ended);
create index runs_of_batch on ingest.runs (org_id, batch_id, created_at desc, id desc) where (batch_id is not null);
create index runs_of_org on ingest.runs (org_id, created_at desc, id desc);
create index runs_of_project on ingest.runs (project_id, created_at desc, id desc);
create trigger run_status_order before update of status on ingest.runs
    for each row when (old.status is distinct from new.status)
    execute function ingest.guard_run_status();
grant select, insert, update, delete on ingest.runs to crownest_ingest;

-- Versions of templates. A version never changes; only which version is current does.
create table ingest.templates (
    id text not null,
    version_id text not null,
    slug text not null,
    version text not null,
    is_current boolean not null default false,
    -- The root file system, as schemas::message::RootFs. Null: the /usr of the executor's host.
    root_fs jsonb,
    created_at timestamptz not null default now(),
    constraint templates_pkey primary key (version_id)
);
create unique index one_current_version on ingest.templates (slug) where is_current;
create unique index one_name_for_each_version on ingest.templates (slug, version);
grant select, insert, update, delete on ingest.templates to crownest_ingest;

-- Staged archives: announced, uploaded, then verified and finalized.
create table ingest.uploads (
    id text not null,
    org_id text not null,
    run_id text not null,
    sha256 text not null,
    size_bytes bigint not null,
    status text not null,
    expires_at timestamptz not null,
    created_at timestamptz not null default now(),
    -- The object that the client writes by a presigned URL. It belongs to nobody before it was verified,
        and is removed after
    -- its time. Null: the client sends the archive to ingest.
    staging_key text,
    constraint uploads_pkey primary key (id),
    constraint uploads_run_id_fkey foreign key (run_id) references ingest.runs(id),
    constraint uploads_status_check check (status in ('pending', 'uploaded', 'finalized'))
);
create index uploads_in_store on ingest.uploads (expires_at) where (staging_key is not null);
create index uploads_of_run on ingest.uploads (run_id);
create index uploads_open on ingest.uploads (org_id, expires_at) where (status = 'pending');
grant select, insert, update, delete on ingest.uploads to crownest_ingest;

-- Messages to webhooks, and what became of them.
create table ingest.webhook_deliveries (
    -- Sent as `webhook-id`, the same in every attempt.
    id text not null,
    webhook_id text not null,
    org_id text not null,
    run_id text not null,
    type text not null,
    status text not null default 'pending',
    attempts integer not null default 0,
    -- While the message is being sent: when the attempt counts as lost.
    next_attempt_at timestamptz not null default now(),
    last_attempt_at timestamptz,
    response_status integer,
    error text,
    created_at timestamptz not null default now(),
    constraint webhook_deliveries_pkey primary key (id),
    constraint webhook_deliveries_run_id_fkey foreign key (run_id) references ingest.runs(id),
    constraint webhook_deliveries_webhook_id_fkey foreign key (webhook_id) references ingest.webhooks(id) on delete cascade,
    constraint webhook_deliveries_status_check check (status in ('pending', 'delivered', 'failed'))
);
create index deliveries_by_age on ingest.webhook_deliveries (created_at);
create index deliveries_due_of_webhook on ingest.webhook_deliveries (webhook_id,
    next_attempt_at) where (status = 'pending');
create index deliveries_of_webhook on ingest.webhook_deliveries (webhook_id, created_at desc, id desc);
grant select, insert, update, delete on ingest.webhook_deliveries to crownest_ingest;

-- Receivers that are told when a run has ended.
create table ingest.webhooks (
    id text not null,
    org_id text not null,
    -- Null: runs of every project.
    project_id text,
    url text not null,
    -- Not hashed: messages are signed with it.
    secret bytea not null,
    created_at timestamptz not null default now(),
    -- When the receiver said that it is gone.
    disabled_at timestamptz,
    -- Pauses since the receiver last answered. While it is not 0, one message at a time is tried.
    failures integer not null default 0,
    -- Nothing is sent before this time, because the receiver did not answer.
    paused_until timestamptz,
    constraint webhooks_pkey primary key (id),
    constraint webhooks_org_id_fkey foreign key (org_id) references ingest.organizations(id),
    constraint webhooks_project_id_fkey foreign key (project_id) references ingest.projects(id)
);
create index webhooks_of_org on ingest.webhooks (org_id, created_at desc, id desc);
grant select, insert, update, delete on ingest.webhooks to crownest_ingest;

-- The collector takes a group of messages, in order. Verdicts: new; known (stored already); stale (an older attempt, or the
-- run is over); ending (the outcome is fixed, the seal may be missing); refused (its numbers overlap stored ones without being
-- those). fresh: the segment is to be stored. gap_from is set where numbers are missing.
create function ingest.advance_runs(
    p_runs text[], p_attempts integer[], p_first bigint[], p_last bigint[], p_statuses text[], p_ends boolean[]
) returns table (verdict text, fresh boolean, gap_from bigint, next_seq bigint)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    count integer := coalesce(array_length(p_runs, 1), 0);
    run record;
    following bigint;
begin
    if count > 1 then
        -- Locked in one order, whatever the order of the messages, so that two batches never wait for each other.
        perform from ingest.runs where id = any (p_runs) order by id for update;
    end if;
    for i in 1 .. count loop
        select status, ended, ending, attempt, next_seq into run from ingest.runs where id = p_runs[i] for update;
        verdict := 'stale';
        fresh := false;
        gap_from := null;
        next_seq := coalesce(run.next_seq, 0);
        if run.ended is false and run.ending then
            verdict := case when p_ends[i] then 'ending' else 'stale' end;
        elsif run.ended is false and p_attempts[i] = run.attempt then
            fresh := p_first[i] is not null and p_last[i] >= run.next_seq;
            following := case when fresh then p_last[i] + 1 else run.next_seq end;
            if fresh and p_first[i] < run.next_seq then
                fresh := false;
                following := run.next_seq;
                verdict := 'refused';
            elsif fresh or p_ends[i] then
                if fresh and p_first[i] > run.next_seq then
                    gap_from := run.next_seq;
                end if;
                update ingest.runs set
                    next_seq = following,
                    ending = p_ends[i],
                    status = case
                        when p_statuses[i] is not null and ingest.run_can_become(status, p_statuses[i])
                        then p_statuses[i] else status end
                where id = p_runs[i];
                verdict := 'new';
            else
                verdict := 'known';
            end if;
            next_seq := following;
        end if;
        return next;
    end loop;
end
$$;
grant execute on function ingest.advance_runs to crownest_collector;

-- Names those of the attempts that are to stop: canceled, or overtaken by a newer attempt.
create function ingest.attempts_to_stop(p_runs text[], p_attempts integer[])
returns table (run_id text, reason text)
language sql security definer set search_path = pg_catalog, pg_temp
begin atomic
    select runs.id, case when runs.attempt > asked.attempt or runs.ending then 'fenced' else 'canceled' end
    from unnest(p_runs, p_attempts) as asked (id, attempt)
    join ingest.runs on runs.id = asked.id
    where runs.attempt > asked.attempt or runs.ending or runs.cancel_requested_at is not null;
end;
grant execute on function ingest.attempts_to_stop to crownest_executor;

-- An executor takes a job. Verdicts: go, with the attempt, the number of its first event and the encrypted values of `env`;
-- duplicate (the job was published twice); ended (there is nothing to do, or somebody else seals the run); canceled and
-- exhausted (the caller ends the run, with the returned attempt as its token).
create function ingest.claim_run(
    p_run text, p_executor text, p_sandbox text, p_command text, p_redelivered boolean, p_max_attempts integer
) returns table (verdict text, attempt integer, next_seq bigint, env bytea)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    run ingest.runs;
    sealed_env bytea;
begin
    select * into run from ingest.runs where id = p_run for update;
    if found and run.env_keys <> '{}' then
        select sealed into sealed_env from ingest.run_env where run_id = p_run;
    end if;
    if run.id is null or run.ending or run.status in ('succeeded', 'failed', 'canceled') then
        return query select 'ended', 0, 0::bigint, null::bytea;
    elsif run.attempt > 0 and exists (
        select from ingest.attempts
        where run_id = p_run and attempt = run.attempt and sandbox_id = p_sandbox
    ) then
        -- The same claim again: it was committed, but its answer was lost.
        return query select 'go', run.attempt, run.next_seq, sealed_env;
    elsif run.attempt > 0 and not p_redelivered then
        return query select 'duplicate', 0, 0::bigint, null::bytea;
    elsif run.cancel_requested_at is not null and run.attempt = 0 then
        return query select 'ended', 0, 0::bigint, null::bytea;
    else
        update ingest.attempts set lost_at = clock_timestamp()
            where run_id = p_run and attempt = run.attempt and lost_at is null;
        update ingest.runs set attempt = run.attempt + 1,
                status = case when run.cancel_requested_at is null and run.attempt < p_max_attempts
                    then 'starting' else status end
            where id = p_run;
        if run.cancel_requested_at is not null then
            return query select 'canceled', run.attempt + 1, run.next_seq, null::bytea;
        elsif run.attempt >= p_max_attempts then
            return query select 'exhausted', run.attempt + 1, run.next_seq, null::bytea;
        else
            insert into ingest.attempts (run_id, attempt, executor_id, sandbox_id, command_id, claimed_at)
                values (p_run, run.attempt + 1, p_executor, p_sandbox, p_command, clock_timestamp());
            return query select 'go', run.attempt + 1, run.next_seq, sealed_env;
        end if;
    end if;
end
$$;
grant execute on function ingest.claim_run to crownest_executor;

-- Makes sealed runs terminal, which the collector alone does. In the same transaction their environment variables are
-- deleted, and messages to the webhooks of their projects are written.
create function ingest.end_runs(p_runs text[], p_statuses text[], p_results jsonb[], p_next_seqs bigint[])
returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    with ended as (
        update ingest.runs r set status = o.status, ended = true, result = o.result, next_seq = o.next_seq
        from unnest(p_runs, p_statuses, p_results, p_next_seqs) as o (id, status, result, next_seq)
        where r.id = o.id and r.ending and not r.ended
        returning r.id, r.org_id, r.project_id, r.env_keys
    ), forgotten as (
        delete from ingest.run_env e using ended where e.run_id = ended.id and ended.env_keys <> '{}'
    )
    insert into ingest.webhook_deliveries (id, webhook_id, org_id, run_id, type)
    select 'whd_' || replace(gen_random_uuid()::text, '-', ''), w.id, w.org_id, ended.id, 'workspace_run.ended'
    from ended join ingest.webhooks w
        on w.org_id = ended.org_id and w.disabled_at is null
            and (w.project_id is null or w.project_id = ended.project_id);
end
$$;
grant execute on function ingest.end_runs to crownest_collector;

-- Takes a run from its holder, for an ending that no executor reports: from this attempt or an earlier one, or, with null, from
-- any. Returns the token to end the run with.
create function ingest.fence_run(p_run text, p_attempt integer) returns integer
language sql security definer set search_path = pg_catalog, pg_temp
begin atomic
    update ingest.runs set attempt = attempt + 1
    where id = p_run and not ending and status not in ('succeeded', 'failed', 'canceled')
        and coalesce(p_attempt, attempt) >= attempt
    returning attempt;
end;
grant execute on function ingest.fence_run to crownest_collector;

-- Refuses a change of status that the state machine does not have.
create function ingest.guard_run_status() returns trigger
language plpgsql as $$
begin
    if not ingest.run_can_become(old.status, new.status) then
        raise exception 'run % cannot go from % to %', old.id, old.status, new.status
            using errcode = 'check_violation', constraint = 'run_status_order';
    end if;
    return new;
end
$$;
grant execute on function ingest.guard_run_status to crownest_ingest;

-- The state machine of schemas::run::RunStatus::can_become; a test compares the two.
create function ingest.run_can_become(from_status text, next_status text) returns boolean
language sql immutable
return case
    when from_status in ('succeeded', 'failed', 'canceled') then false
    when next_status in ('canceled', 'failed') then true
    else (from_status, next_status) in (
        ('awaiting_archive', 'archive_uploaded'), ('archive_uploaded', 'starting'),
        ('starting', 'extracting'), ('starting', 'running'), ('starting', 'collecting'), ('starting', 'succeeded'),
        ('extracting', 'running'), ('extracting', 'collecting'), ('extracting', 'succeeded'),
        ('running', 'collecting'), ('running', 'succeeded'), ('collecting', 'succeeded'),
        ('extracting', 'starting'), ('running', 'starting'), ('collecting', 'starting')
    )
end;
grant execute on function ingest.run_can_become to crownest_ingest;

-- Everything that the collector needs to know of the runs that it seals.
create function ingest.runs_to_seal(p_runs text[])
returns table (run jsonb, attempts jsonb)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
    return query
    select to_jsonb(r), coalesce((
        select jsonb_agg(to_jsonb(a) order by a.attempt) from ingest.attempts a where a.run_id = r.id), '[]'::jsonb)
    from ingest.runs r where r.id = any (p_runs);
end
$$;
grant execute on function ingest.runs_to_seal to crownest_collector;

-- A run, or the runs of a project. For functions of the collector, which run as the owner.
create function ingest.runs_under(p_subject text) returns table (run_id text, project_id text)
language sql stable
begin atomic
    select id, project_id from ingest.runs where id = p_subject or project_id = p_subject;
end;
