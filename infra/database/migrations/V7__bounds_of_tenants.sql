-- What one tenant may take: slots are the organization's, not each project's, and so is the number of runs that wait. Webhooks
-- whose receiver does not answer are left alone for a while.

-- Ingest: webhooks.

alter table ingest.webhooks
    add column failures integer not null default 0,
    add column paused_until timestamptz;
comment on column ingest.webhooks.failures is 'Pauses since the receiver last answered. While it is not 0, one message at a time is tried.';
comment on column ingest.webhooks.paused_until is 'Nothing is sent before this time, because the receiver did not answer.';

create index deliveries_due_of_webhook on ingest.webhook_deliveries (webhook_id, next_attempt_at) where status = 'pending';
drop index ingest.deliveries_due;

-- For the limit of open transfers.
create index uploads_open on ingest.uploads (org_id, expires_at) where status = 'pending';

-- Metering: slots.

alter table metering.plans add column waiting_runs integer;
comment on column metering.plans.concurrent_runs is 'Maximum concurrent runs of the organization.';
comment on column metering.plans.waiting_runs is 'Maximum runs of the organization that wait for a slot.';
update metering.plans set waiting_runs = concurrent_runs * 100;

comment on table metering.reservations is
'Runs that hold a slot of their organization (active) or wait for one in order of position. A waiting run has its job with it:
routing_key, job and headers are the message to publish once a slot is free.';
create index reservations_of_org on metering.reservations (org_id, state, position);
drop index metering.reservations_of_project;

drop function metering.all_plans();
-- All plans, for operators.
create function metering.all_plans() returns setof metering.plans
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select * from metering.plans;
end;
revoke execute on function metering.all_plans from public;
grant execute on function metering.all_plans to crownest_ingest;

-- Maximum concurrent runs of the organization. Null: no limit.
create or replace function metering.concurrency_limit(p_org text) returns integer
language plpgsql stable as $$
begin
    return (select plans.concurrent_runs from metering.accounts join metering.plans on plans.name = accounts.plan
        where accounts.org_id = p_org);
end
$$;

drop function metering.free_slots(text, text);
drop function metering.lock_project(text);

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

-- Serializes everything that counts or changes the slots of one organization, until the transaction ends.
create function metering.lock_organization(p_org text) returns void
language sql
begin atomic
    select pg_advisory_xact_lock(hashtextextended(p_org, 7401));
end;
revoke execute on function metering.free_slots, metering.lock_organization from public;
grant execute on function metering.free_slots, metering.lock_organization to crownest_metering;

-- Reserves a slot for a run that is being started. Answers: active (publish the job now), waiting (metering will publish
-- it), quota_exceeded or queue_full (nothing was reserved).
create or replace function metering.reserve_run(
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

drop function metering.usage_summary(text);
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
revoke execute on function metering.usage_summary from public;
grant execute on function metering.usage_summary to crownest_ingest;
