package postgrescopy

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/contract"
	"ddpm/engine/internal/sinks/pgaddress"
)

const (
	fieldDSNEnv       = "dsn_env"
	fieldTable        = "table"
	fieldSchema       = "schema"
	fieldSourcesEnv   = "sources_env"
	fieldIndexed      = "indexed"
	fieldColumns      = "columns"
	fieldColumnName   = "name"
	fieldColumnFrom   = "from"
	fieldColumnPath   = "path"
	fieldColumnKey    = "key"
	fieldColumnHeader = "header"
	fieldColumnFormat = "format"
	fieldColumnZone   = "zone"
	fieldWriteTimeout = "write_timeout"
	fieldBackoff      = "backoff"
	fieldBackoffFirst = "initial_interval"
	fieldBackoffMax   = "max_interval"
)

// Origins of a column's value.
const (
	fromField     = "field"
	fromDocument  = "document"
	fromTimestamp = "timestamp"
	fromKey       = "key"
	fromKeyBytes  = "key_bytes"
	fromHeader    = "header"
	fromTopic     = "topic"
	fromPartition = "partition"
	fromOffset    = "offset"
)

// identity returns the columns that say where a row came from. They come first in every row.
func identity(indexed bool) []string {
	if indexed {
		return []string{"source", "partition", "offset", "index"}
	}
	return []string{"source", "partition", "offset"}
}

func spec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Categories("ddpm").
		Summary("Copies batches of Kafka records into a Postgres table, each record exactly once.").
		Description(`
A batch is one COPY and one transaction. The identity of a row is the record's source, partition and
offset, captured by the `+"`ddpm_origin`"+` processor, and with `+"`indexed`"+` also the row's place in its record; what
was written before is skipped.

A record that Postgres refuses for what it contains fails alone, with a reason in JSON as the text of
its error, and the other records of its batch are written. A refusal that may be the table's fault as
well (a trigger, a default, a limit, an internal error) is the record's only if the table takes others of
its batch in the same transaction, before it and after it.
Everything else (no connection, a lock, no rights, a missing table …) is waited for, for as long as it
takes.

Batches form at the input: batching at an output would hide which record failed.`).
		Fields(
			service.NewStringField(fieldDSNEnv).
				Description("The name of the environment variable that holds the address of the database: its parts as ddpm hands them over, or a URL."),
			service.NewStringField(fieldTable).
				Description("The table, without its schema."),
			service.NewStringField(fieldSchema).
				Description("The schema of the table; the first one of the search path if this is left out.").
				Optional(),
			service.NewStringField(fieldSourcesEnv).
				Description("The name of the environment variable that holds a JSON object from topic to source number.").
				Default(contract.EnvSources),
			service.NewBoolField(fieldIndexed).
				Description("Whether a record can become many rows, distinguished by the column `index`.").
				Default(false),
			columnsField(),
			service.NewDurationField(fieldWriteTimeout).
				Description("How long the server may stay silent before it counts as away.").
				Default("30s"),
			service.NewOutputMaxInFlightField().Default(4),
			service.NewObjectField(fieldBackoff,
				service.NewDurationField(fieldBackoffFirst).Description("The first pause.").Default("500ms"),
				service.NewDurationField(fieldBackoffMax).Description("The longest pause.").Default("30s"),
			).Description("The pauses between attempts while the server is away.").Advanced(),
		)
}

// columnsField describes the columns, each with more about it if need be.
func columnsField(more ...*service.ConfigField) *service.ConfigField {
	return service.NewObjectListField(fieldColumns, append([]*service.ConfigField{
		service.NewStringField(fieldColumnName).Description("The name of the column."),
		service.NewStringAnnotatedEnumField(fieldColumnFrom, map[string]string{
			fromField:     "the value at a path of the JSON document; NULL where there is none",
			fromDocument:  "the whole message",
			fromTimestamp: "the record's timestamp; NULL where it has none",
			fromKey:       "the record's key as text; NULL where it has none, or an empty one",
			fromKeyBytes:  "the record's key as the text of a bytea",
			fromHeader:    "the last value of a header of the record; NULL where it has none",
			fromTopic:     "the record's topic",
			fromPartition: "the number of its partition",
			fromOffset:    "its offset",
		}).Description("Where the value comes from."),
		service.NewStringListField(fieldColumnPath).
			Description("For `field`: the keys that lead to the value; digits count in an array.").
			Optional(),
		service.NewBoolField(fieldColumnKey).
			Description("For `timestamp`: whether the table's key has this column behind the identity columns, because " +
				"the table is partitioned by it; then a record without a timestamp gets -infinity.").
			Default(false),
		service.NewStringField(fieldColumnHeader).Description("For `header`: its name.").Default(""),
		service.NewStringField(fieldColumnFormat).
			Description("How values are read: `epoch_s`, `epoch_ms`, `epoch_us`, `epoch_ns`, `iso`, a pattern such as `%d.%m.%Y %H:%M`, " +
				"or `json` for text that is JSON itself.").
			Default(""),
		service.NewStringField(fieldColumnZone).Description("The time zone of local times, as the IANA names it.").Default(""),
	}, more...)...).Description("The columns behind the identity columns.").Default([]any{})
}

// column says what goes into a column. For a field, slot is its place among the values found. Of the
// columns of a key, where a record came from decides on the value, so that it can be distinguished from no other.
type column struct {
	name   string
	from   string
	path   []string
	header string
	key    bool
	slot   int
	// asJSON is set where a text is JSON itself, and format where it is a time that Postgres would not read.
	asJSON bool
	format *format
}

type config struct {
	connection   *pgconn.Config
	schema       string
	table        string
	columns      []column
	paths        [][]string
	sources      map[string]int64
	indexed      bool
	writeTimeout time.Duration
	maxInFlight  int
	firstPause   time.Duration
	longestPause time.Duration
}

func parseConfig(conf *service.ParsedConfig) (*config, error) {
	c := &config{}
	var errs [10]error
	var dsnEnv, sourcesEnv string
	dsnEnv, errs[0] = conf.FieldString(fieldDSNEnv)
	c.table, errs[1] = conf.FieldString(fieldTable)
	if conf.Contains(fieldSchema) {
		c.schema, errs[2] = conf.FieldString(fieldSchema)
	}
	sourcesEnv, errs[3] = conf.FieldString(fieldSourcesEnv)
	c.writeTimeout, errs[4] = conf.FieldDuration(fieldWriteTimeout)
	c.maxInFlight, errs[5] = conf.FieldMaxInFlight()
	c.firstPause, errs[6] = conf.FieldDuration(fieldBackoff, fieldBackoffFirst)
	c.longestPause, errs[7] = conf.FieldDuration(fieldBackoff, fieldBackoffMax)
	c.indexed, errs[8] = conf.FieldBool(fieldIndexed)
	errs[9] = c.parseColumns(conf)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	var err error
	if c.connection, err = connectionFrom(dsnEnv); err != nil {
		return nil, err
	}
	c.sources, err = sourcesFrom(sourcesEnv)
	return c, err
}

// key returns the columns of the table's key: the identity, and what the table is partitioned by.
func (c *config) key() []string {
	names := identity(c.indexed)
	for _, col := range c.columns {
		if col.key {
			names = append(names, col.name)
		}
	}
	return names
}

func (c *config) parseColumns(conf *service.ParsedConfig) error {
	list, err := conf.FieldObjectList(fieldColumns)
	if err != nil {
		return err
	}
	taken := map[string]bool{}
	for _, name := range identity(c.indexed) {
		taken[name] = true
	}
	for i, entry := range list {
		col, err := parseColumn(entry)
		if err != nil {
			return fmt.Errorf("columns[%d]: %w", i, err)
		}
		if taken[col.name] {
			return fmt.Errorf("columns[%d]: the column %q is given twice", i, col.name)
		}
		taken[col.name] = true
		if col.from == fromField {
			col.slot = len(c.paths)
			c.paths = append(c.paths, col.path)
		}
		c.columns = append(c.columns, col)
	}
	return nil
}

func parseColumn(entry *service.ParsedConfig) (col column, err error) {
	if col.name, err = entry.FieldString(fieldColumnName); err != nil {
		return col, err
	}
	if col.from, err = entry.FieldString(fieldColumnFrom); err != nil {
		return col, err
	}
	if entry.Contains(fieldColumnPath) {
		if col.path, err = entry.FieldStringList(fieldColumnPath); err != nil {
			return col, err
		}
	}
	if col.key, err = entry.FieldBool(fieldColumnKey); err != nil {
		return col, err
	}
	if col.header, err = entry.FieldString(fieldColumnHeader); err != nil {
		return col, err
	}
	if err = col.parseFormat(entry); err != nil {
		return col, fmt.Errorf("the column %q: %w", col.name, err)
	}
	switch {
	case col.key && col.from != fromTimestamp:
		return col, fmt.Errorf("the column %q comes from a %s, which can be no part of the key", col.name, col.from)
	case col.name == "":
		return col, errors.New("the name is empty")
	case !slices.Contains(origins, col.from):
		return col, fmt.Errorf("the column %q cannot come from %q", col.name, col.from)
	case col.from == fromField && len(col.path) == 0:
		return col, fmt.Errorf("the column %q comes from a field and needs a path", col.name)
	case (col.from == fromHeader) != (col.header != ""):
		return col, fmt.Errorf("the column %q comes from a %s; a header, and nothing else, has the name of one", col.name, col.from)
	case col.from != fromField && len(col.path) > 0:
		return col, fmt.Errorf("the column %q comes from the %s and has no path", col.name, col.from)
	}
	return col, nil
}

var origins = []string{fromField, fromDocument, fromTimestamp, fromKey, fromKeyBytes, fromHeader, fromTopic, fromPartition, fromOffset}

func (col *column) parseFormat(entry *service.ParsedConfig) error {
	text, err := entry.FieldString(fieldColumnFormat)
	if err != nil {
		return err
	}
	zone, err := entry.FieldString(fieldColumnZone)
	if err != nil {
		return err
	}
	col.asJSON = text == formatJSON
	col.format, err = newFormat(text, zone)
	return err
}

func (c *config) check() error {
	switch {
	case c.table == "":
		return errors.New("the table's name is empty")
	case c.writeTimeout <= 0:
		return fmt.Errorf("write_timeout must be positive, not %s", c.writeTimeout)
	case c.firstPause <= 0 || c.longestPause < c.firstPause:
		return fmt.Errorf("backoff must go from a positive pause up to a longer one, not from %s to %s",
			c.firstPause, c.longestPause)
	}
	return nil
}

// connectionFrom reads the address of the database. No error of pgx is passed on that may quote the password.
func connectionFrom(variable string) (*pgconn.Config, error) {
	dsn := os.Getenv(variable)
	if dsn == "" {
		return nil, fmt.Errorf("the environment variable %q (dsn_env), which holds the connection string, is not set", variable)
	}
	conf, err := pgaddress.Parse(dsn)
	if err != nil {
		return nil, fmt.Errorf("the environment variable %q (dsn_env) does not hold a valid Postgres connection string "+
			"(postgresql://user:password@host:port/database?sslmode=…): %w", variable, err)
	}
	readTimesAlike(conf)
	return conf, nil
}

func sourcesFrom(variable string) (map[string]int64, error) {
	text := os.Getenv(variable)
	if text == "" {
		return nil, fmt.Errorf("the environment variable %q (sources_env), which holds the topics' source numbers, is not set", variable)
	}
	var sources map[string]int64
	if err := json.Unmarshal([]byte(text), &sources); err != nil {
		return nil, fmt.Errorf("the environment variable %q (sources_env) must hold a JSON object from topic to source number: %w",
			variable, err)
	}
	return sources, nil
}
