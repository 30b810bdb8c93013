package pgtext_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"ddpm/engine/internal/sinks/pgtext"
)

var types = []string{
	"smallint", "integer", "bigint", "int8", "numeric", "numeric(4,2)", "decimal(3)", "numeric(2, 4)", "real", "double precision",
	"boolean", "uuid", "json", "jsonb", "bytea", "varchar(3)", "character varying (3)", "char(2)", "char", "varchar", "text",
	"date", "timestamp", "timestamptz", "timestamp(3) with time zone", "time", "interval", "inet", "text[]", "int[][]",
}

var texts = []string{
	"", " ", "abc", "0", "1", " 42 ", "-7", "+7", "1.5", "1.", ".5", ".", "-", "1e2", "1e", "1E+2", "1e400", "1e-400", "0e400", "1e-50",
	"1e200000", "1e99999999999", "1e-99999999999", "99.99", "99.994", "99.995", "100", "-99.995", "0.0099", "0.00995", "0.01", "999", "999.4",
	"999.5", "32767", "32768", "-32768", "2147483648", "9223372036854775807", "9223372036854775808", "00000000000000000000000000000001",
	"NaN", "nan", "inf", "-Infinity", "infinityx", "1,5", "1 2", "--1", "t", "tr", "TRUE", "of", "off", "o", "yes", "y", "nope", "2",
	"0191f3c0-1c9a-7c3e-8f1d-2b3c4d5e6f70", "0191f3c01c9a7c3e8f1d2b3c4d5e6f70", "{0191f3c0-1c9a-7c3e-8f1d-2b3c4d5e6f70}", "0191f3c0",
	"0191f3c0-1c9a-7c3e-8f1d-2b3c4d5e6f7g", "{}", "[]", `{"a":1}`, `{"a":}`, `["a","b"]`, `[1,2]`, `{1,2}`, `{a,b}`, "[0:1]={1,2}", `"x"`, "null", "true",
	`{"a":"\u0000"}`, `{"a":"\\u0000"}`, `{"a":1e999999}`, `{"a":"1e999999"}`, `[1e400]`, `{"a":"\ud800"}`, "01",
	`\x00ff`, `\x0`, `\xzz`, `\x 00 ff`, `\\`, `\001`, `\1`, `\`, `a\\b`, "äöü", "äöüß", "abc   ", "abcd", "ab", "ab ",
	"2026-11-23", "2026-13-01", "2026-02-30", "2024-02-29", "2026-11-23T04:05:06.789123Z", "2026-11-23 04:05:06+02", "2026-11-23 24:00:01", "23.11.2026",
	"Nov 23 2026", "20261123", "261123", "20261123040506", "1700000000", "1700000000123", "1700000131", "1700000000.5", "999999999999999999",
	"now", "today", "infinity", "epoch", "tomorrow", "allballs", "noon", "04:05", "04:05:06.7", "1 day", "127.0.0.1",
	"0000-01-01", "0001-01-01", "9999999-01-01", "a\x00b", "a\xffb",
}

// TestNothingIsRefusedThatPostgresTakes compares with a real server, in both directions: what must never
// differ, and how much of what Postgres refuses is known.
func TestNothingIsRefusedThatPostgresTakes(t *testing.T) {
	dsn := os.Getenv("DDPM_TEST_POSTGRES_DSN")
	if dsn == "" {
		t.Skip("DDPM_TEST_POSTGRES_DSN is not set: it names the Postgres server for these tests")
	}
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	known, refusals := 0, 0
	for i, typeName := range types {
		table := fmt.Sprintf("pg_temp.t%d", i)
		if _, err := conn.Exec(ctx, fmt.Sprintf("CREATE TABLE %s (v %s)", table, typeName)); err != nil {
			t.Fatal(err)
		}
		for _, text := range texts {
			want := stateOf(t, conn.PgConn().ExecParams(ctx, "INSERT INTO "+table+" VALUES ($1)", [][]byte{[]byte(text)}, nil, nil, nil).Read().Err)
			said := pgtext.Refuses(typeName, text)
			if want != "" {
				refusals++
			}
			if said == nil {
				continue
			}
			known++
			if said.SQLState != want {
				t.Errorf("%s %q: said %s %s, Postgres: %q", typeName, text, said.SQLState, said.Message, want)
			}
		}
	}
	if known*4 < refusals*3 {
		t.Errorf("only %d of the %d refusals are known", known, refusals)
	}
}

func stateOf(t *testing.T, err error) string {
	t.Helper()
	var answer *pgconn.PgError
	if err != nil && !errors.As(err, &answer) {
		t.Fatal(err)
	}
	if answer == nil {
		return ""
	}
	return answer.Code
}

func TestTheAnswerIsInTheWordsOfPostgres(t *testing.T) {
	for _, c := range []struct{ typeName, text, want string }{
		{"BIGINT", "abc", `22P02 invalid input syntax for type bigint: "abc"`},
		{"int2", "40000", `22003 value "40000" is out of range for type smallint`},
		{"numeric(12, 2)", "12345678901", "22003 numeric field overflow (A field with precision 12, scale 2 must round to an absolute value less than 10^10.)"},
		{"varchar(3)", "abcd", "22001 value too long for type character varying(3)"},
		{"timestamp  with time zone", "soon", `22007 invalid input syntax for type timestamp with time zone: "soon"`},
		{"text", "a\x00", `22021 invalid byte sequence for encoding "UTF8": 0x00`},
	} {
		said := pgtext.Refuses(c.typeName, c.text)
		if said == nil || said.SQLState+" "+said.Message != c.want {
			t.Errorf("%s %q: %+v", c.typeName, c.text, said)
		}
	}
}

func TestTheNameOfATypeIsTakenApart(t *testing.T) {
	for typeName, want := range map[string]string{
		"JSONB": "jsonb false", `"jsonb"`: "jsonb false", "pg_catalog.jsonb[]": "jsonb true", `pg_catalog."json" [3]`: "json true",
		"timestamp(3) with time zone": "timestamp with time zone false", "int ARRAY[4]": "int true", "text array": "text true",
		`"JSONB"`: " false", "public.jsonb": " false", `"char"`: " false", `public."Mood"[]`: " true", "varchar ( 3 )": "varchar false", "_jsonb": "jsonb true", "_mine": "_mine false",
	} {
		name, list := pgtext.Base(typeName)
		if got := fmt.Sprint(name, " ", list); got != want {
			t.Errorf("%s: %q, want %q", typeName, got, want)
		}
	}
}

func TestWhatIsNotKnownPasses(t *testing.T) {
	for _, typeName := range []string{"public.mood", "interval day to second", "geometry(Point,4326)", `"char"`, "citext"} {
		if said := pgtext.Refuses(typeName, strings.Repeat("x", 100)); said != nil {
			t.Errorf("%s: %+v", typeName, said)
		}
	}
}
