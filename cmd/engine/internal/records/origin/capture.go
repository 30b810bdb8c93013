package origin

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/contract"
	"ddpm/engine/internal/kafkaconn"
	"ddpm/engine/internal/runtime/audit"
)

func init() {
	spec := service.NewConfigSpec().
		Categories("ddpm").
		Summary("Completes what an input of ddpm's keeps of a record: which log it is of, and its page in the books.").
		Description(`
Must be the first processor behind `+"`ddpm_kafka` or `ddpm_feed`"+`. What is kept is out of reach of all later processors;
`+"`postgres_copy`"+` takes a row's identity from it and `+"`ddpm_dead_letter`"+` the original record. The message itself
stays as it is.`).
		Fields(
			service.NewStringListField("addresses").
				Description("The brokers, to find out whether topics and logs are still the same ones; none asks nobody.").
				Default([]any{}),
			kafkaconn.Field(),
			service.NewStringField("topic_ids_env").
				Description("The environment variable that holds a JSON object from topic to the id it had.").
				Default(contract.EnvTopicIDs),
			service.NewStringField("marks_env").
				Description("The environment variable that holds records by which a log is distinguished from another one.").
				Default(contract.EnvMarks),
			service.NewStringField("forks_env").
				Description("The environment variable that holds from which offsets on records have another source number.").
				Default(contract.EnvForks),
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
			incarnations, err := newIncarnations(addresses, variable, marksVariable, ReadingOf(mgr))
			if err != nil {
				return nil, err
			}
			if incarnations != nil {
				if incarnations.logs.security, err = kafkaconn.FromConfig(conf); err != nil {
					return nil, err
				}
			}
			ledger := audit.Of(mgr)
			ledger.Keep()
			return &capture{log: mgr.Logger(), incarnations: incarnations.shared(mgr), forks: forks, ledger: ledger, plain: plain}, nil
		})
	if err != nil {
		panic(err)
	}
}

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
	records := c.records(batch)
	first := taken.Add(uint64(len(records))) - uint64(len(records))
	ticket := c.incarnations.ticket()
	var last lastRecords
	for i, o := range records {
		if o == nil {
			continue
		}
		o.Ticket = ticket
		o.Place = first + uint64(i)
		last.add(o)
		if c.forks != nil && o.Source == nil {
			o.Source = c.forks.source(o)
		}
	}
	ticket.ask(last.byPlace())
	c.enter(records)
	// Of a chunk nothing reads metadata.
	if _, whole := ChunkOf(batch); c.plain && !whole {
		for i, o := range records {
			if o != nil {
				flatten(batch[i], o.Headers)
			}
		}
	}
	return []service.MessageBatch{batch}, nil
}

// records returns those of a batch; nil for a message that is not of an input of ddpm's.
func (c *capture) records(batch service.MessageBatch) []*Origin {
	if chunk, ok := ChunkOf(batch); ok {
		records := make([]*Origin, len(chunk.Records))
		for i := range chunk.Records {
			records[i] = &chunk.Records[i].Origin
		}
		return records
	}
	records := make([]*Origin, len(batch))
	for i, msg := range batch {
		o, ok := From(msg)
		if !ok {
			c.once.Do(func() {
				c.log.Error("ddpm_origin found no Kafka record: it must directly follow the input ddpm_kafka")
			})
			continue
		}
		records[i] = o
	}
	return records
}

// enter puts the records of a batch into the books, those of one partition in a row at once.
func (c *capture) enter(records []*Origin) {
	for from := 0; from < len(records); {
		first := records[from]
		to := from + 1
		for first != nil && to < len(records) && records[to] != nil &&
			records[to].Topic == first.Topic && records[to].Partition == first.Partition {
			to++
		}
		if first != nil {
			last := records[to-1]
			page := c.ledger.Enter(first.Topic, first.Partition, first.Offset, last.Offset, last.Behind, to-from)
			for _, o := range records[from:to] {
				o.Page = page
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
