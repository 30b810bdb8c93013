package postgrescopy

import (
	"context"

	"ddpm/engine/reason"
)

// outcome is what became of a batch's rows.
type outcome struct {
	committed, duplicates int
	failures              []failure
	// again tells whether an earlier attempt ended with its connection.
	again bool
}

// suspicion is the memory of a batch whose rows were all refused for a reason that may be the
// table's: the rows that the table had taken by then.
type suspicion struct {
	accepted int64
}

// write makes one attempt to bring a batch into the table. An error means that nothing is known
// about the batch and that the session is of no more use; a row that the server refuses is no error.
func (s *session) write(ctx context.Context, b *encoded) (outcome, error) {
	var refusal error
	// Where poison keeps coming the first attempt would be in vain.
	if !b.conflicted && !(s.pool.poisoned.Load() && s.tolerant()) {
		// On its own, COPY is a transaction of two round trips, with nothing to begin or commit.
		n, err := s.copy(ctx, s.sql.copyTable, b.lines(0, len(b.rows)))
		if err == nil {
			s.pool.accepted.Add(int64(n))
			return outcome{committed: n}, nil
		}
		switch judge(err) {
		case mustWait:
			return outcome{}, err
		case conflict:
			b.conflicted = true
		default:
			refusal = err
		}
	}
	p := &piecewise{s: s, b: b}
	result, err := p.write(ctx, refusal)
	if err == errConflict {
		b.conflicted = true
		p = &piecewise{s: s, b: b}
		result, err = p.write(ctx, nil)
	}
	return result, err
}

// errConflict asks for another start of the batch, by way of the stage.
var errConflict = &obstacle{classOther, "a row is in the table already"}

// piecewise writes a batch in one transaction, in pieces that become smaller around a bad row and
// larger behind it.
type piecewise struct {
	s *session
	b *encoded

	inserted, accepted int
	refused            []refusedRow
	// unsaved tells whether rows came in since the last savepoint.
	unsaved bool
}

// refusedRow is a row that was refused on its own, with the server's error.
type refusedRow struct {
	row int
	err error
}

// write runs the transaction. refusal is the server's answer to the whole batch, if it was tried.
func (p *piecewise) write(ctx context.Context, refusal error) (outcome, error) {
	if err := p.begin(ctx); err != nil {
		return outcome{}, err
	}
	if err := p.walk(ctx, refusal); err != nil {
		if err == errConflict {
			_, rollback := p.s.exec(ctx, "ROLLBACK")
			if rollback != nil {
				return outcome{}, rollback
			}
		}
		return outcome{}, err
	}
	if err := p.retryForeignKeys(ctx); err != nil {
		return outcome{}, err
	}
	duplicates, err := p.acquit(ctx)
	if err != nil {
		return outcome{}, err
	}
	if err := p.convict(ctx); err != nil {
		return outcome{}, err
	}
	if _, err := p.s.exec(ctx, "COMMIT"); err != nil {
		return outcome{}, err
	}
	p.s.pool.accepted.Add(int64(p.accepted))
	p.s.pool.poisoned.Store(len(p.refused) > 0)
	return outcome{
		committed:  p.inserted,
		duplicates: p.accepted - p.inserted + duplicates,
		failures:   p.failures(),
	}, nil
}

func (p *piecewise) begin(ctx context.Context) error {
	sql := p.s.sql.begin
	if p.b.conflicted {
		sql += "; " + p.s.sql.createStage
	}
	p.s.seen = nil
	_, err := p.s.exec(ctx, sql+"; SAVEPOINT "+savepoint)
	return err
}

// walk brings in all rows that the server takes, and notes each one that it refuses on its own. A
// piece that is refused is cut before the row that the error names, or in half.
func (p *piecewise) walk(ctx context.Context, refusal error) error {
	total := len(p.b.rows)
	size, named, lastRefused := total, -1, -1
	if refusal != nil && !(p.s.tolerant() && p.judge(refusal) == badRow) {
		size, named = p.cut(refusal, 0, total)
	}
	for at := 0; at < total; {
		if at == named {
			size = 1
		}
		end := min(at+size, total)
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
			p.refused = append(p.refused, refusedRow{at, err})
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
		return badRow
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
	if p.unsaved {
		if _, err := p.s.exec(ctx, "RELEASE SAVEPOINT "+savepoint+"; SAVEPOINT "+savepoint); err != nil {
			return err
		}
		p.unsaved = false
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

func (p *piecewise) goBack(ctx context.Context) error {
	p.s.seen = nil
	_, err := p.s.exec(ctx, "ROLLBACK TO SAVEPOINT "+savepoint)
	return err
}

func (p *piecewise) send(ctx context.Context, from, to int) (inserted int, skipped []refusedRow, err error) {
	if p.b.conflicted {
		inserted, err = p.sendByStage(ctx, p.b.lines(from, to))
		return inserted, nil, err
	}
	if p.s.tolerant() {
		inserted, skipped, told, err := p.s.copyTolerant(ctx, p.b, from, to)
		if told {
			return inserted, skipped, err
		}
		p.s.pool.strict.Store(true)
		if err := p.goBack(ctx); err != nil {
			return 0, nil, err
		}
	}
	inserted, err = p.s.copy(ctx, p.s.sql.copyTable, p.b.lines(from, to))
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
				still = append(still, refusedRow{r.row, err})
			}
		}
		p.refused = still
	}
	return nil
}

// acquit takes back the rows that are in the table already: whatever the server has against them
// now, they are not lost. It returns how many.
func (p *piecewise) acquit(ctx context.Context) (int, error) {
	if len(p.refused) == 0 {
		return 0, nil
	}
	rows := make([]row, len(p.refused))
	for i, r := range p.refused {
		rows[i] = p.b.rows[r.row]
	}
	present, err := p.s.present(ctx, rows)
	if err != nil || len(present) == 0 {
		return 0, err
	}
	var still []refusedRow
	for i, r := range p.refused {
		if !present[i] {
			still = append(still, r)
		}
	}
	p.refused = still
	return len(present), nil
}

// convict makes sure that the refused rows are to blame and not the table, or returns an obstacle.
func (p *piecewise) convict(ctx context.Context) error {
	if len(p.refused) == 0 {
		return nil
	}
	if err := p.s.unchanged(ctx); err != nil {
		return err
	}
	for _, r := range p.refused {
		if strayed(r.err) {
			return &obstacle{classPartition, reason.Cut(r.err.Error())}
		}
		if p.judge(r.err) == suspectRow && !p.othersTaken() {
			return obstacleOf(r.err)
		}
	}
	return nil
}

// othersTaken tells whether the table takes rows: others of this batch or, since this batch was
// first refused as a whole, those of another one.
func (p *piecewise) othersTaken() bool {
	if p.accepted > 0 {
		return true
	}
	now := p.s.pool.accepted.Load()
	if p.b.suspected == nil {
		p.b.suspected = &suspicion{now}
	}
	return now > p.b.suspected.accepted
}

func (p *piecewise) failures() []failure {
	failures := make([]failure, len(p.refused))
	for i, r := range p.refused {
		failures[i] = failure{p.b.rows[r.row].index, p.reasonOf(r)}
	}
	return failures
}

func (p *piecewise) reasonOf(r refusedRow) *reason.Reason { return reasonOf(r.err, p.relation()) }
