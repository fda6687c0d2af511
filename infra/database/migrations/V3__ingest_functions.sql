-- What the other services may do to runs. Each function is one transition, and says in a word what came of it.

-- The state machine of schemas::run::RunStatus::can_become; a test compares both.
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
create trigger run_status_order before update of status on ingest.runs
    for each row when (old.status is distinct from new.status)
    execute function ingest.guard_run_status();

-- An executor takes a job. Verdicts: go; duplicate (the same job was published twice); ended (nothing to do, or
-- somebody else seals it); canceled and exhausted (the caller says so, with the returned attempt as its token).
create function ingest.claim_run(
    p_run text, p_executor text, p_sandbox text, p_command text, p_redelivered boolean, p_max_attempts integer
) returns table (verdict text, attempt integer, next_seq bigint)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    run ingest.runs;
begin
    select * into run from ingest.runs where id = p_run for update;
    if not found or run.ending or run.status in ('succeeded', 'failed', 'canceled') then
        return query select 'ended', 0, 0::bigint;
    elsif run.attempt > 0 and exists (
        select from ingest.attempts
        where run_id = p_run and attempt = run.attempt and sandbox_id = p_sandbox
    ) then
        -- The same claim again: it was committed, but its answer was lost.
        return query select 'go', run.attempt, run.next_seq;
    elsif run.attempt > 0 and not p_redelivered then
        return query select 'duplicate', 0, 0::bigint;
    elsif run.cancel_requested_at is not null and run.attempt = 0 then
        return query select 'ended', 0, 0::bigint;
    else
        update ingest.attempts set lost_at = clock_timestamp()
            where run_id = p_run and attempt = run.attempt and lost_at is null;
        update ingest.runs set attempt = run.attempt + 1,
                status = case when run.cancel_requested_at is null and run.attempt < p_max_attempts
                    then 'starting' else status end
            where id = p_run;
        if run.cancel_requested_at is not null then
            return query select 'canceled', run.attempt + 1, run.next_seq;
        elsif run.attempt >= p_max_attempts then
            return query select 'exhausted', run.attempt + 1, run.next_seq;
        else
            insert into ingest.attempts (run_id, attempt, executor_id, sandbox_id, command_id, claimed_at)
                values (p_run, run.attempt + 1, p_executor, p_sandbox, p_command, clock_timestamp());
            return query select 'go', run.attempt + 1, run.next_seq;
        end if;
    end if;
end
$$;

-- Which of these attempts should stop: canceled, or overtaken by a newer one.
create function ingest.attempts_to_stop(p_runs text[], p_attempts integer[])
returns table (run_id text, reason text)
language sql security definer set search_path = pg_catalog, pg_temp
begin atomic
    select runs.id, case when runs.attempt > asked.attempt or runs.ending then 'fenced' else 'canceled' end
    from unnest(p_runs, p_attempts) as asked (id, attempt)
    join ingest.runs on runs.id = asked.id
    where runs.attempt > asked.attempt or runs.ending or runs.cancel_requested_at is not null;
end;

-- The collector takes a batch of messages, in order. Verdicts: new; known (stored already); stale (an older attempt,
-- or the run is over); ending (the outcome is fixed, the seal may be missing). gap_from is set where numbers are missing.
create function ingest.advance_runs(
    p_runs text[], p_attempts integer[], p_first bigint[], p_last bigint[], p_statuses text[], p_ends boolean[]
) returns table (verdict text, gap_from bigint, next_seq bigint)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    count integer := coalesce(array_length(p_runs, 1), 0);
    run record;
    fresh boolean;
    following bigint;
begin
    if count > 1 then
        -- Locked in one order, whatever the order of the messages, so that two batches never wait for each other.
        perform from ingest.runs where id = any (p_runs) order by id for update;
    end if;
    for i in 1 .. count loop
        select status, ended, ending, attempt, next_seq into run from ingest.runs where id = p_runs[i] for update;
        verdict := 'stale';
        gap_from := null;
        next_seq := coalesce(run.next_seq, 0);
        if run.ended is false and run.ending then
            verdict := case when p_ends[i] then 'ending' else 'stale' end;
        elsif run.ended is false and p_attempts[i] = run.attempt then
            fresh := p_first[i] is not null and p_last[i] >= run.next_seq;
            following := case when fresh then p_last[i] + 1 else run.next_seq end;
            if fresh and p_first[i] > run.next_seq then
                gap_from := run.next_seq;
            end if;
            if fresh or p_ends[i] then
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

-- Takes a run from whatever holds it, for an ending that no executor reports. Returns the token to end it with.
create function ingest.fence_run(p_run text) returns integer
language sql security definer set search_path = pg_catalog, pg_temp
begin atomic
    update ingest.runs set attempt = attempt + 1
    where id = p_run and not ending and status not in ('succeeded', 'failed', 'canceled')
    returning attempt;
end;

-- Everything the collector needs to know of the runs that it seals.
-- (In plpgsql, like all that is called for each run: it keeps its plans, where an SQL function plans at every call.)
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

-- Makes sealed runs terminal. Only the collector does.
create function ingest.end_runs(p_runs text[], p_statuses text[], p_results jsonb[], p_next_seqs bigint[])
returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    update ingest.runs r set status = o.status, ended = true, result = o.result, next_seq = o.next_seq
    from unnest(p_runs, p_statuses, p_results, p_next_seqs) as o (id, status, result, next_seq)
    where r.id = o.id and r.ending and not r.ended;
end
$$;

grant execute on function ingest.claim_run, ingest.attempts_to_stop to crownest_executor;
grant execute on function ingest.advance_runs, ingest.fence_run, ingest.runs_to_seal, ingest.end_runs
    to crownest_collector;
grant execute on function ingest.run_can_become, ingest.guard_run_status to crownest_ingest;
