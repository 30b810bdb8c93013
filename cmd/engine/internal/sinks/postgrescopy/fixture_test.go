package postgrescopy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"ddpm/engine/internal/enginetest"

	_ "ddpm/engine/internal/records/origin"
	_ "ddpm/engine/internal/sinks/postgrescopy"
)

// TestMain runs the tests with a message for each record, and once more with one for each batch.
func TestMain(m *testing.M) {
	code := m.Run()
	enginetest.Direct = true
	os.Exit(max(code, m.Run()))
}

// envDSN names a Postgres server on which the tests may create schemas and roles.
const envDSN = "DDPM_TEST_POSTGRES_DSN"

// database is a schema of a test's own on the real server.
type database struct {
	t      testing.TB
	dsn    *url.URL
	schema string
}

func newDatabase(t testing.TB) *database {
	t.Helper()
	text := os.Getenv(envDSN)
	if text == "" {
		t.Skip(envDSN + " is not set: it names the Postgres server for these tests")
	}
	dsn, err := url.Parse(text)
	must(t, err)
	db := &database{t, dsn, fmt.Sprintf("ddpm_test_%08x", rand.Uint32())}
	db.exec("CREATE SCHEMA " + db.schema)
	t.Cleanup(func() { db.exec("DROP SCHEMA " + db.schema + " CASCADE") })
	query := dsn.Query()
	query.Set("search_path", db.schema)
	dsn.RawQuery = query.Encode()
	return db
}

func (db *database) connect() *pgx.Conn {
	db.t.Helper()
	conn, err := pgx.Connect(context.Background(), db.dsn.String())
	must(db.t, err)
	return conn
}

func (db *database) exec(sql string) {
	db.t.Helper()
	conn := db.connect()
	defer conn.Close(context.Background())
	_, err := conn.Exec(context.Background(), sql)
	must(db.t, err)
}

// text returns the single value of a query as text.
func (db *database) text(sql string) string {
	db.t.Helper()
	conn := db.connect()
	defer conn.Close(context.Background())
	var value *string
	must(db.t, conn.QueryRow(context.Background(), sql).Scan(&value))
	if value == nil {
		return "NULL"
	}
	return *value
}

// offsets returns the offsets of the rows in a table, in order.
func (db *database) offsets(table string) string {
	db.t.Helper()
	return db.text(`SELECT coalesce(string_agg("offset"::text, ' ' ORDER BY "offset"), '') FROM ` + table)
}

// identityColumns are what every table of ddpm begins with.
const identityColumns = `source int NOT NULL, partition int NOT NULL, "offset" bigint NOT NULL, PRIMARY KEY (source, partition, "offset")`

// sink is a stream into the table "t" with what it logs and rejects.
type sink struct {
	*enginetest.Stream
	mu    sync.Mutex
	lines []string
}

type options struct {
	dsn        *url.URL
	processors []string
	columns    string
	settings   string
	inFlight   int
}

const typedColumns = `[{name: id, from: field, path: [id]}, {name: name, from: field, path: [name]}, {name: at, from: timestamp}]`

// start runs a stream into the table "t" of the database.
func (db *database) start(o options) *sink {
	db.t.Helper()
	if o.dsn == nil {
		o.dsn = db.dsn
	}
	if o.columns == "" {
		o.columns = typedColumns
	}
	if o.inFlight == 0 {
		o.inFlight = 1
	}
	dsnEnv := fmt.Sprintf("DSN_%08x", rand.Uint32())
	os.Setenv(dsnEnv, o.dsn.String())
	os.Setenv("DDPM_SOURCES", `{"events": 1}`)
	db.t.Cleanup(func() { os.Unsetenv(dsnEnv) })
	output := `
fallback:
  - reject_errored:
      postgres_copy:
        dsn_env: ` + dsnEnv + `
        table: t
        columns: ` + o.columns + `
        max_in_flight: ` + fmt.Sprint(o.inFlight) + `
        backoff: {initial_interval: 20ms, max_interval: 100ms}
        ` + o.settings + `
  - capture:
      key: ${! metadata("ddpm_key") }
      metadata: {exclude_prefixes: [ddpm_key]}
    processors:
      - ddpm_dead_letter: {pipeline: p}
`
	s := &sink{}
	s.Stream = enginetest.Start(db.t, append([]string{"ddpm_origin: {}"}, o.processors...), output, s.log)
	return s
}

func (s *sink) log(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line)
}

// logged counts the lines that contain a text.
func (s *sink) logged(text string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, line := range s.lines {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

func (s *sink) awaitLog(t testing.TB, text string) {
	t.Helper()
	await(t, "the log line "+text, func() bool { return s.logged(text) > 0 })
}

// background sends a batch and reports on the channel how that ended.
func (s *sink) background(records ...enginetest.Record) <-chan error {
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		done <- s.Produce(ctx, records...)
	}()
	return done
}

// dead returns the dead letters' values by code, and checks that they are as they were sent.
func (s *sink) dead(t testing.TB, sent []enginetest.Record) map[string][]string {
	t.Helper()
	byOffset := map[string]enginetest.Record{}
	for _, r := range sent {
		byOffset[fmt.Sprint(r.Offset)] = r
	}
	codes := map[string][]string{}
	for _, letter := range s.Dead.Sent() {
		offset := letter.Headers["__connect.errors.offset"]
		r, known := byOffset[offset]
		if !known || string(r.Value) != string(letter.Value) || r.Key != letter.Key {
			t.Errorf("dead letter %q is not the record that was sent", offset)
		}
		code := letter.Headers["__connect.errors.exception.class.name"]
		codes[code] = append(codes[code], offset)
	}
	return codes
}

func record(offset int, value string) enginetest.Record {
	return enginetest.Record{
		Topic: "events", Partition: 4, Offset: int64(offset), Key: fmt.Sprintf("key-%d\xff", offset),
		Value: []byte(value), Timestamp: time.UnixMilli(1_700_000_000_000 + int64(offset)),
	}
}

// good returns a record that the table of most tests takes.
func good(offset int) enginetest.Record {
	return record(offset, fmt.Sprintf(`{"id": %d, "name": "name %d"}`, offset, offset))
}

// span returns good records for the offsets from, up to but not including, to.
func span(from, to int) []enginetest.Record {
	var records []enginetest.Record
	for i := from; i < to; i++ {
		records = append(records, good(i))
	}
	return records
}

func numbers(from, to int, without ...int) string {
	var texts []string
	for i := from; i < to; i++ {
		skip := false
		for _, w := range without {
			skip = skip || w == i
		}
		if !skip {
			texts = append(texts, fmt.Sprint(i))
		}
	}
	return strings.Join(texts, " ")
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func await(t testing.TB, what string, ready func() bool) {
	t.Helper()
	enginetest.Await(t, 20*time.Second, what, ready)
}

func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	a, _ := json.Marshal(got)
	b, _ := json.Marshal(want)
	if string(a) != string(b) {
		t.Errorf("%s: %.600s, want %.600s", what, a, b)
	}
}

// through returns the address of a database by way of a proxy.
func through(p *enginetest.Proxy, dsn *url.URL) *url.URL {
	u := *dsn
	u.Host = p.Address()
	return &u
}
