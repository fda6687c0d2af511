-- Schema `metering` as the migrations leave it. Generated, never edited: write a migration, then run
--     UPDATE_SCHEMA=1 cargo nextest run -p crownest-tests schema_files

grant usage on schema metering to crownest_collector, crownest_ingest, crownest_metering;

create table metering.accounts (
    org_id text not null,
    plan text not null,
    constraint accounts_pkey primary key (org_id),
    constraint accounts_plan_fkey foreign key (plan) references metering.plans(name)
);
grant select, insert, update, delete on metering.accounts to crownest_metering;

create table metering.ledger (
    event_id text not null,
    org_id text not null,
    project_id text not null,
    run_id text not null,
    meter text not null,
    quantity_millis bigint not null,
    occurred_at timestamptz not null,
    recorded_at timestamptz not null default now(),
    constraint ledger_pkey primary key (event_id),
    constraint ledger_quantity_millis_check check (quantity_millis >= 0)
);
grant select, insert on metering.ledger to crownest_metering;

create table metering.outbox (
    id bigint generated always as identity,
    exchange text not null,
    routing_key text not null,
    body bytea not null,
    headers jsonb not null,
    constraint outbox_pkey primary key (id)
);
grant select, insert, update, delete on metering.outbox to crownest_metering;

create table metering.plans (
    name text not null,
    concurrent_runs integer,
    requests_per_minute integer,
    compute_unit_seconds_per_month bigint,
    retention_days integer not null,
    constraint plans_pkey primary key (name)
);
grant select, insert, update, delete on metering.plans to crownest_metering;

create table metering.reservations (
    run_id text not null,
    org_id text not null,
    project_id text not null,
    state text not null,
    routing_key text,
    job bytea,
    headers jsonb,
    position bigint generated always as identity,
    constraint reservations_pkey primary key (run_id),
    constraint reservations_state_check check (state in ('waiting', 'active'))
);
create index reservations_of_project on metering.reservations (project_id, state, "position");
grant select, insert, update, delete on metering.reservations to crownest_metering;

create table metering.totals (
    org_id text not null,
    project_id text not null,
    period date not null,
    meter text not null,
    quantity_millis bigint not null,
    constraint totals_pkey primary key (org_id, period, project_id, meter)
);
grant select, insert, update, delete on metering.totals to crownest_metering;

create function metering.concurrency_limit(p_org text) returns integer
language sql stable
begin atomic
    select plans.concurrent_runs from metering.accounts join metering.plans on plans.name = accounts.plan
    where accounts.org_id = p_org;
end;
grant execute on function metering.concurrency_limit to crownest_metering;

-- Serializes everything that counts or changes the slots of one project, until the transaction ends.
create function metering.lock_project(p_project text) returns void
language sql
begin atomic
    select pg_advisory_xact_lock(hashtextextended(p_project, 7401));
end;
grant execute on function metering.lock_project to crownest_metering;

create function metering.open_account(p_org text, p_plan text) returns void
language sql security definer set search_path = pg_catalog, pg_temp
begin atomic
    insert into metering.accounts (org_id, plan) values (p_org, p_plan)
    on conflict (org_id) do update set plan = excluded.plan;
end;
grant execute on function metering.open_account to crownest_ingest;

create function metering.period_of(at timestamptz) returns date
language sql immutable
return date_trunc('month', at at time zone 'UTC')::date;
grant execute on function metering.period_of to crownest_metering;

-- What ingest enforces or reports itself.
create function metering.plan_of(p_org text)
returns table (plan text, concurrent_runs integer, requests_per_minute integer, retention_days integer)
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select plans.name, plans.concurrent_runs, plans.requests_per_minute, plans.retention_days
    from metering.accounts join metering.plans on plans.name = accounts.plan where accounts.org_id = p_org;
end;
grant execute on function metering.plan_of to crownest_collector, crownest_ingest;

-- Reserves a slot for a run that is being started. Answers: active (publish the job now), waiting (metering will
-- publish it), quota_exceeded (nothing was reserved).
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

-- For artifacts of runs that are sealed from now on.
create function metering.set_plan_retention(p_plan text, p_days integer) returns void
language sql security definer set search_path = pg_catalog, pg_temp
begin atomic
    update metering.plans set retention_days = p_days where name = p_plan;
end;

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
