package postgrescopy

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// table is what the server says about the target.
type table struct {
	schema, name string
	// plain distinguishes a table that holds its rows itself from one that partitions hold them for.
	plain   bool
	columns []tableColumn
	// key is the object id of a unique index on exactly the columns of the key; empty if there is none.
	key string
	// types distinguishes the columns' types from others.
	types string
	// triggers are those that somebody has made for new rows, and which may skip, move or change them.
	triggers []string
}

// tableColumn is a column as the table has it.
type tableColumn struct {
	Name, Type string
	NotNull    bool
	// Filled reports whether the column has a value where none is given.
	Filled bool
}

func (c tableColumn) String() string {
	text := pgx.Identifier{c.Name}.Sanitize() + " " + c.Type
	if c.NotNull {
		text += " not null"
	}
	return text
}

// listColumns makes the text of table.columns of the attributes a of a table.
const listColumns = `
	SELECT pg_catalog.json_agg(pg_catalog.json_build_object('Name', a.attname, 'Type', pg_catalog.format_type(a.atttypid, a.atttypmod),
		'NotNull', a.attnotnull OR t.typnotnull, 'Filled', a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL) ORDER BY a.attname)
	FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
	WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid = `

func parseColumns(text []byte) (columns []tableColumn, err error) {
	return columns, json.Unmarshal(text, &columns)
}

// isOrParts is the condition that a relation is a table or one of its partitions. To list those would lock each of
// them, and wait for those that work on one.
const isOrParts = `(%[1]s = %[2]s OR %[2]s IN (SELECT relid FROM pg_catalog.pg_partition_ancestors(%[1]s)))`

// insertTriggers are the conditions for a trigger that a person made for new rows, and that is on.
const insertTriggers = `NOT tgisinternal AND tgenabled <> 'D' AND tgtype & 4 <> 0`

// fingerprint is of the types that a table's columns have.
const fingerprint = `(SELECT pg_catalog.md5(pg_catalog.string_agg(attname || ' ' || atttypid, ',' ORDER BY attnum))
	FROM pg_catalog.pg_attribute WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped)`

var describeTable = `
SELECT n.nspname, c.relkind <> 'p', (` + listColumns + `c.oid
), (
	SELECT i.indexrelid
	FROM pg_catalog.pg_index i
	WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate
		AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = pg_catalog.cardinality($3::text[])
		AND (SELECT pg_catalog.array_agg(a.attname::text ORDER BY a.attname)
			FROM pg_catalog.pg_attribute a
			WHERE a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
		) = $3::text[]
	ORDER BY i.indisprimary DESC, i.indexrelid
	LIMIT 1
), (
	SELECT coalesce(pg_catalog.json_agg(tgname), '[]')
	FROM pg_catalog.pg_trigger
	WHERE ` + insertTriggers + ` AND ` + fmt.Sprintf(isOrParts, "tgrelid", "c.oid::pg_catalog.regclass") + `
), ` + fmt.Sprintf(fingerprint, "c.oid") + `
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
	t := &table{schema: string(row[0]), name: name, plain: string(row[1]) == "t", key: string(row[3]), types: string(row[5])}
	if t.columns, err = parseColumns(row[2]); err != nil {
		return nil, err
	}
	return t, json.Unmarshal(row[4], &t.triggers)
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
	if t.key != "" {
		return nil
	}
	target, list := quote(t.schema, t.name), quotedList(key)
	return &obstacle{classIdentity, fmt.Sprintf("the table %s has no primary key or unique constraint on exactly (%s), without which "+
		"records could be written twice: ALTER TABLE %s ADD PRIMARY KEY (%s)", target, strings.Join(key, ", "), target, list)}
}

// changes are the differences of a table from what it was at the start that matter for what is written.
type changes struct {
	columns []string
	text    string
}

// compare looks for columns that take less than they did before, and for new ones that every row must give.
func compare(before, now []tableColumn, written []string) changes {
	var found changes
	var parts []string
	for _, was := range before {
		at := slices.IndexFunc(now, func(c tableColumn) bool { return c.Name == was.Name })
		if !slices.Contains(written, was.Name) || (at >= 0 && takesAll(now[at], was)) {
			continue
		}
		found.columns, parts = append(found.columns, was.Name), append(parts, "was "+was.String())
		if at >= 0 {
			parts = append(parts, "is "+now[at].String())
		}
	}
	for _, is := range now {
		if slices.Contains(written, is.Name) || !is.NotNull || is.Filled || slices.Contains(before, is) {
			continue
		}
		found.columns, parts = append(found.columns, is.Name), append(parts, "is "+is.String())
	}
	found.text = strings.Join(parts, "; ")
	return found
}

// takesAll reports whether a column takes whatever it took when it was another.
func takesAll(now, before tableColumn) bool {
	if now.NotNull && !before.NotNull {
		return false
	}
	return now.Type == before.Type || now.Type == "text" || slices.Contains(wider[before.Type], now.Type) ||
		strings.HasPrefix(before.Type, now.Type+"(") || // varchar(3) became varchar
		isLarger(now.Type, before.Type) || isFiner(now.Type, before.Type)
}

var sized = regexp.MustCompile(`^(character varying|character|bit varying|numeric)\((\d+)(?:,(-?\d+))?\)((?:\[\])?)$`)

// isLarger reports whether a type is another one with room for longer texts, or for more digits before and behind the point.
func isLarger(now, before string) bool {
	is, was := sized.FindStringSubmatch(now), sized.FindStringSubmatch(before)
	if is == nil || was == nil || is[1] != was[1] || is[4] != was[4] {
		return false
	}
	number := func(text string) int {
		n, _ := strconv.Atoi(text)
		return n
	}
	scale, scaleBefore := number(is[3]), number(was[3])
	return scale >= scaleBefore && number(is[2])-scale >= number(was[2])-scaleBefore
}

var timed = regexp.MustCompile(`^(time|timestamp|interval)(?:\((\d)\))?( with(?:out)? time zone)?$`)

// isFiner reports whether a type is another one of times with more digits of a second; without a number there are six.
func isFiner(now, before string) bool {
	is, was := timed.FindStringSubmatch(now), timed.FindStringSubmatch(before)
	return is != nil && was != nil && is[1] == was[1] && is[3] == was[3] && cmp.Or(is[2], "6") >= cmp.Or(was[2], "6")
}

// wider holds types that take each value of another one.
var wider = map[string][]string{
	"smallint": {"integer", "bigint", "numeric", "real", "double precision"},
	"integer":  {"bigint", "numeric", "double precision"},
	"bigint":   {"numeric"},
	"real":     {"double precision"},
}

// obstacle says that a row waits because of the changes.
func (c changes) obstacle(t *table) error {
	return &obstacle{classColumns, fmt.Sprintf("the columns of %s changed since the start (%s): undo it, or restart the pipeline to go on with them",
		quote(t.schema, t.name), c.text)}
}

// present returns which of the rows are in a relation (the table, or ONLY the table without those that
// inherit from it) already, by their place in the list.
func (s *session) present(ctx context.Context, relation string, rows []row) (map[int]bool, error) {
	// Of a table with partitions the planner locks those that its constants leave, and one that is locked by somebody else
	// is to hold up its own rows alone.
	type partition struct{ source, partition int64 }
	groups, source, part, ask := map[partition][]int{}, "wanted.source", "wanted.partition", s.planned
	if !s.table.plain {
		source, part, ask = "($1::bigint[])[1]", "($2::bigint[])[1]", s.query
	}
	for i, r := range rows {
		var p partition
		if !s.table.plain {
			p = partition{r.source, r.partition}
		}
		groups[p] = append(groups[p], i)
	}
	item := "0"
	if s.pool.conf.indexed {
		item = `written."index"`
	}
	// LIMIT keeps the planner from a join, for which it would read a whole partition's rows when it has no
	// statistics of the table yet.
	sql := fmt.Sprintf(`SELECT wanted.nth
		FROM ROWS FROM (unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::bigint[]), unnest($4::bigint[]))
			WITH ORDINALITY AS wanted(source, partition, place, item, nth)
		CROSS JOIN LATERAL (
			SELECT FROM %s AS written
			WHERE written.source = %s AND written.partition = %s
				AND written."offset" = wanted.place AND %s = wanted.item
			LIMIT 1
		) AS present`, relation, source, part, item)
	found := map[int]bool{}
	for _, members := range groups {
		there, err := ask(ctx, sql, identities(rows, members)...)
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

// identities returns the identities of those of the rows that are members: a bigint[] for each part.
func identities(rows []row, members []int) []string {
	var texts [4][]byte
	for _, m := range members {
		for part, number := range [4]int64{rows[m].source, rows[m].partition, rows[m].offset, rows[m].item} {
			texts[part] = append(strconv.AppendInt(texts[part], number, 10), ',')
		}
	}
	arrays := make([]string, len(texts))
	for part, text := range texts {
		arrays[part] = "{" + strings.TrimSuffix(string(text), ",") + "}"
	}
	return arrays
}
