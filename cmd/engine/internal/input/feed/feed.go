// Package feed is the input ddpm_feed: Kafka records that ddpm hands over line by line, to be treated
// as if they had just been consumed from the place that they came from.
package feed

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/contract"
)

const (
	fieldCount    = "count"
	fieldByteSize = "byte_size"
	fieldPeriod   = "period"

	acknowledged = contract.FeedAcknowledged

	lineBuffer = 1 << 20
	// waiting lines; they are few, because they are counted and not weighed.
	waiting = 64
)

func init() {
	spec := service.NewConfigSpec().
		Categories("ddpm").
		Summary("Reads Kafka records from standard input, each with the place that it came from.").
		Description(`
A line is a record in JSON: `+"`topic`, `partition`, `offset`, `timestamp_ms`"+` (null for none), `+"`key` and `value`"+` (base64
or null), `+"`headers`"+` (a list of `+"`name` and `value`"+`), and what a consumed record does not have: `+"`source`"+`, the number
of its topic's incarnation where that is not the present one, and `+"`attempt`"+`, above 1 for one that was dead before.
The messages are those of a `+"`kafka`"+` input with `+"`multi_header: true`"+`. The metric `+"`"+acknowledged+"`"+` counts
the records that are done. The input ends with its last line.`).
		Fields(
			service.NewIntField(fieldCount).Description("A batch has at most so many records."),
			service.NewIntField(fieldByteSize).Description("A batch is closed when its keys, values and headers have so many bytes."),
			service.NewDurationField(fieldPeriod).Description("A batch is closed after so long."),
		)
	err := service.RegisterBatchInput("ddpm_feed", spec,
		func(conf *service.ParsedConfig, mgr *service.Resources) (service.BatchInput, error) {
			f, err := build(conf, mgr, os.Stdin)
			if err != nil {
				return nil, err
			}
			return service.AutoRetryNacksBatched(f), nil
		})
	if err != nil {
		panic(err)
	}
}

type limits struct {
	count, bytes int
	period       time.Duration
}

// arrival is a record, or why there are no more.
type arrival struct {
	record *contract.FedRecord
	err    error
}

type feed struct {
	limits   limits
	from     io.Reader
	arrivals chan arrival
	closing  chan struct{}
	ended    error
	log      *service.Logger
	done     *service.MetricCounter
}

func build(conf *service.ParsedConfig, mgr *service.Resources, from io.Reader) (*feed, error) {
	f := &feed{
		from:     from,
		arrivals: make(chan arrival, waiting),
		closing:  make(chan struct{}),
		log:      mgr.Logger(),
		done:     mgr.Metrics().NewCounter(acknowledged),
	}
	var err error
	if f.limits.count, err = conf.FieldInt(fieldCount); err != nil {
		return nil, err
	}
	if f.limits.bytes, err = conf.FieldInt(fieldByteSize); err != nil {
		return nil, err
	}
	if f.limits.period, err = conf.FieldDuration(fieldPeriod); err != nil {
		return nil, err
	}
	f.done.Incr(0)
	return f, nil
}

// Connect begins to read; after the last line there is nothing to connect to.
func (f *feed) Connect(context.Context) error {
	if f.ended != nil {
		return service.ErrEndOfInput
	}
	if f.from != nil {
		go f.read(f.from)
		f.from = nil
	}
	return nil
}

// read hands over what arrives, line by line, until there is no more or nobody wants it.
func (f *feed) read(from io.Reader) {
	lines := bufio.NewReaderSize(from, lineBuffer)
	for {
		a := next(lines)
		select {
		case f.arrivals <- a:
		case <-f.closing:
			return
		}
		if a.err != nil {
			return
		}
	}
}

func next(lines *bufio.Reader) arrival {
	line, err := lines.ReadBytes('\n')
	if err != nil {
		if errors.Is(err, io.EOF) && len(line) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return arrival{err: err}
	}
	r := &contract.FedRecord{}
	if err := json.Unmarshal(line, r); err != nil {
		return arrival{err: fmt.Errorf("a line is not a record: %w", err)}
	}
	return arrival{record: r}
}

// ReadBatch returns the next records. What cannot be read ends the input: anyone who feeds it counts the
// records that are done.
func (f *feed) ReadBatch(ctx context.Context) (service.MessageBatch, service.AckFunc, error) {
	var batch service.MessageBatch
	var late <-chan time.Time
	bytes := 0
	for f.ended == nil && len(batch) < f.limits.count && bytes < f.limits.bytes {
		select {
		case a := <-f.arrivals:
			if a.err != nil {
				f.end(a.err)
				continue
			}
			if late == nil {
				late = time.After(f.limits.period)
			}
			batch = append(batch, message(a.record))
			bytes += size(a.record)
			continue
		case <-late:
		case <-ctx.Done():
			if len(batch) == 0 {
				return nil, nil, ctx.Err()
			}
		}
		break
	}
	if len(batch) == 0 {
		return nil, nil, service.ErrEndOfInput
	}
	count := int64(len(batch))
	return batch, func(_ context.Context, err error) error {
		if err == nil {
			f.done.Incr(count)
		}
		return nil
	}, nil
}

func (f *feed) end(err error) {
	f.ended = err
	if !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		f.log.Errorf("the records on standard input end early: %v", err)
	}
}

func (f *feed) Close(context.Context) error {
	close(f.closing)
	return nil
}
