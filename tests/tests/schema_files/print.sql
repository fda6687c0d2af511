-- How things are printed.

create function pg_temp.comment(indent text, words text) returns text immutable
return indent || '-- ' || replace(words, E'\n', E'\n' || indent || '-- ') || E'\n';

create function pg_temp.role(role oid) returns text stable
return case role when 0 then 'public' else role::regrole::text end;

-- PostgreSQL's own printing of an expression, as people write it: small letters outside of quotes, no casts of literals to
-- text, `in` instead of `= any`.
create function pg_temp.tidy(expression text) returns text language sql immutable
begin atomic
    select regexp_replace(regexp_replace(
        string_agg(case when place % 2 = 1 then lower(piece) else piece end, '''' order by place),
        '''::text(?!\[)', '''', 'g'), '= any \(array\[([^\]]*)\]\)', 'in (\1)', 'g')
    from regexp_split_to_table(expression, '''') with ordinality as pieces (piece, place);
end;
