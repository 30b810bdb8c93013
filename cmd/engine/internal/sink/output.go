package sink

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/records/reason"
	"ddpm/engine/internal/runtime/audit"
)

// Output is a sink with the kit around it, as the engine takes it.
type Output struct {
	sink    Sink
	options Options
	waits   *waits
	metrics metrics
}

var _ service.BatchOutput = (*Output)(nil)

// New puts the kit around a sink.
func New(s Sink, options Options, mgr *service.Resources) *Output {
	options.complete()
	o := &Output{sink: s, options: options, metrics: newMetrics(options.Metrics, mgr)}
	o.waits = newWaits(&o.options, mgr)
	if options.Books == AsRows {
		audit.Of(mgr).Settles()
	}
	return o
}

// Connect returns once the sink has connected; until then it waits as a write does. It always fails after the end of the
// context.
func (o *Output) Connect(ctx context.Context) error {
	w := o.newWriting()
	for {
		err := w.attempt(func() error { return o.sink.Connect(ctx) })
		// The engine asks again and again, without a pause, unless it hears that this was in vain.
		if err == nil && ctx.Err() == nil {
			w.over()
			return nil
		}
		if err := w.pauseFor(ctx, o.verdict(ctx, err)); err != nil {
			return err
		}
	}
}

// WriteBatch returns when every record of the batch is in the destination or has a reason why it never will be. Only
// the end of the context, at the engine's hard stop, ends it earlier, which is reported as service.ErrNotConnected: the
// engine then keeps the batch unacknowledged, where any other error would send it to the dead letters.
func (o *Output) WriteBatch(ctx context.Context, batch service.MessageBatch) error {
	rows := RowsOf(batch)
	w := o.newWriting()
	failedBefore, err := w.all(ctx, rows)
	if err != nil {
		return err
	}
	o.metrics.count(w.result, o.options.FailedClass)
	w.result.Failures = append(failedBefore, w.result.Failures...)
	settle(o.options.Books, rows, w.result)
	return rows.refused(w.result.Failures)
}

// Close closes the sink.
func (o *Output) Close(ctx context.Context) error { return o.sink.Close(ctx) }

// writing is the way of one batch through all attempts.
type writing struct {
	o      *Output
	wait   wait
	pause  pause
	result Result
}

func (o *Output) newWriting() *writing {
	return &writing{o: o, wait: wait{all: o.waits}, pause: pause{o.options.FirstPause, o.options.LongestPause}}
}

// over notes that the destination has answered.
func (w *writing) over() {
	w.wait.over()
	w.pause.current = w.o.options.FirstPause
}

// piece is some rows of a batch; indexes are their places in it, nil if it is the whole batch.
type piece struct {
	rows    Rows
	indexes []int
	// repeated says that some of the rows may have been written by an attempt that was made with more of them.
	repeated bool
}

func (p piece) place(i int) int {
	if p.indexes == nil {
		return i
	}
	return p.indexes[i]
}

// part returns some of a piece's rows, by their places in it.
func (p piece) part(batch Rows, places []int, repeated bool) piece {
	indexes := make([]int, len(places))
	for i, each := range places {
		indexes[i] = p.place(each)
	}
	return piece{Select(batch, indexes), indexes, repeated}
}

// all writes the rows of a batch that may be written, and returns the failures of the others.
func (w *writing) all(ctx context.Context, batch Rows) (failedBefore []Failure, err error) {
	whole := piece{rows: batch}
	if !w.o.options.TakesUnchecked {
		batch.check()
	}
	if !w.o.options.TakesFailed {
		if failedBefore = failures(batch); len(failedBefore) > 0 {
			whole = whole.part(batch, others(batch.Len(), failedBefore), false)
		}
	}
	if whole.rows.Len() == 0 {
		return failedBefore, nil
	}
	for rest := []piece{whole}; len(rest) > 0; {
		next := rest[len(rest)-1]
		smaller, err := w.one(ctx, batch, next)
		if err != nil {
			return nil, err
		}
		rest = append(rest[:len(rest)-1], smaller...)
	}
	slices.SortFunc(w.result.Failures, func(a, b Failure) int { return cmp.Compare(a.Index, b.Index) })
	return failedBefore, nil
}

func failures(rows Rows) []Failure {
	var failed []Failure
	for i := range rows.Len() {
		if why := rows.Failure(i); why != nil {
			failed = append(failed, Failure{i, why})
		}
	}
	return failed
}

// others returns the places that none of the failures, which are in order, is at.
func others(n int, failed []Failure) []int {
	left := make([]int, 0, n-len(failed))
	for i := range n {
		if len(failed) > 0 && failed[0].Index == i {
			failed = failed[1:]
			continue
		}
		left = append(left, i)
	}
	return left
}

// one writes a piece, and returns what of it has to be tried in other pieces, the next one last.
func (w *writing) one(ctx context.Context, batch Rows, p piece) ([]piece, error) {
	prepared, prepares := w.o.prepare(p.rows)
	defer prepared.Release()
	for attempts := 1; ; attempts++ {
		var result Result
		started := time.Now()
		err := w.attempt(func() (err error) {
			result, err = prepared.Write(ctx)
			return err
		})
		result.Again = result.Again || p.repeated || attempts > 1 && !prepares
		if err == nil {
			w.o.metrics.seconds.Timing(time.Since(started).Nanoseconds())
			w.over()
			w.add(p, result)
			return nil, nil
		}
		v := w.o.verdict(ctx, err)
		if len(result.Left) > 0 {
			w.add(p, result)
			p = p.part(batch, result.Left, true)
		}
		if v.Kind == Refuse {
			if p.rows.Len() == 1 {
				w.over()
				w.result.Failures = append(w.result.Failures, Failure{p.place(0), v.Reason})
				return nil, nil
			}
			first, second := halves(p.rows.Len())
			return []piece{p.part(batch, second, !prepares), p.part(batch, first, !prepares)}, nil
		}
		if err := w.pauseFor(ctx, v); err != nil {
			return nil, err
		}
		if len(result.Left) > 0 {
			return []piece{p}, nil
		}
	}
}

func halves(n int) (first, second []int) {
	for i := range n {
		if i < n/2 {
			first = append(first, i)
		} else {
			second = append(second, i)
		}
	}
	return first, second
}

// add takes in what became of the rows of a piece.
func (w *writing) add(p piece, result Result) {
	w.result.Committed += result.Committed
	w.result.Duplicates += result.Duplicates
	w.result.Again = w.result.Again || result.Again
	for _, i := range result.Missing {
		w.result.Missing = append(w.result.Missing, p.place(i))
	}
	if w.result.Failures == nil && p.indexes == nil {
		w.result.Failures = result.Failures
		return
	}
	for _, f := range result.Failures {
		w.result.Failures = append(w.result.Failures, Failure{p.place(f.Index), f.Reason})
	}
}

// attempt makes one attempt, which is notified of if it lasts too long.
func (w *writing) attempt(do func() error) error {
	ended := w.wait.begun()
	defer ended()
	return do()
}

// verdict asks the sink about an error. After the end of the context errors say nothing about the destination.
func (o *Output) verdict(ctx context.Context, err error) Verdict {
	if ctx.Err() != nil {
		return Verdict{}
	}
	v := o.sink.Classify(err)
	if v.Text == "" {
		v.Text = reason.Cut(err.Error())
	}
	if v.Class == "" {
		v.Class = classOther
	}
	if v.Kind == Refuse && v.Reason == nil {
		v.Reason = reason.New(reason.StageSink, "refused", v.Text)
	}
	return v
}

// pauseFor waits before the next attempt. It returns service.ErrNotConnected once the context has ended.
func (w *writing) pauseFor(ctx context.Context, v Verdict) error {
	if ctx.Err() == nil {
		w.wait.because(v)
		var over <-chan time.Time
		if !v.Hold {
			timer := time.NewTimer(w.pause.next())
			defer timer.Stop()
			over = timer.C
		}
		select {
		case <-over:
			return nil
		case <-v.News:
			return nil
		case <-ctx.Done():
		}
	}
	w.wait.abandon()
	return service.ErrNotConnected
}

// prepare returns the batch as the sink writes it, and whether the sink keeps something of it between attempts.
func (o *Output) prepare(rows Rows) (Prepared, bool) {
	if p, is := o.sink.(Preparer); is {
		return p.Prepare(rows), true
	}
	return plain{o.sink, rows}, false
}

// plain is a batch of a sink that keeps nothing of it.
type plain struct {
	sink Sink
	rows Rows
}

func (p plain) Write(ctx context.Context) (Result, error) { return p.sink.Write(ctx, p.rows) }

func (plain) Release() {}
