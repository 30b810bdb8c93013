// Package postgrescopy is the output postgres_copy: it copies Kafka records into a Postgres table,
// each exactly once, rejects the records that Postgres refuses and waits out everything else.
package postgrescopy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/audit"
	"ddpm/engine/origin"
	"ddpm/engine/reason"
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

type output struct {
	conf     *config
	log      *service.Logger
	encoder  *encoder
	sessions *sessions
	health   *health
	metrics  *writeMetrics
	company  company
}

func newOutput(c *config, mgr *service.Resources) *output {
	audit.Of(mgr).Settles()
	encoder := newEncoder(c)
	encoder.finds.tell = tellMissing(c.columns, mgr)
	return &output{
		conf:     c,
		log:      mgr.Logger(),
		encoder:  encoder,
		sessions: newSessions(c, encoder),
		health:   newHealth(mgr),
		metrics:  newWriteMetrics(mgr.Metrics()),
	}
}

// Connect returns once the server answers and the table can be written exactly once; until then it
// waits as a write does.
func (o *output) Connect(ctx context.Context) error {
	return o.persist(ctx, func(ctx context.Context) error {
		s, err := o.sessions.open(ctx)
		if err == nil {
			o.sessions.give(s)
		}
		return err
	})
}

// WriteBatch returns when every record of the batch is in the table or has a reason why it never
// will be. Only the end of the context, at the engine's hard stop, ends it earlier.
func (o *output) WriteBatch(ctx context.Context, batch service.MessageBatch) error {
	var b *encoded
	defer func() {
		if b == nil {
			return
		}
		// One that another batch has taken along will still be told what became of it.
		if _, left := o.company.leave(b); left {
			o.encoder.release(b)
		}
	}()
	var outcome outcome
	attempts := 0
	attempt := func(ctx context.Context) (err error) {
		if b == nil {
			if err = o.sessions.ready(ctx); err != nil {
				return err
			}
			if b, err = o.encoder.encode(batch); err != nil {
				return err
			}
		}
		if len(b.rows) == 0 {
			return nil
		}
		if err = confirm(ctx, batch); err != nil {
			return err
		}
		attempts++
		outcome, err = o.write(ctx, b)
		return err
	}
	err := o.persist(ctx, func(ctx context.Context) error {
		err := attempt(ctx)
		for err == errReshaped {
			o.encoder.release(b)
			b = nil
			err = attempt(ctx)
		}
		return err
	})
	if err != nil {
		return err
	}
	failures := append(b.failures, outcome.failures...)
	o.metrics.count(outcome, failures)
	// An attempt that ended with its connection may have brought rows in all the same.
	settle(batch, outcome, failures, attempts > 1 || outcome.again)
	return batchError(batch, failures)
}

// confirm makes sure that no row gets the number of a topic that was deleted before its record was read.
func confirm(ctx context.Context, batch service.MessageBatch) error {
	var last *origin.Ticket
	for _, msg := range batch {
		o, ok := origin.From(msg)
		if !ok || o.Ticket == last {
			continue
		}
		last = o.Ticket
		if err := last.Confirm(ctx); errors.Is(err, origin.ErrAnotherIncarnation) {
			return &obstacle{classIncarnation, err.Error()}
		} else if err != nil {
			return &obstacle{classSource, "the brokers do not tell whether the topic is still the same: " + reason.Cut(err.Error())}
		}
	}
	return nil
}

// write makes one attempt, together with batches that wait for company.
func (o *output) write(ctx context.Context, b *encoded) (outcome, error) {
	defer o.company.turn(b)()
	switch result, left := o.company.leave(b); {
	case !left:
		return outcome{}, b.lonely
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
// unnoticed: that is no outage, and the next one is tried at once.
func (o *output) writeJoined(ctx context.Context, j *join) (outcome, error) {
	again := false
	for {
		s, err := o.sessions.take(ctx)
		if err != nil {
			return outcome{}, err
		}
		started := time.Now()
		result, err := s.write(ctx, j.encoded)
		if err == nil {
			o.metrics.wrote(time.Since(started))
			o.sessions.give(s)
			result.again = again
			return result, nil
		}
		s.close()
		if !s.wasIdle || !lost(err) || ctx.Err() != nil {
			return outcome{}, err
		}
		again = true
	}
}

// persist repeats an attempt with growing pauses until it succeeds or the context ends, which is
// reported as service.ErrNotConnected: the engine then keeps the batch unacknowledged, where any
// other error would send it to the dead letters.
func (o *output) persist(ctx context.Context, attempt func(context.Context) error) error {
	waiting := o.health.wait()
	pause := newPause(o.conf.firstPause, o.conf.longestPause)
	for {
		err := attempt(ctx)
		if err == nil {
			waiting.over()
			return nil
		}
		if ctx.Err() != nil {
			waiting.abandon()
			return service.ErrNotConnected
		}
		waiting.because(err)
		var news <-chan struct{}
		if why, is := err.(*lonely); is {
			news = why.news
		}
		if !sleep(ctx, pause.next(), news) {
			waiting.abandon()
			return service.ErrNotConnected
		}
	}
}

// Close ends all connections.
func (o *output) Close(context.Context) error {
	o.sessions.close()
	return nil
}

// failure is a record, by its place in the batch, with the reason why it was refused.
type failure struct {
	index  int
	reason *reason.Reason
}

// batchError names the failed records of a batch. For a batch of one the headline is what the
// fallback output hands on, so that it must be the reason itself.
func batchError(batch service.MessageBatch, failures []failure) error {
	if len(failures) == 0 {
		return nil
	}
	var headline error = failures[0].reason
	if len(batch) > 1 {
		headline = fmt.Errorf("%d of %d records refused, the first one: %s", len(failures), len(batch), failures[0].reason.Message)
	}
	err := service.NewBatchError(batch, headline)
	for _, f := range failures {
		err.Failed(f.index, f.reason)
	}
	return err
}

// sleep pauses unless there are news before; false means that the context has ended.
func sleep(ctx context.Context, d time.Duration, news <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-news:
		return true
	case <-ctx.Done():
		return false
	}
}

// lost tells whether a connection ended, with or without a last word of the server.
func lost(err error) bool {
	c := obstacleOf(err).class
	return c == classConnection || c == classShutdown
}
