package postgrescopy_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"ddpm/engine/internal/enginetest"
)

// stored writes values, each a JSON text, into a column of a type, and returns what stands there, by offset; a dead
// letter is its code in brackets.
func (db *database) stored(dsn *url.URL, typeName, more string, values ...string) []string {
	db.t.Helper()
	db.exec("DROP TABLE IF EXISTS t; CREATE TABLE t (" + identityColumns + ", v " + typeName + ")")
	s := db.start(options{dsn: dsn, columns: "[{name: v, from: field, path: [v]" + more + "}]"})
	var sent []enginetest.Record
	for i, value := range values {
		sent = append(sent, record(i, `{"v":`+value+`}`))
	}
	must(db.t, s.Produce(context.Background(), sent...))
	got := make([]string, len(values))
	dead := s.dead(db.t, sent)
	for i := range values {
		got[i] = db.text(fmt.Sprintf(`SELECT v::text FROM (SELECT 1) one LEFT JOIN t ON "offset" = %d`, i))
		for code, offsets := range dead {
			for _, offset := range offsets {
				if offset == fmt.Sprint(i) {
					got[i] = "[" + code + "]"
				}
			}
		}
	}
	return got
}

func TestAJSONValueStaysWhatItIs(t *testing.T) {
	db := newDatabase(t)
	db.exec("CREATE DOMAIN note AS jsonb CHECK (jsonb_typeof(value) <> 'x'); CREATE DOMAIN remark AS note")
	values := []string{`"hello"`, `"5"`, `"true"`, `"null"`, `""`, `5`, `1.50`, `true`, `null`, `[1,"2"]`, `{"a":"\t\\\""}`, `"a\tb\\c\"\u00e4"`, `"{\"a\":1}"`}
	want := []string{`"hello"`, `"5"`, `"true"`, `"null"`, `""`, `5`, `1.50`, `true`, `NULL`, `[1, "2"]`, `{"a": "\t\\\""}`, `"a\tb\\c\"ä"`, `"{\"a\":1}"`}
	for _, typeName := range []string{"jsonb", "remark"} {
		equal(t, typeName, db.stored(nil, typeName, "", values...), want)
	}
	want[9], want[10], want[11] = `[1,"2"]`, values[10], values[11]
	equal(t, "json", db.stored(nil, "json", "", values...), want)
	equal(t, "text that is JSON", db.stored(nil, "jsonb", ", format: json", `"{\"a\":1}"`, `"5"`, `"hello"`, `7`), []string{`{"a": 1}`, "5", "[22P02]", "7"})
}

func TestArraysBecomeArrays(t *testing.T) {
	db := newDatabase(t)
	db.exec("CREATE DOMAIN tags AS text[]; CREATE DOMAIN word AS text; CREATE TYPE mood AS ENUM ('ok', 'so so')")
	for _, c := range []struct{ typeName, value, want string }{
		{"text[]", `["a","b c",null,"NULL","","x\"y","x\\y","{,}","\ttab\n","ä\u20ac",1.50,true,{"k":"v"}]`,
			`{a,"b c",NULL,"NULL","","x\"y","x\\y","{,}","` + "\ttab\n" + `",ä€,1.50,true,"{\"k\":\"v\"}"}`},
		{"text[]", `[]`, `{}`},
		{"text[]", `[["a","b"],["c",null]]`, `{{a,b},{c,NULL}}`},
		{"text[]", `[["a"],[]]`, "[22P02]"},
		{"text[]", `null`, "NULL"},
		{"text[]", `"{a,b}"`, "{a,b}"},
		{"text[]", `"a"`, "[22P02]"},
		{"text[]", `[[[[[[["deep"]]]]]]]`, "[array_too_deep]"},
		{"varchar(2)[]", `["abc"]`, "[22001]"},
		{"int[]", `[1, -2,null,"3"]`, "{1,-2,NULL,3}"},
		{"int[]", `[1.5]`, "[22P02]"},
		{"int[3]", `[[1,2],[3,4]]`, "{{1,2},{3,4}}"},
		{"bigint[]", `[9223372036854775807]`, "{9223372036854775807}"},
		{"numeric[]", `[12345678901234567890.12, 1e2]`, "{12345678901234567890.12,100}"},
		{"double precision[]", `["NaN", 1e400]`, "[22003]"},
		{"boolean[]", `[true,false,null]`, "{t,f,NULL}"},
		{"timestamptz[]", `["2026-11-23T04:05:06Z"]`, `{"2026-11-23 04:05:06+00"}`},
		{"bytea[]", `["\\x00ff"]`, `{"\\x00ff"}`},
		{"jsonb[]", `[{"a":"x\"y"},"hello","5",5,null,[1,2],true]`, `{"{\"a\": \"x\\\"y\"}","\"hello\"","\"5\"",5,NULL,"[1, 2]",true}`},
		{"json[]", `["a"]`, `{"\"a\""}`},
		{"uuid[]", `["0191f3c0-1c9a-7c3e-8f1d-2b3c4d5e6f70"]`, "{0191f3c0-1c9a-7c3e-8f1d-2b3c4d5e6f70}"},
		{"mood[]", `["so so"]`, `{"so so"}`},
		{"mood[]", `["bad"]`, `[22P02]`},
		{"tags", `["a",null]`, "{a,NULL}"},
		{"word[]", `["a b"]`, `{"a b"}`},
		{"box[]", `["(1,1),(0,0)","(2,2),(0,0)"]`, "{(1,1),(0,0);(2,2),(0,0)}"},
		{"text", `["a", 1]`, `["a", 1]`},
		{"point", `"(1,2)"`, "(1,2)"},
		{"int4range", `"[1,5)"`, "[1,5)"},
		{"int4multirange", `"{[1,5),[7,9)}"`, "{[1,5),[7,9)}"},
		{"int4range", `[1,4]`, "[1,5)"},
		{"int4range[]", `["[1,5)"]`, `{"[1,5)"}`},
		{"text", `true`, "true"},
		{"boolean", `false`, "false"},
	} {
		equal(t, c.typeName+" "+c.value, db.stored(nil, c.typeName, "", c.value), []string{c.want})
	}
}

func TestTimesAreReadTheSameForEveryRole(t *testing.T) {
	db := newDatabase(t)
	role := db.schema + "_role"
	db.exec(`CREATE ROLE ` + role + ` LOGIN PASSWORD 'p'; GRANT ALL ON SCHEMA ` + db.schema + ` TO ` + role + `;
		ALTER ROLE ` + role + ` SET TimeZone = 'Asia/Kolkata'; ALTER ROLE ` + role + ` SET DateStyle = 'German, DMY';
		ALTER ROLE ` + role + ` SET IntervalStyle = 'sql_standard'; ALTER ROLE ` + role + ` SET array_nulls = off;
		ALTER DEFAULT PRIVILEGES IN SCHEMA ` + db.schema + ` GRANT ALL ON TABLES TO ` + role)
	t.Cleanup(func() {
		db.exec("DROP OWNED BY " + role + "; DROP ROLE " + role)
	})
	dsn := *db.dsn
	dsn.User = url.UserPassword(role, "p")
	for _, c := range []struct{ typeName, value, want string }{
		{"timestamptz", `"2026-02-01T10:00:00"`, "2026-02-01 10:00:00+00"},
		{"date", `"01/02/2026"`, "2026-01-02"},
		{"interval", `"-1 2:03:04"`, "-1 days +02:03:04"},
		{"text[]", `[null]`, "{NULL}"},
	} {
		equal(t, c.typeName, db.stored(&dsn, c.typeName, "", c.value), []string{c.want})
	}
	query := dsn.Query()
	query.Set("timezone", "Asia/Tokyo")
	query.Set("options", "-c DateStyle=ISO,DMY")
	dsn.RawQuery = query.Encode()
	equal(t, "a zone of the URL", db.stored(&dsn, "timestamptz", "", `"2026-02-01T10:00:00"`), []string{"2026-02-01 01:00:00+00"})
	equal(t, "an order of the URL", db.stored(&dsn, "date", "", `"01/02/2026"`), []string{"2026-02-01"})
}

// As behind a pooler, which may lend another connection for each transaction.
func TestSettingsOfASessionAreThoseOfEachTransaction(t *testing.T) {
	db := newDatabase(t)
	db.exec(`CREATE TABLE t (` + identityColumns + `, span interval, words text[]);
		CREATE FUNCTION reset() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RESET IntervalStyle; RESET array_nulls; RETURN NULL; END $$;
		CREATE TRIGGER reset AFTER INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION reset()`)
	role, dsn := db.role("")
	db.exec(`ALTER ROLE ` + role + ` SET IntervalStyle = 'sql_standard'; ALTER ROLE ` + role + ` SET array_nulls = off`)
	s := db.start(options{dsn: dsn, columns: `[{name: span, from: field, path: [span]}, {name: words, from: field, path: [words]}]`})
	for offset := range 2 {
		s.MustProduce(record(offset, `{"span": "-1 2:03:04", "words": [null]}`))
	}
	equal(t, "rows", db.text(`SELECT string_agg(DISTINCT span || ' ' || words::text, '; ') FROM t`), "-1 days +02:03:04 {NULL}")
}

// The text of a value depends on its column's type, also when that becomes another one while records flow.
func TestValuesAreThoseOfTheTypeThatAColumnHasNow(t *testing.T) {
	db := newDatabase(t)
	db.exec(`CREATE TABLE t (` + identityColumns + `, v text)`)
	s := db.start(options{inFlight: 2, columns: `[{name: v, from: field, path: [v]}]`})
	s.MustProduce(record(0, `{"v": "5"}`))
	db.exec(`ALTER TABLE t ALTER v TYPE jsonb USING to_jsonb(v)`)
	s.MustProduce(record(1, `{"v": "5"}`), record(2, `{"v": true}`))
	db.exec(`ALTER TABLE t ALTER v TYPE text USING v #>> '{}'`)
	s.MustProduce(record(3, `{"v": "5"}`), record(4, `{"v": true}`))
	equal(t, "rows", db.text(`SELECT string_agg(v, ' ' ORDER BY "offset") FROM t`), "5 5 true 5 true")
	equal(t, "log lines of an outage", s.logged("waiting"), 0)
	db.exec(`TRUNCATE t; ALTER TABLE t ALTER v TYPE boolean USING v::boolean`)
	s.MustProduce(record(5, `{"v": true}`))
	db.exec(`ALTER TABLE t ALTER v TYPE jsonb USING to_jsonb(v)`)
	s.MustProduce(record(6, `{"v": "true"}`), record(7, `{"v": true}`))
	equal(t, "rows", db.text(`SELECT string_agg(v::text, ' ' ORDER BY "offset") FROM t`), `true "true" true`)
	equal(t, "dead letters", len(s.Dead.Sent()), 0)
}

func TestFormatsGiveTheExactTime(t *testing.T) {
	db := newDatabase(t)
	for _, c := range []struct{ typeName, more, value, want string }{
		{"timestamptz", "format: epoch_ms", `1700000000123`, "2023-11-14 22:13:20.123+00"},
		{"timestamptz", "format: epoch_us", `"1700000000123457"`, "2023-11-14 22:13:20.123457+00"},
		{"timestamptz", "format: epoch_ns", `9007199254740993000`, "2255-06-05 23:47:34.740993+00"},
		{"timestamptz", "format: epoch_s", `1.7000000005e9`, "2023-11-14 22:13:20.5+00"},
		{"timestamptz", "format: epoch_s", `-0.25`, "1969-12-31 23:59:59.75+00"},
		{"timestamptz", "format: epoch_ms", `"soon"`, "[bad_format]"},
		{"timestamptz", "format: epoch_ms", `1e30`, "[bad_format]"},
		{"timestamptz", "format: epoch_ms", `true`, "[bad_format]"},
		{"timestamptz", "format: epoch_s", `-99999999999`, "1200-02-15 14:13:21+00 BC"},
		{"timestamp", "format: epoch_ms, zone: Europe/Berlin", `1700000000123`, "2023-11-14 23:13:20.123"},
		{"timestamptz[]", "format: epoch_s", `[0,null,"1"]`, `{"1970-01-01 00:00:00+00",NULL,"1970-01-01 00:00:01+00"}`},
		{"date", "format: epoch_s", `86399`, "1970-01-01"},
		{"timestamptz", `format: "%d.%m.%Y %H:%M", zone: Europe/Berlin`, `"01.02.2026 10:00"`, "2026-02-01 09:00:00+00"},
		{"timestamptz", `format: "%d.%m.%Y %H:%M"`, `"01.02.2026 10:00"`, "2026-02-01 10:00:00+00"},
		{"timestamptz", "zone: Europe/Berlin", `"2026-07-01T10:00:00.5"`, "2026-07-01 08:00:00.5+00"},
		{"timestamptz", "zone: Europe/Berlin", `"2026-07-01T10:00:00+05:30"`, "2026-07-01 04:30:00+00"},
		{"timestamptz", "zone: Europe/Berlin", `"2026-10-25 02:30"`, "2026-10-25 00:30:00+00"},
		{"timestamptz", "zone: Europe/Berlin", `"2026-03-29 02:30"`, "[bad_format]"},
		{"timestamptz", "format: iso", `"2016-12-31T23:59:60Z"`, "2017-01-01 00:00:00+00"},
		{"timestamptz", "format: iso", `"2016-12-31T24:00:00+01:00"`, "2016-12-31 23:00:00+00"},
		{"timestamptz", "format: iso", `"2016-12-31T24:00:01Z"`, "[bad_format]"},
		{"time", `format: "%H:%M:%S"`, `"24:00:00"`, "24:00:00"},
		{"timestamp", "format: iso", `"2026-07-01T10:00:00+05:30"`, "2026-07-01 04:30:00"},
		{"timestamp", "", `"2026-07-01T10:00:00+05:30"`, "2026-07-01 10:00:00"},
		{"date", `format: "%d/%b/%y"`, `"05/Mar/26"`, "2026-03-05"},
		{"date", `format: "%Y%m%d"`, `20260305`, "2026-03-05"},
		{"date", `format: "%d.%m.%Y"`, `"31.02.2026"`, "[bad_format]"},
		{"time", `format: "%I:%M %p"`, `"12:05 am"`, "00:05:00"},
		{"text", "format: epoch_s", `0`, "1970-01-01 00:00:00+00"},
	} {
		more := strings.TrimSuffix(", "+c.more, ", ")
		equal(t, c.typeName+" "+c.more+" "+c.value, db.stored(nil, c.typeName, more, c.value), []string{c.want})
	}
}

func TestColumnsOfTheRecordItself(t *testing.T) {
	db := newDatabase(t)
	db.exec("CREATE TABLE t (" + identityColumns + `, k text, kb bytea, h text, hb bytea, hj jsonb, topic text, p int, o bigint, at timestamptz)`)
	s := db.start(options{columns: `[{name: k, from: key}, {name: kb, from: key_bytes}, {name: h, from: header, header: trace}, {name: hb, from: header, header: trace},
		{name: hj, from: header, header: trace}, {name: topic, from: topic}, {name: p, from: partition}, {name: o, from: offset}, {name: at, from: timestamp}]`})
	plain, bad, bare := record(1, "{}"), record(2, "{}"), record(3, "no JSON")
	plain.Key, bare.Key = "K1", ""
	plain.Headers = map[string][]string{"trace": {"first", "a\tb\"c"}}
	must(t, s.Produce(context.Background(), plain, bad, bare))
	equal(t, "dead letters", s.dead(t, []enginetest.Record{plain, bad, bare}), map[string][]string{"22021": {"2"}})
	equal(t, "row", db.text(`SELECT concat_ws('|', k, kb, h, hb, hj, topic, p, o, at) FROM t WHERE "offset" = 1`),
		"K1|\\x4b31|a\tb\"c|\\x6109622263|\"a\\tb\\\"c\"|events|4|1|2023-11-14 22:13:20.001+00")
	equal(t, "bare", db.text(`SELECT concat_ws('|', k, kb, h, hb, hj) FROM t WHERE "offset" = 3`), "")
}

func TestAColumnThatIsNeverFoundIsTold(t *testing.T) {
	db := newDatabase(t)
	db.exec("CREATE TABLE t (" + identityColumns + ", id bigint, name text, n int)")
	for _, c := range []struct {
		key, hint string
		rows      int
	}{
		{"user_Name", `; it has "username"`, 100},
		{"usrname", `; it has "username"`, 100},
		{"sernmae", `; its keys are id, n, username`, 1000},
	} {
		db.exec("TRUNCATE t")
		s := db.start(options{columns: `[{name: id, from: field, path: [id]}, {name: name, from: field, path: [` + c.key + `]}, {name: n, from: field, path: [n]}]`})
		var sent []enginetest.Record
		for i := range c.rows {
			sent = append(sent, record(i, fmt.Sprintf(`{"id":%d,"username":"x","n":null}`, i)))
		}
		must(t, s.Produce(context.Background(), sent[:c.rows-1]...))
		equal(t, "told too early", s.logged("is NULL in every row"), 0)
		must(t, s.Produce(context.Background(), sent[c.rows-1]))
		s.awaitLog(t, fmt.Sprintf(`The column "name" is NULL in every row: none of the first %d documents has %q%s.`, c.rows, c.key, c.hint))
		must(t, s.Produce(context.Background(), record(c.rows, `{"`+c.key+`":"y"}`)))
		s.awaitLog(t, `The column "name" has a value now.`)
		equal(t, "columns told", s.logged("is NULL in every row"), 1)
	}
}

func TestTextInColumnsOfNumbers(t *testing.T) {
	db := newDatabase(t)
	db.exec("CREATE DOMAIN pairs AS int CHECK (VALUE % 2 = 0)")
	values := []string{`"12"`, `"x"`, `" 12 "`, `""`, `12`, `"-12"`, `"1e3"`, `"NaN"`, `"12."`, `"9999999999999999999"`, `true`, `{"a":1}`, `"\t12"`, `"1.2.3"`, `"-"`}
	for typeName, want := range map[string][]string{
		"int":     {"12", "[22P02]", "12", "[22P02]", "12", "-12", "[22P02]", "[22P02]", "[22P02]", "[22003]", "[22P02]", "[22P02]", "12", "[22P02]", "[22P02]"},
		"pairs":   {"12", "[22P02]", "12", "[22P02]", "12", "-12", "[22P02]", "[22P02]", "[22P02]", "[22003]", "[22P02]", "[22P02]", "12", "[22P02]", "[22P02]"},
		"numeric": {"12", "[22P02]", "12", "[22P02]", "12", "-12", "1000", "NaN", "12", "9999999999999999999", "[22P02]", "[22P02]", "12", "[22P02]", "[22P02]"},
		"float8":  {"12", "[22P02]", "12", "[22P02]", "12", "-12", "1000", "NaN", "12", "1e+19", "[22P02]", "[22P02]", "12", "[22P02]", "[22P02]"},
	} {
		equal(t, typeName, db.stored(nil, typeName, "", values...), want)
	}
}

func TestTextThatAColumnTakesSinceItsTypeChanged(t *testing.T) {
	db := newDatabase(t)
	db.exec("CREATE TABLE t (" + identityColumns + ", v int)")
	s := db.start(options{columns: "[{name: v, from: field, path: [v]}]"})
	s.MustProduce(record(0, `{"v":1}`))
	db.exec("ALTER TABLE t ALTER v TYPE text")
	s.MustProduce(record(1, `{"v":"x"}`), record(2, `{"v":2}`))
	equal(t, "rows", db.text(`SELECT string_agg(v, ' ' ORDER BY "offset") FROM t`), "1 x 2")
}
