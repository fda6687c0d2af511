-- Metering: plans, who holds or waits for a slot, and the append-only ledger.

create table metering.plans (
    name text primary key,
    concurrent_runs integer,
    requests_per_minute integer,
    compute_unit_seconds_per_month bigint,
    retention_days integer not null
);
comment on table metering.plans is 'What organizations may use. A null limit is no limit.';
comment on column metering.plans.concurrent_runs is 'Maximum concurrent runs of each project.';
comment on column metering.plans.compute_unit_seconds_per_month is 'The budget of the whole organization.';
comment on column metering.plans.retention_days is 'How long artifacts are kept, of projects without a policy of their own.';
insert into metering.plans (name, concurrent_runs, requests_per_minute, compute_unit_seconds_per_month, retention_days)
values
    ('local', null, null, null, 365),
    ('free', 2, 120, null, 7),
    ('builder', 25, 120, null, 30),
    ('scale', 100, 120, null, 90),
    ('enterprise', 250, 120, null, 365);

create table metering.accounts (
    org_id text primary key,
    plan text not null references metering.plans (name)
);
comment on table metering.accounts is 'The plan of each organization.';

create table metering.reservations (
    run_id text primary key,
    org_id text not null,
    project_id text not null,
    state text not null check (state in ('waiting', 'active')),
    routing_key text,
    job bytea,
    headers jsonb,
    position bigint generated always as identity
);
comment on table metering.reservations is
'Runs that hold a slot of their project (active) or wait for one in order of position. A waiting run has its job with it:
routing_key, job and headers are the message to publish once a slot is free.';
create index reservations_of_project on metering.reservations (project_id, state, position);

create table metering.ledger (
    event_id text primary key,
    org_id text not null,
    project_id text not null,
    run_id text not null,
    meter text not null,
    quantity_millis bigint not null check (quantity_millis >= 0),
    occurred_at timestamptz not null,
    recorded_at timestamptz not null default now()
);
comment on table metering.ledger is 'One row for each usage event, `<run>/<attempt>/<meter>`. Append-only, also for the role.';
comment on column metering.ledger.quantity_millis is 'Thousandths of the meter''s unit.';

create table metering.totals (
    org_id text not null,
    project_id text not null,
    period date not null,
    meter text not null,
    quantity_millis bigint not null,
    primary key (org_id, period, project_id, meter)
);
comment on table metering.totals is 'Sums of the ledger.';
comment on column metering.totals.period is 'The first day of the calendar month, UTC: metering.period_of.';

create table metering.outbox (
    id bigint generated always as identity primary key,
    exchange text not null,
    routing_key text not null,
    body bytea not null,
    headers jsonb not null
);
comment on table metering.outbox is 'Messages that were committed and are not yet published (database::Outbox).';

grant select, insert, update, delete on all tables in schema metering to crownest_metering;
revoke update, delete on metering.ledger from crownest_metering;

-- The period of a time: its calendar month, UTC, named by the first day.
create function metering.period_of(at timestamptz) returns date
language sql immutable
return date_trunc('month', at at time zone 'UTC')::date;

-- Serializes everything that counts or changes the slots of one project, until the transaction ends.
create function metering.lock_project(p_project text) returns void
language sql
begin atomic
    select pg_advisory_xact_lock(hashtextextended(p_project, 7401));
end;

-- Maximum concurrent runs of each of the organization's projects. Null: no limit.
create function metering.concurrency_limit(p_org text) returns integer
language sql stable
begin atomic
    select plans.concurrent_runs from metering.accounts join metering.plans on plans.name = accounts.plan
    where accounts.org_id = p_org;
end;
grant execute on function metering.period_of, metering.lock_project, metering.concurrency_limit to crownest_metering;

-- Reserves a slot for a run that is being started. Answers: active (publish the job now), waiting (metering will publish
-- it), quota_exceeded (nothing was reserved).
create function metering.reserve_run(
    p_run text, p_org text, p_project text, p_routing_key text, p_job bytea, p_headers jsonb
) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    slots integer;
    quota bigint;
    used bigint;
    granted text := 'active';
begin
    select concurrent_runs, compute_unit_seconds_per_month into slots, quota
        from metering.accounts join metering.plans on plans.name = accounts.plan where accounts.org_id = p_org;
    if quota is not null then
        select coalesce(sum(quantity_millis), 0) into used from metering.totals
            where org_id = p_org and period = metering.period_of(now()) and meter = 'compute_unit_seconds';
        if used >= quota * 1000 then
            return 'quota_exceeded';
        end if;
    end if;
    if slots is not null then
        perform metering.lock_project(p_project);
        if (select count(*) from metering.reservations where project_id = p_project) >= slots then
            granted := 'waiting';
        end if;
    end if;
    insert into metering.reservations (run_id, org_id, project_id, state, routing_key, job, headers)
    values (p_run, p_org, p_project, granted, p_routing_key,
        case when granted = 'waiting' then p_job end, case when granted = 'waiting' then p_headers end);
    return granted;
end
$$;
grant execute on function metering.reserve_run to crownest_ingest;

-- The plan of an organization, for services that enforce or report parts of it.
create function metering.plan_of(p_org text)
returns table (plan text, concurrent_runs integer, requests_per_minute integer, retention_days integer)
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select plans.name, plans.concurrent_runs, plans.requests_per_minute, plans.retention_days
    from metering.accounts join metering.plans on plans.name = accounts.plan where accounts.org_id = p_org;
end;
grant execute on function metering.plan_of to crownest_ingest, crownest_collector;

-- What the organization used in the current period, and what its plan includes.
create function metering.usage_summary(p_org text)
returns table (period_start date, plan text, concurrent_runs integer, compute_unit_seconds_per_month bigint,
    active bigint, waiting bigint, totals jsonb)
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select metering.period_of(now()), plans.name, plans.concurrent_runs, plans.compute_unit_seconds_per_month,
        (select count(*) from metering.reservations where org_id = p_org and state = 'active'),
        (select count(*) from metering.reservations where org_id = p_org and state = 'waiting'),
        coalesce((select jsonb_object_agg(meter, quantity) from (
            select meter, sum(quantity_millis) as quantity from metering.totals
            where org_id = p_org and period = metering.period_of(now()) group by meter) as sums), '{}'::jsonb)
    from metering.accounts join metering.plans on plans.name = accounts.plan where accounts.org_id = p_org;
end;
grant execute on function metering.usage_summary to crownest_ingest;

-- Opens the account of an organization, or moves it to another plan.
create function metering.open_account(p_org text, p_plan text) returns void
language sql security definer set search_path = pg_catalog, pg_temp
begin atomic
    insert into metering.accounts (org_id, plan) values (p_org, p_plan)
    on conflict (org_id) do update set plan = excluded.plan;
end;
grant execute on function metering.open_account to crownest_ingest;

-- Changes how long a plan keeps artifacts, of runs that are sealed from now on.
create function metering.set_plan_retention(p_plan text, p_days integer) returns void
language sql security definer set search_path = pg_catalog, pg_temp
begin atomic
    update metering.plans set retention_days = p_days where name = p_plan;
end;
