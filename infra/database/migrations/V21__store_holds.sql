-- Legal holds in the object store (S3 Object Lock): which runs' objects have one, are to get one or to lose it.

create table collector.store_holds (
    run_id text primary key,
    project_id text not null,
    -- Of the run, in the store.
    folder text not null,
    -- Some object may have a hold: true from before the first one gets it.
    in_store boolean not null default false,
    -- When to make the store's holds what they should be. Null: they are, and they are set.
    due_at timestamptz default clock_timestamp(),
    -- Since when they may not be.
    changed_at timestamptz not null default clock_timestamp()
);
create index store_holds_due on collector.store_holds (due_at) where due_at is not null;
create index store_holds_of_project on collector.store_holds (project_id);
grant select, update, delete on collector.store_holds to crownest_collector;

-- A run, or the runs of a project.
create function ingest.runs_under(p_subject text) returns table (run_id text, project_id text)
language sql stable
begin atomic
    select id, project_id from ingest.runs where id = p_subject or project_id = p_subject;
end;

-- A hold was set or cleared: what the store has of the subject is looked at again.
create function collector.touch_store_holds(p_subject text) returns void
language sql
begin atomic
    update collector.store_holds
        set due_at = clock_timestamp(), changed_at = case when due_at is null then clock_timestamp() else changed_at end
        where run_id = p_subject or project_id = p_subject;
end;

-- Runs of the subject that are sealed are to get a hold in the store. For those that are sealed later there is the trigger
-- below, which takes the same lock: either this sees the sealed run, or that sees the hold.
create function collector.add_store_holds(p_subject text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    perform pg_advisory_xact_lock(7404);
    insert into collector.store_holds (run_id, project_id, folder)
    select run_id, project_id, regexp_replace(evidence_key, '/[^/]*$', '')
    from ingest.runs_under(p_subject) join collector.seals using (run_id)
    where sealed_at is not null and evidence_key is not null
    on conflict do nothing;
end
$$;

create function collector.hold_what_is_sealed() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform pg_advisory_xact_lock_shared(7404);
    insert into collector.store_holds (run_id, project_id, folder)
    select run_id, project_id, regexp_replace(new.evidence_key, '/[^/]*$', '')
    from ingest.runs_under(new.run_id) where collector.is_held(run_id, project_id)
    on conflict do nothing;
    return null;
end
$$;
create trigger hold_what_is_sealed after update on collector.seals
    for each row when (old.sealed_at is null and new.sealed_at is not null and new.evidence_key is not null)
    execute function collector.hold_what_is_sealed();

create or replace function collector.set_legal_hold(p_subject text, p_reason text, p_actor text)
returns setof collector.legal_holds
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform pg_advisory_xact_lock(7403);
    insert into collector.legal_hold_log (subject, action, reason, actor) values (p_subject, 'set', p_reason, p_actor);
    return query insert into collector.legal_holds as held (subject, reason, set_by) values (p_subject, p_reason, p_actor)
        on conflict (subject) do update set reason = excluded.reason, set_by = excluded.set_by returning held.*;
    -- The first may wait for a collector that is at one of them, the second keeps sealers waiting: in this order.
    perform collector.touch_store_holds(p_subject);
    perform collector.add_store_holds(p_subject);
end
$$;

create or replace function collector.clear_legal_hold(p_subject text, p_reason text, p_actor text) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    delete from collector.legal_holds where subject = p_subject;
    if not found then
        return false;
    end if;
    insert into collector.legal_hold_log (subject, action, reason, actor)
    values (p_subject, 'cleared', p_reason, p_actor);
    perform collector.touch_store_holds(p_subject);
    -- Where no object ever got one, there is nothing to take off.
    delete from collector.store_holds
    where (run_id = p_subject or project_id = p_subject) and not in_store
        and not collector.is_held(run_id, project_id);
    return true;
end
$$;

-- Holds from before.
select collector.add_store_holds(subject) from collector.legal_holds;
