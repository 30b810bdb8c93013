package postgrescopy_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"ddpm/engine/internal/enginetest"
)

// Without the key by which records are distinguished nothing is written, however it went and whatever comes next.
func TestWaitsForAKeyThatIsTakenAway(t *testing.T) {
	for name, change := range map[string]struct{ away, back string }{
		"dropped":    {`ALTER TABLE t DROP CONSTRAINT t_pkey`, `ALTER TABLE t ADD PRIMARY KEY (source, partition, "offset")`},
		"deferrable": {`ALTER TABLE t DROP CONSTRAINT t_pkey, ADD UNIQUE (source, partition, "offset") DEFERRABLE`, `ALTER TABLE t ADD PRIMARY KEY (source, partition, "offset"), DROP CONSTRAINT t_source_partition_offset_key`},
		"narrower":   {`ALTER TABLE t DROP CONSTRAINT t_pkey; CREATE UNIQUE INDEX ON t (source, partition, "offset") WHERE source > 5`, `ALTER TABLE t ADD PRIMARY KEY (source, partition, "offset")`},
		"invalid":    {`UPDATE pg_index SET indisvalid = false WHERE indexrelid = 't_pkey'::regclass`, `REINDEX INDEX t_pkey`},
		"another table": {`ALTER TABLE t RENAME TO away; CREATE TABLE t (LIKE away INCLUDING DEFAULTS)`,
			`DROP TABLE t; ALTER TABLE away RENAME TO t`},
	} {
		t.Run(name, func(t *testing.T) {
			db := newDatabase(t)
			db.exec(plainTable)
			s := db.start(options{inFlight: 4})
			s.MustProduce(span(0, 3)...)
			db.exec(change.away)
			done := s.background(span(0, 3)...)
			s.awaitLog(t, "(identity_key), waiting")
			s.awaitLog(t, `ADD PRIMARY KEY ("source", "partition", "offset")`)
			db.exec(change.back)
			must(t, <-done)
			s.MustProduce(span(2, 5)...)
			equal(t, "rows", db.offsets("t"), numbers(0, 5))
			equal(t, "dead letters", len(s.Dead.Sent()), 0)
		})
	}
}

func TestAKeyThatTakesThePlaceOfAnotherHoldsNothingUp(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable)
	s := db.start(options{})
	s.MustProduce(span(0, 3)...)
	db.exec(`REINDEX TABLE CONCURRENTLY t`)
	s.MustProduce(span(2, 5)...)
	db.exec(`CREATE UNIQUE INDEX other ON t ("offset", source, partition); ALTER TABLE t DROP CONSTRAINT t_pkey`)
	s.MustProduce(span(4, 8)...)
	equal(t, "rows", db.offsets("t"), numbers(0, 8))
	equal(t, "log lines of an outage", s.logged("waiting"), 0)
}

// A key on less than the identity is no reason for dead letters.
func TestAKeyOnLessThanTheIdentityWaits(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable)
	s := db.start(options{})
	s.MustProduce(span(0, 3)...)
	db.exec(`CREATE UNIQUE INDEX less ON t (source, "offset")`)
	batch := append(span(5, 8), good(2))
	batch[3].Partition = 5
	done := s.background(batch...)
	s.awaitLog(t, "(identity_key), waiting")
	db.exec(`DROP INDEX less`)
	must(t, <-done)
	equal(t, "rows", db.text(`SELECT count(*)::text FROM t`), "7")
	equal(t, "dead letters", len(s.Dead.Sent()), 0)
}

const fickle = `
	CREATE TABLE mood (refuses text); INSERT INTO mood VALUES ('nothing');
	CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE mood text := (SELECT refuses FROM mood); BEGIN
		IF mood = 'everything' OR (mood = 'thirteen' AND NEW.id = 13) OR (mood = 'half' AND NEW.id >= 5)
		THEN RAISE 'refused'; END IF; RETURN NEW; END $$;
	CREATE TRIGGER refuse BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION refuse()`

// That other batches were written, before or after, proves nothing against a row; and neither do rows of its own batch that
// were taken before whatever refuses all of them began.
func TestAnErrorThatComesAndGoesCostsNoRecord(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable + ";" + fickle)
	s := db.start(options{inFlight: 2})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		conn := db.connect()
		defer conn.Close(context.Background())
		for n := range 60 {
			mood := []string{"everything", "nothing"}[n%2]
			_, _ = conn.Exec(context.Background(), "UPDATE mood SET refuses = $1", mood)
			time.Sleep(time.Duration(10+n%7) * time.Millisecond)
		}
	}()
	var running []<-chan error
	for n := range 30 {
		running = append(running, s.background(span(n*50, n*50+50)...))
		if len(running) == 2 {
			must(t, <-running[0])
			running = running[1:]
		}
	}
	<-ended
	must(t, <-running[0])
	equal(t, "rows", db.offsets("t"), numbers(0, 1500))
	equal(t, "dead letters", len(s.Dead.Sent()), 0)
}

// Batches in each of which nothing shows that the table takes rows are decided together with one in which something does.
func TestLonelySuspectsAreWrittenWithOthers(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable + ";" + fickle + "; UPDATE mood SET refuses = 'thirteen'")
	s := db.start(options{inFlight: 4})
	s.MustProduce(span(0, 3)...)
	thirteen := func(offset int) enginetest.Record { return record(offset, `{"id": 13}`) }
	sent := []enginetest.Record{thirteen(10), record(11, `{"id": "x"}`), thirteen(20), good(1), thirteen(30)}
	first, second := s.background(sent[:2]...), s.background(sent[2:4]...)
	third := s.background(sent[4])
	s.awaitLog(t, "partition 4, offset")
	select {
	case err := <-third:
		t.Fatalf("a row that might be good did not wait: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	s.MustProduce(good(40), good(41))
	for _, done := range []<-chan error{first, second, third} {
		must(t, <-done)
	}
	equal(t, "rows", db.offsets("t"), "0 1 2 40 41")
	equal(t, "dead letters", len(s.dead(t, sent)["P0001"]), 3)
	equal(t, "poison", s.dead(t, sent)["22P02"], []string{"11"})
}

// What is redelivered after its good rows were written shows nothing about the others of its batch.
func TestASuspectAmongDuplicatesWaits(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable + ";" + fickle)
	s := db.start(options{inFlight: 2})
	s.MustProduce(good(0), good(1), good(2))
	db.exec(`UPDATE mood SET refuses = 'half'`)
	done := s.background(good(0), good(1), good(2), good(7))
	s.awaitLog(t, "(refused)")
	db.exec(`UPDATE mood SET refuses = 'nothing'`)
	must(t, <-done)
	equal(t, "rows", db.offsets("t"), "0 1 2 7")
	equal(t, "dead letters", len(s.Dead.Sent()), 0)
}

// A value that its type does not accept is poison, whatever the type calls that, and alone in its batch as well.
func TestValuesThatTheirTypeDoesNotAcceptArePoison(t *testing.T) {
	for kind, each := range map[string]struct{ value, code string }{
		"tsvector":      {"'open", "42601"},
		"tsvector long": {strings.Repeat("x", 3000), "54000"},
		"tsquery":       {"a &", "42601"},
		"jsonpath":      {"$.[", "42601"},
		"regclass":      {"no_such_table", "42P01"},
		"regtype":       {"no_such_type", "42704"},
		"interval":      {"1 fortnight", "22007"},
		"bit(3)":        {"10", "22026"},
		"cidr":          {"192.168.0.1/8", "22P02"},
		"numeric(3)":    {"12345", "22003"},
		"int4range":     {"[5,1]", "22000"},
		"timestamptz":   {"2024-01-01 00:00 Nowhere/City", "22023"},
		"bytea":         {"\\xZZ", "22023"},
		"text[]":        {"{a", "22P02"},
		"xid8":          {"-x", "22P02"},
		"evens":         {"3", "23514"},
	} {
		for _, notices := range []string{"notice", "warning"} {
			t.Run(kind+", "+notices, func(t *testing.T) {
				db := newDatabase(t)
				query := db.dsn.Query()
				query.Set("client_min_messages", notices)
				db.dsn.RawQuery = query.Encode()
				db.exec(`CREATE DOMAIN evens AS int CHECK (VALUE % 2 = 0);
					CREATE TABLE t (` + identityColumns + `, value ` + strings.TrimSuffix(kind, " long") + `)`)
				s := db.start(options{columns: `[{name: value, from: field, path: [value]}]`})
				poison := []enginetest.Record{record(1, fmt.Sprintf(`{"value": %q}`, each.value)), record(2, fmt.Sprintf(`{"value": %q}`, each.value))}
				s.MustProduce(poison[0])
				s.MustProduce(record(3, `{}`), poison[1], record(4, `{}`))
				equal(t, "rows", db.offsets("t"), "3 4")
				equal(t, "dead letters", s.dead(t, poison), map[string][]string{each.code: {"1", "2"}})
				equal(t, "column", s.Dead.Sent()[0].Headers["ddpm.errors.column"], "value")
			})
		}
	}
}

// Whatever the table does by itself, by its defaults, triggers, generated columns and constraints on what no record gives,
// is no record's fault while it strikes all of them.
func TestFaultsOfTheTableAreNoReasonForDeadLetters(t *testing.T) {
	for name, each := range map[string]struct{ fault, end string }{
		"a sequence at its end": {`CREATE SEQUENCE few MAXVALUE 2; SELECT nextval('few'), nextval('few'); ALTER TABLE t ADD nr int DEFAULT nextval('few')`,
			`ALTER SEQUENCE few MAXVALUE 1000`},
		"a sequence behind": {`ALTER TABLE t ADD nr int UNIQUE; INSERT INTO t (source, partition, "offset", nr) SELECT 9, 9, n, n FROM generate_series(1, 500) n;
			CREATE SEQUENCE behind; ALTER TABLE t ALTER nr SET DEFAULT nextval('behind')`,
			`SELECT setval('behind', 1000)`},
		"a trigger that divides by zero": {`CREATE FUNCTION divide() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.id := 1 / 0; RETURN NEW; END $$;
			CREATE TRIGGER divide BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION divide()`, `DROP TRIGGER divide ON t`},
		"a trigger into a table that refuses": {`CREATE TABLE log (id int NOT NULL); CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS
			$$ BEGIN INSERT INTO log VALUES (NULL); RETURN NEW; END $$; CREATE TRIGGER log AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION log()`,
			`ALTER TABLE log ALTER id DROP NOT NULL`},
		"a trigger into a table with a key": {`CREATE TABLE log (id int PRIMARY KEY); INSERT INTO log VALUES (1); CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS
			$$ BEGIN INSERT INTO log VALUES (1); RETURN NEW; END $$; CREATE TRIGGER log AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION log()`,
			`ALTER TABLE log DROP CONSTRAINT log_pkey`},
		"a trigger that empties a column": {`ALTER TABLE t ALTER name SET NOT NULL; CREATE FUNCTION empty() RETURNS trigger LANGUAGE plpgsql AS
			$$ BEGIN NEW.name := NULL; RETURN NEW; END $$; CREATE TRIGGER empty BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION empty()`,
			`DROP TRIGGER empty ON t`},
		"a trigger that speaks of a violation": {`CREATE FUNCTION check_it() RETURNS trigger LANGUAGE plpgsql AS
			$$ BEGIN RAISE 'not now' USING ERRCODE = 'check_violation'; END $$; CREATE TRIGGER check_it BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION check_it()`,
			`DROP TRIGGER check_it ON t`},
		"a generated column":               {`ALTER TABLE t ADD ratio int GENERATED ALWAYS AS (1 / (source - 1)) STORED`, `ALTER TABLE t DROP ratio`},
		"a default of a wrong kind":        {`ALTER TABLE t ADD extra int; ALTER TABLE t ALTER extra SET DEFAULT ('a' || 'b')::text::int`, `ALTER TABLE t DROP extra`},
		"a check that nothing passes":      {`ALTER TABLE t ADD extra int DEFAULT 1, ADD CHECK (extra > 1) NOT VALID`, `ALTER TABLE t DROP extra`},
		"a check on the identity":          {`ALTER TABLE t ADD CONSTRAINT c CHECK (source > 1)`, `ALTER TABLE t DROP CONSTRAINT c`},
		"an index that cannot be computed": {`CREATE INDEX broken ON t ((1 / (source - 1)))`, `DROP INDEX broken`},
	} {
		t.Run(name, func(t *testing.T) {
			db := newDatabase(t)
			db.exec(plainTable)
			s := db.start(options{})
			db.exec(each.fault)
			done := s.background(span(0, 4)...)
			s.awaitLog(t, "waiting: ")
			equal(t, "dead letters while it lasts", len(s.Dead.Sent()), 0)
			db.exec(each.end)
			must(t, <-done)
			equal(t, "rows", db.offsets("t WHERE source = 1"), numbers(0, 4))
			equal(t, "dead letters", len(s.Dead.Sent()), 0)
		})
	}
}

// Constraints on what a record gives are the record's matter, alone as well.
func TestConstraintsOnWhatARecordGives(t *testing.T) {
	for code, each := range map[string]string{
		"23514": `ALTER TABLE t ADD CHECK (length(name) > 1)`,
		"23505": `CREATE UNIQUE INDEX ON t (lower(name)); INSERT INTO t VALUES (9, 9, 9, 9, 'X')`,
		"23P01": `ALTER TABLE t ADD EXCLUDE (name WITH =); INSERT INTO t VALUES (9, 9, 9, 9, 'x')`,
		"23503": `CREATE TABLE names (name text PRIMARY KEY); ALTER TABLE t ADD FOREIGN KEY (name) REFERENCES names`,
		"23502": `ALTER TABLE t ALTER id SET NOT NULL`,
	} {
		for kind, by := range map[string]string{"plain": "", "partitioned": ` PARTITION BY LIST (partition); CREATE TABLE t_4 PARTITION OF t FOR VALUES IN (4); CREATE TABLE t_9 PARTITION OF t FOR VALUES IN (9)`} {
			if by != "" && (code == "23505" || code == "23P01") {
				continue // needs the key in the constraint
			}
			t.Run(code+", "+kind, func(t *testing.T) {
				db := newDatabase(t)
				db.exec(plainTable + by)
				db.exec(each)
				s := db.start(options{})
				sent := []enginetest.Record{record(1, `{"name": "x"}`)}
				s.MustProduce(sent...)
				equal(t, "rows", db.offsets("t WHERE source = 1"), "")
				equal(t, "dead letters", s.dead(t, sent), map[string][]string{code: {"1"}})
			})
		}
	}
}

// A trigger that skips, moves or changes rows without a word is found out before anything is committed.
func TestRowsThatATriggerTakesAwayAreMissed(t *testing.T) {
	trigger := func(when, body string) string {
		return `CREATE TABLE child () INHERITS (t); CREATE FUNCTION take() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ` + body + ` END $$;
			CREATE TRIGGER take ` + when + ` INSERT ON t FOR EACH ROW EXECUTE FUNCTION take()`
	}
	for name, each := range map[string]string{
		"skips":               trigger("BEFORE", `IF NEW.id = 101 THEN RETURN NULL; END IF; RETURN NEW;`),
		"moves to a child":    trigger("BEFORE", `INSERT INTO child SELECT NEW.*; RETURN NULL;`),
		"changes identity":    trigger("BEFORE", `NEW."offset" := NEW."offset" + 1000; RETURN NEW;`),
		"moves it afterwards": trigger("AFTER", `INSERT INTO child SELECT NEW.*; DELETE FROM ONLY t WHERE "offset" = NEW."offset"; RETURN NULL;`),
	} {
		for when, early := range map[string]bool{"from the start": true, "while it runs": false} {
			t.Run(name+" "+when, func(t *testing.T) {
				db := newDatabase(t)
				db.exec(plainTable)
				if early {
					db.exec(each)
				}
				s := db.start(options{})
				if !early {
					s.MustProduce(good(1))
					db.exec(each)
				}
				db.outage(s, "trigger", func() { db.exec(`DROP TRIGGER take ON t; DROP TABLE child`) })
			})
			t.Run(name+" "+when+", redelivered", func(t *testing.T) {
				db := newDatabase(t)
				db.exec(plainTable)
				s := db.start(options{})
				s.MustProduce(good(99))
				db.exec(each)
				done := s.background(append(span(98, 103), record(103, `{"id": "x"}`))...)
				s.awaitLog(t, "(trigger), waiting")
				db.exec(`DROP TRIGGER take ON t; DROP TABLE child`)
				must(t, <-done)
				equal(t, "rows", db.offsets("t"), numbers(98, 103))
			})
		}
	}
}

// A trigger that only looks, or fills other columns, is none to wait for.
func TestTriggersThatTakeNothingAwayHoldNothingUp(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable + `; CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := upper(NEW.name); RETURN NEW; END $$;
		CREATE TRIGGER fill BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION fill()`)
	s := db.start(options{})
	s.MustProduce(span(0, 5)...)
	s.MustProduce(good(3), good(5), record(6, `{"id": "x"}`))
	equal(t, "rows", db.text(`SELECT string_agg(name, ' ' ORDER BY "offset") FROM t`), "NAME 0 NAME 1 NAME 2 NAME 3 NAME 4 NAME 5")
}

func TestCommitsWaitForTheDisk(t *testing.T) {
	for setting, want := range map[string]string{"off": "on", "local": "on", "on": "on", "remote_apply": "remote_apply", "remote_write": "remote_write"} {
		for _, poison := range []string{"good", "with poison"} {
			t.Run(setting+", "+poison, func(t *testing.T) {
				db := newDatabase(t)
				db.exec(plainTable + `; CREATE TABLE seen (setting text); CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS
					$$ BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$;
					CREATE TRIGGER see AFTER INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION see()`)
				name, dsn := db.role("")
				db.exec("ALTER ROLE " + name + " SET synchronous_commit = " + setting)
				s := db.start(options{dsn: dsn})
				batch := []enginetest.Record{good(1), good(2)}
				if poison != "good" {
					batch[1] = record(2, `{"id": "x"}`)
				}
				s.MustProduce(batch...)
				equal(t, "setting", db.text(`SELECT string_agg(DISTINCT setting, ' ') FROM seen`), want)
			})
		}
	}
}

// A role may have rights on no more than the columns that it writes.
func TestRightsOnColumnsAreEnough(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable + ";" + fickle + "; UPDATE mood SET refuses = 'thirteen'")
	name, dsn := db.role("")
	db.exec(fmt.Sprintf(`REVOKE ALL ON t FROM %[1]s; GRANT SELECT (source, partition, "offset", id, name, at),
		INSERT (source, partition, "offset", id, name, at) ON t TO %[1]s`, name))
	s := db.start(options{dsn: dsn})
	batch := []enginetest.Record{good(1), record(2, `{"id": 13}`), record(3, `{"id": "x"}`), good(4)}
	s.MustProduce(batch...)
	s.MustProduce(good(1), good(5))
	equal(t, "rows", db.offsets("t"), "1 4 5")
	equal(t, "dead letters", s.dead(t, batch), map[string][]string{"P0001": {"2"}, "22P02": {"3"}})
}
