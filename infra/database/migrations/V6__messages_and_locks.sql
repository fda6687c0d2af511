-- What a bad message or a stranger's lock can no longer stop.

-- Group roles of the services have had these functions by name; nobody else has any. `alter default privileges` binds the role
-- that executed it alone, so the programs that migrate repeat this after every migration, whoever made the functions.
revoke execute on all functions in schema ingest, collector, metering from public;

drop function ingest.advance_runs(text[], integer[], bigint[], bigint[], text[], boolean[]);

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
revoke execute on function ingest.advance_runs from public;
grant execute on function ingest.advance_runs to crownest_collector;

drop function ingest.fence_run(text);

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
revoke execute on function ingest.fence_run from public;
grant execute on function ingest.fence_run to crownest_collector;

create table collector.locks (
    name text primary key
);
comment on table collector.locks is 'Rows to lock: every login can take any advisory lock, but these only through functions.';
insert into collector.locks (name) values ('deletions'), ('store holds');

-- Whoever deletes calls this first, in a statement of its own. No hold begins until the transaction ends, so that nothing
-- is deleted any more once a hold is set.
create or replace function collector.respect_legal_holds() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform from collector.locks where name = 'deletions' for key share;
end
$$;

-- Holds a run or a project. A subject that is held already stays held since then, for the new reason.
create or replace function collector.set_legal_hold(p_subject text, p_reason text, p_actor text)
returns setof collector.legal_holds
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform from collector.locks where name = 'deletions' for update;
    insert into collector.legal_hold_log (subject, action, reason, actor) values (p_subject, 'set', p_reason, p_actor);
    return query insert into collector.legal_holds as held (subject, reason, set_by) values (p_subject, p_reason, p_actor)
        on conflict (subject) do update set reason = excluded.reason, set_by = excluded.set_by returning held.*;
    -- The first may wait for a collector that is at one of them, the second keeps sealers waiting: in this order.
    perform collector.touch_store_holds(p_subject);
    perform collector.add_store_holds(p_subject);
end
$$;

-- Sealed runs of the subject are to get a hold in the store. The trigger below takes the same lock for runs that are sealed
-- later: either this function sees the sealed run, or the trigger sees the hold.
create or replace function collector.add_store_holds(p_subject text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    perform from collector.locks where name = 'store holds' for update;
    insert into collector.store_holds (run_id, project_id, folder)
    select run_id, project_id, regexp_replace(evidence_key, '/[^/]*$', '')
    from ingest.runs_under(p_subject) join collector.seals using (run_id)
    where sealed_at is not null and evidence_key is not null
    on conflict do nothing;
end
$$;

-- A run that is sealed under a hold is to get one in the store.
create or replace function collector.hold_what_is_sealed() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform from collector.locks where name = 'store holds' for key share;
    insert into collector.store_holds (run_id, project_id, folder)
    select run_id, project_id, regexp_replace(new.evidence_key, '/[^/]*$', '')
    from ingest.runs_under(new.run_id) where collector.is_held(run_id, project_id)
    on conflict do nothing;
    return null;
end
$$;

create table collector.leaders (
    name text primary key,
    pid integer,
    server_started timestamptz,
    session_started timestamptz,
    login name
);
comment on table collector.leaders is 'The sessions that write what one session at a time may write. A row is free when its '
    'session is gone.';
comment on column collector.leaders.server_started is 'When the server started, which gives process ids again after that.';
comment on column collector.leaders.session_started is 'When the session began, as it saw that itself.';
insert into collector.leaders (name) values ('evidence log'), ('tables');

-- Makes the calling session the leader if no other session is; it stays so until it ends, as with a lock of a session.
-- p_session_started: the session's own backend_start in pg_stat_activity, which the owner of this function may not see.
create function collector.lead(p_name text, p_session_started timestamptz) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    leader collector.leaders;
begin
    select * into leader from collector.leaders where name = p_name for update;
    if not found then
        raise exception 'no leader is called %', p_name;
    end if;
    -- Sessions of other logins show when they began to some roles only: then the process and its login have to do.
    if leader.pid <> pg_backend_pid() and leader.server_started = pg_postmaster_start_time() and exists (
        select from pg_stat_activity
        where pid = leader.pid and usename = leader.login and datname = current_database()
            and coalesce(backend_start = leader.session_started, true)) then
        return false;
    end if;
    update collector.leaders set pid = pg_backend_pid(), server_started = pg_postmaster_start_time(),
            session_started = p_session_started, login = session_user
        where name = p_name;
    return true;
end
$$;
revoke execute on function collector.lead from public;
grant execute on function collector.lead to crownest_collector;
