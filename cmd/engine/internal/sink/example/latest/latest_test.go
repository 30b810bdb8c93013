package latest_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"ddpm/engine/internal/enginetest"
	"ddpm/engine/internal/sink/conformance"

	_ "ddpm/engine/internal/records/origin"
	_ "ddpm/engine/internal/sink/example/latest"
)

// database is a schema of a test's own, with a table for each of some topics.
type database struct {
	t    testing.TB
	dsn  *url.URL
	conn *pgx.Conn
}

func newDatabase(t testing.TB, topics ...string) *database {
	t.Helper()
	text := os.Getenv("DDPM_TEST_POSTGRES_DSN")
	if text == "" {
		t.Skip("DDPM_TEST_POSTGRES_DSN is not set: it names the Postgres server for these tests")
	}
	dsn, err := url.Parse(text)
	must(t, err)
	schema := fmt.Sprintf("ddpm_latest_%08x", rand.Uint32())
	query := dsn.Query()
	query.Set("search_path", schema)
	dsn.RawQuery = query.Encode()
	db := &database{t: t, dsn: dsn}
	db.conn, err = pgx.Connect(context.Background(), dsn.String())
	must(t, err)
	t.Cleanup(func() {
		db.exec("DROP SCHEMA " + schema + " CASCADE")
		must(t, db.conn.Close(context.Background()))
	})
	db.exec("CREATE SCHEMA " + schema)
	for _, topic := range topics {
		db.exec("CREATE TABLE " + topic + ` (key text PRIMARY KEY, "offset" bigint NOT NULL, document jsonb)`)
	}
	return db
}

func (db *database) exec(sql string) {
	db.t.Helper()
	_, err := db.conn.Exec(context.Background(), sql)
	must(db.t, err)
}

func (db *database) texts(sql string) []string {
	db.t.Helper()
	rows, err := db.conn.Query(context.Background(), sql)
	must(db.t, err)
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(db.t, err)
	return found
}

// holds checks the documents of a table by their keys.
func (db *database) holds(table, want string) {
	db.t.Helper()
	got := strings.Join(db.texts("SELECT key || '=' || (document->>'n') FROM "+table+" WHERE document IS NOT NULL ORDER BY key"), " ")
	if got != want {
		db.t.Errorf("%s holds %q, want %q", table, got, want)
	}
}

// output is the sink's configuration, with the server at an address.
func (db *database) output(address string) string {
	dsn := *db.dsn
	dsn.Host = address
	name := fmt.Sprintf("DSN_%08x", rand.Uint32())
	os.Setenv(name, dsn.String())
	db.t.Cleanup(func() { os.Unsetenv(name) })
	return "latest_rows: {dsn_env: " + name + ", timeout: 1s}"
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestConformance(t *testing.T) {
	enginetest.Direct = true
	defer func() { enginetest.Direct = false }()
	conformance.Run(t, conformance.Target{
		Waiting:    "latest_rows_waiting",
		Says:       "the database does not take rows",
		Idempotent: true,
		InSilence:  true,
		Audited:    true,
		New: func(t testing.TB) conformance.Destination {
			db := newDatabase(t, "events")
			return conformance.Destination{
				Server: db.dsn.Host,
				Config: db.output,
				Good:   func(n int) string { return fmt.Sprintf(`{"n": %d}`, n) },
				Bad:    func(n int) string { return fmt.Sprintf(`{"n": "\u0000 is no text, %d"}`, n) },
				Stored: func() []int64 {
					rows, err := db.conn.Query(context.Background(), `SELECT "offset" FROM events`)
					must(t, err)
					offsets, err := pgx.CollectRows(rows, pgx.RowTo[int64])
					must(t, err)
					return offsets
				},
				Refuse: func() func() {
					db.exec("ALTER TABLE events RENAME TO away")
					return func() { db.exec("ALTER TABLE away RENAME TO events") }
				},
			}
		},
	})
}

// record returns the record at an offset; n below zero deletes.
func record(topic, key string, offset, n int) enginetest.Record {
	r := enginetest.Record{Topic: topic, Offset: int64(offset), Key: key}
	if n >= 0 {
		r.Value = fmt.Appendf(nil, `{"n": %d}`, n)
	}
	return r
}

func (db *database) start() *enginetest.Stream {
	db.t.Helper()
	return enginetest.Start(db.t, []string{"ddpm_origin: {}"}, `fallback:
  - reject_errored:
      `+db.output(db.dsn.Host)+`
  - capture: {metadata: {exclude_prefixes: [ddpm_key]}}
    processors: [{ddpm_dead_letter: {pipeline: p}}]`)
}

func TestTheNewestRecordOfAKeyWins(t *testing.T) {
	db := newDatabase(t, "events")
	s := db.start()
	all := []enginetest.Record{record("events", "a", 0, 10), record("events", "b", 1, 11), record("events", "a", 2, 12)}
	s.MustProduce(all...)
	db.holds("events", "a=12 b=11")
	s.MustProduce(record("events", "b", 3, 13))
	s.MustProduce(all...)
	db.holds("events", "a=12 b=13")
}

func TestADeletionLasts(t *testing.T) {
	db := newDatabase(t, "events")
	s := db.start()
	before := record("events", "a", 0, 10)
	s.MustProduce(before, record("events", "b", 1, 11), record("events", "a", 2, -1))
	db.holds("events", "b=11")
	s.MustProduce(before)
	db.holds("events", "b=11")
	s.MustProduce(record("events", "a", 3, 14))
	db.holds("events", "a=14 b=11")
}

func TestSeveralTablesInABatch(t *testing.T) {
	db := newDatabase(t, "events", "others")
	s := db.start()
	s.MustProduce(record("events", "a", 0, 10), record("others", "a", 0, 20), record("events", "", 1, 11), record("others", "b", 1, 21),
		record("others", "", 2, 22), record("events", "c", 2, 12))
	db.holds("events", "a=10 c=12")
	db.holds("others", "a=20 b=21")
	var dead []string
	for _, letter := range s.Dead.Sent() {
		dead = append(dead, letter.Headers["__connect.errors.topic"]+"/"+letter.Headers["__connect.errors.offset"])
	}
	if got := strings.Join(dead, " "); got != "events/1 others/2" {
		t.Errorf("the dead letters are %q", got)
	}
}
