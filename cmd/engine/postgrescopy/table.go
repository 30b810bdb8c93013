package postgrescopy

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// table is what the server says about the target.
type table struct {
	schema, name string
	// columns holds a line for each column: its name, type and whether it must be given.
	columns []string
	// keyed tells whether a unique index covers exactly the identity columns.
	keyed bool
}

const describeTable = `
SELECT n.nspname, (
	SELECT pg_catalog.string_agg(pg_catalog.format('%I %s%s%s', a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
		CASE WHEN a.attnotnull THEN ' not null' END, CASE WHEN a.atthasdef THEN ' default' END), E'\n' ORDER BY a.attname)
	FROM pg_catalog.pg_attribute a
	WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
), EXISTS (
	SELECT
	FROM pg_catalog.pg_index i
	WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate
		AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = 3
		AND (SELECT pg_catalog.array_agg(a.attname::text ORDER BY a.attname)
			FROM pg_catalog.pg_attribute a
			WHERE a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::int2[])[0:2])
		) = ARRAY['offset', 'partition', 'source']
)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = $1 AND n.nspname = CASE WHEN $2 = '' THEN pg_catalog.current_schema() ELSE $2 END`

// describe asks for the target as it is now. An empty schema means the first of the search path.
func (s *session) describe(ctx context.Context, schema, name string) (*table, error) {
	found, err := s.query(ctx, describeTable, name, schema)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, &obstacle{classMissing, "the table " + place(schema, name) + " does not exist"}
	}
	row := found[0]
	return &table{
		schema:  string(row[0]),
		name:    name,
		columns: strings.Split(string(row[1]), "\n"),
		keyed:   string(row[2]) == "t",
	}, nil
}

func place(schema, name string) string {
	if schema == "" {
		return quote(name)
	}
	return quote(schema, name)
}

// check returns an obstacle for a table in which a record could be written twice.
func (t *table) check() error {
	if t.keyed {
		return nil
	}
	return &obstacle{classIdentity, fmt.Sprintf("the table %s has no primary key or unique constraint on exactly (source, partition, %s)",
		quote(t.schema, t.name), quote("offset"))}
}

// unchanged compares the table with the one at the start, before a row is called bad that fitted
// the table which the configuration was made for.
func (s *session) unchanged(ctx context.Context) error {
	s.pool.mu.Lock()
	before := s.pool.atStart
	s.pool.mu.Unlock()
	now, err := s.describe(ctx, before.schema, before.name)
	if err != nil {
		return err
	}
	if slices.Equal(before.columns, now.columns) {
		return nil
	}
	return &obstacle{classColumns, fmt.Sprintf("the columns of %s changed since the start (%s): undo it, or restart the pipeline to go on with them",
		quote(before.schema, before.name), difference(before.columns, now.columns))}
}

func difference(before, now []string) string {
	var parts []string
	for _, c := range before {
		if !slices.Contains(now, c) {
			parts = append(parts, "was "+c)
		}
	}
	for _, c := range now {
		if !slices.Contains(before, c) {
			parts = append(parts, "is "+c)
		}
	}
	return strings.Join(parts, "; ")
}

// present returns which of the rows are in the table already, by their place in the list.
func (s *session) present(ctx context.Context, rows []row) (map[int]bool, error) {
	type partition struct{ source, partition int64 }
	groups := map[partition][]int{}
	for i, r := range rows {
		p := partition{r.source, r.partition}
		groups[p] = append(groups[p], i)
	}
	sql := fmt.Sprintf(`SELECT "offset" FROM %s WHERE source = $1::bigint AND partition = $2::bigint AND "offset" = ANY ($3::bigint[])`,
		quote(s.table.schema, s.table.name))
	found := map[int]bool{}
	for p, members := range groups {
		offsets := make([]string, len(members))
		for i, m := range members {
			offsets[i] = strconv.FormatInt(rows[m].offset, 10)
		}
		there, err := s.query(ctx, sql, strconv.FormatInt(p.source, 10), strconv.FormatInt(p.partition, 10),
			"{"+strings.Join(offsets, ",")+"}")
		if err != nil {
			return nil, err
		}
		for _, r := range there {
			if i := slices.Index(offsets, string(r[0])); i >= 0 {
				found[members[i]] = true
			}
		}
	}
	return found, nil
}
