-- Tables of sealed runs in the object store: which batch each run is in, and which files there are.

-- Null until the run is in a batch; runs that were sealed before there were tables get into one, too.
alter table collector.seals add column lake_batch bigint;
create index to_tabulate on collector.seals (sealed_at, run_id)
    where sealed_at is not null and evidence_key is not null and lake_batch is null;
create index of_lake_batch on collector.seals (lake_batch) where lake_batch is not null;

-- One row for each file name: it stands for a file in each table that has rows. A batch is written once, and its rows
-- never change; later a file of several batches takes the place of theirs.
create table collector.lake_files (
    -- UTC day on which the runs were created.
    date date not null,
    first_batch bigint not null check (first_batch > 0),
    last_batch bigint not null check (last_batch >= first_batch),
    -- By name of the table. Null until all of them are in the store, as the next two.
    rows jsonb,
    bytes bigint,
    written_at timestamptz,
    primary key (date, first_batch, last_batch),
    check ((written_at is null) = (rows is null) and (written_at is null) = (bytes is null))
);
create index lake_files_to_write on collector.lake_files (first_batch) where written_at is null;
create index lake_batches on collector.lake_files (last_batch);

grant select, insert, update, delete on collector.lake_files to crownest_collector;
