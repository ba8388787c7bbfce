-- The CTE "lines" (space, line): what is in each schema of the CTE "spaces"
-- (oid, name), which the caller puts in front, with the query behind.
--
-- Relations, functions and types are found through pg_depend, whose index
-- leads from a schema to what is in it; pg_class has no index by schema, and
-- reading all of it for one tenant of thousands would cost the whole catalog.
--
-- What the server prints depends on the search_path: names in it are bare, all
-- others carry their schema. Taking the schema's own prefix away makes both
-- the same. The caller's path must hold no other schema than a tenant's.
relations AS (
    SELECT s.oid AS space, c.*
    FROM spaces s
    JOIN pg_depend d ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = s.oid AND d.classid = 'pg_class'::regclass
    JOIN pg_class c ON c.oid = d.objid
    WHERE c.relname <> '_migrations'
), types AS (
    SELECT s.oid AS space, t.*
    FROM spaces s
    JOIN pg_depend d ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = s.oid AND d.classid = 'pg_type'::regclass
    JOIN pg_type t ON t.oid = d.objid
), printed (space, line) AS (
    SELECT space, concat_ws(' ', 'relation', relkind, quote_ident(relname), relpersistence, reloptions, relrowsecurity, relforcerowsecurity, relreplident,
        CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(oid) END,
        CASE WHEN relispartition THEN (SELECT string_agg(inhparent::regclass::text, ',' ORDER BY inhseqno) FROM pg_inherits WHERE inhrelid = relations.oid) END,
        CASE WHEN relispartition THEN pg_get_expr(relpartbound, oid) END,
        CASE WHEN relkind = 'p' THEN pg_get_partkeydef(oid) END)
    FROM relations
    UNION ALL
    SELECT r.space, concat_ws(' ', 'column', quote_ident(r.relname), quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
        CASE WHEN a.attnotnull THEN 'not null' END, a.attidentity, a.attgenerated,
        CASE WHEN a.attcollation <> t.typcollation THEN ( -- as regcollation has it, which PostgreSQL 12 does not know
            SELECT concat(CASE WHEN NOT pg_collation_is_visible(l.oid) THEN quote_ident(n.nspname) || '.' END, quote_ident(l.collname))
            FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace WHERE l.oid = a.attcollation) END,
        pg_get_expr(d.adbin, d.adrelid))
    FROM relations r
    JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE r.relkind IN ('r', 'p', 'v', 'm', 'f')
    UNION ALL
    SELECT r.space, concat_ws(' ', 'constraint', quote_ident(r.relname), quote_ident(c.conname), pg_get_constraintdef(c.oid))
    FROM relations r
    JOIN pg_constraint c ON c.conrelid = r.oid AND c.contype NOT IN ('n', 't')
    UNION ALL
    SELECT r.space, concat_ws(' ', 'index', pg_get_indexdef(i.indexrelid), CASE WHEN NOT i.indisvalid THEN 'invalid' END, CASE WHEN i.indisclustered THEN 'clustered' END)
    FROM relations r
    JOIN pg_index i ON i.indrelid = r.oid
    UNION ALL
    SELECT r.space, concat_ws(' ', 'trigger', pg_get_triggerdef(t.oid), t.tgenabled)
    FROM relations r
    JOIN pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
    UNION ALL
    SELECT r.space, concat_ws(' ', 'policy', quote_ident(r.relname), quote_ident(p.polname), p.polcmd, p.polpermissive,
        pg_get_expr(p.polqual, p.polrelid), 'check', pg_get_expr(p.polwithcheck, p.polrelid))
    FROM relations r
    JOIN pg_policy p ON p.polrelid = r.oid
    UNION ALL
    SELECT r.space, concat_ws(' ', 'rule', pg_get_ruledef(w.oid))
    FROM relations r
    JOIN pg_rewrite w ON w.ev_class = r.oid AND w.rulename <> '_RETURN'
    UNION ALL
    SELECT r.space, concat_ws(' ', 'sequence', quote_ident(r.relname), format_type(q.seqtypid, NULL), q.seqstart, q.seqincrement, q.seqmin, q.seqmax, q.seqcache, q.seqcycle)
    FROM relations r
    JOIN pg_sequence q ON q.seqrelid = r.oid
    UNION ALL
    SELECT s.oid, concat_ws(' ', 'function', CASE WHEN p.prokind = 'a'
        THEN concat_ws(' ', 'aggregate', quote_ident(p.proname), pg_get_function_identity_arguments(p.oid), a.aggtransfn::text, a.aggfinalfn::text, a.agginitval)
        ELSE pg_get_functiondef(p.oid) END)
    FROM spaces s
    JOIN pg_depend d ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = s.oid AND d.classid = 'pg_proc'::regclass
    JOIN pg_proc p ON p.oid = d.objid
    LEFT JOIN pg_aggregate a ON a.aggfnoid = p.oid
    UNION ALL
    SELECT s.oid, concat_ws(' ', 'statistics', pg_get_statisticsobjdef(d.objid))
    FROM spaces s
    JOIN pg_depend d ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = s.oid AND d.classid = 'pg_statistic_ext'::regclass
    UNION ALL
    SELECT t.space, concat_ws(' ', 'enum', quote_ident(t.typname), (SELECT string_agg(quote_literal(enumlabel), ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid))
    FROM types t
    WHERE t.typtype = 'e'
    UNION ALL
    SELECT t.space, concat_ws(' ', 'domain', quote_ident(t.typname), format_type(t.typbasetype, t.typtypmod), t.typnotnull, t.typdefault,
        (SELECT string_agg(concat_ws(' ', quote_ident(conname), pg_get_constraintdef(oid)), ',' ORDER BY conname COLLATE "C") FROM pg_constraint WHERE contypid = t.oid AND contype = 'c'))
    FROM types t
    WHERE t.typtype = 'd'
    UNION ALL
    SELECT t.space, concat_ws(' ', 'composite', quote_ident(t.typname),
        (SELECT string_agg(concat_ws(' ', quote_ident(attname), format_type(atttypid, atttypmod)), ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = t.typrelid AND attnum > 0 AND NOT attisdropped))
    FROM types t
    JOIN pg_class c ON c.oid = t.typrelid AND c.relkind = 'c'
    WHERE t.typtype = 'c'
    UNION ALL
    SELECT t.space, concat_ws(' ', 'range', quote_ident(t.typname), format_type(g.rngsubtype, NULL), g.rngsubdiff::text)
    FROM types t
    JOIN pg_range g ON g.rngtypid = t.oid
), lines (space, line) AS (
    SELECT s.oid, replace(p.line, s.name || '.', '') FROM spaces s JOIN printed p ON p.space = s.oid
)
