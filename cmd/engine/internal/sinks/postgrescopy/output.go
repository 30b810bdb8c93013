// Package postgrescopy is the output postgres_copy: it copies Kafka records into a Postgres table,
// each exactly once, rejects the records that Postgres refuses and waits out everything else.
package postgrescopy

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/contract"
	"ddpm/engine/internal/records/origin"
	"ddpm/engine/internal/records/reason"
	"ddpm/engine/internal/sink"
)

func init() {
	err := service.RegisterBatchOutput("postgres_copy", spec(),
		func(conf *service.ParsedConfig, mgr *service.Resources) (
			out service.BatchOutput, policy service.BatchPolicy, maxInFlight int, err error,
		) {
			c, err := parseConfig(conf)
			if err != nil {
				return nil, policy, 0, err
			}
			return newOutput(c, mgr), policy, c.maxInFlight, nil
		})
	if err != nil {
		panic(err)
	}
}

// copier is the sink: batches go by COPY, each in a transaction of its own.
type copier struct {
	conf     *config
	encoder  *encoder
	sessions *sessions
	seconds  *service.MetricTimer
	company  company
}

var _ sink.Preparer = (*copier)(nil)

func newOutput(c *config, mgr *service.Resources) *sink.Output {
	encoder := newEncoder(c)
	encoder.finds.report = reportMissing(c.columns, mgr)
	names := sink.MetricsOf(contract.Postgres)
	o := &copier{
		conf:     c,
		encoder:  encoder,
		sessions: newSessions(c, encoder),
		// Only the attempts that the server saw are timed, by those that make them.
		seconds: mgr.Metrics().NewTimer(names.Seconds),
	}
	names.Seconds = ""
	return sink.New(o, sink.Options{
		Name:         "Postgres",
		Classes:      texts(classes),
		Metrics:      names,
		FailedClass:  failedClass,
		FirstPause:   c.firstPause,
		LongestPause: c.longestPause,
		// It finds the columns in them.
		TakesUnchecked: true,
	}, mgr)
}

func texts(classes []class) []string {
	texts := make([]string, len(classes))
	for i, c := range classes {
		texts[i] = string(c)
	}
	return texts
}

// failedClass is the class of the SQLSTATE for which a row was refused.
func failedClass(why *reason.Reason) string {
	if len(why.SQLState) == 5 {
		return why.SQLState[:2]
	}
	return "payload"
}

// Connect returns once the server answers and the table can be written exactly once.
func (o *copier) Connect(ctx context.Context) error {
	s, err := o.sessions.open(ctx)
	if err == nil {
		o.sessions.give(s)
	}
	return err
}

// Write makes one attempt that shares nothing with others.
func (o *copier) Write(ctx context.Context, rows sink.Rows) (sink.Result, error) {
	w := o.Prepare(rows)
	defer w.Release()
	return w.Write(ctx)
}

// Prepare returns the batch, whose text is made with the first attempt.
func (o *copier) Prepare(rows sink.Rows) sink.Prepared { return &writing{copier: o, rows: rows} }

// Close ends all connections.
func (o *copier) Close(context.Context) error {
	o.sessions.close()
	return nil
}

// Classify says what the server's error, or a lost connection, has rows wait for. A row that is refused is not an error.
func (o *copier) Classify(err error) sink.Verdict {
	why := obstacleOf(err)
	v := sink.Verdict{Class: string(why.class), Text: why.Error()}
	if slices.Contains(needPerson, why.class) {
		v.Kind = sink.Person
	}
	if alone, is := err.(*lonely); is {
		v.News = alone.news
	}
	return v
}

// writing is a batch on its way.
type writing struct {
	*copier
	rows     sink.Rows
	b        *encoded
	attempts int
}

// Release lets another batch have the memory.
func (w *writing) Release() {
	if w.b == nil {
		return
	}
	// One that another batch has taken along still learns what became of it.
	if _, left := w.company.leave(w.b); left {
		w.encoder.release(w.b)
	}
}

// Write makes one attempt, with other text as often as the table's types change under it.
func (w *writing) Write(ctx context.Context) (sink.Result, error) {
	result, err := w.attempt(ctx)
	for err == errReshaped {
		w.encoder.release(w.b)
		w.b = nil
		result, err = w.attempt(ctx)
	}
	if err != nil {
		return sink.Result{}, err
	}
	result.Missing = w.missing()
	result.Failures = append(w.b.failures, result.Failures...)
	// An attempt that ended with its connection may have brought rows in all the same.
	result.Again = result.Again || w.attempts > 1
	return result, nil
}

// missing are the rows that have neither text nor a reason why not. There are none, or the audit must know whose they are.
func (w *writing) missing() []int {
	if len(w.b.rows)+len(w.b.failures) == w.rows.Len() {
		return nil
	}
	known := make([]bool, w.rows.Len())
	for _, r := range w.b.rows {
		known[r.index] = true
	}
	for _, f := range w.b.failures {
		known[f.Index] = true
	}
	var missing []int
	for i, is := range known {
		if !is {
			missing = append(missing, i)
		}
	}
	return missing
}

func (w *writing) attempt(ctx context.Context) (result sink.Result, err error) {
	if w.b == nil {
		if err := w.sessions.ready(ctx); err != nil {
			return result, err
		}
		if w.b, err = w.encoder.encode(w.rows); err != nil {
			return result, err
		}
	}
	if len(w.b.rows) == 0 {
		return result, nil
	}
	if err := confirm(ctx, w.rows); err != nil {
		return result, err
	}
	w.attempts++
	return w.write(ctx, w.b)
}

// confirm makes sure that no row gets the number of a topic that was deleted before its record was read.
func confirm(ctx context.Context, rows sink.Rows) error {
	var last *origin.Ticket
	for i := range rows.Len() {
		o, ok := rows.Origin(i)
		if !ok || o.Ticket == last {
			continue
		}
		last = o.Ticket
		if err := last.Confirm(ctx); errors.Is(err, origin.ErrAnotherIncarnation) {
			return &obstacle{classIncarnation, err.Error()}
		} else if err != nil {
			return &obstacle{classSource, "the brokers do not say whether the topic is still the same: " + reason.Cut(err.Error())}
		}
	}
	return nil
}

// write makes one attempt, together with batches that wait for company.
func (o *copier) write(ctx context.Context, b *encoded) (sink.Result, error) {
	defer o.company.turn(b)()
	switch result, left := o.company.leave(b); {
	case !left:
		return sink.Result{}, b.lonely
	case result != nil:
		return *result, nil
	}
	j := o.company.join(b)
	all, err := o.writeJoined(ctx, j)
	b.single = err != nil && len(j.guests) > 0
	result, err := o.company.part(j, all, err)
	if why, is := err.(*lonely); is {
		o.company.wait(b, why)
	}
	return result, err
}

// writeJoined makes one attempt on a connection of its own. A connection that was idle may have died
// unnoticed: that is not an outage, and the next one is tried at once.
func (o *copier) writeJoined(ctx context.Context, j *join) (sink.Result, error) {
	again := false
	for {
		s, err := o.sessions.take(ctx)
		if err != nil {
			return sink.Result{}, err
		}
		started := time.Now()
		result, err := s.write(ctx, j.encoded)
		if err == nil {
			o.seconds.Timing(time.Since(started).Nanoseconds())
			o.sessions.give(s)
			result.Again = again
			return result, nil
		}
		s.close()
		if !s.wasIdle || !lost(err) || ctx.Err() != nil {
			return sink.Result{}, err
		}
		again = true
	}
}

// lost reports whether a connection ended, with or without a last word of the server.
func lost(err error) bool {
	c := obstacleOf(err).class
	return c == classConnection || c == classShutdown
}
