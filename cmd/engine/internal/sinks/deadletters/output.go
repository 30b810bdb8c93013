// Package deadletters is the output ddpm_dead_letters: it delivers dead letters to a Kafka topic, waits for as long as
// the topic is away, keeps what is too large for it in a Postgres table, and holds everything back once so many
// records in a row are dead that something else must be wrong.
package deadletters

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"time"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/contract"
	"ddpm/engine/internal/sink"
	"ddpm/engine/internal/sinks/producer"
)

func init() {
	spec := service.NewConfigSpec().
		Categories("ddpm").
		Summary("Delivers dead letters to a Kafka topic: at least once, and never less.").
		Description(`
Belongs behind `+"`fallback`"+`, with the processor `+"`ddpm_dead_letter`"+`. It returns when every letter is in the topic, or
in the table `+"`"+table+"`"+` if the topic does not take one that large. Only the engine's hard stop ends it earlier, which leaves
the records unacknowledged.`).
		Fields(producer.Fields()...).
		Fields(
			service.NewStringField("pipeline").Description("The name of the pipeline."),
			service.NewFloatField("breaker_share").
				Description("From which share of dead records in a row on everything is held back; 0 for never.").Default(0.0),
			service.NewIntField("breaker_records").Description("Among how many records in a row that share is looked for.").Default(1000),
			service.NewStringField("dsn_env").
				Description("The environment variable with the address of the database for letters that are too large; empty for none.").
				Default(""),
			service.NewBoolField("audited").
				Description("Whether the books of the audit are kept here: not behind a sink beside one that has the same records.").
				Default(true),
			service.NewStringField("schema").Description("The schema of their table; empty for the first of the search path.").Default(""),
			service.NewOutputMaxInFlightField().Default(16),
		)
	err := service.RegisterBatchOutput("ddpm_dead_letters", spec,
		func(conf *service.ParsedConfig, mgr *service.Resources) (
			out service.BatchOutput, policy service.BatchPolicy, maxInFlight int, err error,
		) {
			if maxInFlight, err = conf.FieldMaxInFlight(); err != nil {
				return
			}
			audited, err := conf.FieldBool("audited")
			if err != nil {
				return nil, policy, 0, err
			}
			books := sink.AsDeadLetters
			if !audited {
				books = sink.NotKept
			}
			o, err := newOutput(conf, mgr)
			if err != nil {
				return nil, policy, 0, err
			}
			return sink.New(o, sink.Options{
				Name:         "the dead letters",
				Waits:        "the dead letters wait (%s): %s",
				Resumes:      "the dead letters wait no more after %s (was: %s)",
				Classes:      classes,
				Metrics:      sink.Metrics{Waiting: contract.DeadLetters + contract.Waiting, NeedsPerson: contract.DeadLetters + "_needs_person"},
				FirstPause:   firstPause,
				LongestPause: longestPause,
				Books:        books,
				TakesFailed:  true,
				// What is dead goes as it is.
				TakesUnchecked: true,
			}, mgr), policy, maxInFlight, nil
		})
	if err != nil {
		panic(err)
	}
}

// linger lets letters of several batches travel together: where poison keeps coming a request for each batch costs the
// brokers more than all the letters in it.
const linger = 50 * time.Millisecond

// output is the sink.
type output struct {
	topic    string
	producer *producer.Producer
	breaker  *breaker
	store    *store
	log      *service.Logger
	held     *service.MetricGauge

	mu      sync.Mutex
	holding map[string]int64
}

// breakerKey finds the breaker that all dead-letter outputs of a pipeline share.
type breakerKey struct{ pipeline string }

func newOutput(conf *service.ParsedConfig, mgr *service.Resources) (*output, error) {
	o := &output{log: mgr.Logger(), held: mgr.Metrics().NewGauge(contract.LettersHeld, "code"), holding: map[string]int64{}}
	var errs [6]error
	var pipeline, dsnEnv, schema string
	var window int
	var share float64
	sending, err := producer.FromConfig(conf)
	errs[0] = err
	pipeline, errs[1] = conf.FieldString("pipeline")
	share, errs[2] = conf.FieldFloat("breaker_share")
	window, errs[3] = conf.FieldInt("breaker_records")
	dsnEnv, errs[4] = conf.FieldString("dsn_env")
	schema, errs[5] = conf.FieldString("schema")
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	if share < 0 || share > 1 || window < 1 {
		return nil, fmt.Errorf("breaker_share must be between 0 and 1 and breaker_records at least 1, not %v and %d", share, window)
	}
	limit := int(math.Ceil(share * float64(window)))
	shared, _ := mgr.GetOrSetGeneric(breakerKey{pipeline}, &breaker{limit: limit, window: uint64(window)})
	o.breaker = shared.(*breaker)
	sending.Linger = linger
	o.topic, o.producer = sending.Topic, producer.New(sending)
	if dsnEnv == "" {
		return o, nil
	}
	o.store, err = newStore(os.Getenv(dsnEnv), schema, pipeline)
	if err != nil {
		return nil, fmt.Errorf("the environment variable %q (dsn_env) does not hold a valid Postgres connection string", dsnEnv)
	}
	return o, nil
}

var _ sink.Preparer = (*output)(nil)

// Connect has nothing to do: the producer connects for the first letter, which waits for it.
func (o *output) Connect(context.Context) error { return nil }

// Write makes one attempt at all letters.
func (o *output) Write(ctx context.Context, rows sink.Rows) (sink.Result, error) {
	w := o.Prepare(rows)
	defer w.Release()
	return w.Write(ctx)
}

// Prepare returns the letters, of which later attempts deliver what is left.
func (o *output) Prepare(rows sink.Rows) sink.Prepared { return &writing{output: o, rows: rows} }

// writing are the letters of a batch on their way.
type writing struct {
	*output
	rows sink.Rows
	// letters are those that are left, once the breaker has let them through.
	letters []*letter
	begun   bool
}

// Write delivers or keeps every letter that is left.
func (w *writing) Write(ctx context.Context) (sink.Result, error) {
	if !w.begun {
		if !w.breaker.admit(w.places()) {
			w.breaker.sampled.Do(func() { w.sample(ctx, w.rows) })
			return sink.Result{}, w.hold(w.rows)
		}
		letters, err := lettersOf(w.rows)
		if err != nil {
			return sink.Result{}, err
		}
		w.letters, w.begun = letters, true
	} else if err := w.producer.Refresh(ctx); err != nil {
		return sink.Result{}, err
	}
	left, err := w.deliver(ctx, w.letters)
	if err != nil {
		w.letters = left
		return sink.Result{}, err
	}
	return sink.Result{Committed: w.rows.Len()}, nil
}

// Release has nothing to give back.
func (w *writing) Release() {}

// places are where the records of the letters stand in the order of reading.
func (w *writing) places() []uint64 {
	places := make([]uint64, 0, w.rows.Len())
	for i := range w.rows.Len() {
		if from, ok := w.rows.Origin(i); ok {
			places = append(places, from.Place)
		}
	}
	return places
}

// sampleSize is how many of the records that are held back are shown.
const sampleSize = 20

// sample delivers letters of some of the records that are held back, so that a person sees what the breaker saw. Nothing
// depends on them: the records are read again, and a letter that comes again is the same one.
func (o *output) sample(ctx context.Context, rows sink.Rows) {
	ctx, cancel := context.WithTimeout(ctx, samplePatience)
	defer cancel()
	shown := make(service.MessageBatch, min(rows.Len(), sampleSize))
	for i := range shown {
		shown[i] = rows.Message(i).Copy()
		message, _ := shown[i].MetaGet(contract.HeaderMessage)
		shown[i].MetaSetMut(contract.HeaderMessage, message+heldBack)
	}
	letters, err := lettersOf(sink.RowsOf(shown))
	if err == nil {
		_, err = o.deliver(ctx, letters)
	}
	if err != nil {
		o.log.Warnf("a sample of the dead letters that are held back was not delivered: %s", err.Error())
	}
}

// heldBack stands behind the reason of a letter whose record is not committed.
const heldBack = " (held back by the breaker: the record is read again after a resume)"

// samplePatience bounds how long a sample may take.
const samplePatience = 5 * time.Second

// hold counts what is held back, and returns why.
func (o *output) hold(rows sink.Rows) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range rows.Len() {
		code, _ := rows.Message(i).MetaGet(contract.HeaderCode)
		o.holding[code]++
		o.held.Set(o.holding[code], code)
	}
	message, _ := rows.Message(0).MetaGet(contract.HeaderMessage)
	return &obstacle{classBreaker, fmt.Sprintf(
		"%d of %d records in a row are dead, which points to a systematic fault, not to bad records; the first that is held back: %s",
		o.breaker.limit, o.breaker.window, message)}
}

// Close ends the connections to the brokers.
func (o *output) Close(context.Context) error {
	o.producer.Close()
	return nil
}
