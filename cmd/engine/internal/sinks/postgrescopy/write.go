package postgrescopy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ddpm/engine/internal/records/reason"
	"ddpm/engine/internal/sink"
)

// write makes one attempt to bring a batch into the table. An error means that nothing is known
// about the batch and that the session is of no more use; a row that the server refuses is not an error.
func (s *session) write(ctx context.Context, b *encoded) (sink.Result, error) {
	if !s.fits(b) {
		return sink.Result{}, errReshaped
	}
	result, err := s.attempt(ctx, b)
	if !isStale(err) {
		return result, err
	}
	// Another key may have taken the place of the one that was seen, or there are other types or triggers.
	if _, err := s.exec(ctx, "ROLLBACK"); err != nil {
		return sink.Result{}, err
	}
	if err := s.prepare(ctx); err != nil {
		return sink.Result{}, err
	}
	if !s.fits(b) {
		return sink.Result{}, errReshaped
	}
	return s.attempt(ctx, b)
}

// fits reports whether a batch's text is for the columns' types as this session has seen them; if not, the next one will be.
func (s *session) fits(b *encoded) bool {
	shapes := s.shapes
	if slices.Equal(b.shapes, shapes) {
		return true
	}
	s.pool.encoder.shapes.Store(&shapes)
	return false
}

// errReshaped asks for other text of the same batch, since the columns' types are others.
var errReshaped = &obstacle{classContention, "the types of columns are being changed"}

// stale says that the table is no longer what the session knows of it.
type stale struct{ *obstacle }

func (s *stale) Unwrap() error { return s.obstacle }

func isStale(err error) bool {
	if _, is := err.(*stale); is {
		return true
	}
	// ON CONFLICT finds no key of that kind, or one that is deferrable.
	pgErr := serverError(err)
	return pgErr != nil && (pgErr.Code == "42P10" || pgErr.Code == "55000")
}

func (s *session) attempt(ctx context.Context, b *encoded) (sink.Result, error) {
	p := &piecewise{s: s, b: b}
	var refusal error
	sure := s.sure(b)
	// Where poison keeps coming the first attempt would be in vain.
	if sure > 0 && !b.conflicted && !(s.pool.poisoned.Load() && s.tolerant()) {
		n, err := s.copy(ctx, s.sql.begin+"; "+s.sql.copyTable, b.lines(0, sure))
		if err == nil && sure == len(b.rows) {
			if err := s.complete(ctx, n, b.rows); err != nil {
				return sink.Result{}, err
			}
			return sink.Result{Committed: n}, s.commit(ctx)
		}
		if err == nil && n < sure {
			return sink.Result{}, s.incomplete(sure-n, sure)
		}
		if err == nil {
			p.inserted, p.accepted = n, n
			return p.conclude(ctx, p.hearDoubts(ctx))
		}
		switch judge(err) {
		case mustWait:
			return sink.Result{}, err
		case conflict:
			b.conflicted = true
		default:
			refusal = err
		}
		if _, err := s.exec(ctx, "ROLLBACK"); err != nil {
			return sink.Result{}, err
		}
	}
	return p.conclude(ctx, p.run(ctx, refusal))
}

// sure returns how many rows of a batch, the first ones, have no value that their type does not accept. Where the
// server does not say what is wrong with a value, all rows are to be tried.
func (s *session) sure(b *encoded) int {
	if s.version() < explainsSince {
		return len(b.rows)
	}
	return len(b.rows) - len(b.doubts)
}

// conclude does what is left once all rows of a batch were tried, which ended with err.
func (p *piecewise) conclude(ctx context.Context, err error) (sink.Result, error) {
	if err == errConflict {
		if _, err := p.s.exec(ctx, "ROLLBACK"); err != nil {
			return sink.Result{}, err
		}
		p.b.conflicted = true
		p = &piecewise{s: p.s, b: p.b}
		err = p.run(ctx, nil)
	}
	if err != nil {
		return sink.Result{}, err
	}
	if len(p.suspects()) > 0 {
		if p, err = p.retrial(ctx); err != nil {
			return sink.Result{}, err
		}
	}
	return p.commit(ctx)
}

// complete makes sure that what was copied is what was sent, and that it stands in the table: a trigger may skip a
// row, put it elsewhere or change its identity without a word.
func (s *session) complete(ctx context.Context, copied int, rows []row) error {
	if copied < len(rows) {
		return s.incomplete(len(rows)-copied, len(rows))
	}
	if len(s.table.triggers) == 0 {
		return nil
	}
	there, err := s.present(ctx, s.sql.itself, rows)
	if err == nil && len(there) < len(rows) {
		err = s.incomplete(len(rows)-len(there), len(rows))
	}
	return err
}

func (s *session) incomplete(missing, sent int) error {
	why := &obstacle{classTrigger, fmt.Sprintf("%d of %d rows did not arrive in %s under their identity: a trigger (%s) skips, moves or changes them. "+
		"Drop or disable it (leave records out with a filter, and split a table by partitions), and the pipeline goes on by itself",
		missing, sent, s.sql.target, strings.Join(s.table.triggers, ", "))}
	if len(s.table.triggers) == 0 {
		return &stale{why}
	}
	return why
}

// commit ends the transaction if the table still has the key by which records are distinguished.
func (s *session) commit(ctx context.Context) error {
	err := s.committed(ctx, s.sql.ensureKey)
	if pgErr := serverError(err); pgErr != nil && pgErr.Code == divisionByZero {
		return &stale{&obstacle{classContention, "the key, the types or the triggers of " + s.sql.target + " are being changed"}}
	}
	if err == nil && s.unconfirmed {
		// Written again, its rows are duplicates, and the commit of that waits for all that was written before.
		return &obstacle{classStandby, "the synchronous standby has not confirmed the commit, and the wait for it was called off"}
	}
	return err
}

// errConflict asks for another start of the batch, by way of the stage.
var errConflict = &obstacle{classContention, "a row came into the table meanwhile"}

// piecewise writes a batch in one transaction, in pieces that become smaller around a bad row and
// larger behind it. The table is locked against changes all the while, so that a row is refused by the
// table that is looked at.
type piecewise struct {
	s *session
	b *encoded

	inserted, accepted int
	refused            []refusedRow
	// duplicates are the rows that were refused and are in the table already.
	duplicates []int
	// unsaved reports whether rows came in since the last savepoint.
	unsaved bool
}

// refusedRow is a row that was refused on its own, with the server's error. It is certain that the
// row is to blame where the error is about a value that the row gives.
type refusedRow struct {
	row     int
	err     error
	certain bool
}

// run brings in all rows that the table takes, and finds out about the others. refusal is the server's answer to
// the whole batch, if it was tried.
func (p *piecewise) run(ctx context.Context, refusal error) error {
	if err := p.begin(ctx, p.s.sql.beginLocked); err != nil {
		return err
	}
	if err := p.walk(ctx, 0, len(p.b.rows), refusal); err != nil {
		return err
	}
	return p.judgeRefused(ctx)
}

// hearDoubts asks the server about the doubtful values, behind the rows that it has taken. It has the last word: where it
// takes one of them, the types are others than those that the text is for.
func (p *piecewise) hearDoubts(ctx context.Context) error {
	refused, err := p.s.explain(ctx, p.b, p.b.doubts)
	if err != nil {
		return err
	}
	if len(refused) < len(p.b.doubts) {
		p.b.doubts = nil
		return &stale{errReshaped}
	}
	p.refused = refused
	return p.judgeRefused(ctx)
}

func (p *piecewise) judgeRefused(ctx context.Context) error {
	if err := p.retryForeignKeys(ctx); err != nil {
		return err
	}
	if err := p.acceptPresent(ctx); err != nil {
		return err
	}
	return p.rejectSuspects(ctx)
}

func (p *piecewise) commit(ctx context.Context) (sink.Result, error) {
	if err := p.complete(ctx); err != nil {
		return sink.Result{}, err
	}
	if err := p.s.commit(ctx); err != nil {
		return sink.Result{}, err
	}
	sure := p.s.sure(p.b)
	p.s.pool.poisoned.Store(slices.ContainsFunc(p.refused, func(r refusedRow) bool { return r.row < sure }))
	return sink.Result{
		Committed:  p.inserted,
		Duplicates: p.accepted - p.inserted + len(p.duplicates),
		Failures:   p.failures(),
	}, nil
}

// complete makes sure that all rows are there but those that were refused.
func (p *piecewise) complete(ctx context.Context) error {
	if p.accepted == 0 || len(p.s.table.triggers) == 0 {
		return nil
	}
	left := map[int]bool{}
	for _, row := range p.duplicates {
		left[row] = true
	}
	for _, r := range p.refused {
		left[r.row] = true
	}
	var rows []row
	for i, r := range p.b.rows {
		if !left[i] {
			rows = append(rows, r)
		}
	}
	return p.s.complete(ctx, len(rows), rows)
}

func (p *piecewise) begin(ctx context.Context, sql string) error {
	if p.b.conflicted {
		sql += "; " + p.s.sql.createStage
	}
	p.s.seen = nil
	_, err := p.s.exec(ctx, sql+"; SAVEPOINT "+savepoint)
	return err
}

// walk brings in all rows from, up to but not including, to that the server takes, and notes each one that it
// refuses on its own. A piece that is refused is cut before the row that the error names, or in half.
func (p *piecewise) walk(ctx context.Context, from, to int, refusal error) error {
	size, named, lastRefused := to-from, -1, from-1
	if refusal != nil && !(p.s.tolerant() && inValue(serverError(refusal)) != "") {
		size, named = p.cut(refusal, from, to)
	}
	for at := from; at < to; {
		if at == named {
			size = 1
		}
		end := min(at+size, to)
		err := p.put(ctx, at, end)
		switch {
		case err == nil:
			at = end
			size *= 2
		case p.judge(err) == mustWait:
			return err
		case p.judge(err) == conflict:
			return errConflict
		case end-at > 1:
			size, named = p.cut(err, at, end)
		default:
			p.refused = append(p.refused, refusedRow{row: at, err: err})
			size = max(1, at-lastRefused-1)
			lastRefused = at
			at++
		}
	}
	return nil
}

// judge is the general judgement, except that behind the stage a conflict is not about the identity.
func (p *piecewise) judge(err error) verdict {
	v := judge(err)
	if v == conflict && p.b.conflicted {
		return rowRefused
	}
	return v
}

// cut returns how many of the rows from at, up to end, to try next, and the row that the error names.
func (p *piecewise) cut(err error, at, end int) (size, named int) {
	line, ok := lineOf(err, p.relation())
	if !ok || line < 1 || line > end-at {
		return max(1, (end-at)/2), -1
	}
	return max(1, line-1), at + line - 1
}

func (p *piecewise) relation() string {
	if p.b.conflicted {
		return stage
	}
	return p.s.table.name
}

// put tries the rows from, up to but not including, to. If they are refused the transaction is where
// it was before; those that the server skips are noted as refused.
func (p *piecewise) put(ctx context.Context, from, to int) error {
	if err := p.save(ctx); err != nil {
		return err
	}
	inserted, skipped, err := p.send(ctx, from, to)
	if err == nil {
		p.unsaved = true
		p.inserted += inserted
		p.accepted += to - from - len(skipped)
		p.refused = append(p.refused, skipped...)
		return nil
	}
	if p.judge(err) != mustWait {
		if rollback := p.goBack(ctx); rollback != nil {
			return rollback
		}
	}
	return err
}

func (p *piecewise) save(ctx context.Context) error {
	if !p.unsaved {
		return nil
	}
	_, err := p.s.exec(ctx, "RELEASE SAVEPOINT "+savepoint+"; SAVEPOINT "+savepoint)
	p.unsaved = err != nil
	return err
}

func (p *piecewise) goBack(ctx context.Context) error {
	_, err := p.s.exec(ctx, "ROLLBACK TO SAVEPOINT "+savepoint)
	return err
}

func (p *piecewise) send(ctx context.Context, from, to int) (inserted int, skipped []refusedRow, err error) {
	if p.b.conflicted {
		inserted, err = p.sendByStage(ctx, p.b.lines(from, to))
		return inserted, nil, err
	}
	if p.s.tolerant() {
		inserted, skipped, named, err := p.s.copyTolerant(ctx, p.b, from, to)
		if named {
			return inserted, skipped, err
		}
		p.s.pool.strict.Store(true)
		if err := p.goBack(ctx); err != nil {
			return 0, nil, err
		}
	}
	inserted, err = p.s.copy(ctx, p.s.sql.copyTable, p.b.lines(from, to))
	if err == nil && inserted < to-from {
		err = p.s.incomplete(to-from-inserted, to-from)
	}
	return inserted, nil, err
}

func (p *piecewise) sendByStage(ctx context.Context, lines []byte) (inserted int, err error) {
	if _, err = p.s.copy(ctx, p.s.sql.copyStage, lines); err != nil {
		return 0, err
	}
	tag, err := p.s.exec(ctx, p.s.sql.insert)
	if err != nil {
		return 0, err
	}
	_, err = p.s.exec(ctx, p.s.sql.emptyStage)
	return int(tag.RowsAffected()), err
}

// retryForeignKeys tries rows again that failed for a foreign key: the row that they refer to may
// stand behind them in the batch.
func (p *piecewise) retryForeignKeys(ctx context.Context) error {
	for progress := p.accepted > 0; progress; {
		progress = false
		var still []refusedRow
		for _, r := range p.refused {
			if serverError(r.err).Code != "23503" {
				still = append(still, r)
				continue
			}
			err := p.put(ctx, r.row, r.row+1)
			switch {
			case err == nil:
				progress = true
			case p.judge(err) == mustWait:
				return err
			case p.judge(err) == conflict:
				return errConflict
			default:
				still = append(still, refusedRow{row: r.row, err: err})
			}
		}
		p.refused = still
	}
	return nil
}

// acceptPresent takes back the rows that are in the table already: whatever the server has against them
// now, they are not lost.
func (p *piecewise) acceptPresent(ctx context.Context) error {
	if len(p.refused) == 0 {
		return nil
	}
	rows := make([]row, len(p.refused))
	for i, r := range p.refused {
		rows[i] = p.b.rows[r.row]
	}
	present, err := p.s.present(ctx, p.s.sql.target, rows)
	if err != nil || len(present) == 0 {
		return err
	}
	var still []refusedRow
	for i, r := range p.refused {
		if present[i] {
			p.duplicates = append(p.duplicates, r.row)
		} else {
			still = append(still, r)
		}
	}
	p.refused = still
	return nil
}

func (p *piecewise) failures() []sink.Failure {
	failures := make([]sink.Failure, len(p.refused))
	for i, r := range p.refused {
		failures[i] = sink.Failure{Index: p.b.rows[r.row].index, Reason: p.reasonOf(r)}
	}
	return failures
}

func (p *piecewise) reasonOf(r refusedRow) *reason.Reason { return reasonOf(r.err, p.relation()) }
