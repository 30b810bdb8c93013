package sink

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/records/reason"
)

const (
	fieldName    = "name"
	fieldOutput  = "output"
	fieldRefused = "refused_if"
	fieldSilence = "silence"

	classError = "error"
)

func init() {
	spec := service.NewConfigSpec().
		Categories("ddpm").
		Summary("Puts patience around an output of the engine: what it does not take waits, instead of becoming a dead letter.").
		Description(`
Belongs in front of `+"`fallback`"+`, around an output that would hand its outages on. A batch, or what is left of it, is tried again
until the output takes it. Only an error that `+"`"+fieldRefused+"`"+` describes is a record's own. Records arrive at least once.`).
		Fields(
			service.NewStringField(fieldName).Description("How the log calls the destination."),
			service.NewOutputField(fieldOutput).Description("The output."),
			service.NewStringListField(fieldRefused).
				Description("Regular expressions: an error that one of them matches is about what a record holds.").
				Default([]any{}),
			service.NewDurationField(fieldSilence).Description("After how long a batch that the output holds counts as waiting.").
				Default("30s"),
			service.NewOutputMaxInFlightField().Default(4),
		)
	err := service.RegisterBatchOutput("ddpm_sink", spec,
		func(conf *service.ParsedConfig, mgr *service.Resources) (
			out service.BatchOutput, policy service.BatchPolicy, maxInFlight int, err error,
		) {
			var errs [4]error
			options := Options{Classes: []string{classError, ClassTimeout}, Metrics: MetricsOf("ddpm_sink"), Books: NotKept}
			var patterns []string
			options.Name, errs[0] = conf.FieldString(fieldName)
			patterns, errs[1] = conf.FieldStringList(fieldRefused)
			options.Silence, errs[2] = conf.FieldDuration(fieldSilence)
			maxInFlight, errs[3] = conf.FieldMaxInFlight()
			if err := errors.Join(errs[:]...); err != nil {
				return nil, policy, 0, err
			}
			refused, err := compile(patterns)
			if err != nil {
				return nil, policy, 0, err
			}
			owned, err := conf.FieldOutput(fieldOutput)
			if err != nil {
				return nil, policy, 0, err
			}
			return New(Wrap(owned, refused), options, mgr), policy, maxInFlight, nil
		})
	if err != nil {
		panic(err)
	}
}

func compile(patterns []string) (func(error) *reason.Reason, error) {
	compiled := make([]*regexp.Regexp, len(patterns))
	for i, pattern := range patterns {
		var err error
		if compiled[i], err = regexp.Compile(pattern); err != nil {
			return nil, fmt.Errorf("%s[%d]: %w", fieldRefused, i, err)
		}
	}
	return func(err error) *reason.Reason {
		for _, each := range compiled {
			if each.MatchString(err.Error()) {
				return reason.New(reason.StageSink, "refused", err.Error())
			}
		}
		return nil
	}, nil
}

// Wrap makes a sink of an output of the engine. refused says why an error is about what a record holds, and returns nil
// for all others: for these the records wait. The output connects by itself, which Options.Silence makes visible.
func Wrap(owned *service.OwnedOutput, refused func(error) *reason.Reason) Sink {
	return &wrapped{owned, refused}
}

type wrapped struct {
	owned   *service.OwnedOutput
	refused func(error) *reason.Reason
}

// Connect lets the output connect before the first batch comes.
func (w *wrapped) Connect(context.Context) error { return w.owned.Prime() }

// Write hands the rows to the output. Of a batch in which some fail, the others are written.
func (w *wrapped) Write(ctx context.Context, rows Rows) (Result, error) {
	batch := make(service.MessageBatch, rows.Len())
	for i := range batch {
		// An output may have processors, which change what they get.
		batch[i] = rows.Message(i).Copy()
	}
	indexed := batch.Index()
	err := w.owned.WriteBatch(ctx, batch)
	var several *service.BatchError
	if !errors.As(err, &several) {
		return Result{Committed: rows.Len()}, err
	}
	return w.sort(rows.Len(), indexed, several)
}

// sort tells the records of a batch apart by what became of each.
func (w *wrapped) sort(n int, indexed *service.Indexer, several *service.BatchError) (Result, error) {
	errs := make([]error, n)
	failed, found := 0, 0
	//lint:ignore SA1019 its indexes may be another batch's, and none is used
	several.WalkMessages(func(_ int, _ *service.Message, err error) bool {
		if err != nil {
			failed++
		}
		return true
	})
	several.WalkMessagesIndexedBy(indexed, func(i int, _ *service.Message, err error) bool {
		if err != nil {
			errs[i] = err
			found++
		}
		return true
	})
	if failed == 0 || found != failed {
		// The output has made other messages of them, so that nothing is known of ours.
		return Result{}, several
	}
	var result Result
	var waitsFor error
	for i, err := range errs {
		if err == nil {
			result.Committed++
		} else if why := w.refused(err); why != nil {
			result.Failures = append(result.Failures, Failure{i, why})
		} else {
			result.Left, waitsFor = append(result.Left, i), err
		}
	}
	return result, waitsFor
}

// Classify says that records wait, unless the error is about what one holds.
func (w *wrapped) Classify(err error) Verdict {
	if why := w.refused(err); why != nil {
		return Verdict{Kind: Refuse, Reason: why}
	}
	return Verdict{Class: classError}
}

// Close ends the output.
func (w *wrapped) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, closePatience)
	defer cancel()
	return w.owned.Close(ctx)
}

// closePatience bounds how long an output may take to close: the engine itself sets no limit.
const closePatience = 10 * time.Second
