-- Schema `metering` as the migrations leave it. Generated, never edited: write a migration, then run
--     UPDATE_SCHEMA=1 cargo nextest run -p crownest-tests schema_files

grant usage on schema metering to crownest_collector, crownest_ingest, crownest_metering;

-- The plan of each organization.
create table metering.accounts (
    org_id text not null,
    plan text not null,
    constraint accounts_pkey primary key (org_id),
    constraint accounts_plan_fkey foreign key (plan) references metering.plans(name)
);
grant select, insert, update, delete on metering.accounts to crownest_metering;

-- One row for each usage event, `<run>/<attempt>/<meter>`. Append-only, also for the role.
create table metering.ledger (
    event_id text not null,
    org_id text not null,
    project_id text not null,
    run_id text not null,
    meter text not null,
    -- Thousandths of the meter's unit.
    quantity_millis bigint not null,
    occurred_at timestamptz not null,
    recorded_at timestamptz not null default now(),
    constraint ledger_pkey primary key (event_id),
    constraint ledger_quantity_millis_check check (quantity_millis >= 0)
);
grant select, insert on metering.ledger to crownest_metering;

-- Messages that were committed and are not yet published (database::Outbox).
create table metering.outbox (
    id bigint generated always as identity,
    exchange text not null,
    routing_key text not null,
    body bytea not null,
    headers jsonb not null,
    constraint outbox_pkey primary key (id)
);
grant select, insert, update, delete on metering.outbox to crownest_metering;

-- What organizations may use. A null limit is no limit.
create table metering.plans (
    name text not null,
    -- Maximum concurrent runs of the organization.
    concurrent_runs integer,
    requests_per_minute integer,
    -- The budget of the whole organization.
    compute_unit_seconds_per_month bigint,
    -- How long artifacts are kept, of projects without a policy of their own.
    retention_days integer not null,
    -- Bounds of the collection of a run's artifacts: artifactBytes, runBytes, artifacts,
        collectionMs. A missing one is the executor's own.
    artifact_limits jsonb not null default '{}'::jsonb,
    -- Maximum runs of the organization that wait for a slot.
    waiting_runs integer,
    constraint plans_pkey primary key (name)
);
grant select, insert, update, delete on metering.plans to crownest_metering;

-- Runs that hold a slot of their organization (active) or wait for one in order of position. A waiting run has its job with it:
-- routing_key, job and headers are the message to publish once a slot is free.
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
create index reservations_of_org on metering.reservations (org_id, state, "position");
grant select, insert, update, delete on metering.reservations to crownest_metering;

-- Sums of the ledger.
create table metering.totals (
    org_id text not null,
    project_id text not null,
    -- The first day of the calendar month, UTC: metering.period_of.
    period date not null,
    meter text not null,
    quantity_millis bigint not null,
    constraint totals_pkey primary key (org_id, period, project_id, meter)
);
grant select, insert, update, delete on metering.totals to crownest_metering;

-- All plans, for operators.
create function metering.all_plans() returns setof metering.plans
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select * from metering.plans;
end;
grant execute on function metering.all_plans to crownest_ingest;

-- The bounds of an organization's plan for the artifacts of a run. Without an account there are none.
create function metering.artifact_limits(p_org text) returns jsonb
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select coalesce((select plans.artifact_limits from metering.accounts join metering.plans on plans.name = accounts.plan
        where accounts.org_id = p_org), '{}'::jsonb);
end;
grant execute on function metering.artifact_limits to crownest_ingest;

-- Whether the organization has used up what its plan includes in the current period.
create function metering.budget_is_spent(p_org text) returns boolean
language plpgsql stable as $$
declare
    budget bigint;
begin
    select compute_unit_seconds_per_month into budget
        from metering.accounts join metering.plans on plans.name = accounts.plan where accounts.org_id = p_org;
    return budget is not null and budget * 1000 <= (
        select coalesce(sum(quantity_millis), 0) from metering.totals
        where org_id = p_org and period = metering.period_of(now()) and meter = 'compute_unit_seconds');
end
$$;
grant execute on function metering.budget_is_spent to crownest_metering;

-- Maximum concurrent runs of the organization. Null: no limit.
create function metering.concurrency_limit(p_org text) returns integer
language plpgsql stable as $$
begin
    return (select plans.concurrent_runs from metering.accounts join metering.plans on plans.name = accounts.plan
        where accounts.org_id = p_org);
end
$$;
grant execute on function metering.concurrency_limit to crownest_metering;

-- Slots of the organization that no active run holds. Null: no limit. Exact while the organization is locked.
create function metering.free_slots(p_org text) returns bigint
language plpgsql stable as $$
declare
    slots integer := metering.concurrency_limit(p_org);
begin
    return case when slots is not null then greatest(0, slots - (
        select count(*) from metering.reservations where org_id = p_org and state = 'active')) end;
end
$$;
grant execute on function metering.free_slots to crownest_metering;

-- Serializes everything that counts or changes the slots of one organization, until the transaction ends.
create function metering.lock_organization(p_org text) returns void
language sql
begin atomic
    select pg_advisory_xact_lock(hashtextextended(p_org, 7401));
end;
grant execute on function metering.lock_organization to crownest_metering;

-- Opens the account of an organization, or moves it to another plan.
create function metering.open_account(p_org text, p_plan text) returns void
language sql security definer set search_path = pg_catalog, pg_temp
begin atomic
    insert into metering.accounts (org_id, plan) values (p_org, p_plan)
    on conflict (org_id) do update set plan = excluded.plan;
end;
grant execute on function metering.open_account to crownest_ingest;

-- When a period ends and the next one begins: budgets start over.
create function metering.period_end(p_period date) returns timestamptz
language sql immutable
return (p_period + interval '1 month') at time zone 'UTC';
grant execute on function metering.period_end to crownest_ingest, crownest_metering;

-- The period of a time: its calendar month, UTC, named by the first day.
create function metering.period_of(at timestamptz) returns date
language sql immutable
return date_trunc('month', at at time zone 'UTC')::date;
grant execute on function metering.period_of to crownest_ingest, crownest_metering;

-- The plan of an organization, for services that enforce or report parts of it.
create function metering.plan_of(p_org text)
returns table (plan text, concurrent_runs integer, requests_per_minute integer, retention_days integer)
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select plans.name, plans.concurrent_runs, plans.requests_per_minute, plans.retention_days
    from metering.accounts join metering.plans on plans.name = accounts.plan where accounts.org_id = p_org;
end;
grant execute on function metering.plan_of to crownest_collector, crownest_ingest;

-- The prices that are in force.
create function metering.pricing() returns table (version text, compute_unit_seconds_per_credit double precision)
language sql immutable
begin atomic
    select '2026-01', 1000::double precision;
end;

-- Reserves a slot for a run that is being started. Answers: active (publish the job now), waiting (metering will publish
-- it), quota_exceeded or queue_full (nothing was reserved).
create function metering.reserve_run(
    p_run text, p_org text, p_project text, p_routing_key text, p_job bytea, p_headers jsonb
) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    granted text := 'active';
    waiting bigint;
    most_waiting integer;
begin
    if metering.budget_is_spent(p_org) then
        return 'quota_exceeded';
    end if;
    if metering.concurrency_limit(p_org) is not null then
        perform metering.lock_organization(p_org);
        select count(*) into waiting from metering.reservations where org_id = p_org and state = 'waiting';
        -- Free slots belong to those who wait already.
        if metering.free_slots(p_org) <= waiting then
            granted := 'waiting';
            select plans.waiting_runs into most_waiting
                from metering.accounts join metering.plans on plans.name = accounts.plan where accounts.org_id = p_org;
            if waiting >= most_waiting then
                return 'queue_full';
            end if;
        end if;
    end if;
    insert into metering.reservations (run_id, org_id, project_id, state, routing_key, job, headers)
    values (p_run, p_org, p_project, granted, p_routing_key,
        case when granted = 'waiting' then p_job end, case when granted = 'waiting' then p_headers end);
    return granted;
end
$$;
grant execute on function metering.reserve_run to crownest_ingest;

-- Changes the bounds of a plan for the artifacts of runs that are started from now on.
create function metering.set_plan_artifact_limits(p_plan text, p_limits jsonb) returns void
language sql security definer set search_path = pg_catalog, pg_temp
begin atomic
    update metering.plans set artifact_limits = p_limits where name = p_plan;
end;

-- Changes how long a plan keeps artifacts, of runs that are sealed from now on.
create function metering.set_plan_retention(p_plan text, p_days integer) returns void
language sql security definer set search_path = pg_catalog, pg_temp
begin atomic
    update metering.plans set retention_days = p_days where name = p_plan;
end;

-- What the organization used in the current period, what its plan includes, and the prices; of some projects only, if they are
-- named. An organization without an account has used nothing, and nothing limits it.
create function metering.usage_summary(p_org text, p_projects text[] default null)
returns table (period_start date, period_end timestamptz, concurrent_runs integer, compute_unit_seconds_per_month bigint,
    active bigint, totals jsonb, pricing_version text, compute_unit_seconds_per_credit double precision)
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select current.period, metering.period_end(current.period), plans.concurrent_runs,
        plans.compute_unit_seconds_per_month,
        (select count(*) from metering.reservations where org_id = accounts.org_id and state = 'active'
            and (p_projects is null or project_id = any (p_projects))),
        coalesce((select jsonb_object_agg(meter, quantity) from (
            select meter, sum(quantity_millis) as quantity from metering.totals
            where org_id = accounts.org_id and period = current.period
                and (p_projects is null or project_id = any (p_projects)) group by meter) as sums), '{}'::jsonb),
        pricing.version, pricing.compute_unit_seconds_per_credit
    from (select metering.period_of(now()) as period) as current
    cross join metering.pricing() as pricing
    left join metering.accounts on accounts.org_id = p_org
    left join metering.plans on plans.name = accounts.plan;
end;
grant execute on function metering.usage_summary to crownest_ingest;
