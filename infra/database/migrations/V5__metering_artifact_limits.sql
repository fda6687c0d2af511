-- Plans may bound the artifacts of a run.

alter table metering.plans add column artifact_limits jsonb not null default '{}';
comment on column metering.plans.artifact_limits is
'Bounds of the collection of a run''s artifacts: artifactBytes, runBytes, artifacts, collectionMs. A missing one is the executor''s own.';

-- All plans, for operators.
create or replace function metering.all_plans() returns setof metering.plans
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select * from metering.plans;
end;

-- The bounds of an organization's plan for the artifacts of a run. Without an account there are none.
create function metering.artifact_limits(p_org text) returns jsonb
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select coalesce((select plans.artifact_limits from metering.accounts join metering.plans on plans.name = accounts.plan
        where accounts.org_id = p_org), '{}'::jsonb);
end;
revoke execute on function metering.artifact_limits from public;
grant execute on function metering.artifact_limits to crownest_ingest;

-- Changes the bounds of a plan for the artifacts of runs that are started from now on.
create function metering.set_plan_artifact_limits(p_plan text, p_limits jsonb) returns void
language sql security definer set search_path = pg_catalog, pg_temp
begin atomic
    update metering.plans set artifact_limits = p_limits where name = p_plan;
end;
revoke execute on function metering.set_plan_artifact_limits from public;
