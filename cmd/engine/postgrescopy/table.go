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
	// keyed tells whether a unique index covers exactly the columns of the key.
	keyed bool
}

// listColumns makes the text of table.columns of the attributes a of a table.
const listColumns = `
	SELECT pg_catalog.string_agg(pg_catalog.format('%I %s%s%s', a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
		CASE WHEN a.attnotnull THEN ' not null' END, CASE WHEN a.atthasdef THEN ' default' END), E'\n' ORDER BY a.attname)
	FROM pg_catalog.pg_attribute a
	WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid = `

const describeTable = `
SELECT n.nspname, (` + listColumns + `c.oid
), EXISTS (
	SELECT
	FROM pg_catalog.pg_index i
	WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate
		AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = pg_catalog.cardinality($3::text[])
		AND (SELECT pg_catalog.array_agg(a.attname::text ORDER BY a.attname)
			FROM pg_catalog.pg_attribute a
			WHERE a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
		) = $3::text[]
)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = $1 AND n.nspname = CASE WHEN $2 = '' THEN pg_catalog.current_schema() ELSE $2 END`

// describe asks for the target as it is now. An empty schema means the first of the search path.
func (s *session) describe(ctx context.Context, schema, name string) (*table, error) {
	key := slices.Sorted(slices.Values(s.pool.conf.key()))
	found, err := s.query(ctx, describeTable, name, schema, textArray(key))
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

// textArray writes names as a text[].
func textArray(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = `"` + escapedInArray.Replace(name) + `"`
	}
	return "{" + strings.Join(quoted, ",") + "}"
}

// A Replacer does most of its work when it is used first.
var escapedInArray = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func place(schema, name string) string {
	if schema == "" {
		return quote(name)
	}
	return quote(schema, name)
}

// check returns an obstacle for a table in which a record could be written twice.
func (t *table) check(key []string) error {
	if t.keyed {
		return nil
	}
	return &obstacle{classIdentity, fmt.Sprintf("the table %s has no primary key or unique constraint on exactly (%s)",
		quote(t.schema, t.name), strings.Join(key, ", "))}
}

// unchanged compares the table with the one at the start, before a row is called bad that fitted
// the table which the configuration was made for.
func (s *session) unchanged(ctx context.Context) error {
	s.pool.mu.Lock()
	before := s.pool.atStart
	s.pool.mu.Unlock()
	if s.seen != nil {
		return before.differs(s.seen)
	}
	now, err := s.describe(ctx, before.schema, before.name)
	if err != nil {
		return err
	}
	return before.differs(now.columns)
}

// differs returns an obstacle if the columns are others now.
func (before *table) differs(now []string) error {
	if slices.Equal(before.columns, now) {
		return nil
	}
	return &obstacle{classColumns, fmt.Sprintf("the columns of %s changed since the start (%s): undo it, or restart the pipeline to go on with them",
		quote(before.schema, before.name), difference(before.columns, now))}
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
	item := "0"
	if s.pool.conf.indexed {
		item = `written."index"`
	}
	// LIMIT keeps the planner from a join, for which it would read a whole partition's rows when it has no
	// statistics of the table yet.
	sql := fmt.Sprintf(`SELECT wanted.nth
		FROM ROWS FROM (unnest($3::bigint[]), unnest($4::bigint[])) WITH ORDINALITY AS wanted(place, item, nth)
		CROSS JOIN LATERAL (
			SELECT FROM %s AS written
			WHERE written.source = $1::bigint AND written.partition = $2::bigint
				AND written."offset" = wanted.place AND %s = wanted.item
			LIMIT 1
		) AS present`, quote(s.table.schema, s.table.name), item)
	found := map[int]bool{}
	for p, members := range groups {
		offsets, items := make([]string, len(members)), make([]string, len(members))
		for i, m := range members {
			offsets[i] = strconv.FormatInt(rows[m].offset, 10)
			items[i] = strconv.FormatInt(rows[m].item, 10)
		}
		there, err := s.query(ctx, sql, strconv.FormatInt(p.source, 10), strconv.FormatInt(p.partition, 10),
			"{"+strings.Join(offsets, ",")+"}", "{"+strings.Join(items, ",")+"}")
		if err != nil {
			return nil, err
		}
		for _, r := range there {
			nth, err := strconv.Atoi(string(r[0]))
			if err != nil {
				return nil, err
			}
			found[members[nth-1]] = true
		}
	}
	return found, nil
}
