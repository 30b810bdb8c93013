package origin

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/audit"
)

func init() {
	spec := service.NewConfigSpec().
		Categories("ddpm").
		Summary("Captures where a Kafka record came from, with its key, headers and bytes.").
		Description(`
Must be the first processor behind a `+"`kafka`"+` input with `+"`multi_header: true`"+`. What it
captures is out of reach of all later processors; `+"`postgres_copy`"+` takes a row's identity from it and
`+"`ddpm_dead_letter`"+` the original record. The message itself stays as it is.`).
		Fields(
			service.NewStringListField("addresses").
				Description("The brokers, to ask whether topics are still the same ones; none asks nobody.").
				Default([]any{}),
			service.NewStringField("topic_ids_env").
				Description("The environment variable that holds a JSON object from topic to the id it had.").
				Default("DDPM_TOPIC_IDS"),
			service.NewStringField("marks_env").
				Description("The environment variable that holds records by which a log is told from another one.").
				Default("DDPM_MARKS"),
			service.NewStringField("forks_env").
				Description("The environment variable that holds from which offsets on records have another source number.").
				Default("DDPM_FORKS"),
			service.NewBoolField("plain_headers").
				Description("Whether a header is text for what follows, the last one where it is repeated, instead of a list.").
				Default(false),
		)
	err := service.RegisterBatchProcessor("ddpm_origin", spec,
		func(conf *service.ParsedConfig, mgr *service.Resources) (service.BatchProcessor, error) {
			addresses, err := conf.FieldStringList("addresses")
			if err != nil {
				return nil, err
			}
			variable, err := conf.FieldString("topic_ids_env")
			if err != nil {
				return nil, err
			}
			marksVariable, err := conf.FieldString("marks_env")
			if err != nil {
				return nil, err
			}
			forksVariable, err := conf.FieldString("forks_env")
			if err != nil {
				return nil, err
			}
			forks, err := forksFrom(forksVariable)
			if err != nil {
				return nil, err
			}
			plain, err := conf.FieldBool("plain_headers")
			if err != nil {
				return nil, err
			}
			incarnations, err := newIncarnations(addresses, variable, marksVariable)
			if err != nil {
				return nil, err
			}
			ledger := audit.Of(mgr)
			ledger.Keep()
			return &capture{log: mgr.Logger(), incarnations: incarnations.shared(mgr), forks: forks, ledger: ledger, plain: plain}, nil
		})
	if err != nil {
		panic(err)
	}
}

// zeroTimeMS is what the input reports for a record without a timestamp: the year 1.
const zeroTimeMS = -62135596800000

// taken counts the records of all threads.
var taken atomic.Uint64

type capture struct {
	log          *service.Logger
	incarnations *Incarnations
	forks        forks
	ledger       *audit.Ledger
	plain        bool
	once         sync.Once
	closed       sync.Once
}

func (c *capture) ProcessBatch(_ context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	holders := make([]holder, len(batch))
	out := make(service.MessageBatch, len(batch))
	first := taken.Add(uint64(len(batch))) - uint64(len(batch))
	ticket := c.incarnations.ticket()
	var last lastRecords
	for i, msg := range batch {
		h := &holders[i]
		h.origin.Ticket = ticket
		h.origin.Place = first + uint64(i)
		if !read(msg, &h.origin) {
			c.once.Do(func() {
				c.log.Error("ddpm_origin found no Kafka metadata: it must directly follow a kafka input")
			})
			h.origin.Topic = ""
			out[i] = msg
			continue
		}
		last.add(&h.origin)
		if c.forks != nil {
			h.origin.Source = c.forks.source(&h.origin)
		}
		h.Context = msg.Context()
		if note, ok := h.Context.Value(noteKey{}).(Note); ok {
			h.origin.Attempt = note.Attempt
			if note.Source != nil {
				h.origin.Source = note.Source
			}
		}
		out[i] = msg.WithContext(h)
		if c.plain {
			flatten(out[i], h.origin.Headers)
		}
	}
	ticket.ask(last.byPlace())
	c.enter(holders)
	return []service.MessageBatch{out}, nil
}

// enter puts the records of a batch into the books, those of one partition in a row at once.
func (c *capture) enter(holders []holder) {
	for from := 0; from < len(holders); {
		first := &holders[from].origin
		to := from + 1
		for to < len(holders) && holders[to].origin.Topic == first.Topic && holders[to].origin.Partition == first.Partition {
			to++
		}
		if last := &holders[to-1].origin; first.Topic != "" {
			page := c.ledger.Enter(first.Topic, first.Partition, first.Offset, last.Offset, last.behind, to-from)
			for i := from; i < to; i++ {
				holders[i].origin.Page = page
			}
		}
		from = to
	}
}

func (c *capture) Close(context.Context) error {
	c.closed.Do(c.ledger.Release)
	return nil
}

// flatten makes each header text: what reads a header in a mapping expects no list.
func flatten(msg *service.Message, headers []Header) {
	for _, header := range headers {
		if last := len(header.Values) - 1; last >= 0 {
			msg.MetaSetMut(header.Name, header.Values[last])
		}
	}
}

// read fills in an Origin from a message of the kafka input. The input writes its own metadata after
// the record's headers, with types that no header can have (a header is text or a list of texts), so
// that a header of the same name is overwritten and never believed.
func read(msg *service.Message, o *Origin) bool {
	var hasTopic, hasPartition, hasOffset bool
	_ = msg.MetaWalkMut(func(name string, value any) error {
		switch name {
		case "kafka_topic":
			o.Topic, hasTopic = value.(string)
		case "kafka_partition":
			o.Partition, hasPartition = value.(int)
		case "kafka_offset":
			var offset int
			offset, hasOffset = value.(int)
			o.Offset = int64(offset)
		case "kafka_timestamp_unix_ms":
			if ms, ok := value.(int64); ok {
				o.TimestampMS, o.HasTimestamp = timestamp(ms)
			}
		case "kafka_key":
			o.Key, _ = value.(string)
		case "kafka_tombstone_message":
			o.Null, _ = value.(bool)
		case "kafka_lag":
			o.behind, _ = value.(int64)
		case "kafka_timestamp_unix":
		default:
			o.Headers = append(o.Headers, Header{name, texts(value)})
		}
		return nil
	})
	if !hasTopic || !hasPartition || !hasOffset {
		return false
	}
	value, err := msg.AsBytes()
	if err != nil {
		return false
	}
	o.Value = value[:len(value):len(value)]
	if o.Null {
		o.Value = nil
	}
	return true
}

// timestamp undoes what the input makes of Kafka's "no timestamp" (-1). It counts from the year 1
// where a batch of records begins with one that has none, also for the records behind it.
func timestamp(ms int64) (int64, bool) {
	if ms >= 0 {
		return ms, true
	}
	if ms -= zeroTimeMS + 1; ms >= 0 {
		return ms, true
	}
	return 0, false
}

// texts copies a header's values: a mapping may change the list that metadata holds.
func texts(value any) []string {
	switch v := value.(type) {
	case string:
		return []string{v}
	case []any:
		out := make([]string, 0, len(v))
		for _, one := range v {
			if text, ok := one.(string); ok {
				out = append(out, text)
			}
		}
		return out
	}
	return nil
}
