package postgrescopy_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"ddpm/engine/internal/enginetest"
)

const plainTable = `CREATE TABLE t (` + identityColumns + `, id int, name text, at timestamptz)`

func TestRowsArriveWithIdentityAndTypes(t *testing.T) {
	db := newDatabase(t)
	db.exec(`CREATE TABLE t (` + identityColumns + `, n numeric, s text, b boolean, d jsonb, doc json, at timestamptz)`)
	s := db.start(options{columns: `[{name: n, from: field, path: [a, n]}, {name: s, from: field, path: [s]}, {name: b, from: field, path: [b]},
		{name: d, from: field, path: [d]}, {name: doc, from: document}, {name: at, from: timestamp}]`})
	value := `{"a": {"n": 12345678901234567890.123}, "s": "tab\t nl\n cr\r bs\\ \"q\" \\N \\. ä \ud83d\ude00", "b": true, "d": {"x": ["\\", "\n"]}}`
	s.MustProduce(record(5, value))
	equal(t, "row", db.text(`SELECT format('%s|%s|%s|%s|%s|%s|%s', source, partition, "offset", n, b, d, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS')) FROM t`),
		`1|4|5|12345678901234567890.123|t|{"x": ["\\", "\n"]}|2023-11-14 22:13:20.005`)
	equal(t, "text", db.text(`SELECT s FROM t`), "tab\t nl\n cr\r bs\\ \"q\" \\N \\. ä \U0001F600")
	equal(t, "document", db.text(`SELECT doc FROM t`), value)
}

func TestAbsurdTimestampsDoNotCostTheRecord(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable)
	s := db.start(options{})
	records := span(0, 4)
	records[0].Timestamp = time.Time{}
	records[1].Timestamp = time.UnixMilli(1 << 62)
	records[2].Timestamp = time.UnixMilli(9224318016000000 - 1)
	records[3].Timestamp = time.UnixMilli(0)
	s.MustProduce(records...)
	equal(t, "timestamps", db.text(`SELECT string_agg(coalesce(to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS'), at::text, 'NULL'), ' / ' ORDER BY "offset") FROM t`),
		"NULL / infinity / 294276-12-31 23:59:59.999 / 1970-01-01 00:00:00.000")
}

func TestBadRecordsFailAloneInBatchesOfAnySize(t *testing.T) {
	bad := map[string]string{
		"type":      `{"id": "seven", "name": "x"}`,
		"range":     `{"id": 99999999999, "name": "x"}`,
		"zero byte": `{"id": 1, "name": "a\u0000b"}`,
		"surrogate": `{"id": 1, "name": "\ud800"}`,
		"not null":  `{"id": 1}`,
		"check":     `{"id": -1, "name": "x"}`,
		"unique":    `{"id": 1, "name": "taken"}`,
	}
	codes := map[string]string{
		"type": "22P02", "range": "22003", "zero byte": "22021", "surrogate": "22021", "not null": "23502", "check": "23514", "unique": "23505",
	}
	cases := maps.Clone(bad)
	for name, value := range bad {
		cases[name+", notices off"] = value
	}
	for name, value := range cases {
		t.Run(name, func(t *testing.T) {
			db := newDatabase(t)
			name, strict := strings.CutSuffix(name, ", notices off")
			if strict {
				// The server then does not say which rows it skips, as one that is too old does not.
				query := db.dsn.Query()
				query.Set("client_min_messages", "warning")
				db.dsn.RawQuery = query.Encode()
			}
			db.exec(`CREATE TABLE t (` + identityColumns + `, id int CHECK (id >= 0), name text NOT NULL, at timestamptz);
				CREATE UNIQUE INDEX ON t (name) WHERE name = 'taken';
				INSERT INTO t VALUES (9, 9, 9000, 9, 'taken')`)
			s := db.start(options{})
			var sent []enginetest.Record
			var offset int
			for _, shape := range []string{"b", "gb", "bg", "bb", "gbg", "gggbgbbggggggggggg", "bgggggggggggggggb"} {
				var batch []enginetest.Record
				for _, kind := range shape {
					r := good(offset)
					if kind == 'b' {
						r.Value = []byte(value)
					}
					batch = append(batch, r)
					offset++
				}
				s.MustProduce(batch...)
				sent = append(sent, batch...)
			}
			var wantRows, wantDead []string
			for _, r := range sent {
				if string(r.Value) == value {
					wantDead = append(wantDead, fmt.Sprint(r.Offset))
				} else {
					wantRows = append(wantRows, fmt.Sprint(r.Offset))
				}
			}
			equal(t, "rows", db.offsets("t WHERE source = 1"), strings.Join(wantRows, " "))
			equal(t, "dead letters", s.dead(t, sent), map[string][]string{codes[name]: wantDead})
		})
	}
}

// A batch may hold everything at once: values of a wrong kind, which the server skips, among rows that
// make it refuse whole pieces.
func TestBadRecordsOfAllKindsInOneBatch(t *testing.T) {
	db := newDatabase(t)
	db.exec(`CREATE TABLE t (` + identityColumns + `, id int CHECK (id >= 0), name text NOT NULL, at timestamptz)`)
	s := db.start(options{})
	bad := map[int]struct{ code, value string }{
		0:   {"22P02", `{"id": "a\tb\\c\nd", "name": "x"}`},
		1:   {"22003", `{"id": 99999999999, "name": "\\N"}`},
		250: {"23502", `{"id": 1}`},
		251: {"22P02", `{"id": true, "name": "x"}`},
		252: {"22P02", `{"id": {}, "name": null}`},
		600: {"23514", `{"id": -1, "name": "x"}`},
		601: {"22021", `{"id": 1, "name": "\u0000"}`},
		998: {"22P02", `{"id": "", "name": "x"}`},
		999: {"23514", `{"id": -2, "name": "x"}`},
	}
	var places []int
	want := map[string][]string{}
	for range 2 {
		batch := span(0, 1000)
		for at, each := range bad {
			batch[at] = record(at, each.value)
		}
		s.MustProduce(batch...)
		if places == nil {
			places = slices.Sorted(maps.Keys(bad))
			equal(t, "rows", db.offsets("t"), numbers(0, 1000, places...))
			for _, at := range places {
				want[bad[at].code] = append(want[bad[at].code], fmt.Sprint(at))
			}
			got := s.dead(t, batch)
			for _, offsets := range got {
				slices.SortFunc(offsets, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
			}
			equal(t, "dead letters", got, want)
		}
	}
	equal(t, "rows after redelivery", db.offsets("t"), numbers(0, 1000, places...))
}

func TestDeadLettersSayWhatAndWhere(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable)
	s := db.start(options{})
	s.MustProduce(good(1), record(2, `{"id": "seven"}`))
	got := s.Dead.Sent()[0].Headers
	for name, want := range map[string]string{
		"__connect.errors.stage": "sink", "__connect.errors.offset": "2", "ddpm.errors.sqlstate": "22P02",
		"ddpm.errors.column":                 "id",
		"__connect.errors.exception.message": `invalid input syntax for type integer: "seven"`,
	} {
		equal(t, name, got[name], want)
	}
}

func TestSinkAndProcessorFailuresInOneBatch(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable)
	s := db.start(options{processors: []string{
		`ddpm_json: {}`,
		`try: [{mapping: "meta = deleted()\nroot = if this.name == \"explode\" { throw(\"boom\") }"},
			{mutation: "root.name = this.name.or(\"\").uppercase()"}]`,
	}})
	var sent []enginetest.Record
	for base, shape := range []string{"g", "e", "b", "n", "ge", "gb", "eb", "bn", "gebn", "nbeggggggggbeng", "ebb", "eg"} {
		var batch []enginetest.Record
		for i, kind := range shape {
			offset := base*100 + i
			batch = append(batch, map[rune]enginetest.Record{
				'g': good(offset), 'e': record(offset, `{"id":1,"name":"explode"}`),
				'b': record(offset, `{"id":"x","name":"y"}`), 'n': record(offset, "\xff"),
			}[kind])
		}
		s.MustProduce(batch...)
		sent = append(sent, batch...)
	}
	want := map[string][]string{}
	var rows []string
	for _, r := range sent {
		offset := fmt.Sprint(r.Offset)
		switch {
		case strings.Contains(string(r.Value), "explode"):
			want["processor_failed"] = append(want["processor_failed"], offset)
		case strings.Contains(string(r.Value), `"x"`):
			want["22P02"] = append(want["22P02"], offset)
		case string(r.Value) == "\xff":
			want["invalid_utf8"] = append(want["invalid_utf8"], offset)
		default:
			rows = append(rows, offset)
		}
	}
	equal(t, "rows", db.offsets("t"), strings.Join(rows, " "))
	equal(t, "dead letters", s.dead(t, sent), want)
	equal(t, "mapped", db.text(`SELECT name FROM t WHERE "offset" = 0`), "NAME 0")
}

func TestFortyBadRowsInAFullBatch(t *testing.T) {
	for _, kind := range []string{"named by the line", "found by bisection"} {
		t.Run(kind, func(t *testing.T) {
			db := newDatabase(t)
			db.exec(`CREATE TABLE parent (id int PRIMARY KEY); INSERT INTO parent SELECT generate_series(0, 3999);
				CREATE TABLE t (` + identityColumns + `, id int REFERENCES parent, name text, at timestamptz)`)
			s := db.start(options{})
			batch := span(0, 4000)
			var bad []int
			var want []string
			for i := 50; i < 4000; i += 100 {
				batch[i].Value = []byte(`{"id": 5000}`)
				if kind == "named by the line" {
					batch[i].Value = []byte(`{"id": "x"}`)
				}
				bad = append(bad, i)
				want = append(want, fmt.Sprint(i))
			}
			started := time.Now()
			s.MustProduce(batch...)
			t.Logf("%d bad rows of %d took %s", len(bad), len(batch), time.Since(started).Round(time.Millisecond))
			code := map[string]string{"named by the line": "22P02", "found by bisection": "23503"}[kind]
			equal(t, "dead letters", s.dead(t, batch), map[string][]string{code: want})
			equal(t, "rows", db.offsets("t"), numbers(0, 4000, bad...))
		})
	}
}

func TestABatchOfNothingButBadRows(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable)
	s := db.start(options{})
	batch := span(0, 1000)
	for i := range batch {
		batch[i].Value = []byte(`{"id": "x"}`)
	}
	started := time.Now()
	s.MustProduce(batch...)
	t.Logf("1000 bad rows took %s", time.Since(started).Round(time.Millisecond))
	equal(t, "dead letters", len(s.dead(t, batch)["22P02"]), 1000)
	equal(t, "rows", db.offsets("t"), "")
}

func TestRedeliveryChangesNothing(t *testing.T) {
	db := newDatabase(t)
	db.exec(`CREATE TABLE t (` + identityColumns + `, id int, name text UNIQUE, at timestamptz)`)
	s := db.start(options{})
	s.MustProduce(span(0, 10)...)
	s.MustProduce(span(0, 10)...)
	s.MustProduce(span(5, 15)...)
	s.MustProduce(good(3))
	equal(t, "rows", db.offsets("t"), numbers(0, 15))
	equal(t, "dead letters", len(s.Dead.Sent()), 0)
}

const timedTable = `CREATE TABLE t (source int NOT NULL, partition int NOT NULL, "offset" bigint NOT NULL,
	"at,""\" timestamptz NOT NULL, id int, name text,
	PRIMARY KEY (source, partition, "offset", "at,""\")) `

// timed asks for the key of a table that is partitioned by time, by a column that has to be quoted in every place.
var timed = options{columns: `[{name: 'at,"\', from: timestamp, key: true}, {name: id, from: field, path: [id]}, ` +
	`{name: name, from: field, path: [name]}]`}

func TestRedeliveryIntoPartitionsChangesNothing(t *testing.T) {
	db := newDatabase(t)
	db.exec(timedTable + `PARTITION BY RANGE ("at,""\");
		CREATE TABLE t_2023 PARTITION OF t FOR VALUES FROM ('2023-11-01 00:00+00') TO ('2023-12-01 00:00+00');
		CREATE TABLE t_default PARTITION OF t DEFAULT`)
	s := db.start(timed)
	batch := span(0, 10)
	batch[3].Timestamp = time.Time{} // none
	batch[4].Timestamp = time.UnixMilli(-62_000_000_000_000)
	batch[5].Timestamp = time.UnixMilli(1 << 62)
	batch[7].Value = []byte(`{"id": "x"}`)
	s.MustProduce(batch...)
	s.MustProduce(append(batch, span(10, 12)...)...)
	s.MustProduce(batch[3], batch[5])
	equal(t, "rows", db.offsets("t"), numbers(0, 12, 7))
	equal(t, "rows outside the month", db.offsets("t_default"), "3 4 5")
	equal(t, "no timestamp", db.text(`SELECT "at,""\"::text FROM t WHERE "offset" = 3`), "-infinity")
	equal(t, "dead letters", s.dead(t, batch), map[string][]string{"22P02": {"7", "7"}})
}

func TestWaitsForTheKeyWithThePartitionsColumn(t *testing.T) {
	db := newDatabase(t)
	db.exec(`CREATE TABLE t (` + identityColumns + `, "at,""\" timestamptz NOT NULL, id int, name text)`)
	s := db.start(timed)
	db.outage(s, "identity_key", func() {
		db.exec(`ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (source, partition, "offset", "at,""\")`)
	})
	equal(t, "rows", db.offsets("t"), numbers(100, 110))
}

func TestRedeliveryWithBadRows(t *testing.T) {
	db := newDatabase(t)
	db.exec(`CREATE TABLE t (` + identityColumns + `, id int, name text UNIQUE, at timestamptz)`)
	s := db.start(options{})
	batch := span(0, 10)
	batch[4].Value = []byte(`{"id": "x"}`)
	batch[7].Value = []byte(`{"id": 7, "name": "name 1"}`)
	s.MustProduce(batch...)
	s.MustProduce(append(batch, span(10, 12)...)...)
	equal(t, "rows", db.offsets("t"), numbers(0, 12, 4, 7))
	equal(t, "dead letters", s.dead(t, batch), map[string][]string{"22P02": {"4", "4"}, "23505": {"7", "7"}})
}

// A row that is in the table is not lost, whatever the table has against it by now.
func TestRowsInTheTableAreNeverDeadLettered(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable)
	s := db.start(options{})
	s.MustProduce(span(0, 5)...)
	db.exec(`ALTER TABLE t ADD CHECK (id > 2) NOT VALID`)
	s.MustProduce(append(span(0, 5), good(6), record(7, `{"id": 0}`))...)
	equal(t, "rows", db.offsets("t"), numbers(0, 7, 5))
	equal(t, "dead letters", s.dead(t, append(span(0, 7), record(7, `{"id": 0}`))), map[string][]string{"23514": {"7"}})
}

func TestDeferredConstraintsAreIsolated(t *testing.T) {
	db := newDatabase(t)
	db.exec(`CREATE TABLE parent (id int PRIMARY KEY); INSERT INTO parent VALUES (1), (2);
		CREATE TABLE t (` + identityColumns + `, id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED, name text, at timestamptz)`)
	s := db.start(options{})
	batch := []enginetest.Record{good(1), good(2), good(3)}
	s.MustProduce(batch...)
	equal(t, "rows", db.offsets("t"), "1 2")
	equal(t, "dead letters", s.dead(t, batch), map[string][]string{"23503": {"3"}})
}

func TestRowsThatReferToLaterRowsOfTheirBatchAreGood(t *testing.T) {
	db := newDatabase(t)
	db.exec(`CREATE TABLE t (` + identityColumns + `, id int UNIQUE, name int REFERENCES t (id), at timestamptz)`)
	s := db.start(options{})
	batch := []enginetest.Record{
		record(1, `{"id": 1, "name": 2}`), record(2, `{"id": "x"}`), record(3, `{"id": 2, "name": 3}`), record(4, `{"id": 3}`),
	}
	s.MustProduce(batch...)
	equal(t, "rows", db.offsets("t"), "1 3 4")
	equal(t, "dead letters", s.dead(t, batch), map[string][]string{"22P02": {"2"}})
}

func TestTriggersThatRefuseARow(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable + `;
		CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF NEW.id = 13 THEN RAISE 'thirteen' USING DETAIL = 'unlucky'; END IF; RETURN NEW; END $$;
		CREATE TRIGGER refuse BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION refuse()`)
	s := db.start(options{inFlight: 2})
	batch := span(10, 16)
	s.MustProduce(batch...)
	equal(t, "rows", db.offsets("t"), numbers(10, 16, 13))
	equal(t, "dead letters", s.dead(t, batch), map[string][]string{"P0001": {"13"}})

	// Alone, the row could be good and the table out of order: it waits until the table takes another.
	alone := s.background(record(20, `{"id": 13}`))
	s.awaitLog(t, "(refused)")
	select {
	case err := <-alone:
		t.Fatalf("the row did not wait: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	s.MustProduce(good(21))
	must(t, <-alone)
	equal(t, "rows", db.offsets("t"), numbers(10, 22, 13, 16, 17, 18, 19, 20))
	equal(t, "dead letters", len(s.Dead.Sent()), 2)
}

func TestATableThatRefusesEverythingIsNoReasonForDeadLetters(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable + `;
		CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'closed'; END $$;
		CREATE TRIGGER refuse BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION refuse()`)
	s := db.start(options{})
	done := s.background(span(0, 5)...)
	s.awaitLog(t, "(refused)")
	db.exec(`DROP TRIGGER refuse ON t`)
	must(t, <-done)
	equal(t, "rows", db.offsets("t"), numbers(0, 5))
	equal(t, "dead letters", len(s.Dead.Sent()), 0)
}

func TestLargeRecords(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable)
	s := db.start(options{})
	deep := `{"id": 1, "name": ` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`
	batch := []enginetest.Record{
		record(1, `{"id": 1, "name": "`+strings.Repeat("ä\\n", 300_000)+`"}`), record(2, `{"id": "x"}`), record(3, deep), good(4),
	}
	s.MustProduce(batch...)
	equal(t, "rows", db.offsets("t"), "1 3 4")
	equal(t, "length", db.text(`SELECT length(name)::text FROM t WHERE "offset" = 1`), "600000")
}

func TestNamesAreQuoted(t *testing.T) {
	db := newDatabase(t)
	db.exec(`CREATE SCHEMA "` + db.schema + `_x""y"; CREATE TABLE "` + db.schema + `_x""y".t (` + identityColumns + `, "or""der, line 2" int)`)
	t.Cleanup(func() { db.exec(`DROP SCHEMA "` + db.schema + `_x""y" CASCADE`) })
	s := db.start(options{settings: `schema: '` + db.schema + `_x"y'`, columns: `[{name: 'or"der, line 2', from: field, path: [id]}]`})
	batch := []enginetest.Record{good(1), record(2, `{"id": "x"}`), good(3), good(2)}
	batch[3].Partition = 5
	s.MustProduce(batch...)
	equal(t, "rows", db.offsets(`"`+db.schema+`_x""y".t`), "1 2 3")
	equal(t, "column", s.Dead.Sent()[0].Headers["ddpm.errors.column"], `or"der, line 2`)
}

func TestRowsOfOneRecordAreToldApartByTheirIndex(t *testing.T) {
	db := newDatabase(t)
	db.exec(`CREATE TABLE t (source int NOT NULL, partition int NOT NULL, "offset" bigint NOT NULL, "index" int NOT NULL, id int CHECK (id < 100),
		PRIMARY KEY (source, partition, "offset", "index"))`)
	s := db.start(options{
		processors: []string{"test_lines: {}"},
		columns:    `[{name: id, from: field, path: [id]}]`,
		settings:   "indexed: true",
	})
	sent := []enginetest.Record{record(1, "{\"id\":1}\n{\"id\":2}\n{\"id\":300}\n{\"id\":4}"), record(2, `{"id":5}`)}
	for range 2 {
		s.MustProduce(sent...)
		equal(t, "rows", db.text(`SELECT string_agg(format('%s/%s=%s', "offset", "index", id), ' ' ORDER BY "offset", "index") FROM t`),
			"1/0=1 1/1=2 1/3=4 2/0=5")
	}
	db.exec(`ALTER TABLE t ADD CHECK (id > 4) NOT VALID`)
	again := db.start(options{
		processors: []string{"test_lines: {}"},
		columns:    `[{name: id, from: field, path: [id]}]`,
		settings:   "indexed: true",
	})
	again.MustProduce(sent...)
	for _, letters := range [][]enginetest.Sent{s.Dead.Sent()[:1], s.Dead.Sent()[1:], again.Dead.Sent()} {
		equal(t, "number of dead letters", len(letters), 1)
		equal(t, "dead letter's index", letters[0].Headers["ddpm.errors.index"], "2")
		equal(t, "dead letter's value", string(letters[0].Value), string(sent[0].Value))
	}
}

func TestATableWithoutAnIndexColumnWaitsForRecordsWithManyRows(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable)
	s := db.start(options{processors: []string{"test_lines: {}"}})
	done := s.background(good(1))
	s.awaitLog(t, "rows could not be told apart")
	_ = s.Stop(2 * time.Second)
	unacknowledged(t, done)
}
