package postgrescopy_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"ddpm/engine/internal/enginetest"
)

// outage sends good records while something is wrong, checks that they wait for the reason, ends
// what is wrong and checks that each of them arrived, none as a dead letter.
func (db *database) outage(s *sink, class string, end func()) {
	db.t.Helper()
	before := db.offsets("t")
	done := s.background(span(100, 110)...)
	s.awaitLog(db.t, "("+class+"), waiting")
	select {
	case err := <-done:
		db.t.Fatalf("the records did not wait: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	end()
	must(db.t, <-done)
	if before != "" {
		before += " "
	}
	equal(db.t, "rows", db.offsets("t"), before+numbers(100, 110))
	equal(db.t, "dead letters", len(s.Dead.Sent()), 0)
	equal(db.t, "log lines of the outage", s.logged("waiting: "), 1)
	equal(db.t, "log lines of its end", s.logged("takes rows again"), 1)
}

// role makes a user of the test's own and returns the address with it.
func (db *database) role(attributes string) (name string, dsn *url.URL) {
	db.t.Helper()
	name = db.schema + "_role"
	db.exec("CREATE ROLE " + name + " LOGIN PASSWORD 'first' " + attributes +
		"; GRANT USAGE ON SCHEMA " + db.schema + " TO " + name + "; GRANT ALL ON ALL TABLES IN SCHEMA " + db.schema + " TO " + name)
	db.t.Cleanup(func() { db.exec("DROP OWNED BY " + name + "; DROP ROLE " + name) })
	u := *db.dsn
	u.User = url.UserPassword(name, "first")
	return name, &u
}

func TestWaitsWhileTheServerRefusesConnections(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable)
	p := enginetest.NewProxy(t, db.dsn.Host)
	s := db.start(options{dsn: through(p, db.dsn), inFlight: 4})
	s.MustProduce(span(0, 5)...)
	p.Refuse(true)
	p.Cut()
	db.outage(s, "connection", func() { p.Refuse(false) })
}

func TestWaitsFromTheStart(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable)
	p := enginetest.NewProxy(t, db.dsn.Host)
	p.Refuse(true)
	s := db.start(options{dsn: through(p, db.dsn)})
	s.awaitLog(t, "(connection), waiting")
	p.Refuse(false)
	s.MustProduce(span(0, 5)...)
	equal(t, "rows", db.offsets("t"), numbers(0, 5))
}

func TestALostIdleConnectionIsNoOutage(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable)
	p := enginetest.NewProxy(t, db.dsn.Host)
	s := db.start(options{dsn: through(p, db.dsn)})
	s.MustProduce(good(1))
	p.Cut()
	s.MustProduce(good(2))
	equal(t, "rows", db.offsets("t"), "1 2")
	equal(t, "log lines of an outage", s.logged("waiting"), 0)
}

func TestASilentServerIsAway(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable)
	p := enginetest.NewProxy(t, db.dsn.Host)
	s := db.start(options{dsn: through(p, db.dsn), settings: "write_timeout: 300ms"})
	s.MustProduce(span(0, 5)...)
	p.Freeze()
	db.outage(s, "timeout", p.Thaw)
}

func TestALargeBatchIsAbandonedInTheMiddle(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable)
	p := enginetest.NewProxy(t, db.dsn.Host)
	s := db.start(options{dsn: through(p, db.dsn), settings: "write_timeout: 300ms"})
	s.MustProduce(good(0))
	p.Freeze()
	var large []enginetest.Record
	filler := fmt.Sprintf(`{"id": 1, "name": "%0900000d"}`, 0)
	for i := 1; i <= 9; i++ {
		large = append(large, record(i, filler))
	}
	done := s.background(large...)
	s.awaitLog(t, "(timeout), waiting")
	p.Thaw()
	must(t, <-done)
	equal(t, "rows", db.offsets("t"), numbers(0, 10))
}

func TestACommitWithoutAnAnswerIsNotWrittenTwice(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable)
	p := enginetest.NewProxy(t, db.dsn.Host)
	s := db.start(options{dsn: through(p, db.dsn)})
	s.MustProduce(good(0))
	p.MuteAt([]byte("COMMIT\x00"))
	done := s.background(span(1, 6)...)
	await(t, "the commit", func() bool { return db.offsets("t") == numbers(0, 6) })
	p.Unmute()
	p.Cut()
	must(t, <-done)
	equal(t, "rows", db.offsets("t"), numbers(0, 6))
	equal(t, "dead letters", len(s.Dead.Sent()), 0)
}

func TestTerminatedBackendsLoseAndRepeatNothing(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable)
	u := *db.dsn
	query := u.Query()
	query.Set("application_name", db.schema)
	u.RawQuery = query.Encode()
	s := db.start(options{dsn: &u, inFlight: 4})
	ended := make(chan struct{})
	var killer sync.WaitGroup
	killer.Go(func() {
		conn := db.connect()
		defer conn.Close(context.Background())
		for {
			select {
			case <-ended:
				return
			case <-time.After(50 * time.Millisecond):
				_, _ = conn.Exec(context.Background(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1", db.schema)
			}
		}
	})
	const batches, size = 40, 250
	var bad []int
	var sent []enginetest.Record
	var running []<-chan error
	for n := range batches {
		batch := span(n*size, (n+1)*size)
		batch[n].Value = []byte(`{"id": "x"}`)
		bad = append(bad, n*size+n)
		sent = append(sent, batch...)
		running = append(running, s.background(batch...))
		if len(running) == 4 {
			must(t, <-running[0])
			running = running[1:]
		}
	}
	for _, done := range running {
		must(t, <-done)
	}
	close(ended)
	killer.Wait()
	equal(t, "rows", db.offsets("t"), numbers(0, batches*size, bad...))
	letters := s.dead(t, sent)
	equal(t, "dead letters", len(letters["22P02"]), batches)
	equal(t, "kinds of dead letters", len(letters), 1)
}

func TestWaitsForTheRightPassword(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable)
	name, dsn := db.role("")
	p := enginetest.NewProxy(t, db.dsn.Host)
	s := db.start(options{dsn: through(p, dsn)})
	s.MustProduce(span(0, 3)...)
	db.exec("ALTER ROLE " + name + " PASSWORD 'second'")
	p.Cut()
	db.outage(s, "login", func() { db.exec("ALTER ROLE " + name + " PASSWORD 'first'") })
	equal(t, "log lines with the password", s.logged("first"), 0)
}

func TestWaitsForConnections(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable)
	name, dsn := db.role("")
	p := enginetest.NewProxy(t, db.dsn.Host)
	s := db.start(options{dsn: through(p, dsn)})
	s.MustProduce(span(0, 3)...)
	db.exec("ALTER ROLE " + name + " CONNECTION LIMIT 0")
	p.Cut()
	db.outage(s, "resources", func() { db.exec("ALTER ROLE " + name + " CONNECTION LIMIT -1") })
}

func TestWaitsForRights(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable)
	name, dsn := db.role("")
	s := db.start(options{dsn: dsn})
	s.MustProduce(span(0, 3)...)
	db.exec("REVOKE INSERT ON t FROM " + name)
	db.outage(s, "rights", func() { db.exec("GRANT INSERT ON t TO " + name) })
}

func TestWaitsWhileTheDatabaseIsReadOnly(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable)
	name, dsn := db.role("")
	p := enginetest.NewProxy(t, db.dsn.Host)
	s := db.start(options{dsn: through(p, dsn)})
	s.MustProduce(span(0, 3)...)
	db.exec("ALTER ROLE " + name + " SET default_transaction_read_only = on")
	p.Cut()
	db.outage(s, "read_only", func() { db.exec("ALTER ROLE " + name + " SET default_transaction_read_only = off") })
}

// list is an address with several servers; the one after the last is the database itself.
func (db *database) list(target string, servers ...string) *url.URL {
	u := *db.dsn
	u.Host = strings.Join(append(servers, db.dsn.Host), ",")
	query := u.Query()
	query.Set("target_session_attrs", target)
	u.RawQuery = query.Encode()
	return &u
}

// A machine that is switched off does not refuse connections: packets to it go unanswered.
func TestASilentServerOfAListDoesNotUseUpTheTimeOfTheNext(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable)
	away, alsoAway := enginetest.NewProxy(t, db.dsn.Host), enginetest.NewProxy(t, db.dsn.Host)
	away.Freeze()
	alsoAway.Freeze()
	s := db.start(options{dsn: db.list("read-write", away.Address(), alsoAway.Address()), settings: "write_timeout: 300ms"})
	s.MustProduce(span(0, 3)...)
	equal(t, "rows", db.offsets("t"), numbers(0, 3))
}

// Rows wait for the one that takes them, whichever of a list it is.
func TestAListOfReadOnlyServersIsWaitedFor(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable)
	name, dsn := db.role("")
	p := enginetest.NewProxy(t, db.dsn.Host)
	away := enginetest.NewProxy(t, db.dsn.Host)
	away.Refuse(true)
	list := db.list("read-write", away.Address())
	list.User, list.Host = dsn.User, away.Address()+","+p.Address()
	s := db.start(options{dsn: list})
	s.MustProduce(span(0, 3)...)
	db.exec("ALTER ROLE " + name + " SET default_transaction_read_only = on")
	p.Cut()
	db.outage(s, "read_only", func() { db.exec("ALTER ROLE " + name + " SET default_transaction_read_only = off") })
}

func TestWaitsForTheTable(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable)
	s := db.start(options{})
	s.MustProduce(span(0, 3)...)
	db.exec("ALTER TABLE t RENAME TO away")
	done := s.background(span(3, 6)...)
	s.awaitLog(t, "(missing), waiting")
	db.exec("ALTER TABLE away RENAME TO t")
	must(t, <-done)
	equal(t, "rows", db.offsets("t"), numbers(0, 6))
	equal(t, "dead letters", len(s.Dead.Sent()), 0)
}

func TestWaitsForTheIdentityKey(t *testing.T) {
	for name, table := range map[string]string{
		"none":       `source int, partition int, "offset" bigint`,
		"narrower":   `source int, partition int, "offset" bigint, CONSTRAINT k UNIQUE (source, "offset")`,
		"wider":      `source int, partition int, "offset" bigint, x int, CONSTRAINT k UNIQUE (source, partition, "offset", x)`,
		"deferrable": `source int, partition int, "offset" bigint, CONSTRAINT k UNIQUE (source, partition, "offset") DEFERRABLE`,
	} {
		t.Run(name, func(t *testing.T) {
			db := newDatabase(t)
			db.exec(`CREATE TABLE t (` + table + `, name text)`)
			s := db.start(options{columns: "[{name: name, from: field, path: [name]}]"})
			s.awaitLog(t, "(identity_key), waiting")
			db.exec(`ALTER TABLE t ADD UNIQUE (partition, source, "offset")`)
			s.MustProduce(span(0, 3)...)
			equal(t, "rows", db.offsets("t"), numbers(0, 3))
		})
	}
}

func TestWaitsForALockThatTimesOut(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable)
	u := *db.dsn
	query := u.Query()
	query.Set("statement_timeout", "150")
	u.RawQuery = query.Encode()
	s := db.start(options{dsn: &u})
	s.MustProduce(span(0, 3)...)
	db.outage(s, "timeout", db.lock("LOCK TABLE t IN SHARE MODE"))
}

func TestWaitsForALockBeyondItsPatience(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable)
	s := db.start(options{settings: "write_timeout: 200ms"})
	s.MustProduce(span(0, 3)...)
	db.outage(s, "timeout", db.lock("LOCK TABLE t IN SHARE MODE"))
}

// lock runs a statement in a transaction and returns the function that ends it.
func (db *database) lock(sql string) func() {
	db.t.Helper()
	conn := db.connect()
	tx, err := conn.BeginTx(context.Background(), pgx.TxOptions{})
	must(db.t, err)
	_, err = tx.Exec(context.Background(), sql)
	must(db.t, err)
	return func() {
		must(db.t, tx.Rollback(context.Background()))
		must(db.t, conn.Close(context.Background()))
	}
}

func TestWaitsForAPartition(t *testing.T) {
	db := newDatabase(t)
	db.exec(`CREATE TABLE t (` + identityColumns + `, id int, name text, at timestamptz) PARTITION BY LIST (partition);
		CREATE TABLE t_3 PARTITION OF t FOR VALUES IN (3)`)
	s := db.start(options{})
	db.outage(s, "partition", func() { db.exec("CREATE TABLE t_4 PARTITION OF t FOR VALUES IN (4)") })
	batch := span(200, 210)
	batch[5].Value = []byte(`{"id": "x"}`)
	s.MustProduce(append(batch, span(105, 110)...)...)
	equal(t, "rows", db.offsets("t"), numbers(100, 110)+" "+numbers(200, 210, 205))
	equal(t, "dead letters", s.dead(t, batch), map[string][]string{"22P02": {"205"}})
}

func TestRowsOutsideThePartitionThatTheTableIsWait(t *testing.T) {
	db := newDatabase(t)
	db.exec(`CREATE TABLE whole (` + identityColumns + `, id int, name text, at timestamptz) PARTITION BY LIST (partition);
		CREATE TABLE t PARTITION OF whole FOR VALUES IN (3)`)
	s := db.start(options{})
	db.outage(s, "partition", func() { db.exec("ALTER TABLE whole DETACH PARTITION t") })
}

// Rows on their way into the default partition, which a partition of their own overtakes, go into that one.
func TestAPartitionAttachedMeanwhileIsNoReasonForDeadLetters(t *testing.T) {
	for name, before := range map[string]int{"copy": 0, "after a conflict": 5} {
		t.Run(name, func(t *testing.T) {
			db := newDatabase(t)
			db.exec(`CREATE TABLE t (` + identityColumns + `, id int, name text, at timestamptz) PARTITION BY LIST (partition);
				CREATE TABLE t_default PARTITION OF t DEFAULT`)
			s := db.start(options{})
			s.MustProduce(span(0, before)...)
			conn := db.connect()
			defer conn.Close(context.Background())
			exec := func(sql string) {
				_, err := conn.Exec(context.Background(), sql)
				must(t, err)
			}
			exec("BEGIN; LOCK TABLE t_default IN ACCESS EXCLUSIVE MODE")
			done := s.background(span(0, 20)...)
			await(t, "a row that waits for the default partition", func() bool {
				return db.text("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 't_default'::regclass") != "0"
			})
			exec(`CREATE TABLE t_4 (LIKE t INCLUDING DEFAULTS);
				WITH moved AS (DELETE FROM t_default WHERE partition = 4 RETURNING *) INSERT INTO t_4 SELECT * FROM moved;
				ALTER TABLE t ATTACH PARTITION t_4 FOR VALUES IN (4); COMMIT`)
			must(t, <-done)
			equal(t, "rows", db.offsets("t_4"), numbers(0, 20))
			equal(t, "rows left behind", db.offsets("t_default"), "")
			equal(t, "dead letters", len(s.Dead.Sent()), 0)
		})
	}
}

func TestChangedColumnsWaitInsteadOfRejecting(t *testing.T) {
	for change, undo := range map[string]string{
		`ALTER TABLE t ALTER name TYPE int USING NULL`:        `ALTER TABLE t ALTER name TYPE text`,
		`ALTER TABLE t ADD more int NOT NULL CHECK (more>0);`: `ALTER TABLE t DROP more`,
		`ALTER TABLE t ALTER name TYPE varchar(3) USING 'x'`:  `ALTER TABLE t ALTER name TYPE text`,
		`ALTER TABLE t ALTER id SET NOT NULL`:                 `ALTER TABLE t ALTER id DROP NOT NULL`,
	} {
		t.Run(change, func(t *testing.T) {
			db := newDatabase(t)
			db.exec(plainTable)
			s := db.start(options{})
			s.MustProduce(good(0))
			db.exec(`TRUNCATE t; ` + change)
			batch := []enginetest.Record{good(1), record(2, `{"name": "without id"}`), good(3)}
			done := s.background(batch...)
			s.awaitLog(t, "(columns), waiting")
			equal(t, "dead letters", len(s.Dead.Sent()), 0)
			db.exec(undo)
			must(t, <-done)
			equal(t, "rows", db.offsets("t"), "1 2 3")
			equal(t, "dead letters", len(s.Dead.Sent()), 0)
		})
	}
}

// Good rows go on and bad ones are refused by the table as it is now.
func TestChangesThatTakeNothingAwayHoldNothingUp(t *testing.T) {
	for _, change := range []string{
		`ALTER TABLE t ADD more int`,
		`ALTER TABLE t ADD more int NOT NULL DEFAULT 7`,
		`ALTER TABLE t ADD more bigint GENERATED ALWAYS AS IDENTITY`,
		`ALTER TABLE t ALTER id TYPE bigint`,
		`ALTER TABLE t ALTER name DROP NOT NULL`,
		`ALTER TABLE t ALTER name SET DEFAULT 'x'`,
		`ALTER TABLE t ALTER short TYPE varchar`,
		`ALTER TABLE t DROP other`,
	} {
		t.Run(change, func(t *testing.T) {
			db := newDatabase(t)
			db.exec(`CREATE TABLE t (` + identityColumns + `, id int, name text NOT NULL, at timestamptz, short varchar(9), other int)`)
			s := db.start(options{})
			s.MustProduce(good(0))
			db.exec(change)
			batch := []enginetest.Record{good(1), record(2, `{"id": "x", "name": "y"}`), good(3)}
			s.MustProduce(batch...)
			s.MustProduce(good(4))
			equal(t, "rows", db.offsets("t"), "0 1 3 4")
			equal(t, "dead letters", s.dead(t, batch), map[string][]string{"22P02": {"2"}})
		})
	}
}

// A value that is too long for a column that has been made longer is poison all the same.
func TestPoisonOfALongerColumnHoldsNothingUp(t *testing.T) {
	db := newDatabase(t)
	db.exec(`CREATE TABLE t (` + identityColumns + `, id int, name varchar(6), at timestamptz)`)
	s := db.start(options{})
	s.MustProduce(good(0))
	db.exec(`ALTER TABLE t ALTER name TYPE varchar(8)`)
	batch := []enginetest.Record{good(1), record(2, `{"name": "too long for it"}`), record(3, `{"name": "fits now"}`)}
	s.MustProduce(batch...)
	equal(t, "rows", db.offsets("t"), "0 1 3")
	equal(t, "dead letters", s.dead(t, batch), map[string][]string{"22001": {"2"}})
}

// A row is refused only by a table that nobody changed between the refusal and the look at it: here the column that
// every row must give is gone again by then.
func TestColumnsThatComeAndGoCostNoRecord(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable)
	s := db.start(options{inFlight: 2})
	s.MustProduce(good(0))
	ended := make(chan struct{})
	var changer sync.WaitGroup
	changer.Go(func() {
		conn := db.connect()
		defer conn.Close(context.Background())
		for {
			select {
			case <-ended:
				return
			default:
				_, _ = conn.Exec(context.Background(), "TRUNCATE t; ALTER TABLE t ADD more int NOT NULL")
				_, _ = conn.Exec(context.Background(), "ALTER TABLE t DROP more")
			}
		}
	})
	for n := range 40 {
		s.MustProduce(span(100*n, 100*n+20)...)
	}
	close(ended)
	changer.Wait()
	equal(t, "dead letters", len(s.Dead.Sent()), 0)
}

func TestAnUnknownTopicWaits(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable)
	s := db.start(options{})
	other := good(1)
	other.Topic = "elsewhere"
	done := s.background(other)
	s.awaitLog(t, "(unknown_source), waiting")
	s.awaitLog(t, `"elsewhere" has no source number; known are: "events"`)
	_ = s.Stop(2 * time.Second)
	unacknowledged(t, done)
	equal(t, "dead letters", len(s.Dead.Sent()), 0)
}

func TestStoppingDuringAnOutageLeavesTheBatchUnacknowledged(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable)
	p := enginetest.NewProxy(t, db.dsn.Host)
	s := db.start(options{dsn: through(p, db.dsn), inFlight: 4})
	s.MustProduce(good(0))
	p.Refuse(true)
	p.Cut()
	done := s.background(span(1, 4)...)
	s.awaitLog(t, "(connection), waiting")
	started := time.Now()
	_ = s.Stop(3 * time.Second)
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("stopping took %s", took)
	}
	unacknowledged(t, done)
	equal(t, "dead letters", len(s.Dead.Sent()), 0)
	equal(t, "rows", db.offsets("t"), "0")
}

func unacknowledged(t *testing.T, done <-chan error) {
	t.Helper()
	select {
	case err := <-done:
		if err == nil {
			t.Error("the batch was acknowledged")
		}
	case <-time.After(100 * time.Millisecond):
	}
}

// Whoever works on one partition, and nothing else, holds up the rows of no other.
func TestALockedPartitionHoldsUpItsOwnRowsAlone(t *testing.T) {
	db := newDatabase(t)
	db.exec(`CREATE TABLE t (` + identityColumns + `, id int, name text, at timestamptz) PARTITION BY LIST (partition);
		CREATE TABLE t_3 PARTITION OF t FOR VALUES IN (3);
		CREATE TABLE t_4 PARTITION OF t FOR VALUES IN (4);
		CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
		CREATE TABLE other (id int); CREATE TRIGGER nothing BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION nothing()`)
	conn := db.connect()
	defer conn.Close(context.Background())
	_, err := conn.Exec(context.Background(), `BEGIN; LOCK TABLE t_3`)
	must(t, err)
	s := db.start(options{settings: "write_timeout: 1s"})
	s.MustProduce(append(span(0, 5), record(5, `{"id": "no number"}`))...)
	equal(t, "rows", db.offsets("t_4"), numbers(0, 5))
	equal(t, "log lines of an outage", s.logged("waiting"), 0)
}

// Behind a pooler that shares connections the server knows another transaction's prepared statements, or none.
func TestForgottenStatementsHoldNothingUp(t *testing.T) {
	db := newDatabase(t)
	db.exec(plainTable)
	db.exec(`CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DEALLOCATE ALL; RETURN NULL; END $$;
		CREATE TRIGGER forget AFTER INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION forget()`)
	s := db.start(options{})
	for begin := range 4 {
		s.MustProduce(span(begin*3, begin*3+3)...)
	}
	equal(t, "rows", db.offsets("t"), numbers(0, 12))
	equal(t, "log lines of an outage", s.logged("waiting"), 0)
}
