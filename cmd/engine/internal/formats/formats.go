// Package formats makes the engine's parser processors: it gives each decoder below it a name and options.
package formats

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/formats/avro"
	"ddpm/engine/internal/formats/csvtext"
	"ddpm/engine/internal/formats/lines"
	"ddpm/engine/internal/formats/msgpack"
	"ddpm/engine/internal/formats/ndjson"
	"ddpm/engine/internal/formats/parquet"
	"ddpm/engine/internal/formats/protobuf"
	"ddpm/engine/internal/formats/registry"
	"ddpm/engine/internal/formats/spade"
	"ddpm/engine/internal/formats/unpack"
	"ddpm/engine/internal/records"
	"ddpm/engine/internal/records/origin"
	"ddpm/engine/internal/records/reason"
)

// file reads a record of many documents.
type file func(payload []byte, yield func(doc []byte, failure *reason.Reason) bool) (whole *reason.Reason)

func (f file) Decode(_ context.Context, payload []byte, yield records.Yield) (*reason.Reason, error) {
	return f(payload, yield), nil
}

// single reads a record of one document.
type single func(payload []byte) ([]byte, *reason.Reason)

func (s single) Decode(_ context.Context, payload []byte, yield records.Yield) (*reason.Reason, error) {
	doc, failure := s(payload)
	if failure == nil {
		yield(doc, nil)
	}
	return failure, nil
}

// asking reads a record of one document with what a registry answers.
type asking struct {
	client *registry.Client
}

func (a asking) Decode(ctx context.Context, payload []byte, yield records.Yield) (*reason.Reason, error) {
	doc, failure, err := a.client.Decode(ctx, payload)
	if failure == nil && err == nil {
		yield(doc, nil)
	}
	return failure, err
}

// unpacker decompresses messages in place; their origin keeps the record's bytes.
type unpacker struct {
	method string
	limit  int64
}

func (u unpacker) ProcessBatch(_ context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	if chunk, ok := origin.ChunkOf(batch); ok {
		for i := range chunk.Records {
			if r := &chunk.Records[i]; r.Failure == nil && !r.Parsed && !r.Origin.Null {
				r.Document, r.Failure = unpack.Record(r.Document, u.method, u.limit)
			}
		}
		return []service.MessageBatch{batch}, nil
	}
	for _, msg := range batch {
		if o, ok := origin.From(msg); msg.GetError() != nil || (ok && o.Null) {
			continue
		}
		payload, err := msg.AsBytes()
		if err != nil {
			msg.SetError(err)
			continue
		}
		content, failure := unpack.Record(payload, u.method, u.limit)
		if failure != nil {
			msg.SetError(failure)
			continue
		}
		msg.SetBytes(content)
	}
	return []service.MessageBatch{batch}, nil
}

func (unpacker) Close(context.Context) error { return nil }

func buildUnpacker(conf *service.ParsedConfig, _ *service.Resources) (service.BatchProcessor, error) {
	method, err := conf.FieldString("method")
	if err != nil {
		return nil, err
	}
	limit, err := conf.FieldInt("limit")
	return unpacker{method, int64(limit)}, err
}

func init() {
	unpacking := service.NewConfigSpec().Categories("ddpm").Summary("Decompresses records before they are parsed.").Fields(
		service.NewStringEnumField("method", unpack.Auto, unpack.Gzip, unpack.Zlib, unpack.Zstd, unpack.LZ4, unpack.Snappy).
			Description("How they are compressed; auto goes by their first bytes and takes others as they are."),
		service.NewIntField("limit").Description("A record that would hold more bytes fails."),
	)
	if err := service.RegisterBatchProcessor("ddpm_decompress", unpacking, buildUnpacker); err != nil {
		panic(err)
	}
	records.Register("ddpm_spade", spec("Reads the lines of Spade's edge servers."), buildSpade, true)
	records.Register("ddpm_ndjson", spec("Reads records of one JSON document a line."), buildNDJSON, true)
	records.Register("ddpm_lines", spec("Makes a document of each line of text."), buildLines, true)
	records.Register("ddpm_csv", spec("Reads records of comma-separated values.").Fields(
		service.NewStringField("delimiter").Description("What stands between two values: one character."),
		service.NewStringListField("columns").Description("The names of the columns; none where the first line names them.").
			Default([]any{}),
		service.NewStringListField("wanted").Description("Names that rows are filled from, of which a first line must have one; "+
			"none when unknown.").Default([]any{}),
	), buildCSV, true)
	records.Register("ddpm_msgpack", spec("Reads records of one MessagePack value."), buildMessagePack, false)
	records.Register("ddpm_avro_file", spec("Reads records that are Avro object container files."), buildAvroFile, true)
	records.Register("ddpm_avro_datum", spec("Reads records of one Avro value without its schema.").Field(
		service.NewStringField("schema_file").Description("The schema that the values were written with."),
	), buildAvroDatum, false)
	records.Register("ddpm_avro_registry", spec("Reads Avro records in Confluent's wire format.").Fields(
		service.NewStringField("registry_env").
			Description("The name of the environment variable that holds the schema registry's address."),
		service.NewStringField("token_env").
			Description("The name of the one that holds a token for it, if it asks for one; empty for none.").Default(""),
		service.NewStringField("ca_file").
			Description("Certificates in PEM that are trusted in place of the system's; empty for those.").Default(""),
	), buildAvroRegistry, false)
	records.Register("ddpm_parquet", spec("Reads records that are Parquet files."), buildParquet, true)
	records.Register("ddpm_protobuf", spec("Reads records of one Protocol Buffers message.").Fields(
		service.NewStringField("descriptor_set").
			Description("A file that protoc --include_imports --descriptor_set_out wrote."),
		service.NewStringField("message").Description("The message's full name, such as shop.Order."),
	), buildProtobuf, false)
}

// spec describes a processor without options.
func spec(summary string) *service.ConfigSpec {
	return service.NewConfigSpec().Categories("ddpm").Summary(summary).
		Description("A record that cannot be read fails with a reason. Must follow `ddpm_origin`.")
}

func buildNDJSON(*service.ParsedConfig, *service.Resources) (records.Decoder, error) {
	decoder := ndjson.New()
	return file(func(payload []byte, yield func([]byte, *reason.Reason) bool) *reason.Reason {
		decoder.Decode(payload, yield)
		return nil
	}), nil
}

func buildLines(*service.ParsedConfig, *service.Resources) (records.Decoder, error) {
	return file(func(payload []byte, yield func([]byte, *reason.Reason) bool) *reason.Reason {
		lines.Decode(payload, yield)
		return nil
	}), nil
}

func buildSpade(*service.ParsedConfig, *service.Resources) (records.Decoder, error) {
	return file(spade.Decode), nil
}

func buildCSV(conf *service.ParsedConfig, _ *service.Resources) (records.Decoder, error) {
	delimiter, err := conf.FieldString("delimiter")
	if err != nil {
		return nil, err
	}
	columns, err := conf.FieldStringList("columns")
	if err != nil {
		return nil, err
	}
	wanted, err := conf.FieldStringList("wanted")
	if err != nil {
		return nil, err
	}
	decoder, err := csvtext.New(delimiter, columns, wanted)
	if err != nil {
		return nil, err
	}
	return file(decoder.Decode), nil
}

func buildMessagePack(*service.ParsedConfig, *service.Resources) (records.Decoder, error) {
	return single(msgpack.Decode), nil
}

func buildAvroFile(*service.ParsedConfig, *service.Resources) (records.Decoder, error) {
	return file(avro.ReadContainer), nil
}

func buildAvroDatum(conf *service.ParsedConfig, _ *service.Resources) (records.Decoder, error) {
	text, path, err := contentOf(conf, "schema_file")
	if err != nil {
		return nil, err
	}
	schema, err := avro.Compile(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return single(schema.Datum), nil
}

func buildAvroRegistry(conf *service.ParsedConfig, mgr *service.Resources) (records.Decoder, error) {
	variable, err := conf.FieldString("registry_env")
	if err != nil {
		return nil, err
	}
	address, found := os.LookupEnv(variable)
	if !found {
		return nil, fmt.Errorf("the environment variable %s, which holds the schema registry's address, is not set", variable)
	}
	log, waiting := mgr.Logger(), records.NewWaiting(mgr)
	end := func() {}
	// The client says these two in turn, under its lock.
	access, err := registryAccess(conf)
	if err != nil {
		return nil, err
	}
	client, err := registry.New(address, access,
		func(err error) {
			end = waiting.Begin(records.WaitsForRegistry)
			log.Errorf("waiting for the schema registry: %v", err)
		},
		func() {
			end()
			log.Info("the schema registry answers again")
		})
	return asking{client}, err
}

func registryAccess(conf *service.ParsedConfig) (access registry.Access, err error) {
	if access.CA, err = conf.FieldString("ca_file"); err != nil {
		return access, err
	}
	variable, err := conf.FieldString("token_env")
	if err != nil || variable == "" {
		return access, err
	}
	found := false
	if access.Token, found = os.LookupEnv(variable); !found {
		err = fmt.Errorf("the environment variable %s, which holds a token for the schema registry, is not set", variable)
	}
	return access, err
}

func buildParquet(*service.ParsedConfig, *service.Resources) (records.Decoder, error) {
	return file(parquet.Read), nil
}

func buildProtobuf(conf *service.ParsedConfig, _ *service.Resources) (records.Decoder, error) {
	set, path, err := contentOf(conf, "descriptor_set")
	if err != nil {
		return nil, err
	}
	message, err := conf.FieldString("message")
	if err != nil {
		return nil, err
	}
	decoder, err := protobuf.New(set, message)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return single(decoder.Decode), nil
}

func contentOf(conf *service.ParsedConfig, field string) (content []byte, path string, err error) {
	if path, err = conf.FieldString(field); err != nil {
		return nil, "", err
	}
	content, err = os.ReadFile(path)
	var cause *os.PathError
	if errors.As(err, &cause) {
		err = fmt.Errorf("%s: %w", path, cause.Err)
	}
	return content, path, err
}
