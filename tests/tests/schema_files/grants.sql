-- Who may use the schema $1, and who may call its functions, besides their owner.
select kind, name, format(E'grant %s to %s;\n', granted, string_agg(grantee, ', ' order by grantee)) as text
from (
    select 'schema' as kind, nspname::text as name, lower(privilege_type) || ' on schema ' || nspname as granted,
        pg_temp.role(grantee) as grantee
    from pg_namespace, aclexplode(nspacl) where nspname = $1::text and grantee <> nspowner
    union all
    select 'function', oid::regproc::text, 'execute on function ' || oid::regproc, pg_temp.role(grantee)
    from pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner)))
    where pronamespace = $1::text::regnamespace and grantee <> proowner
) as granted
group by kind, name, granted
