package postgrescopy

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/records/origin"
	"ddpm/engine/internal/records/reason"
	"ddpm/engine/internal/sink"
)

func parse(t *testing.T, yaml string) (*config, error) {
	t.Helper()
	conf, err := spec().ParseYAML(yaml, service.NewEnvironment())
	if err != nil {
		return nil, err
	}
	return parseConfig(conf)
}

func TestConfigurationErrorsAreClearAndKeepTheSecret(t *testing.T) {
	t.Setenv("GOOD_DSN", "postgresql://u:secret@127.0.0.1:1/db")
	t.Setenv("BAD_DSN", "postgresql://u:secret@127.0.0.1:port/db?sslmode=perhaps")
	t.Setenv("GOOD_SOURCES", `{"a": 1}`)
	t.Setenv("BAD_SOURCES", `["a"]`)
	base := "{dsn_env: GOOD_DSN, table: t, sources_env: GOOD_SOURCES, columns: "
	for yaml, want := range map[string]string{
		"{dsn_env: NO_DSN, table: t, sources_env: GOOD_SOURCES}":          `"NO_DSN" (dsn_env)`,
		"{dsn_env: BAD_DSN, table: t, sources_env: GOOD_SOURCES}":         `does not hold a valid Postgres connection string`,
		"{dsn_env: GOOD_DSN, table: t, sources_env: NO_SOURCES}":          `"NO_SOURCES" (sources_env)`,
		"{dsn_env: GOOD_DSN, table: t, sources_env: BAD_SOURCES}":         `must hold a JSON object`,
		"{dsn_env: GOOD_DSN, table: '', sources_env: GOOD_SOURCES}":       `name is empty`,
		base + "[{name: a, from: field}]}":                                `columns[0]: the column "a" comes from a field and needs a path`,
		base + "[{name: a, from: document, path: [x]}]}":                  `has no path`,
		base + "[{name: offset, from: document}]}":                        `columns[0]: the column "offset" is given twice`,
		base + "[{name: a, from: document}, {name: a, from: timestamp}]}": `columns[1]: the column "a" is given twice`,
		base + "[{name: a, from: nowhere}]}":                              `cannot come from "nowhere"`,
		base + "[{name: a, from: document, key: true}]}":                  `comes from a document, which can be no part of the key`,
		base + "[], write_timeout: 0s}":                                   `write_timeout must be positive`,
		base + "[], backoff: {initial_interval: 5s, max_interval: 1s}}":   `backoff must go from`,
	} {
		_, err := parse(t, yaml)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", yaml, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the secret is in %q", yaml, err)
		}
	}
}

func TestThereIsNoBatchingField(t *testing.T) {
	builder := service.NewEnvironment().NewStreamBuilder()
	err := builder.AddOutputYAML("postgres_copy: {dsn_env: A, table: t, batching: {count: 2}}")
	if err == nil || !strings.Contains(err.Error(), "batching") {
		t.Errorf("batching was accepted: %v", err)
	}
}

// testEncoder encodes for columns without asking for a connection.
func testEncoder(columns ...column) *encoder {
	c := &config{sources: map[string]int64{"events": 7}}
	for _, col := range columns {
		if col.from == fromField {
			col.slot = len(c.paths)
			c.paths = append(c.paths, col.path)
		}
		c.columns = append(c.columns, col)
	}
	return newEncoder(c)
}

func fieldColumn(path ...string) column {
	return column{name: path[len(path)-1], from: fromField, path: path}
}

func message(value string) *service.Message {
	return origin.Attach(service.NewMessage([]byte(value)),
		origin.Origin{Topic: "events", Partition: 2, Offset: 5, TimestampMS: 1000, HasTimestamp: true, Value: []byte(value)})
}

func TestRowsAreCopyText(t *testing.T) {
	e := testEncoder(fieldColumn("s"), fieldColumn("n"), fieldColumn("o", "p"), fieldColumn("b"), fieldColumn("a"),
		column{name: "doc", from: fromDocument}, column{name: "ts", from: fromTimestamp})
	for doc, want := range map[string]string{
		`{"s":"x","n":9007199254740993.10,"o":{"p":1e5},"b":true,"a":[1, {"k":"\t"}]}`: "7\t2\t5\tx\t9007199254740993.10\t1e5\ttrue\t" +
			`[1, {"k":"\\t"}]` + "\t" + `{"s":"x","n":9007199254740993.10,"o":{"p":1e5},"b":true,"a":[1, {"k":"\\t"}]}` +
			"\t1970-01-01 00:00:01.000+00\n",
		`{"s":null,"b":false}`:               "7\t2\t5\t" + `\N` + "\t" + `\N` + "\t" + `\N` + "\tfalse\t" + `\N` + "\t" + `{"s":null,"b":false}` + "\t1970-01-01 00:00:01.000+00\n",
		`{"s":"a\tb\nc\rd\\e\"\u00e4\/\b"}`:  "7\t2\t5\t" + `a\tb\nc\rd\\e"ä/` + "\b\t" + `\N` + "\t" + `\N` + "\t" + `\N` + "\t" + `\N` + "\t" + `{"s":"a\\tb\\nc\\rd\\\\e\\"\\u00e4\\/\\b"}` + "\t1970-01-01 00:00:01.000+00\n",
		`{"s":"\\N","n":0,"o":"not nested"}`: "7\t2\t5\t" + `\\N` + "\t0\t" + `\N` + "\t" + `\N` + "\t" + `\N` + "\t" + `{"s":"\\\\N","n":0,"o":"not nested"}` + "\t1970-01-01 00:00:01.000+00\n",
		"{\"s\":\n\"\\\\.\"}":                "7\t2\t5\t" + `\\.` + "\t" + `\N` + "\t" + `\N` + "\t" + `\N` + "\t" + `\N` + "\t" + `{"s":\n"\\\\."}` + "\t1970-01-01 00:00:01.000+00\n",
	} {
		b, err := e.encode(sink.RowsOf(service.MessageBatch{message(doc)}))
		if err != nil {
			t.Fatal(err)
		}
		if string(b.text) != want {
			t.Errorf("%s\n got %q\nwant %q", doc, b.text, want)
		}
		e.release(b)
	}
}

func TestDocumentsNeedNotBeJSONWithoutFieldColumns(t *testing.T) {
	b, err := testEncoder(column{name: "d", from: fromDocument}).encode(sink.RowsOf(service.MessageBatch{message("no\tjson\xff")}))
	if err != nil || string(b.text) != "7\t2\t5\tno\\tjson\xff\n" {
		t.Errorf("%q, %v", b.text, err)
	}
}

func TestMessagesThatCannotBecomeRowsFailAlone(t *testing.T) {
	b, err := testEncoder(fieldColumn("a")).encode(sink.RowsOf(service.MessageBatch{
		message(`{"a":1}`), message(`{"a":`), message(`[1]`), message(`{"a":2}`),
	}))
	if err != nil || len(b.rows) != 2 || b.rows[1].index != 3 || string(b.lines(1, 2)) != "7\t2\t5\t2\n" {
		t.Fatalf("%+v, %v", b, err)
	}
	for i, want := range []string{codeNotJSON, codeNotObject} {
		if f := b.failures[i]; f.Index != i+1 || f.Reason.Code != want || f.Reason.Stage != reason.StageSink {
			t.Errorf("failure %d is %+v", i, f)
		}
	}
}

func TestStructuredMessagesAreEncodedAsJSON(t *testing.T) {
	msg := message("{}")
	msg.SetStructured(map[string]any{"a": "x\ty"})
	b, err := testEncoder(fieldColumn("a")).encode(sink.RowsOf(service.MessageBatch{msg}))
	if err != nil || string(b.text) != "7\t2\t5\tx\\ty\n" {
		t.Errorf("%q, %v", b.text, err)
	}
}

func TestConfigurationThatDoesNotFitIsAnObstacle(t *testing.T) {
	other := origin.Attach(service.NewMessage(nil), origin.Origin{Topic: "other"})
	for class, msg := range map[class]*service.Message{
		classUnknownSource: other,
		classNoOrigin:      service.NewMessage([]byte("{}")),
	} {
		_, err := testEncoder().encode(sink.RowsOf(service.MessageBatch{message("{}"), msg}))
		var o *obstacle
		if !errors.As(err, &o) || o.class != class {
			t.Errorf("%s: %v", class, err)
		}
	}
}

func TestTimestampsAsText(t *testing.T) {
	for ms, want := range map[int64]string{
		0:                   "1970-01-01 00:00:00.000+00",
		-1:                  "1969-12-31 23:59:59.999+00",
		1_700_000_000_123:   "2023-11-14 22:13:20.123+00",
		-62135596800000:     "0001-01-01 00:00:00.000+00",
		-62135596800001:     "0001-12-31 23:59:59.999+00 BC",
		endMS - 1:           "294276-12-31 23:59:59.999+00",
		endMS:               "infinity",
		1<<63 - 1:           "infinity",
		firstMS:             "4714-11-24 00:00:00.000+00 BC",
		firstMS - 1:         "-infinity",
		-1 << 63:            "-infinity",
		253402300800000:     "10000-01-01 00:00:00.000+00",
		951782400000 - 1000: "2000-02-28 23:59:59.000+00",
	} {
		if got := string(appendTimestamp(nil, ms)); got != want {
			t.Errorf("%d: %q, want %q", ms, got, want)
		}
	}
	for ms := int64(-62135596800000); ms < 253402300800000; ms += 7_919_123_457 {
		want := time.UnixMilli(ms).UTC().Format("2006-01-02 15:04:05.000+00")
		if got := string(appendTimestamp(nil, ms)); got != want {
			t.Fatalf("%d: %q, want %q", ms, got, want)
		}
	}
}

func TestErrorsAreJudged(t *testing.T) {
	for want, codes := range map[verdict]string{
		rowRefused: "22000 22001 22003 22007 22008 22021 22P02 22P05 23502 23503 23514 23P01 " +
			"54000 54001 P0001 P0002 XX000 38000 0A000 44000 21000 ABCDE",
		mustWait: "22P04 08006 25006 26000 28P01 28000 3D000 3F000 40001 40P01 42501 42P01 42703 42P10 42804 " +
			"53100 53200 53300 55P03 55006 57014 57P01 57P02 57P03 58030 XX001 XX002 F0000",
		conflict: "23505",
	} {
		for _, code := range strings.Fields(codes) {
			err := fmt.Errorf("wrapped: %w", &pgconn.PgError{Code: code, ConstraintName: "c", SeverityUnlocalized: "ERROR"})
			if got := judge(err); got != want {
				t.Errorf("%s: verdict %d, want %d", code, got, want)
			}
		}
	}
	for name, err := range map[string]error{
		"no answer":    &obstacle{classTimeout, "no answer"},
		"no server":    errors.New("connection refused"),
		"no partition": &pgconn.PgError{Code: "23514", Routine: "ExecFindPartition", SeverityUnlocalized: "ERROR"},
		"fatal":        &pgconn.PgError{Code: "P0001", SeverityUnlocalized: "FATAL"},
	} {
		if judge(err) != mustWait {
			t.Errorf("%s does not wait", name)
		}
	}
}

func TestReasonsToWaitHaveAClass(t *testing.T) {
	for code, want := range map[string]class{
		"28P01": classLogin, "53300": classResources, "42501": classRights, "42P01": classMissing, "57P03": classShutdown,
		"40P01": classContention, "55P03": classLock, "22P04": classColumns, "25006": classReadOnly, "P0001": classRefused,
		"57014": classTimeout, "08006": classConnection,
	} {
		if got := obstacleOf(&pgconn.PgError{Code: code}).class; got != want {
			t.Errorf("%s: %s, want %s", code, got, want)
		}
	}
	if got := obstacleOf(errors.New("dial tcp: refused")).class; got != classConnection {
		t.Errorf("a refused connection is %s", got)
	}
}

func TestTheLineIsReadFromTheContextOfOurCOPYOnly(t *testing.T) {
	for where, want := range map[string]int{
		"COPY t, line 3, column amount: \"x\"":                         3,
		"COPY t, line 12":                                              12,
		"COPY t, line 4, column a: null input":                         4,
		"PL/pgSQL function f() line 9 at RAISE\nCOPY t, line 2: \"a\"": 2,
		"COPY other, line 3, column amount: \"x\"":                     0,
		"COPY t, line x":                                               0,
		"SQL statement \"COPY t\"":                                     0,
		"":                                                             0,
		"COPY t, Zeile 3, Spalte a:":                                   0,
	} {
		line, ok := lineOf(&pgconn.PgError{Code: "22P02", Where: where}, "t")
		if line != want && ok {
			t.Errorf("%q: line %d, want %d", where, line, want)
		}
		if ok != (want > 0) {
			t.Errorf("%q: found is %v", where, ok)
		}
	}
	err := &pgconn.PgError{Code: "22P02", Message: "bad", Where: "COPY t, line 3, column my col: \"x: y\""}
	if r := reasonOf(err, "t"); r.Column != "my col" || r.SQLState != "22P02" || r.Code != "22P02" {
		t.Errorf("%+v", r)
	}
}

func BenchmarkEncode(b *testing.B) {
	paths := []string{"id", "user", "kind", "amount", "currency", "at", "ok", "note"}
	columns := make([]column, len(paths))
	for i, p := range paths {
		columns[i] = fieldColumn(p)
	}
	e := testEncoder(columns...)
	batch := make(service.MessageBatch, 4000)
	for i := range batch {
		batch[i] = message(fmt.Sprintf(`{"id": %d, "user": "user-%06d", "kind": "purchase", "amount": %d.25, "currency": "EUR", `+
			`"at": "2026-11-22T21:57:00Z", "ok": true, "note": "a note about nothing in particular", "extra": {"a": [1, 2, 3], "b": "x"}, "session": "0123456789abcdef0123456789abcdef"}`, i, i, i))
	}
	b.ReportAllocs()
	for b.Loop() {
		out, err := e.encode(sink.RowsOf(batch))
		if err != nil || len(out.rows) != len(batch) {
			b.Fatal(err)
		}
		e.release(out)
	}
}
