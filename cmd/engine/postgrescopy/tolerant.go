package postgrescopy

import (
	"bytes"
	"context"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
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

// explainValues says of values which their columns do not accept, and why; and which columns there are.
const explainValues = `
SELECT given.row, given.col, wrong.sql_error_code, wrong.message, wrong.detail, (` + listColumns + `$1::regclass)
FROM ROWS FROM (unnest($2::int[]), unnest($3::int[]), unnest($4::text[]), unnest($5::text[])) AS given(row, col, name, value)
JOIN pg_catalog.pg_attribute a ON a.attrelid = $1::regclass AND a.attname = given.name
CROSS JOIN LATERAL pg_catalog.pg_input_error_info(given.value, pg_catalog.format_type(a.atttypid, a.atttypmod)) AS wrong
WHERE wrong.message IS NOT NULL
ORDER BY 1`

// tolerant tells whether bad values can be left to the server to skip.
func (s *session) tolerant() bool {
	if s.pool.strict.Load() {
		return false
	}
	major, _, _ := strings.Cut(s.conn.ParameterStatus("server_version"), ".")
	version, err := strconv.Atoi(major)
	return err == nil && version >= tolerantSince
}

// copyTolerant copies rows into the table except those with values of a wrong kind, which it returns
// with the reasons. ok is false when the server could not tell which rows it skipped.
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
	skipped, err = s.explain(ctx, b, from)
	return inserted, skipped, err == nil && len(skipped) == missing && allBad(skipped), err
}

// allBad tells whether the rows themselves are to blame: a value that names a table, for example, may be
// good once that is there.
func allBad(refused []refusedRow) bool {
	for _, r := range refused {
		if judge(r.err) != badRow {
			return false
		}
	}
	return true
}

// explain returns those of the rows that the last COPY skipped whose value is of a wrong kind, with the
// error that the server would have answered. The COPY began with the row from.
func (s *session) explain(ctx context.Context, b *encoded, from int) ([]refusedRow, error) {
	var at, cols, names, values []string
	for _, each := range s.skipped {
		row := from + each.line - 1
		line := bytes.TrimSuffix(b.lines(row, row+1), []byte("\n"))
		field := bytes.Split(line, []byte("\t"))[each.col]
		if string(field) == `\N` {
			continue // a domain that is not null: only the server's own refusal tells
		}
		at, cols = append(at, strconv.Itoa(row)), append(cols, strconv.Itoa(each.col))
		names, values = append(names, s.sql.names[each.col]), append(values, unescaped.Replace(string(field)))
	}
	wrong, err := s.query(ctx, explainValues, quote(s.table.schema, s.table.name),
		"{"+strings.Join(at, ",")+"}", "{"+strings.Join(cols, ",")+"}", textArray(names), textArray(values))
	if err != nil {
		return nil, err
	}
	var refused []refusedRow
	for _, each := range wrong {
		row, _ := strconv.Atoi(string(each[0]))
		s.seen = strings.Split(string(each[5]), "\n")
		col, _ := strconv.Atoi(string(each[1]))
		refused = append(refused, refusedRow{row, &pgconn.PgError{
			Severity: "ERROR", SeverityUnlocalized: "ERROR",
			Code: string(each[2]), Message: string(each[3]), Detail: string(each[4]), ColumnName: s.sql.names[col],
		}})
	}
	return refused, nil
}

// notice remembers what COPY skipped. What it does not understand is missed when the rows are counted.
func (s *session) notice(_ *pgconn.PgConn, notice *pgconn.Notice) {
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
