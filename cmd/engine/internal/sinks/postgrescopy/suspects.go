package postgrescopy

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"ddpm/engine/internal/records/reason"
)

// Who is to blame for a refusal: the row, or the table? A value that its column's type does not accept is the row's,
// and so is one that violates a constraint on a column that the row gives. Everything else (a trigger, a default, a
// generated column, a sequence at its end, a limit, an error of the server) may be the table's: the row is a suspect.
// A suspect is rejected only in a transaction in which rows of its batch are taken before it and after it.

// rejectSuspects notes of each refused row whether it is certainly to blame, or returns an obstacle if the table is.
func (p *piecewise) rejectSuspects(ctx context.Context) error {
	if len(p.refused) == 0 {
		return nil
	}
	for _, r := range p.refused {
		if strayed(r.err) {
			return &obstacle{classPartition, reason.Cut(r.err.Error())}
		}
	}
	if err := p.sortOut(ctx); err != nil {
		return err
	}
	return p.lookAtColumns(ctx)
}

// lookAtColumns returns an obstacle if a refusal may come from a change of the table's columns since the start. Nobody
// can have changed them since the first row of this transaction was tried.
func (p *piecewise) lookAtColumns(ctx context.Context) error {
	s := p.s
	if s.seen == nil {
		now, err := s.describe(ctx, s.table.schema, s.table.name)
		if err != nil {
			return err
		}
		s.seen = now.columns
	}
	s.pool.mu.Lock()
	before := s.pool.atStart
	s.pool.mu.Unlock()
	changed := compare(before.columns, s.seen, s.sql.names)
	if len(changed.columns) == 0 {
		return nil
	}
	for _, r := range p.refused {
		column := p.reasonOf(r).Column
		if !r.certain || column == "" || slices.Contains(changed.columns, column) {
			return changed.obstacle(s.table)
		}
	}
	return nil
}

// sortOut marks the rows that are certainly to blame.
func (p *piecewise) sortOut(ctx context.Context) error {
	var constrained, unclear []int
	for i := range p.refused {
		r := &p.refused[i]
		pgErr := serverError(r.err)
		switch {
		case r.certain:
		case ofEncoding(r.err), isClass(r.err, "22", "23") && inValue(pgErr) != "":
			r.certain = true
		case pgErr.Code == "23502":
			r.certain = p.givesNull(r.row, pgErr)
		case isClass(r.err, "23") && pgErr.ConstraintName != "":
			constrained = append(constrained, i)
		case p.mayBeValue(pgErr):
			unclear = append(unclear, i)
		}
	}
	if err := p.lookAtConstraints(ctx, constrained); err != nil {
		return err
	}
	return p.lookAtValues(ctx, unclear)
}

// givesNull reports whether a row gives the null that a column does not take.
func (p *piecewise) givesNull(row int, pgErr *pgconn.PgError) bool {
	col := slices.Index(p.s.sql.names, pgErr.ColumnName)
	return col >= 0 && string(p.b.field(row, col)) == `\N`
}

// mayBeValue tells an error that may be about a value: the context says so, or speaks a language that is not understood.
func (p *piecewise) mayBeValue(pgErr *pgconn.PgError) bool {
	_, _, understood := copyContext(pgErr, p.relation())
	return inValue(pgErr) != "" || (!understood && !p.b.conflicted && strings.HasPrefix(pgErr.Code, "22"))
}

// violated says what the constraints are about that were violated: 'identity' if about nothing but columns of the
// identity, 'given' if about others of the columns that a row gives.
var violated = `
SELECT given.nth, CASE WHEN bool_or(a.attname <> ALL ($6::text[]) AND a.attname = ANY ($5::text[])) THEN 'given'
	WHEN bool_and(a.attname = ANY ($6::text[])) THEN 'identity' END
FROM ROWS FROM (unnest($2::text[]), unnest($3::text[]), unnest($4::text[])) WITH ORDINALITY AS given(schema, relation, name, nth)
JOIN pg_catalog.pg_namespace n ON n.nspname = given.schema
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = given.relation
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
WHERE ` + fmt.Sprintf(isOrParts, "c.oid", "$1::pg_catalog.regclass") + ` AND (
	EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.conname = given.name AND a.attnum = ANY (k.conkey))
	OR EXISTS (
		SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
		WHERE i.indrelid = c.oid AND x.relname = given.name AND (a.attnum = ANY (i.indkey::int2[]) OR EXISTS (
			SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = x.oid
				AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = c.oid AND d.refobjsubid = a.attnum))))
GROUP BY given.nth`

// lookAtConstraints marks the rows whose violated constraint is about a column that they give. One that is about
// columns of the identity alone must not be there.
func (p *piecewise) lookAtConstraints(ctx context.Context, refused []int) error {
	if len(refused) == 0 {
		return nil
	}
	var schemas, relations, names []string
	for _, i := range refused {
		pgErr := serverError(p.refused[i].err)
		schemas, relations, names = append(schemas, pgErr.SchemaName), append(relations, pgErr.TableName), append(names, pgErr.ConstraintName)
	}
	about, err := p.s.query(ctx, violated, p.s.sql.target, textArray(schemas), textArray(relations), textArray(names),
		textArray(p.s.sql.names), textArray(identity(true)))
	if err != nil {
		return err
	}
	for _, each := range about {
		nth, err := strconv.Atoi(string(each[0]))
		if err != nil {
			return err
		}
		r := &p.refused[refused[nth-1]]
		r.certain = string(each[1]) == "given"
		if string(each[1]) == "identity" && isClass(r.err, "23") {
			return &obstacle{classIdentity, fmt.Sprintf("a constraint of %s on nothing but columns of its key is in the way of new rows, drop it: %s",
				p.s.sql.target, reason.Cut(r.err.Error()))}
		}
	}
	return nil
}

// lookAtValues marks the rows with a value that the server, when it is asked, says is of a wrong kind.
func (p *piecewise) lookAtValues(ctx context.Context, refused []int) error {
	if len(refused) == 0 || p.s.version() < explainsSince {
		return nil
	}
	var spots []spot
	for _, i := range refused {
		r := p.refused[i]
		if col := slices.Index(p.s.sql.names, inValue(serverError(r.err))); col >= 0 {
			spots = append(spots, spot{r.row, col})
			continue
		}
		for col := range p.s.sql.names {
			spots = append(spots, spot{r.row, col})
		}
	}
	if err := p.save(ctx); err != nil {
		return err
	}
	blamed, err := p.s.explain(ctx, p.b, spots)
	if serverError(err) != nil && judge(err) != mustWait {
		// Some types cannot be asked about: their error is one of the statement.
		return p.goBack(ctx)
	}
	if err != nil {
		return err
	}
	for _, i := range refused {
		r := &p.refused[i]
		r.certain = slices.ContainsFunc(blamed, func(b refusedRow) bool { return b.row == r.row })
	}
	return nil
}

// suspects are the places of the rows that were refused for what may be the table's fault.
func (p *piecewise) suspects() []int {
	var rows []int
	for _, r := range p.refused {
		if !r.certain {
			rows = append(rows, r.row)
		}
	}
	return rows
}

// retrial writes the batch once more, in another order: its suspects go behind the rows that were taken except one,
// the witness. Only if the table takes the witness, after it refused a suspect again, is that one to blame and not
// something that comes and goes.
func (p *piecewise) retrial(ctx context.Context) (*piecewise, error) {
	suspects := p.suspects()
	if _, err := p.s.exec(ctx, "ROLLBACK"); err != nil {
		return nil, err
	}
	witness, err := p.witness(ctx)
	if err != nil {
		return nil, err
	}
	if witness < 0 {
		return nil, p.lonely(suspects[0])
	}
	last := len(p.b.rows) - 1
	first := last - len(suspects)
	again := &piecewise{s: p.s, b: p.b.rearranged(append(slices.Clone(suspects), witness))}
	if err := again.beginSteady(ctx); err != nil {
		return nil, err
	}
	testified, err := again.hear(ctx, last)
	if err == errConflict {
		p.b.conflicted = true
	}
	if err != nil {
		return nil, err
	}
	for _, r := range again.refused {
		if !r.certain && !(testified && r.row >= first && r.row < last) {
			return nil, obstacleOf(r.err)
		}
	}
	return again, nil
}

// beginSteady begins a transaction in which everything that the table's triggers read stays as it is, if the role has
// a right on the whole table.
func (p *piecewise) beginSteady(ctx context.Context) error {
	err := p.begin(ctx, p.s.sql.beginSteady)
	if pgErr := serverError(err); pgErr == nil || pgErr.Code != "42501" {
		return err
	}
	if _, err := p.s.exec(ctx, "ROLLBACK"); err != nil {
		return err
	}
	return p.begin(ctx, p.s.sql.beginLocked)
}

// hear brings in all rows, the witness alone at the end, and reports whether the table took that.
func (p *piecewise) hear(ctx context.Context, witness int) (bool, error) {
	if err := p.walk(ctx, 0, witness, nil); err != nil {
		return false, err
	}
	before := p.inserted
	if err := p.walk(ctx, witness, witness+1, nil); err != nil {
		return false, err
	}
	return p.inserted > before, p.judgeRefused(ctx)
}

// witness returns the last row that the table took, and that was not there before; -1 if there is none.
func (p *piecewise) witness(ctx context.Context) (int, error) {
	out := map[int]bool{}
	if p.b.conflicted {
		var err error
		if out, err = p.s.present(ctx, p.s.sql.target, p.b.rows); err != nil {
			return -1, err
		}
	}
	for _, r := range p.refused {
		out[r.row] = true
	}
	for _, row := range p.duplicates {
		out[row] = true
	}
	for row := len(p.b.rows) - 1; row >= 0; row-- {
		if !out[row] {
			return row, nil
		}
	}
	return -1, nil
}

// rearranged returns the batch with some of its rows at its end.
func (b *encoded) rearranged(atEnd []int) *encoded {
	order := make([]int, 0, len(b.rows))
	for row := range b.rows {
		if !slices.Contains(atEnd, row) {
			order = append(order, row)
		}
	}
	other := &encoded{conflicted: b.conflicted, shapes: b.shapes}
	for _, row := range append(order, atEnd...) {
		other.append(b, row)
	}
	return other
}

// append adds a row of another batch.
func (b *encoded) append(other *encoded, nth int) {
	b.text = append(b.text, other.lines(nth, nth+1)...)
	added := other.rows[nth]
	added.end = len(b.text)
	b.rows = append(b.rows, added)
}

// lonely is the obstacle of a batch in which nothing shows that the table takes rows now.
func (p *piecewise) lonely(suspect int) error {
	row := p.b.rows[suspect]
	var why error
	for _, r := range p.refused {
		if r.row == suspect {
			why = r.err
		}
	}
	return &lonely{news: make(chan struct{}), obstacle: &obstacle{classRefused, fmt.Sprintf("partition %d, offset %d: %s; no other row of its batch is taken, so that the table may be "+
		"to blame. If it is, correct it; if the record is, it becomes a dead letter as soon as it is written together with others, "+
		"which a restart of the pipeline can bring about", row.partition, row.offset, reason.Cut(why.Error()))}}
}

// lonely is an obstacle that ends when the batch gets company, which the closing of news tells.
type lonely struct {
	*obstacle
	news chan struct{}
}

func (l *lonely) Unwrap() error { return l.obstacle }
