-- One role for each service. They are group roles: an operator grants them to the login of each service.
-- Roles belong to the whole cluster, so another database may have made them already, or be making them now.
do $$
declare
    name text;
begin
    foreach name in array array['crownest_ingest', 'crownest_executor', 'crownest_collector', 'crownest_metering'] loop
        begin
            execute format('create role %I nologin', name);
        exception when duplicate_object or unique_violation then
            null;
        end;
    end loop;
end
$$;

create schema ingest;
create schema collector;
create schema metering;

grant usage on schema ingest to crownest_ingest, crownest_executor, crownest_collector, crownest_metering;
grant usage on schema collector to crownest_collector, crownest_ingest;
grant usage on schema metering to crownest_metering, crownest_ingest, crownest_collector;

-- Functions are the doors between services: each is opened by name below, none by default.
alter default privileges revoke execute on functions from public;
