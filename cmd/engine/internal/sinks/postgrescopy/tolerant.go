package postgrescopy

import (
	"bytes"
	"context"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"ddpm/engine/internal/sinks/pgaddress"
)

// Since version 17 COPY can skip the rows with a value that its column's type does not accept, and
// name them in notices; pg_input_error_info says what is wrong with them. One pass then brings in all
// the good rows of a batch. Older servers, and those whose notices are not understood (they are
// translated, and a role may have turned them off), get the batch in pieces instead.

// tolerantSince is the first version of Postgres with ON_ERROR and LOG_VERBOSITY.
const tolerantSince = 17

const skippedNotice = "skipping row due to data type incompatibility at line "

// skip is a row that COPY skipped: its line, counted from 1, and the place of the column to blame.
type skip struct{ line, col int }

// explainValues says of values which their columns do not accept, and why. The first row says which columns there are.
const explainValues = `
SELECT -1 AS row, NULL AS col, NULL AS code, (` + listColumns + `$1::regclass)::text AS message, NULL AS detail
UNION ALL
SELECT given.row, given.col, wrong.sql_error_code, wrong.message, wrong.detail
FROM ROWS FROM (unnest($2::int[]), unnest($3::int[]), unnest($4::text[]), unnest($5::text[])) AS given(row, col, name, value)
JOIN pg_catalog.pg_attribute a ON a.attrelid = $1::regclass AND a.attname = given.name
CROSS JOIN LATERAL pg_catalog.pg_input_error_info(given.value, pg_catalog.format_type(a.atttypid, a.atttypmod)) AS wrong
WHERE wrong.message IS NOT NULL
ORDER BY 1`

// explainsSince is the first version of Postgres with pg_input_error_info.
const explainsSince = 16

// tolerant reports whether bad values can be left to the server to skip.
func (s *session) tolerant() bool {
	return !s.pool.strict.Load() && s.version() >= tolerantSince
}

// version is the server's major version; 0 if it is not understood.
func (s *session) version() int {
	text := s.conn.ParameterStatus("server_version")
	digits := strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' })
	if digits >= 0 {
		text = text[:digits]
	}
	version, _ := strconv.Atoi(text)
	return version
}

// copyTolerant copies rows into the table except those with values of a wrong kind, which it returns
// with the reasons. ok is false when the server could not say which rows it skipped.
func (s *session) copyTolerant(ctx context.Context, b *encoded, from, to int) (inserted int, skipped []refusedRow, ok bool, err error) {
	s.skipped = s.skipped[:0]
	inserted, err = s.copy(ctx, s.sql.copyTolerant, b.lines(from, to))
	if err != nil {
		return 0, nil, true, err
	}
	missing := to - from - inserted
	if missing == 0 {
		return inserted, nil, true, nil
	}
	if len(s.skipped) != missing {
		return 0, nil, false, nil
	}
	for _, each := range s.skipped {
		if each.line < 1 || each.line > to-from {
			return 0, nil, false, nil
		}
	}
	blamed := make([]spot, len(s.skipped))
	for i, each := range s.skipped {
		blamed[i] = spot{from + each.line - 1, each.col}
	}
	skipped, err = s.explain(ctx, b, blamed)
	return inserted, skipped, err == nil && len(skipped) == missing, err
}

// spot is a value of a batch: its row, and its column among those of a line.
type spot struct{ row, col int }

// explain returns those of the rows whose value at one of the spots is of a wrong kind, with the error that
// the server would have answered.
func (s *session) explain(ctx context.Context, b *encoded, spots []spot) ([]refusedRow, error) {
	var at, cols, names, values []string
	for _, each := range spots {
		field := b.field(each.row, each.col)
		if string(field) == `\N` {
			continue // a domain that is not null: only the server's own refusal tells
		}
		at, cols = append(at, strconv.Itoa(each.row)), append(cols, strconv.Itoa(each.col))
		names, values = append(names, s.sql.names[each.col]), append(values, unescaped.Replace(string(field)))
	}
	wrong, err := s.planned(ctx, explainValues, quote(s.table.schema, s.table.name),
		"{"+strings.Join(at, ",")+"}", "{"+strings.Join(cols, ",")+"}", textArray(names), textArray(values))
	if err != nil {
		return nil, err
	}
	if s.seen, err = parseColumns(wrong[0][3]); err != nil {
		return nil, err
	}
	var refused []refusedRow
	for _, each := range wrong[1:] {
		row, _ := strconv.Atoi(string(each[0]))
		col, _ := strconv.Atoi(string(each[1]))
		refused = append(refused, refusedRow{row: row, certain: true, err: &pgconn.PgError{
			Severity: "ERROR", SeverityUnlocalized: "ERROR",
			Code: string(each[2]), Message: string(each[3]), Detail: string(each[4]), ColumnName: s.sql.names[col],
		}})
	}
	return refused, nil
}

// field returns the text of a row's value as COPY has it.
func (b *encoded) field(row, col int) []byte {
	line := bytes.TrimSuffix(b.lines(row, row+1), []byte("\n"))
	return bytes.Split(line, []byte("\t"))[col]
}

// notice remembers what COPY skipped, and that a commit was not confirmed. What it does not understand is missed when the rows are counted.
func (s *session) notice(_ *pgconn.PgConn, notice *pgconn.Notice) {
	if pgaddress.Unconfirmed(notice) {
		s.unconfirmed = true
		return
	}
	rest, found := strings.CutPrefix(notice.Message, skippedNotice)
	if !found {
		return
	}
	digits, blamed, _ := strings.Cut(rest, " ")
	line, err := strconv.Atoi(digits)
	if err != nil {
		return
	}
	for col, name := range s.sql.names {
		if strings.HasPrefix(blamed, `for column "`+name+`": `) {
			s.skipped = append(s.skipped, skip{line, col})
			return
		}
	}
}
