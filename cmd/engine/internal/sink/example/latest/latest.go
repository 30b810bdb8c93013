// Package latest is the third sink of docs/writing-a-sink.md: it keeps the newest document of each key, in a table for each
// topic.
package latest

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/records/reason"
	"ddpm/engine/internal/sink"
)

func init() {
	spec := service.NewConfigSpec().
		Categories("ddpm").
		Summary("Keeps the newest document of each key in Postgres, in a table for each topic.").
		Fields(
			service.NewStringField("dsn_env").Description("The environment variable with the database's address."),
			service.NewDurationField("timeout").Description("How long the server may take.").Default("30s"),
		)
	err := service.RegisterBatchOutput("latest_rows", spec,
		func(conf *service.ParsedConfig, mgr *service.Resources) (
			out service.BatchOutput, policy service.BatchPolicy, maxInFlight int, err error,
		) {
			name, nameErr := conf.FieldString("dsn_env")
			timeout, err := conf.FieldDuration("timeout")
			if err = errors.Join(nameErr, err); err != nil {
				return nil, policy, 0, err
			}
			return sink.New(&latest{dsn: os.Getenv(name), timeout: timeout}, options, mgr), policy, 1, nil
		})
	if err != nil {
		panic(err)
	}
}

const (
	classConnection = "connection"
	classServer     = "server"
)

var options = sink.Options{
	Name:    "the database",
	Classes: []string{classConnection, classServer},
	Metrics: sink.MetricsOf("latest_rows"),
}

// latest is the sink. It has one connection, and writes one batch at a time.
type latest struct {
	dsn     string
	timeout time.Duration

	mu   sync.Mutex
	conn *pgx.Conn
}

// Connect opens the connection.
func (l *latest) Connect(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	_, err := l.connection(ctx)
	return err
}

func (l *latest) connection(ctx context.Context) (*pgx.Conn, error) {
	if l.conn != nil && !l.conn.IsClosed() {
		return l.conn, nil
	}
	var err error
	l.conn, err = pgx.Connect(ctx, l.dsn)
	return l.conn, err
}

// Write writes the rows of all tables in one transaction.
func (l *latest) Write(ctx context.Context, rows sink.Rows) (result sink.Result, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	conn, err := l.connection(ctx)
	if err != nil {
		return result, err
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return result, err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	for table, places := range byTopic(rows) {
		refused, err := write(ctx, tx, table, sink.Select(rows, places))
		if err != nil {
			return result, err
		}
		// What was refused has its place among the rows of the table, and is to have that in the batch.
		for _, each := range refused {
			result.Failures = append(result.Failures, sink.Failure{Index: places[each.Index], Reason: each.Reason})
		}
	}
	result.Committed = rows.Len() - len(result.Failures)
	return result, tx.Commit(ctx)
}

// byTopic returns where the rows of each topic are.
func byTopic(rows sink.Rows) map[string][]int {
	found := map[string][]int{}
	for i := range rows.Len() {
		topic := ""
		if from, ok := rows.Origin(i); ok {
			topic = from.Topic
		}
		found[topic] = append(found[topic], i)
	}
	return found
}

// upsert lets the newest record of a key win, and not the one that came last: a record that comes again finds a row of its
// own offset, or of a later one. A key's records are in one partition, so that their offsets can be compared.
const upsert = ` AS old (key, "offset", document) VALUES ($1, $2, $3)
ON CONFLICT (key) DO UPDATE SET "offset" = excluded."offset", document = excluded.document WHERE old."offset" < excluded."offset"`

// write puts the rows of one table into a transaction. A deletion leaves a row without a document: by its offset an older
// record that comes again is known to be older.
func write(ctx context.Context, tx pgx.Tx, table string, rows sink.Rows) (refused []sink.Failure, err error) {
	batch := &pgx.Batch{}
	for i := range rows.Len() {
		from, ok := rows.Origin(i)
		if !ok || from.Key == "" && !from.EmptyKey {
			why := reason.New(reason.StageSink, "no_key", "a record without a key, by which it would find its row")
			refused = append(refused, sink.Failure{Index: i, Reason: why})
			continue
		}
		var document *string
		if !from.Null {
			text, err := rows.Document(i)
			if err != nil {
				why := reason.New(reason.StageSink, "not_json", "not JSON: "+err.Error())
				refused = append(refused, sink.Failure{Index: i, Reason: why})
				continue
			}
			copied := string(text)
			document = &copied
		}
		batch.Queue("INSERT INTO "+pgx.Identifier{table}.Sanitize()+upsert, from.Key, from.Offset, document)
	}
	return refused, tx.SendBatch(ctx, batch).Close()
}

// Classify says what an error means for the rows. Class 22 is about a value; the kit finds out of which row.
func (l *latest) Classify(err error) sink.Verdict {
	var answer *pgconn.PgError
	switch {
	case !errors.As(err, &answer):
		return sink.Verdict{Kind: sink.Retry, Class: classConnection}
	case answer.Code[:2] == "22":
		return sink.Verdict{Kind: sink.Refuse, Reason: reason.New(reason.StageSink, answer.Code, answer.Message)}
	case answer.Code[:2] == "42":
		return sink.Verdict{Kind: sink.Person, Class: classServer}
	}
	return sink.Verdict{Kind: sink.Retry, Class: classServer}
}

// Close ends the connection.
func (l *latest) Close(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil {
		return nil
	}
	return l.conn.Close(ctx)
}
