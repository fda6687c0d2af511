-- Artifacts by the sandbox that they come from, for clients that know sandboxes only.
create index attempts_of_sandbox on ingest.attempts (sandbox_id);
create index artifacts_of_sandbox on collector.artifacts (sandbox_id);

-- A page, newest first: what came before it is (p_at, p_id), both null on the first one.
create function collector.artifacts_of_sandbox(p_org text, p_sandbox text, p_at timestamptz, p_id text, p_limit bigint)
returns setof collector.artifacts
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select * from collector.artifacts
    where org_id = p_org and sandbox_id = p_sandbox and (p_at is null or (created_at, id) < (p_at, p_id))
    order by created_at desc, id desc limit p_limit;
end;
grant execute on function collector.artifacts_of_sandbox to crownest_ingest;
