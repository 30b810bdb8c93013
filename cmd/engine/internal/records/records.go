// Package records makes engine processors from decoders, which turn a record's bytes into documents.
package records

import (
	"context"
	"fmt"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/records/origin"
	"ddpm/engine/internal/records/reason"
	"ddpm/engine/internal/runtime/audit"
)

// Codes of the reasons for which a record has no documents.
const (
	codeNotOne = "not_one_document"
	codeBroken = "parser_failed"
)

// Decoder reads one format. It is shared by all threads of a pipeline.
type Decoder interface {
	// Decode yields a record's documents as JSON, or the reason why one of them cannot be read, in
	// their order, until yield returns false. A document belongs to the function it is yielded to. The
	// reason that Decode returns is that of a record which cannot be read as a whole; what it
	// yielded before does not count then. Decode waits as long as something that it needs is away;
	// its error says that the context ended meanwhile.
	Decode(ctx context.Context, payload []byte, yield Yield) (whole *reason.Reason, err error)
}

// Yield takes a record's next document, or the reason why it cannot be read, and reports whether to go on.
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
	if chunk, ok := origin.ChunkOf(batch); ok {
		p.parse(ctx, chunk)
		p.reached(batch)
		if len(chunk.Records) == 0 {
			return nil, nil
		}
		return []service.MessageBatch{batch}, nil
	}
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
	p.reached(out)
	if len(out) == 0 {
		return nil, nil
	}
	return []service.MessageBatch{out}, nil
}

// reached enters into the books how many documents there are.
func (p *processor) reached(out service.MessageBatch) {
	if p.ledger != nil {
		origin.EachPage(out, func(page *audit.Page, from, to int) { p.ledger.Reached(audit.Parsed, page, to-from) })
	}
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
	return p.decodersOf(ctx, len(batch), func(i int) (Record, bool) {
		o := originOf(batch[i])
		payload, err := batch[i].AsBytes()
		return Record{o, payload}, err == nil && batch[i].GetError() == nil && !o.Null
	})
}

// decodersOf returns who decodes each of count records; at says what one is, and whether it is to be decoded at all.
func (p *processor) decodersOf(ctx context.Context, count int, at func(int) (Record, bool)) (func(int) Decoder, error) {
	if p.together == nil {
		return func(int) Decoder { return p.decoder }, nil
	}
	places := make([]int, count)
	readable := make([]Record, 0, count)
	for i := range count {
		places[i] = len(readable)
		if record, ok := at(i); ok {
			readable = append(readable, record)
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

// read appends a record's messages.
func (p *processor) read(
	ctx context.Context, out service.MessageBatch, msg *service.Message, decoder Decoder,
) (_ service.MessageBatch, failure *reason.Reason, err error) {
	o := originOf(msg)
	if o.Null {
		return out, origin.Tombstone(), nil
	}
	payload, err := msg.AsBytes()
	if err != nil {
		return out, parseFailure(codeBroken, err.Error()), nil
	}
	failure, err = p.decode(ctx, decoder, payload, func(index int, doc []byte, bad *reason.Reason) {
		one := msg.Copy()
		if p.many {
			place := *o
			place.Index, place.HasIndex = index, true
			one = origin.Attach(one, place)
		}
		if bad != nil {
			one.SetError(bad)
		} else {
			one.SetBytes(doc)
		}
		out = append(out, one)
	})
	return out, failure, err
}

// parse replaces the records of a chunk by their documents.
func (p *processor) parse(ctx context.Context, chunk *origin.Chunk) {
	decoders, err := p.decodersOf(ctx, len(chunk.Records), func(i int) (Record, bool) {
		r := &chunk.Records[i]
		return Record{&r.Origin, r.Document}, r.Failure == nil && !r.Parsed && !r.Origin.Null
	})
	if err != nil {
		p.fallSilent()
	}
	var out []origin.Record
	if p.many {
		out = make([]origin.Record, 0, len(chunk.Records))
	}
	for i := range chunk.Records {
		r := &chunk.Records[i]
		before := len(out)
		switch {
		case r.Failure != nil || r.Parsed:
		case r.Origin.Null:
			r.Failure = origin.Tombstone()
		default:
			var doc []byte
			failure, err := p.decode(ctx, decoders(i), r.Document, func(index int, found []byte, bad *reason.Reason) {
				doc = found
				if p.many {
					one := origin.Record{Origin: r.Origin, Document: found, Failure: bad}
					one.Origin.Index, one.Origin.HasIndex = index, true
					out = append(out, one)
				}
			})
			if err != nil {
				p.fallSilent()
			}
			if failure == nil {
				r.Document = doc
				continue
			}
			r.Failure = failure
		}
		if p.many {
			out = append(out[:before], *r)
		}
	}
	if p.many {
		chunk.Records = out
	}
}

// decode hands on a record's documents, each with its place in the record, or says why it cannot be read as a whole; what
// was handed on does not count then. A decoder's panic costs no more than the record.
func (p *processor) decode(
	ctx context.Context, decoder Decoder, payload []byte, take func(index int, doc []byte, bad *reason.Reason),
) (failure *reason.Reason, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			failure = parseFailure(codeBroken, fmt.Sprintf("the parser failed: %v", cause))
		}
	}()
	count := 0
	var single *reason.Reason
	whole, err := decoder.Decode(ctx, payload, func(doc []byte, bad *reason.Reason) bool {
		if !p.many {
			single = bad
		}
		take(count, doc, bad)
		count++
		return p.many
	})
	switch {
	case err != nil:
		return nil, err
	case whole != nil:
		return whole, nil
	case !p.many && single != nil:
		return single, nil
	case !p.many && count != 1:
		return parseFailure(codeNotOne, fmt.Sprintf("the record holds %d documents instead of one", count)), nil
	}
	return nil, nil
}

func parseFailure(code, message string) *reason.Reason {
	return reason.New(reason.StageParse, code, message)
}
