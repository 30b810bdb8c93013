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

// explainValues says of values which their columns do not accept, and why.
const explainValues = `
SELECT given.row, given.col, wrong.sql_error_code, wrong.message, wrong.detail
FROM ROWS FROM (unnest($2::int[]), unnest($3::int[]), unnest($4::text[]), unnest($5::text[])) AS given(row, col, name, value)
JOIN pg_catalog.pg_attribute a ON a.attrelid = $1::regclass AND a.attname = given.name
CROSS JOIN LATERAL pg_catalog.pg_input_error_info(given.value, pg_catalog.format_type(a.atttypid, a.atttypmod)) AS wrong
WHERE wrong.message IS NOT NULL
ORDER BY 1, 2`

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
	rows := make([]int, missing)
	for i, line := range s.skipped {
		if rows[i] = from + line - 1; line < 1 || rows[i] >= to {
			return 0, nil, false, nil
		}
	}
	skipped, err = s.explain(ctx, b, rows)
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

// explain returns those of the rows that have a value of a wrong kind, with the error that the server
// would have answered.
func (s *session) explain(ctx context.Context, b *encoded, rows []int) ([]refusedRow, error) {
	var at, cols, names, values []string
	for _, row := range rows {
		line := bytes.TrimSuffix(b.lines(row, row+1), []byte("\n"))
		for i, field := range bytes.Split(line, []byte("\t")) {
			if string(field) == `\N` {
				continue
			}
			at, cols = append(at, strconv.Itoa(row)), append(cols, strconv.Itoa(i))
			names, values = append(names, s.sql.names[i]), append(values, unescaped.Replace(string(field)))
		}
	}
	wrong, err := s.query(ctx, explainValues, quote(s.table.schema, s.table.name),
		"{"+strings.Join(at, ",")+"}", "{"+strings.Join(cols, ",")+"}", textArray(names), textArray(values))
	if err != nil {
		return nil, err
	}
	var refused []refusedRow
	for _, each := range wrong {
		row, _ := strconv.Atoi(string(each[0]))
		if n := len(refused); n > 0 && refused[n-1].row == row {
			continue // COPY stops at the first bad value of a row, too
		}
		col, _ := strconv.Atoi(string(each[1]))
		refused = append(refused, refusedRow{row, &pgconn.PgError{
			Severity: "ERROR", SeverityUnlocalized: "ERROR",
			Code: string(each[2]), Message: string(each[3]), Detail: string(each[4]), ColumnName: s.sql.names[col],
		}})
	}
	return refused, nil
}

// notice remembers the lines that COPY skipped.
func (s *session) notice(_ *pgconn.PgConn, notice *pgconn.Notice) {
	rest, found := strings.CutPrefix(notice.Message, skippedNotice)
	if !found {
		return
	}
	digits, _, _ := strings.Cut(rest, " ")
	if line, err := strconv.Atoi(digits); err == nil {
		s.skipped = append(s.skipped, line)
	}
}
