-- The append-only log of all evidence: the entry of each sealed run, and the checkpoints that were signed.

-- False until the run has an entry. Runs that were sealed before there was a log get theirs, too.
alter table collector.seals add column logged boolean not null default false;
create index to_log on collector.seals (decided_at, run_id) where sealed_at is not null and not logged;

create table collector.log_entries (
    leaf_index bigint primary key check (leaf_index >= 0),
    -- Never two entries for one run.
    run_id text not null unique,
    -- As it is hashed: canonical JSON.
    entry bytea not null
);

-- Trees that the log has vouched for. The largest is the log; those before it are known while their partial tiles exist.
create table collector.log_checkpoints (
    tree_size bigint primary key check (tree_size > 0),
    root_hash bytea not null,
    -- The signed note, which is written to the object store after this row.
    checkpoint text not null,
    signed_at timestamptz not null default clock_timestamp()
);

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
create trigger log_grows before insert on collector.log_checkpoints
    for each row execute function collector.log_grows();

-- Entries are never changed or removed; of checkpoints only old ones are.
grant select, insert on collector.log_entries to crownest_collector;
grant select, insert, delete on collector.log_checkpoints to crownest_collector;

-- Whoever has signed here. Public keys only; they stay when a key is replaced.
create table collector.signing_keys (
    public_key bytea primary key check (length(public_key) = 32),
    added_at timestamptz not null default clock_timestamp()
);
grant select, insert on collector.signing_keys to crownest_collector;

create function collector.public_signing_keys() returns table (public_key bytea)
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select signing_keys.public_key from collector.signing_keys order by added_at;
end;
grant execute on function collector.public_signing_keys to crownest_ingest;

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
