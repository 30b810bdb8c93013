// Package records makes engine processors from decoders, which turn a record's bytes into documents.
package records

import (
	"context"
	"fmt"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/origin"
	"ddpm/engine/reason"
)

// Codes of the reasons for which a record has no documents.
const (
	codeNull   = "null_value"
	codeNotOne = "not_one_document"
	codeBroken = "parser_failed"
)

// Decoder reads one format. It is shared by all threads of a pipeline.
type Decoder interface {
	// Decode yields a record's documents as JSON, or the reason why one of them cannot be read, in
	// their order, until yield returns false. A document belongs to whoever it is yielded to. The
	// reason that Decode returns is that of a record which cannot be read as a whole; what it
	// yielded before does not count then. Decode waits as long as something that it needs is away;
	// its error says that the context ended meanwhile.
	Decode(ctx context.Context, payload []byte, yield Yield) (whole *reason.Reason, err error)
}

// Yield takes a record's next document, or the reason why it cannot be read, and tells whether to go on.
type Yield func(doc []byte, failure *reason.Reason) bool

// Build makes a decoder from a processor's configuration.
type Build func(conf *service.ParsedConfig, mgr *service.Resources) (Decoder, error)

// Register adds the processor of a format. With many, a record becomes any number of messages, each
// with its index within the record; otherwise it must hold exactly one document.
func Register(name string, spec *service.ConfigSpec, build Build, many bool) {
	err := service.RegisterBatchProcessor(name, spec,
		func(conf *service.ParsedConfig, mgr *service.Resources) (service.BatchProcessor, error) {
			decoder, err := build(conf, mgr)
			return &processor{decoder, many}, err
		})
	if err != nil {
		panic(err)
	}
}

type processor struct {
	decoder Decoder
	many    bool
}

func (p *processor) ProcessBatch(ctx context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	out := make(service.MessageBatch, 0, len(batch))
	for _, msg := range batch {
		if msg.GetError() != nil {
			out = append(out, msg)
			continue
		}
		before := len(out)
		var failure *reason.Reason
		var err error
		if out, failure, err = p.read(ctx, out, msg); err != nil {
			// The engine is ending by force. Whatever is returned here would be acknowledged or
			// become a dead letter; only silence leaves the records where they are, in Kafka.
			select {}
		}
		if failure != nil {
			msg.SetError(failure)
			out = append(out[:before], msg)
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return []service.MessageBatch{out}, nil
}

func (p *processor) Close(context.Context) error { return nil }

// read appends a record's messages. A decoder's panic costs no more than the record.
func (p *processor) read(
	ctx context.Context, out service.MessageBatch, msg *service.Message,
) (_ service.MessageBatch, failure *reason.Reason, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			failure = parseFailure(codeBroken, fmt.Sprintf("the parser failed: %v", cause))
		}
	}()
	o, ok := origin.From(msg)
	if !ok {
		o = &origin.Origin{}
	}
	if o.Null {
		return out, parseFailure(codeNull, "tombstone: the record has a null value"), nil
	}
	payload, err := msg.AsBytes()
	if err != nil {
		return out, parseFailure(codeBroken, err.Error()), nil
	}
	count := 0
	var single *reason.Reason
	whole, err := p.decoder.Decode(ctx, payload, func(doc []byte, bad *reason.Reason) bool {
		one := msg.Copy()
		if p.many {
			place := *o
			place.Index, place.HasIndex = count, true
			one = origin.Attach(one, place)
		} else {
			single = bad
		}
		count++
		if bad != nil {
			one.SetError(bad)
		} else {
			one.SetBytes(doc)
		}
		out = append(out, one)
		return p.many
	})
	switch {
	case err != nil:
		return out, nil, err
	case whole != nil:
		return out, whole, nil
	case !p.many && single != nil:
		return out, single, nil
	case !p.many && count != 1:
		return out, parseFailure(codeNotOne, fmt.Sprintf("the record holds %d documents instead of one", count)), nil
	}
	return out, nil, nil
}

func parseFailure(code, message string) *reason.Reason {
	return reason.New(reason.StageParse, code, message)
}
