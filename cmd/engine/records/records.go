// Package records makes engine processors from decoders, which turn a record's bytes into documents.
package records

import (
	"context"
	"fmt"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/audit"
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

// Record is what came out of Kafka, as a decoder of whole batches sees it.
type Record struct {
	Origin  *origin.Origin
	Payload []byte
}

// Document is one document of a record as JSON, or the reason why it cannot be read.
type Document struct {
	JSON    []byte
	Failure *reason.Reason
}

// Result is what a record holds, or the reason why it cannot be read as a whole.
type Result struct {
	Documents []Document
	Whole     *reason.Reason
}

// BatchDecoder reads a format a batch at a time. It is shared by all threads of a pipeline.
type BatchDecoder interface {
	// DecodeBatch returns the results of records in their order. It waits as Decoder.Decode does.
	DecodeBatch(ctx context.Context, batch []Record) ([]Result, error)
	// Close ends what belongs to one processor.
	Close(ctx context.Context) error
}

// BuildBatch makes a decoder of whole batches from a processor's configuration.
type BuildBatch func(conf *service.ParsedConfig, mgr *service.Resources) (BatchDecoder, error)

// Register adds the processor of a format. With many, a record becomes any number of messages, each
// with its index within the record; otherwise it must hold exactly one document.
func Register(name string, spec *service.ConfigSpec, build Build, many bool) {
	register(name, spec, func(conf *service.ParsedConfig, mgr *service.Resources) (service.BatchProcessor, error) {
		decoder, err := build(conf, mgr)
		return &processor{decoder: decoder, many: many, ledger: ledgerOf(mgr, many)}, err
	})
}

// RegisterBatch adds the processor of a format whose records are read a batch at a time, any number of documents each.
func RegisterBatch(name string, spec *service.ConfigSpec, build BuildBatch) {
	register(name, spec, func(conf *service.ParsedConfig, mgr *service.Resources) (service.BatchProcessor, error) {
		decoder, err := build(conf, mgr)
		return &processor{together: decoder, many: true, ledger: ledgerOf(mgr, true)}, err
	})
}

func register(name string, spec *service.ConfigSpec, build service.BatchProcessorConstructor) {
	if err := service.RegisterBatchProcessor(name, spec, build); err != nil {
		panic(err)
	}
}

// processor has one of the two kinds of decoders.
type processor struct {
	decoder  Decoder
	together BatchDecoder
	many     bool
	// ledger counts the documents where their number may differ from that of the records.
	ledger *audit.Ledger
}

func ledgerOf(mgr *service.Resources, many bool) *audit.Ledger {
	if !many {
		return nil
	}
	ledger := audit.Of(mgr)
	ledger.Has(audit.Parsed)
	return ledger
}

func (p *processor) ProcessBatch(ctx context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	decoders, err := p.decoders(ctx, batch)
	if err != nil {
		p.fallSilent()
	}
	out := make(service.MessageBatch, 0, len(batch))
	for i, msg := range batch {
		if msg.GetError() != nil {
			out = append(out, msg)
			continue
		}
		before := len(out)
		var failure *reason.Reason
		if out, failure, err = p.read(ctx, out, msg, decoders(i)); err != nil {
			p.fallSilent()
		}
		if failure != nil {
			msg.SetError(failure)
			out = append(out[:before], msg)
		}
	}
	if p.ledger != nil {
		origin.EachPage(out, func(page *audit.Page, from, to int) { p.ledger.Reached(audit.Parsed, page, to-from) })
	}
	if len(out) == 0 {
		return nil, nil
	}
	return []service.MessageBatch{out}, nil
}

func (p *processor) Close(ctx context.Context) error {
	if p.together == nil {
		return nil
	}
	return p.together.Close(ctx)
}

// fallSilent is for an engine that is ending by force. Whatever was returned instead would be acknowledged or
// become a dead letter; only silence leaves the records where they are, in Kafka.
func (p *processor) fallSilent() { select {} }

// decoders returns who decodes each message of a batch; a message that is not to be decoded has no one.
func (p *processor) decoders(ctx context.Context, batch service.MessageBatch) (func(int) Decoder, error) {
	if p.together == nil {
		return func(int) Decoder { return p.decoder }, nil
	}
	places := make([]int, len(batch))
	readable := make([]Record, 0, len(batch))
	for i, msg := range batch {
		places[i] = len(readable)
		o := originOf(msg)
		if payload, err := msg.AsBytes(); err == nil && msg.GetError() == nil && !o.Null {
			readable = append(readable, Record{o, payload})
		}
	}
	results, err := p.together.DecodeBatch(ctx, readable)
	return func(i int) Decoder { return known(results, places[i]) }, err
}

// known is a record's result as a Decoder; without one, the message is refused before it is decoded.
func known(results []Result, place int) Decoder {
	if place >= len(results) {
		return decoded{}
	}
	return decoded(results[place])
}

// decoded is a record that was read before.
type decoded Result

func (d decoded) Decode(_ context.Context, _ []byte, yield Yield) (*reason.Reason, error) {
	if d.Whole != nil {
		return d.Whole, nil
	}
	for _, document := range d.Documents {
		if !yield(document.JSON, document.Failure) {
			break
		}
	}
	return nil, nil
}

func originOf(msg *service.Message) *origin.Origin {
	if o, ok := origin.From(msg); ok {
		return o
	}
	return &origin.Origin{}
}

// read appends a record's messages. A decoder's panic costs no more than the record.
func (p *processor) read(
	ctx context.Context, out service.MessageBatch, msg *service.Message, decoder Decoder,
) (_ service.MessageBatch, failure *reason.Reason, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			failure = parseFailure(codeBroken, fmt.Sprintf("the parser failed: %v", cause))
		}
	}()
	o := originOf(msg)
	if o.Null {
		return out, parseFailure(codeNull, "tombstone: the record has a null value"), nil
	}
	payload, err := msg.AsBytes()
	if err != nil {
		return out, parseFailure(codeBroken, err.Error()), nil
	}
	count := 0
	var single *reason.Reason
	whole, err := decoder.Decode(ctx, payload, func(doc []byte, bad *reason.Reason) bool {
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
