-- Schema `collector` as the migrations leave it. Generated, never edited: write a migration, then run
--     UPDATE_SCHEMA=1 cargo nextest run -p crownest-tests schema_files

grant usage on schema collector to crownest_collector, crownest_ingest;

-- Artifacts of sealed runs. The row of a deleted artifact stays, with its digest.
create table collector.artifacts (
    id text not null,
    org_id text not null,
    project_id text not null,
    run_id text not null,
    sandbox_id text not null,
    name text not null,
    source_path text not null,
    object_key text not null,
    size_bytes bigint not null,
    sha256 text not null,
    content_type text not null,
    created_at timestamptz not null,
    retention_expires_at timestamptz,
    deleted_at timestamptz,
    deletion_reason text,
    -- The API key, if a client deleted the artifact.
    deleted_by text,
    -- When the bytes are to leave the store. Null while they are to stay, and again once they are gone.
    purge_at timestamptz,
    constraint artifacts_pkey primary key (id),
    constraint artifacts_check check ((deleted_at is null) = (deletion_reason is null)),
    constraint artifacts_deletion_reason_check check (deletion_reason in ('client', 'retention'))
);
create index artifacts_of_run on collector.artifacts (run_id);
create index artifacts_of_sandbox on collector.artifacts (sandbox_id);
create index artifacts_to_expire on collector.artifacts (retention_expires_at) where (deleted_at is null);
create index artifacts_to_purge on collector.artifacts (purge_at) where (purge_at is not null);
grant select, insert, update, delete on collector.artifacts to crownest_collector;

-- Numbers of events that never arrived.
create table collector.gaps (
    run_id text not null,
    first_seq bigint not null,
    last_seq bigint not null,
    constraint gaps_pkey primary key (run_id, first_seq)
);
grant select, insert, update, delete on collector.gaps to crownest_collector;

-- One row for each file name: it stands for a file in each of the tables that has rows. A batch is written once,
    and its
-- rows never change; later a file of several batches replaces theirs.
create table collector.lake_files (
    -- The UTC day on which the runs were created.
    date date not null,
    first_batch bigint not null,
    last_batch bigint not null,
    -- Rows by name of the table. Null, like bytes, until all files are in the store.
    rows jsonb,
    bytes bigint,
    written_at timestamptz,
    constraint lake_files_pkey primary key (date, first_batch, last_batch),
    constraint lake_files_check check (last_batch >= first_batch),
    constraint lake_files_check1 check ((written_at is null) = (rows is null) and (written_at is null) = (bytes is null)),
    constraint lake_files_first_batch_check check (first_batch > 0)
);
create index lake_batches on collector.lake_files (last_batch);
create index lake_files_to_write on collector.lake_files (first_batch) where (written_at is null);
grant select, insert, update, delete on collector.lake_files to crownest_collector;

-- The sessions that write what one session at a time may write. A row is free when its session is gone.
create table collector.leaders (
    name text not null,
    pid integer,
    -- When the server started, which gives process ids again after that.
    server_started timestamptz,
    -- When the session began, as it saw that itself.
    session_started timestamptz,
    login name,
    constraint leaders_pkey primary key (name)
);

-- Who set and who cleared each legal hold. Rows are added, never changed.
create table collector.legal_hold_log (
    id bigint generated always as identity,
    subject text not null,
    action text not null,
    reason text not null,
    actor text not null,
    database_role text not null default session_user,
    at timestamptz not null default clock_timestamp(),
    constraint legal_hold_log_pkey primary key (id),
    constraint legal_hold_log_action_check check (action in ('set', 'cleared'))
);
create trigger legal_hold_log_stays before delete or update or truncate on collector.legal_hold_log
    for each statement
    execute function collector.legal_hold_log_stays();

-- Runs and projects of which nothing is deleted.
create table collector.legal_holds (
    subject text not null,
    reason text not null,
    set_by text not null,
    set_at timestamptz not null default clock_timestamp(),
    constraint legal_holds_pkey primary key (subject)
);
grant select on collector.legal_holds to crownest_collector;

-- Rows to lock: every login can take any advisory lock, but these only through functions.
create table collector.locks (
    name text not null,
    constraint locks_pkey primary key (name)
);

-- Trees that the log has vouched for. The largest is the log; smaller ones are kept while their partial tiles exist.
create table collector.log_checkpoints (
    tree_size bigint not null,
    root_hash bytea not null,
    -- The signed note, which goes to the object store after this row.
    checkpoint text not null,
    signed_at timestamptz not null default clock_timestamp(),
    constraint log_checkpoints_pkey primary key (tree_size),
    constraint log_checkpoints_tree_size_check check (tree_size > 0)
);
create trigger log_grows before insert on collector.log_checkpoints
    for each row
    execute function collector.log_grows();
grant select, insert, delete on collector.log_checkpoints to crownest_collector;

-- The entries of the evidence log, one for each run. They are never changed.
create table collector.log_entries (
    leaf_index bigint not null,
    run_id text not null,
    -- The bytes that are hashed: canonical JSON.
    entry bytea not null,
    constraint log_entries_pkey primary key (leaf_index),
    constraint log_entries_run_id_key unique (run_id),
    constraint log_entries_leaf_index_check check (leaf_index >= 0)
);
grant select, insert on collector.log_entries to crownest_collector;

-- Messages that were committed and are not yet published (database::Outbox).
create table collector.outbox (
    id bigint generated always as identity,
    exchange text not null,
    routing_key text not null,
    body bytea not null,
    headers jsonb not null,
    constraint outbox_pkey primary key (id)
);
grant select, insert, update, delete on collector.outbox to crownest_collector;

-- Pieces of event logs in the object store: many segments and their index each.
create table collector.parts (
    run_id text not null,
    part integer not null,
    object_key text not null,
    size_bytes bigint not null,
    sha256 text not null,
    first_seq bigint not null,
    last_seq bigint not null,
    index_offset bigint not null,
    -- Merkle leaves of the frames, 32 bytes each.
    leaves bytea not null,
    constraint parts_pkey primary key (run_id, part)
);
grant select, insert, update, delete on collector.parts to crownest_collector;

-- Projects whose artifacts are kept for a time of their own instead of the plan's. For runs that are sealed from then on.
create table collector.retention_policies (
    project_id text not null,
    artifact_seconds bigint not null,
    changed_at timestamptz not null default clock_timestamp(),
    constraint retention_policies_pkey primary key (project_id),
    constraint retention_policies_artifact_seconds_check check (artifact_seconds > 0)
);
grant select on collector.retention_policies to crownest_collector;

-- Outcomes as they were fixed, so that sealing a run again writes the same bytes, and what has followed the seal.
create table collector.seals (
    run_id text not null,
    ending jsonb not null,
    decided_at timestamptz not null,
    last_seq bigint not null,
    -- Null until the event log and the evidence are durable.
    sealed_at timestamptz,
    -- The segments are gone; readers find the events in the object store.
    pruned boolean not null default false,
    evidence_key text,
    evidence_sha256 text,
    -- The run has an entry in the evidence log.
    logged boolean not null default false,
    -- SHA-256 of the DSSE payload,
        which another key would sign unchanged. Null: the run was sealed without a signature.
    attestation_sha256 text,
    -- The batch that brought the run into the tables. Null: none yet.
    lake_batch bigint,
    constraint seals_pkey primary key (run_id)
);
create index of_lake_batch on collector.seals (lake_batch) where (lake_batch is not null);
create index to_log on collector.seals (decided_at, run_id) where ((sealed_at is not null) and (not logged));
create index to_prune on collector.seals (sealed_at) where (not pruned);
create index to_tabulate on collector.seals (sealed_at,
    run_id) where ((sealed_at is not null) and (evidence_key is not null) and (lake_batch is null));
create index unsealed on collector.seals (decided_at) where (sealed_at is null);
create trigger hold_what_is_sealed after update on collector.seals
    for each row when (old.sealed_at is null and new.sealed_at is not null and new.evidence_key is not null)
    execute function collector.hold_what_is_sealed();
grant select, insert, update, delete on collector.seals to crownest_collector;

-- Consecutive events of one attempt, until some minutes after the seal.
create table collector.segments (
    run_id text not null,
    first_seq bigint not null,
    last_seq bigint not null,
    attempt integer not null,
    plain_bytes bigint not null,
    -- One zstd frame of NDJSON, as it came. Stored as it is: it is compressed already.
    frame bytea storage external not null,
    constraint segments_pkey primary key (run_id, first_seq)
);
grant select, insert, update, delete on collector.segments to crownest_collector;

-- Public keys that have signed here. They stay when a key is replaced.
create table collector.signing_keys (
    public_key bytea not null,
    added_at timestamptz not null default clock_timestamp(),
    constraint signing_keys_pkey primary key (public_key),
    constraint signing_keys_public_key_check check (length(public_key) = 32)
);
grant select, insert on collector.signing_keys to crownest_collector;

-- Runs whose objects have a legal hold in the object store (S3 Object Lock), are to get one, or are to lose it.
create table collector.store_holds (
    run_id text not null,
    project_id text not null,
    -- The run's folder in the store.
    folder text not null,
    -- Some object may have a hold: true from before the first one gets it.
    in_store boolean not null default false,
    -- When to bring the store's holds up to date. Null: they are set, and up to date.
    due_at timestamptz default clock_timestamp(),
    -- Since when the store's holds may be out of date.
    changed_at timestamptz not null default clock_timestamp(),
    constraint store_holds_pkey primary key (run_id)
);
create index store_holds_due on collector.store_holds (due_at) where (due_at is not null);
create index store_holds_of_project on collector.store_holds (project_id);
grant select, update, delete on collector.store_holds to crownest_collector;

-- Sealed runs of the subject are to get a hold in the store. The trigger below takes the same lock for runs that are sealed
-- later: either this function sees the sealed run, or the trigger sees the hold.
create function collector.add_store_holds(p_subject text) returns void
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

-- For operators: the holds in force, with how many runs of each the object store holds, too.
create function collector.all_legal_holds()
returns table (subject text, reason text, set_by text, set_at timestamptz, runs_in_store bigint)
language sql stable
begin atomic
    select held.subject, held.reason, held.set_by, held.set_at, (
        select count(*) from collector.store_holds
        where (run_id = held.subject or project_id = held.subject) and due_at is null)
    from collector.legal_holds as held;
end;

-- For operators: the projects with a retention of their own.
create function collector.all_retention_policies() returns setof collector.retention_policies
language sql stable
begin atomic
    select * from collector.retention_policies;
end;

-- A page of the artifacts of a sandbox, newest first. The page before it ended with (p_at, p_id): both null for the first.
create function collector.artifacts_of_sandbox(p_org text, p_sandbox text, p_at timestamptz, p_id text, p_limit bigint)
returns setof collector.artifacts
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select * from collector.artifacts
    where org_id = p_org and sandbox_id = p_sandbox and (p_at is null or (created_at, id) < (p_at, p_id))
    order by created_at desc, id desc limit p_limit;
end;
grant execute on function collector.artifacts_of_sandbox to crownest_ingest;

-- Ends the hold of a run or a project. Returns whether there was one.
create function collector.clear_legal_hold(p_subject text, p_reason text, p_actor text) returns boolean
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

-- Marks an artifact as deleted; a held one comes back unchanged. Deleting twice keeps the first time.
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
grant execute on function collector.delete_artifact to crownest_ingest;

-- For readers: where a sealed run's evidence is.
create function collector.evidence_of_run(p_run text)
returns table (evidence_key text, evidence_sha256 text)
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select evidence_key, evidence_sha256 from collector.seals where run_id = p_run and sealed_at is not null;
end;
grant execute on function collector.evidence_of_run to crownest_ingest;

-- Finds an artifact of the organization, also a deleted one.
create function collector.find_artifact(p_org text, p_artifact text) returns setof collector.artifacts
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select * from collector.artifacts where org_id = p_org and id = p_artifact;
end;
grant execute on function collector.find_artifact to crownest_ingest;

-- A run that is sealed under a hold is to get one in the store.
create function collector.hold_what_is_sealed() returns trigger
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

-- Answers whether a run is held, by itself or with its project.
create function collector.is_held(p_run text, p_project text) returns boolean
language sql stable
begin atomic
    select exists (select from collector.legal_holds where subject in (p_run, p_project));
end;
grant execute on function collector.is_held to crownest_collector;

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
grant execute on function collector.lead to crownest_collector;

-- For operators: every hold that was set and cleared.
create function collector.legal_hold_history() returns setof collector.legal_hold_log
language sql stable
begin atomic
    select * from collector.legal_hold_log;
end;

-- Refuses every change of the log of legal holds, also to its owner.
create function collector.legal_hold_log_stays() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception 'the log of legal holds is never changed';
end
$$;

-- For readers: a run's entry, once a signed checkpoint covers it, and the latest checkpoint.
create function collector.log_entry_of_run(p_run text)
returns table (leaf_index bigint, entry bytea, checkpoint text)
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select log_entries.leaf_index, log_entries.entry, latest.checkpoint
    from collector.log_entries,
        (select log_checkpoints.tree_size, log_checkpoints.checkpoint
         from collector.log_checkpoints order by tree_size desc limit 1) as latest
    where log_entries.run_id = p_run and log_entries.leaf_index < latest.tree_size;
end;
grant execute on function collector.log_entry_of_run to crownest_ingest;

-- Whatever a program does wrong, the log does not shrink and no size is signed twice.
create function collector.log_grows() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if exists (select from collector.log_checkpoints where tree_size >= new.tree_size) then
        raise exception 'a checkpoint of % entries or more was signed before', new.tree_size;
    end if;
    return new;
end
$$;

-- For readers: the parts of a run's event log, in order.
create function collector.parts_of_run(p_run text)
returns table (object_key text, size_bytes bigint, first_seq bigint, last_seq bigint, index_offset bigint)
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select object_key, size_bytes, first_seq, last_seq, index_offset
    from collector.parts where run_id = p_run order by part;
end;
grant execute on function collector.parts_of_run to crownest_ingest;

-- For readers: every key that has signed here, the oldest first.
create function collector.public_signing_keys() returns table (public_key bytea)
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select signing_keys.public_key from collector.signing_keys order by added_at;
end;
grant execute on function collector.public_signing_keys to crownest_ingest;

-- Whoever deletes calls this first, in a statement of its own. No hold begins until the transaction ends, so that nothing
-- is deleted any more once a hold is set.
create function collector.respect_legal_holds() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform from collector.locks where name = 'deletions' for key share;
end
$$;
grant execute on function collector.respect_legal_holds to crownest_collector;

-- For readers: the segments after a number, in order, until about p_max_bytes of events are reached (at least one segment).
create function collector.segments_after(p_run text, p_after bigint, p_max_bytes bigint)
returns table (first_seq bigint, last_seq bigint, plain_bytes bigint, frame bytea)
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select first_seq, last_seq, plain_bytes, frame
    from (
        select segments.*, sum(plain_bytes) over (order by first_seq) - plain_bytes as before
        from (
            select * from collector.segments
            where run_id = p_run and last_seq > p_after
            order by first_seq limit 256
        ) as segments
    ) as page
    where before < p_max_bytes
    order by first_seq;
end;
grant execute on function collector.segments_after to crownest_ingest;

-- Gives a project's artifacts a time of their own. Null seconds: the plan's time again.
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

-- Holds a run or a project. A subject that is held already stays held since then, for the new reason.
create function collector.set_legal_hold(p_subject text, p_reason text, p_actor text)
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

-- A hold was set or cleared: the holds that the store has of the subject are looked at again.
create function collector.touch_store_holds(p_subject text) returns void
language sql
begin atomic
    update collector.store_holds
        set due_at = clock_timestamp(), changed_at = case when due_at is null then clock_timestamp() else changed_at end
        where run_id = p_subject or project_id = p_subject;
end;
