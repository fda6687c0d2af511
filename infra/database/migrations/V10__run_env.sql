-- Environment variables of runs: their names stay with the run, their values only until it is over.
alter table ingest.runs add column env_keys text[] not null default '{}';

-- Beside the run, not in it: whoever reads runs has no business here, and the row is deleted when the run has ended.
create table ingest.run_env (
    run_id text primary key references ingest.runs (id) on delete cascade,
    -- Encrypted by ingest, for this run only. PostgreSQL never has the key.
    sealed bytea not null
);
grant select, insert, update, delete on ingest.run_env to crownest_ingest;

-- As before, and whoever may run it gets the encrypted values, nobody else. (A function's answer cannot be widened.)
drop function ingest.claim_run;
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

-- As before, and in the same transaction the values of what is over are deleted.
create or replace function ingest.end_runs(p_runs text[], p_statuses text[], p_results jsonb[], p_next_seqs bigint[])
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
