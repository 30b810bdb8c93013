package postgrescopy

import (
	"context"

	"ddpm/engine/internal/sinks/pgtext"
)

// kind is what a type makes of a value, as far as the text for it depends on the type.
type kind uint8

const (
	// kindOther takes the text of strings and numbers, and objects and arrays as JSON.
	kindOther kind = iota
	kindJSON
	kindBoolean
	kindBytes
	kindInstant
	kindLocal
	kindDate
	kindClock
)

// kinds are the built-in types that are none of the others.
var kinds = map[string]kind{
	"json": kindJSON, "jsonb": kindJSON,
	"bool": kindBoolean, "boolean": kindBoolean,
	"bytea":       kindBytes,
	"timestamptz": kindInstant, "timestamp with time zone": kindInstant,
	"timestamp": kindLocal, "timestamp without time zone": kindLocal,
	"date": kindDate,
	"time": kindClock, "time without time zone": kindClock, "timetz": kindClock, "time with time zone": kindClock,
}

// numbers are the built-in types of numbers, by their names in the catalogue and in SQL.
var numbers = map[string]string{
	"int2": "int2", "int4": "int4", "int8": "int8", "float4": "float4", "float8": "float8", "numeric": "numeric",
	"smallint": "int2", "integer": "int4", "int": "int4", "bigint": "int8", "real": "float4", "double precision": "float8", "decimal": "numeric",
}

// shape is a column's type as the encoder sees it: the kind of its values, or of the elements of an array,
// which delimiter separates.
type shape struct {
	kind      kind
	list      bool
	delimiter byte
	// plain is set where a value's own text will do.
	plain bool
	// number is the catalogue's name of a built-in type of numbers.
	number string
}

func newShape(k kind, list bool, delimiter byte) shape {
	return shape{kind: k, list: list, delimiter: delimiter, plain: !list && k != kindJSON}
}

// namedShape is that of a built-in type, by the name in the catalogue or in SQL.
func namedShape(name string, list bool, delimiter byte) shape {
	found := newShape(kinds[name], list, delimiter)
	if !list {
		found.number = numbers[name]
	}
	return found
}

// accepts reports whether a type may take a text. What it does not accept no Postgres takes.
func (s shape) accepts(text []byte) bool {
	return s.number == "" || isDecimal(text) || pgtext.Refuses(s.number, view(text)) == nil
}

// isDecimal knows how numbers are mostly written, in a fraction of the time that a full look takes.
func isDecimal(text []byte) bool {
	digits, points := 0, 0
	for i, c := range text {
		switch {
		case '0' <= c && c <= '9':
			digits++
		case c == '.':
			points++
		case c != '-' || i > 0:
			return false
		}
	}
	return digits > 0 && points < 2
}

// shapeOf says what is known of a type by its name alone: a domain, or a type of an extension, is no more
// than other text here.
func shapeOf(typeName string) shape {
	name, list := pgtext.Base(typeName)
	delimiter := byte(',')
	switch name {
	case "box":
		delimiter = ';'
	case "geometry", "geography":
		delimiter = ':'
	}
	return namedShape(name, list, delimiter)
}

// A domain is what it is over, and an array is known by how it is read: point and others have elements, too.
const selectShapes = `
WITH RECURSIVE step(name, type, list) AS (
	SELECT a.attname::text, a.atttypid, false
	FROM pg_catalog.pg_attribute a
		JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped
	UNION ALL
	SELECT s.name, CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.typelem END, s.list OR t.typtype <> 'd'
	FROM step s JOIN pg_catalog.pg_type t ON t.oid = s.type
	WHERE t.typtype = 'd' OR NOT s.list AND t.typinput = 'pg_catalog.array_in'::pg_catalog.regproc
)
SELECT s.name, CASE t.typnamespace WHEN 'pg_catalog'::pg_catalog.regnamespace THEN t.typname ELSE '' END, s.list, t.typdelim
FROM step s JOIN pg_catalog.pg_type t ON t.oid = s.type
WHERE NOT (t.typtype = 'd' OR NOT s.list AND t.typinput = 'pg_catalog.array_in'::pg_catalog.regproc)`

// describeShapes asks for the types of the columns as they are now, in the order of the configuration.
func (s *session) describeShapes(ctx context.Context, t *table) ([]shape, error) {
	rows, err := s.query(ctx, selectShapes, t.schema, t.name)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]shape, len(rows))
	for _, row := range rows {
		byName[string(row[0])] = namedShape(string(row[1]), string(row[2]) == "t", row[3][0])
	}
	found := make([]shape, len(s.pool.conf.columns))
	for i, col := range s.pool.conf.columns {
		found[i] = byName[col.name]
	}
	return found, nil
}
