"""The SQL that ddpm sends itself. Values are parameters; identifiers are put in by psycopg.sql at `{}`."""

from psycopg.sql import SQL

# Any number will do, as long as every ddpm takes the same one.
LOCK = "SELECT pg_advisory_xact_lock(6447077013)"

SERVER = """
SELECT current_user::text,
       current_setting('transaction_read_only') = 'on' OR pg_is_in_recovery(),
       current_setting('server_version_num')::int
"""

# Of sessions of others, who is not in pg_read_all_stats sees the database and the user, and neither kind nor times.
CHECKUP = """
SELECT current_setting('server_version'),
       current_setting('server_version_num')::int,
       (SELECT count(*)
          FROM pg_stat_activity
         WHERE datid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'),
       current_setting('max_connections')::int,
       current_setting('superuser_reserved_connections')::int,
       extract(epoch FROM clock_timestamp())::float8,
       pg_database_size(current_database())
"""

HOLDERS = """
SELECT l.pid, coalesce(a.usename::text, ''), coalesce(a.application_name, ''), l.mode,
       extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.backend_start))::float8, coalesce(a.state, '')
  FROM pg_locks l
  JOIN pg_class c ON c.oid = l.relation
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_stat_activity a ON a.pid = l.pid
 WHERE c.relname = %(name)s AND n.nspname = coalesce(%(schema)s, current_schema()) AND l.granted
   AND l.locktype = 'relation' AND l.pid <> pg_backend_pid()
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND l.mode = ANY (%(modes)s)
 ORDER BY a.xact_start
"""

ENCODING = "SELECT current_setting('server_encoding')"

# Without a name: the schema that new tables go to.
SCHEMA = """
SELECT nspname::text, has_schema_privilege(oid, 'USAGE'), has_schema_privilege(oid, 'CREATE')
  FROM pg_namespace
 WHERE nspname = coalesce(%(schema)s, current_schema())
"""

# Without a schema: the first one of the search path alone, where the sink looks as well.
TABLE = """
SELECT c.oid, n.nspname::text, c.relkind::text, c.relpersistence::text
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relname = %(name)s AND n.nspname = coalesce(%(schema)s, current_schema())
"""

COLUMNS = """
SELECT a.attname::text,
       format_type(a.atttypid, a.atttypmod),
       a.attnotnull OR (t.typtype = 'd' AND t.typnotnull),
       a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL,
       CASE WHEN a.attgenerated <> '' THEN 'expression' WHEN a.attidentity = 'a' THEN 'identity' ELSE '' END
  FROM pg_attribute a
  JOIN pg_type t ON t.oid = a.atttypid
 WHERE a.attrelid = %(table)s AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum
"""

KEYS = """
SELECT coalesce(k.conname, x.relname)::text,
       i.indisprimary,
       i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL,
       NOT i.indimmediate,
       (SELECT array_agg(a.attname::text ORDER BY part.place)
          FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS part (attnum, place)
          JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = part.attnum
         WHERE part.place <= i.indnkeyatts)
  FROM pg_index i
  JOIN pg_class x ON x.oid = i.indexrelid
  LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u')
 WHERE i.indrelid = %(table)s AND i.indisunique
 ORDER BY i.indisprimary DESC, x.relname
"""

# For a look at what is written now. Parameters: name; schema, or null for the first one of the search path.
SHAPE = b"""
SELECT a.attname, format_type(a.atttypid, a.atttypmod),
       a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND a.attgenerated = '',
       has_schema_privilege(n.oid, 'USAGE')
       AND has_column_privilege(c.oid, a.attnum, 'INSERT') AND has_column_privilege(c.oid, a.attnum, 'SELECT')
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE c.relname = $1 AND n.nspname = coalesce($2, current_schema())
"""

# Whether a table has a key on exactly some columns. Parameters: name; schema, or null; the columns, sorted.
KEYED = b"""
SELECT EXISTS (
         SELECT FROM pg_index i
          WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate
            AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = cardinality($3::text[])
            AND (SELECT array_agg(a.attname::text ORDER BY a.attname COLLATE "C")
                   FROM pg_attribute a
                  WHERE a.attrelid = i.indrelid
                    AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])) = $3::text[])
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relname = $1 AND n.nspname = coalesce($2, current_schema())
"""

# What of a server's history is new once a standby was promoted, or a backup restored.
HISTORY = b"""
SELECT CASE WHEN pg_is_in_recovery() THEN '' ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END,
       (SELECT system_identifier FROM pg_control_system())
"""

# What somebody has made that acts on new rows, one by one.
TRIGGERS = """
SELECT tgname::text FROM pg_trigger
 WHERE tgrelid = %(table)s AND NOT tgisinternal AND tgenabled <> 'D' AND (tgtype & 5) = 5
 ORDER BY tgname
"""

# One that changes a table at a time; the second half of the key is the table's oid, moved into the range of integers.
LOCK_EVOLVING = "SELECT pg_advisory_xact_lock(6447077, (%(table)s::bigint - 2147483648)::int)"

LOCK_ALONE = SQL("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")

OWNED = """
SELECT pg_has_role(c.relowner, 'USAGE'), pg_get_userbyid(c.relowner)::text, current_user::text,
       coalesce(
         (SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree(c.oid)), pg_total_relation_size(c.oid)
       )
  FROM pg_class c
 WHERE c.oid = %(table)s
"""

COLLATIONS = """
SELECT a.attname::text, n.nspname::text, k.collname::text
  FROM pg_attribute a
  JOIN pg_type t ON t.oid = a.atttypid
  JOIN pg_collation k ON k.oid = a.attcollation
  JOIN pg_namespace n ON n.oid = k.collnamespace
 WHERE a.attrelid = %(table)s AND a.attnum > 0 AND NOT a.attisdropped AND a.attcollation <> t.typcollation
"""

# Views that read some of a table's columns, whose types cannot be changed under them.
VIEWS_ON = """
SELECT DISTINCT n.nspname::text, v.relname::text, v.relkind::text, pg_get_viewdef(v.oid)
  FROM pg_attribute a
  JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum
  JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
  JOIN pg_class v ON v.oid = r.ev_class
  JOIN pg_namespace n ON n.oid = v.relnamespace
 WHERE a.attrelid = %(table)s AND a.attname = ANY (%(columns)s) AND v.oid <> a.attrelid
 ORDER BY 1, 2
"""

TYPE = "SELECT oid, typtype::text FROM pg_type WHERE oid = to_regtype(%(type)s)"

FORMAT_TYPE = "SELECT format_type(%(type)s, %(modifier)s)"

# The sink copies; where it must not insert twice, it inserts from a temporary table made after this one's columns.
RIGHTS = """
SELECT has_schema_privilege(c.relnamespace, 'USAGE'),
       (SELECT bool_and(has_column_privilege(c.oid, a.attnum, 'INSERT'))
          FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = ANY (%(columns)s)),
       (SELECT bool_and(has_column_privilege(c.oid, a.attnum, 'SELECT'))
          FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = ANY (%(columns)s)),
       has_database_privilege(current_database(), 'TEMPORARY'),
       row_security_active(c.oid),
       current_database()::text
  FROM pg_class c
 WHERE c.oid = %(table)s
"""

CREATE_TABLE = SQL("CREATE TABLE {table} (\n  {columns},\n  PRIMARY KEY ({key})\n)")

COUNT = SQL("SELECT count(*) FROM {table}")

# No unique constraint on nullable columns treats two nulls as equal before Postgres 15; an index on an expression does.
CREATE_SOURCES = SQL("""
CREATE TABLE {table} (
  number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  cluster_id text NOT NULL,
  topic text NOT NULL,
  topic_id text,
  first_seen timestamptz NOT NULL DEFAULT now()
)
""")
INDEX_SOURCES = SQL("CREATE UNIQUE INDEX ON {table} (cluster_id, topic, coalesce(topic_id, ''))")
COMMENT_SOURCES = SQL(
    "COMMENT ON TABLE {table} IS 'The numbers that ddpm gives to incarnations of Kafka topics: "
    "rows name them in their column source. Deleting a line here makes ddpm write its records again.'"
)

# One row: a second one would contradict it.
CREATE_VERSION = SQL("""
CREATE TABLE {table} (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  version integer NOT NULL,
  ddpm text NOT NULL,
  changed_at timestamptz NOT NULL DEFAULT now()
)
""")
COMMENT_VERSION = SQL(
    "COMMENT ON TABLE {table} IS 'The version of the tables that ddpm keeps in this schema: "
    "an older ddpm that does not know it changes nothing here.'"
)
# Anyone who may write the tables has to be able to know what they are.
SHOW_VERSION = SQL("GRANT SELECT ON {table} TO PUBLIC")
VERSION = SQL("SELECT version, ddpm FROM {table}")
NOTE_VERSION = SQL("""
INSERT INTO {table} (version, ddpm) VALUES (%(version)s, %(ddpm)s)
ON CONFLICT (one) DO UPDATE SET version = excluded.version, ddpm = excluded.ddpm, changed_at = now()
""")

FIND_SOURCE = SQL("""
SELECT number FROM {table}
 WHERE cluster_id = %(cluster_id)s AND topic = %(topic)s AND coalesce(topic_id, '') = coalesce(%(topic_id)s, '')
""")
KNOWN_TOPIC = SQL("SELECT FROM {table} WHERE cluster_id = %(cluster_id)s AND topic = %(topic)s LIMIT 1")
ADD_SOURCE = SQL("""
INSERT INTO {table} (cluster_id, topic, topic_id) VALUES (%(cluster_id)s, %(topic)s, %(topic_id)s) RETURNING number
""")

# A partition whose log is another one from some offset on stands beside its topic: `ID/PARTITION@OFFSET`, and `#N`
# behind it for the second time at the same offset.
FORKS = SQL("""
SELECT number, substr(topic_id, length(%(topic_id)s) + 2), extract(epoch FROM first_seen)::float8
  FROM {table}
 WHERE cluster_id = %(cluster_id)s AND topic = %(topic)s AND starts_with(topic_id, %(topic_id)s || '/')
 ORDER BY number
""")

SOURCES_OF_TOPIC = SQL("SELECT number, topic_id FROM {table} WHERE cluster_id = %(cluster_id)s AND topic = %(topic)s")

COLUMNS_OF = SQL("SELECT * FROM {table} LIMIT 0")

# Which table it is, whatever address, role and spelling led to it.
WHICH_TABLE = """
SELECT pg_postmaster_start_time()::text, d.oid::text, c.oid::text
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_database d ON d.datname = current_database()
 WHERE n.nspname = %(schema)s AND c.relname = %(name)s
"""

FIRST_OFFSET_OF = SQL("""
SELECT min("offset") FROM {table} WHERE source = %(source)s AND partition = %(partition)s
""")

ROWS_OF = SQL("""
SELECT {columns} FROM {table}
 WHERE source = %(source)s AND partition = %(partition)s AND "offset" = %(offset)s
""")

# Jumps from one partition of a topic to the next by the primary key, and takes the last rows of each; among those few,
# xmin says which were written last.
NEWEST_ROWS = SQL("""
WITH RECURSIVE place AS (
    (SELECT source, partition FROM {table} ORDER BY source, partition LIMIT 1)
    UNION ALL
    SELECT next.source, next.partition
      FROM place
     CROSS JOIN LATERAL (
        SELECT source, partition FROM {table}
         WHERE (source, partition) > (place.source, place.partition)
         ORDER BY source, partition LIMIT 1
     ) AS next
)
SELECT row_to_json(whole)::text, {columns}
  FROM (
    SELECT newest.whole, newest.written
      FROM place
     CROSS JOIN LATERAL (
        SELECT age(ddpm_row.xmin) AS written, ddpm_row AS whole FROM {table} AS ddpm_row
         WHERE ddpm_row.source = place.source AND ddpm_row.partition = place.partition
         ORDER BY {last} LIMIT %(count)s
     ) AS newest
     ORDER BY newest.written, (newest.whole).source DESC, {behind}
     LIMIT %(count)s
  ) AS chosen
""")

# How a partitioned table is split, and by which columns.
PARTITIONING = """
SELECT p.partstrat::text,
       (SELECT coalesce(array_agg(coalesce(a.attname::text, '(expression)') ORDER BY part.place), '{}')
          FROM unnest(p.partattrs::int2[]) WITH ORDINALITY AS part (attnum, place)
          LEFT JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = part.attnum)
  FROM pg_partitioned_table p
 WHERE p.partrelid = %(table)s
"""

BY_RANGE = SQL(" PARTITION BY RANGE ({column})")

# A short wait: who needs the table meanwhile waits behind. Bounds are written in the session's own way.
FOR_PARTITIONS = "SET LOCAL lock_timeout = '3s'; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'"

CLOCK = "SELECT extract(epoch FROM now())::float8"

# Of the default partition both bounds are null, and so is each one that a partition leaves open.
PARTITIONS = """
SELECT n.nspname::text,
       c.relname::text,
       bounds = 'DEFAULT',
       extract(epoch FROM substring(bounds FROM 'FROM \\(''([^'']+)''\\)')::timestamptz)::float8,
       extract(epoch FROM substring(bounds FROM 'TO \\(''([^'']+)''\\)')::timestamptz)::float8
  FROM pg_inherits i
  JOIN pg_class c ON c.oid = i.inhrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 CROSS JOIN LATERAL pg_get_expr(c.relpartbound, c.oid) AS bounds
 WHERE i.inhparent = %(table)s
 ORDER BY c.relname
"""

# Attaching a partition leaves those alone that write into others; making it as one would lock them out.
LOCK_PARTITIONING = SQL("LOCK TABLE ONLY {table} IN SHARE UPDATE EXCLUSIVE MODE")
LOCK_DEFAULT = SQL("LOCK TABLE {default} IN ACCESS EXCLUSIVE MODE")
LOCK_PARENT = SQL("LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE")
CREATE_DEFAULT = SQL("CREATE TABLE {partition} PARTITION OF {table} DEFAULT")
CREATE_LIKE = SQL(
    "CREATE TABLE {partition} "
    "(LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING STORAGE)"
)
MOVE = SQL("""
WITH moved AS (
  DELETE FROM {default} WHERE {column} >= {lower}::timestamptz AND {column} < {upper}::timestamptz RETURNING {columns}
)
INSERT INTO {partition} ({columns}) SELECT {columns} FROM moved
""")
ATTACH = SQL("ALTER TABLE {table} ATTACH PARTITION {partition} FOR VALUES FROM ({lower}) TO ({upper})")
DROP = SQL("DROP TABLE {partition}")

# One replay of a table at a time; the number is that of no other lock, the name is the table's.
# It ends with its transaction: behind a pool of connections a session's lock would stay with whichever
# connection the pool had chosen.
TRY_REPLAY_LOCK = "SELECT pg_try_advisory_xact_lock(644707714, hashtext(%(table)s))"
# A replay may take hours; the last one of these settings is of Postgres 17.
HOLD_TRANSACTION = """
SELECT set_config(name, '0', true) FROM pg_settings
 WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')
"""

CREATE_REPLAYS = SQL("""
CREATE TABLE {table} (
  run_tag text NOT NULL,
  pipeline text NOT NULL,
  transform text NOT NULL,
  table_name text NOT NULL,
  staging text NOT NULL,
  kept boolean NOT NULL,
  window_from timestamptz NOT NULL,
  window_to timestamptz NOT NULL,
  topic text NOT NULL,
  source integer NOT NULL,
  partition integer NOT NULL,
  first_offset bigint NOT NULL,
  end_offset bigint NOT NULL,
  state text NOT NULL,
  staged_rows bigint,
  deleted_rows bigint,
  inserted_rows bigint,
  changed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (run_tag, topic, partition)
)
""")
COMMENT_REPLAYS = SQL(
    "COMMENT ON TABLE {table} IS 'The windows that ddpm read again (`ddpm replay`), by partition: "
    "reading, staged, or loaded into the table.'"
)
ADD_REPLAY = SQL("""
INSERT INTO {table} (run_tag, pipeline, transform, table_name, staging, kept, window_from, window_to,
                     topic, source, partition, first_offset, end_offset, state)
VALUES (%(tag)s, %(pipeline)s, %(transform)s, %(table)s, %(staging)s, %(kept)s, to_timestamp(%(since)s / 1000.0),
        to_timestamp(%(until)s / 1000.0), %(topic)s, %(source)s, %(partition)s, %(first)s, %(end)s, 'reading')
""")
REPLAYS = SQL("""
SELECT run_tag, pipeline, transform, table_name, staging, kept,
       (extract(epoch FROM window_from) * 1000)::bigint, (extract(epoch FROM window_to) * 1000)::bigint,
       topic, source, partition, first_offset, end_offset, state, coalesce(staged_rows, 0)
  FROM {table}
 WHERE table_name = %(table)s AND (%(tag)s::text IS NULL OR run_tag = %(tag)s)
 ORDER BY run_tag, topic, partition
""")
FORGET_REPLAY = SQL("DELETE FROM {table} WHERE run_tag = %(tag)s AND state <> 'loaded'")
FORGET_STAGING = SQL("UPDATE {table} SET staging = '' WHERE run_tag = %(tag)s")
KEEP_REPLAY = SQL("UPDATE {table} SET kept = true, changed_at = now() WHERE run_tag = %(tag)s")
STAGED = SQL("""
UPDATE {table} r SET state = 'staged', changed_at = now(),
       staged_rows = (SELECT count(*) FROM {staging} s WHERE s.source = r.source AND s.partition = r.partition)
 WHERE run_tag = %(tag)s AND state = 'reading'
""")
LOADED = SQL("""
UPDATE {table} SET state = 'loaded', deleted_rows = %(deleted)s, inserted_rows = %(inserted)s, changed_at = now()
 WHERE run_tag = %(tag)s AND topic = %(topic)s AND partition = %(partition)s
""")

# With its checks and keys, so that what the table would refuse is refused here already.
CREATE_STAGING = SQL("CREATE TABLE {staging} (LIKE {table} INCLUDING ALL)")
DROP_STAGING = SQL("DROP TABLE IF EXISTS {staging}, {read}")

# Which records a replay has read: runs of offsets without a gap. What lies between them Kafka does not have any more.
CREATE_READ = SQL("""
CREATE {kind} {read} (
  source integer NOT NULL,
  partition integer NOT NULL,
  first_offset bigint NOT NULL,
  last_offset bigint NOT NULL,
  PRIMARY KEY (source, partition, first_offset)
)
""")
ADD_READ = SQL("""
INSERT INTO {read} (source, partition, first_offset, last_offset)
SELECT * FROM unnest(%(sources)s::int[], %(partitions)s::int[], %(firsts)s::bigint[], %(lasts)s::bigint[])
""")

# Writers wait: a record that is delivered again just now meets the new rows, and none of the old ones stays.
LOCK_WRITERS = SQL("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")
SPAN = SQL('source = %(source)s AND partition = %(partition)s AND "offset" >= %(first)s AND "offset" < %(end)s')
COUNT_SPAN = SQL("SELECT count(*) FROM {table} WHERE {span}")
# Of a row `t`: whether its record was read. One look into the key of the runs each.
WAS_READ = SQL("""coalesce(t."offset" <= (
  SELECT r.last_offset FROM {read} r
   WHERE r.source = t.source AND r.partition = t.partition AND r.first_offset <= t."offset"
   ORDER BY r.first_offset DESC LIMIT 1), false)""")
COUNT_MISSING = SQL("SELECT count(*) FROM {table} t WHERE {span} AND NOT {was_read}")
COUNT_VANISHING = SQL("""
SELECT count(*) FROM (SELECT {identity} FROM {table} t WHERE {span} AND (%(missing)s OR {was_read})
                      EXCEPT SELECT {identity} FROM {staging} WHERE {span}) gone
""")
DELETE_SPAN = SQL("DELETE FROM {table} t WHERE {span} AND (%(missing)s OR {was_read})")
COPY_SPAN = SQL("INSERT INTO {table} ({columns}) SELECT {columns} FROM {staging} WHERE {span}")
PLACES_IN = SQL("""
SELECT wanted.source, wanted.partition, wanted."offset", wanted."index"
  FROM unnest(%(sources)s::int[], %(partitions)s::int[], %(offsets)s::bigint[], %(indexes)s::int[])
       AS wanted (source, partition, "offset", "index")
 WHERE EXISTS (SELECT FROM {table} t WHERE t.source = wanted.source AND t.partition = wanted.partition
                  AND t."offset" = wanted."offset" AND {same_index})
""")

KEPT = SQL("""
SELECT id, (extract(epoch FROM kept_at) * 1000)::bigint, headers::text
  FROM {table}
 WHERE id > %(after)s AND pipeline = %(pipeline)s AND (topic IS NULL OR topic = ANY(%(topics)s))
 ORDER BY id
""")

KEPT_WHOLE = SQL("""
SELECT id, (extract(epoch FROM kept_at) * 1000)::bigint, headers::text, key, value
  FROM {table}
 WHERE id = ANY(%(ids)s) AND pipeline = %(pipeline)s AND (topic IS NULL OR topic = ANY(%(topics)s))
 ORDER BY id
""")
