-- Retention, tombstones and legal holds: when artifacts go, who deleted them and why, and what must not go.

alter table collector.artifacts
    add column deletion_reason text check (deletion_reason in ('client', 'retention')),
    -- The API key, if a client did it.
    add column deleted_by text,
    -- When the bytes are to leave the store. Null while they are to stay, and again once they are gone.
    add column purge_at timestamptz;
-- What was deleted before there were tombstones gets one, too.
update collector.artifacts set deletion_reason = 'client', purge_at = deleted_at where deleted_at is not null;
alter table collector.artifacts add check ((deleted_at is null) = (deletion_reason is null));
create index artifacts_to_expire on collector.artifacts (retention_expires_at) where deleted_at is null;
create index artifacts_to_purge on collector.artifacts (purge_at) where purge_at is not null;

-- For artifacts of runs that are sealed from now on, instead of the plan's days.
create table collector.retention_policies (
    project_id text primary key,
    artifact_seconds bigint not null check (artifact_seconds > 0),
    changed_at timestamptz not null default clock_timestamp()
);

-- Nothing of these runs and projects is deleted.
create table collector.legal_holds (
    subject text primary key,
    reason text not null,
    set_by text not null,
    set_at timestamptz not null default clock_timestamp()
);

-- Who held what, and who let it go. Rows are added, never changed.
create table collector.legal_hold_log (
    id bigint generated always as identity primary key,
    subject text not null,
    action text not null check (action in ('set', 'cleared')),
    reason text not null,
    actor text not null,
    database_role text not null default session_user,
    at timestamptz not null default clock_timestamp()
);
create function collector.legal_hold_log_stays() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception 'the log of legal holds is never changed';
end
$$;
create trigger legal_hold_log_stays before update or delete or truncate on collector.legal_hold_log
    for each statement execute function collector.legal_hold_log_stays();

grant select on collector.retention_policies, collector.legal_holds to crownest_collector;

create function collector.is_held(p_run text, p_project text) returns boolean
language sql stable
begin atomic
    select exists (select from collector.legal_holds where subject in (p_run, p_project));
end;

-- Whoever deletes calls this first, in a statement of its own: until the transaction ends no hold begins, so that
-- nothing goes any more once a hold is set.
create function collector.respect_legal_holds() returns void
language sql
begin atomic
    select pg_advisory_xact_lock_shared(7403);
end;
grant execute on function collector.is_held, collector.respect_legal_holds to crownest_collector;

-- Holds a run or a project. Held already, it stays so since then, for the new reason.
create function collector.set_legal_hold(p_subject text, p_reason text, p_actor text)
returns setof collector.legal_holds
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform pg_advisory_xact_lock(7403);
    insert into collector.legal_hold_log (subject, action, reason, actor) values (p_subject, 'set', p_reason, p_actor);
    return query insert into collector.legal_holds as held (subject, reason, set_by) values (p_subject, p_reason, p_actor)
        on conflict (subject) do update set reason = excluded.reason, set_by = excluded.set_by returning held.*;
end
$$;

-- Whether there was a hold.
create function collector.clear_legal_hold(p_subject text, p_reason text, p_actor text) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    delete from collector.legal_holds where subject = p_subject;
    if not found then
        return false;
    end if;
    insert into collector.legal_hold_log (subject, action, reason, actor)
    values (p_subject, 'cleared', p_reason, p_actor);
    return true;
end
$$;

-- Null seconds: as the plan says, again.
create function collector.set_artifact_retention(p_project text, p_seconds bigint) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if p_seconds is null then
        delete from collector.retention_policies where project_id = p_project;
    else
        insert into collector.retention_policies (project_id, artifact_seconds) values (p_project, p_seconds)
        on conflict (project_id) do update
            set artifact_seconds = excluded.artifact_seconds, changed_at = clock_timestamp();
    end if;
end
$$;

-- The table has more columns now.
drop function collector.find_artifact, collector.delete_artifact, collector.artifacts_of_sandbox;

create function collector.find_artifact(p_org text, p_artifact text) returns setof collector.artifacts
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select * from collector.artifacts where org_id = p_org and id = p_artifact;
end;

-- Marks an artifact as deleted, unless it is held: then it comes back as it is. Deleting twice keeps the first time.
create function collector.delete_artifact(p_org text, p_artifact text, p_key text) returns setof collector.artifacts
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform collector.respect_legal_holds();
    update collector.artifacts
        set deleted_at = date_trunc('milliseconds', clock_timestamp()), purge_at = clock_timestamp(),
            deletion_reason = 'client', deleted_by = p_key
        where org_id = p_org and id = p_artifact and deleted_at is null
            and not collector.is_held(run_id, project_id);
    return query select * from collector.artifacts where org_id = p_org and id = p_artifact;
end
$$;

-- A page, newest first: what came before it is (p_at, p_id), both null on the first one.
create function collector.artifacts_of_sandbox(p_org text, p_sandbox text, p_at timestamptz, p_id text, p_limit bigint)
returns setof collector.artifacts
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select * from collector.artifacts
    where org_id = p_org and sandbox_id = p_sandbox and (p_at is null or (created_at, id) < (p_at, p_id))
    order by created_at desc, id desc limit p_limit;
end;
grant execute on function collector.find_artifact, collector.delete_artifact, collector.artifacts_of_sandbox
    to crownest_ingest;

-- For artifacts of runs that are sealed from now on.
create function metering.set_plan_retention(p_plan text, p_days integer) returns void
language sql security definer set search_path = pg_catalog, pg_temp
begin atomic
    update metering.plans set retention_days = p_days where name = p_plan;
end;
