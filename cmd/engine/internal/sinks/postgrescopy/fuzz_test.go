package postgrescopy

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/sink"
)

// FuzzPostgresReadsBackWhatWasEncoded sends any bytes as a document, and as text inside of one, and
// compares with what Postgres then holds. What is no text for Postgres must be refused.
func FuzzPostgresReadsBackWhatWasEncoded(f *testing.F) {
	dsn := os.Getenv("DDPM_TEST_POSTGRES_DSN")
	if dsn == "" {
		f.Skip("DDPM_TEST_POSTGRES_DSN is not set: it names the Postgres server for this test")
	}
	for _, seed := range []string{
		"", "a", "\\", "\\N", "\\.", "\t\n\r", "\r\n", "a\\", "\x00", "\xff", "\u2028", "\U0001F600", `{"a":"\u0000"}`, "\\x41\\101", "\x7f\x1b\b\f\v",
	} {
		f.Add([]byte(seed))
	}
	ctx := context.Background()
	conn, err := pgconn.Connect(ctx, dsn)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { conn.Close(ctx) })
	if _, err := conn.Exec(ctx, `CREATE TEMP TABLE t (source int, partition int, "offset" bigint, s text, doc text)`).ReadAll(); err != nil {
		f.Fatal(err)
	}
	inside := testEncoder(fieldColumn("s"), column{name: "doc", from: fromDocument})
	whole := testEncoder(column{name: "doc", from: fromDocument})
	f.Fuzz(func(t *testing.T, data []byte) {
		text := strings.ToValidUTF8(string(data), "\uFFFD")
		document, err := json.Marshal(map[string]string{"s": text})
		if err != nil {
			t.Fatal(err)
		}
		stored, refused := store(t, conn, inside, `COPY t (source, partition, "offset", s, doc) FROM STDIN`, document)
		if holdsZero := bytes.IndexByte(data, 0) >= 0; refused != holdsZero {
			t.Fatalf("%q inside a document: refused is %v", data, refused)
		}
		if !refused && (stored[0] != text || stored[1] != string(document)) {
			t.Errorf("%q inside a document was read back as %q", data, stored)
		}
		stored, refused = store(t, conn, whole, `COPY t (source, partition, "offset", doc) FROM STDIN`, data)
		if isText := utf8.Valid(data) && bytes.IndexByte(data, 0) < 0; refused == isText {
			t.Fatalf("%q: refused is %v", data, refused)
		}
		if !refused && stored[1] != string(data) {
			t.Errorf("%q was read back as %q", data, stored[1])
		}
	})
}

// store copies one document and returns the columns s and doc, or whether Postgres refused it.
func store(t *testing.T, conn *pgconn.PgConn, e *encoder, sql string, document []byte) (columns [2]string, refused bool) {
	t.Helper()
	ctx := context.Background()
	b, err := e.encode(sink.RowsOf(service.MessageBatch{message(string(document))}))
	if err != nil || len(b.rows) != 1 {
		t.Fatalf("%q was not encoded: %v", document, err)
	}
	defer e.release(b)
	if _, err := conn.Exec(ctx, "TRUNCATE t").ReadAll(); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.CopyFrom(ctx, bytes.NewReader(b.text), sql); err != nil {
		if judge(err) != rowRefused {
			t.Fatalf("%q: %v", document, err)
		}
		return columns, true
	}
	results, err := conn.Exec(ctx, "SELECT s, doc FROM t").ReadAll()
	if err != nil || len(results[0].Rows) != 1 {
		t.Fatalf("%q: %v", document, err)
	}
	return [2]string{string(results[0].Rows[0][0]), string(results[0].Rows[0][1])}, false
}
