package postgrescopy

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"ddpm/engine/internal/sinks/pgaddress"
)

// sessions are the connections that no write uses at the moment. There are never more than writes
// in flight.
type sessions struct {
	conf *config
	// encoder knows the columns' types.
	encoder *encoder
	// poisoned reports whether the last batch that was looked at row by row had bad rows.
	poisoned atomic.Bool
	// strict is set when the server cannot say which rows it skips.
	strict atomic.Bool
	// forgets is set when the server does not know what it has prepared for a connection: somebody in between gives a
	// transaction whichever connection is free.
	forgets atomic.Bool

	mu     sync.Mutex
	idle   []*session
	closed bool
	// atStart is the table as it was when it was first seen.
	atStart *table
}

func newSessions(c *config, e *encoder) *sessions { return &sessions{conf: c, encoder: e} }

// ready returns once the table was seen, on which the text of values depends.
func (p *sessions) ready(ctx context.Context) error {
	p.mu.Lock()
	seen := p.atStart != nil
	p.mu.Unlock()
	if seen {
		return nil
	}
	s, err := p.take(ctx)
	if err == nil {
		p.give(s)
	}
	return err
}

// take returns an idle session or opens one.
func (p *sessions) take(ctx context.Context) (*session, error) {
	p.mu.Lock()
	if last := len(p.idle) - 1; last >= 0 {
		s := p.idle[last]
		p.idle = p.idle[:last]
		p.mu.Unlock()
		return s, nil
	}
	p.mu.Unlock()
	return p.open(ctx)
}

// give takes back a session that is between two transactions.
func (p *sessions) give(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || s.conn.IsClosed() {
		s.close()
		return
	}
	s.wasIdle = true
	p.idle = append(p.idle, s)
}

func (p *sessions) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, s := range p.idle {
		s.close()
	}
	p.idle = nil
}

func (p *sessions) open(ctx context.Context) (*session, error) {
	s := &session{pool: p, patience: p.conf.writeTimeout, prepared: map[string]string{}}
	connection := p.conf.connection.Copy()
	connection.OnNotice = s.notice
	if connection.ConnectTimeout == 0 {
		connection.ConnectTimeout = min(pgaddress.ConnectTimeout, p.conf.writeTimeout)
	}
	// Each server of a list, and each address of a name, has that time: one that is silent must not use up that of the next.
	limit := p.conf.writeTimeout + connection.ConnectTimeout*time.Duration(len(connection.Fallbacks))
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := pgconn.ConnectConfig(limited, connection)
	if err != nil {
		switch why := obstacleOf(err); {
		case ctx.Err() != nil || why.class != classConnection || !pgconn.Timeout(err):
			return nil, err
		case len(connection.Fallbacks) == 0:
			return nil, silence(connection.ConnectTimeout)
		default:
			return nil, &obstacle{classTimeout, why.text}
		}
	}
	s.conn = conn
	if err := s.prepare(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// prepare looks at the table, which shows at once that the server answers. It is done again once the table's key,
// types or triggers are others.
func (s *session) prepare(ctx context.Context) error {
	t, err := s.describe(ctx, s.pool.conf.schema, s.pool.conf.table)
	if err != nil {
		return err
	}
	if err := t.check(s.pool.conf.key()); err != nil {
		return err
	}
	shapes, err := s.describeShapes(ctx, t)
	if err != nil {
		return err
	}
	s.pool.encoder.shapes.Store(&shapes)
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	if s.pool.atStart == nil {
		s.pool.atStart = t
	}
	s.table, s.shapes = t, shapes
	s.sql = statementsFor(t, s.pool.conf)
	return nil
}

// session is one connection. It serves one write at a time; after any error but a refused row it is
// closed, since what the server still does with it is not known.
type session struct {
	conn     *pgconn.PgConn
	pool     *sessions
	patience time.Duration
	table    *table
	// shapes are the columns' types, seen no earlier than the table.
	shapes []shape
	sql    statements
	// unconfirmed is set when the server gave up waiting for its synchronous standby, and says that the commit is done.
	unconfirmed bool
	// skipped is what the last COPY left out.
	skipped []skip
	// seen holds the table's columns if this transaction has looked at them: its lock keeps others from
	// changing them until its end.
	seen []tableColumn
	// wasIdle is set once the session waited for work: only then can it have died unnoticed.
	wasIdle bool
	// prepared names the statements that the server has prepared for this connection, by their text.
	prepared map[string]string
}

// close gives up the connection without waiting for the server, which may be gone.
func (s *session) close() {
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.conn.Close(ctx)
	}()
}

// exec runs statements without parameters and returns the results' last command tag.
func (s *session) exec(ctx context.Context, sql string) (pgconn.CommandTag, error) {
	ctx, watch := s.watch(ctx)
	defer watch.stop()
	results, err := s.conn.Exec(ctx, sql).ReadAll()
	if err != nil || len(results) == 0 {
		return pgconn.CommandTag{}, watch.explain(err)
	}
	return results[len(results)-1].CommandTag, nil
}

// query runs one statement with parameters as text.
func (s *session) query(ctx context.Context, sql string, params ...string) ([][][]byte, error) {
	ctx, watch := s.watch(ctx)
	defer watch.stop()
	result := s.conn.ExecParams(ctx, sql, values(params), nil, nil, nil).Read()
	return result.Rows, watch.explain(result.Err)
}

// planned is a query that the server plans once for the connection: to plan what is asked with each batch costs more than to
// answer it.
func (s *session) planned(ctx context.Context, sql string, params ...string) ([][][]byte, error) {
	if s.pool.forgets.Load() {
		return s.query(ctx, sql, params...)
	}
	ctx, watch := s.watch(ctx)
	defer watch.stop()
	name, err := s.statement(ctx, sql)
	if err == nil {
		result := s.conn.ExecPrepared(ctx, name, values(params), nil, nil).Read()
		if err = result.Err; err == nil {
			return result.Rows, nil
		}
	}
	return nil, s.remembered(watch.explain(err))
}

// committed commits if a query, which is planned once, answers without an error.
func (s *session) committed(ctx context.Context, query string) error {
	if s.pool.forgets.Load() {
		_, err := s.exec(ctx, query+"; COMMIT")
		return err
	}
	ctx, watch := s.watch(ctx)
	defer watch.stop()
	name, err := s.statement(ctx, query)
	if err == nil {
		batch := &pgconn.Batch{}
		batch.ExecPrepared(name, nil, nil, nil)
		batch.ExecParams("COMMIT", nil, nil, nil, nil)
		_, err = s.conn.ExecBatch(ctx, batch).ReadAll()
	}
	return s.remembered(watch.explain(err))
}

// statement returns the name of a statement that the server has prepared. Where connections are shared it may be another's of the
// same name, so that the same name is to mean the same text.
func (s *session) statement(ctx context.Context, sql string) (string, error) {
	if name, is := s.prepared[sql]; is {
		return name, nil
	}
	name := fmt.Sprintf("ddpm_%x", sha256.Sum256([]byte(sql)))[:40]
	if _, err := s.conn.Prepare(ctx, name, sql, nil); err != nil {
		return "", err
	}
	s.prepared[sql] = name
	return name, nil
}

// remembered has the batch written again, without prepared statements, if an error says that the server knows another set of
// them.
func (s *session) remembered(err error) error {
	pgErr := serverError(err)
	if pgErr == nil || (pgErr.Code != "26000" && pgErr.Code != "42P05") {
		return err
	}
	s.pool.forgets.Store(true)
	return &stale{&obstacle{classConnection, "the connection is shared by transactions: " + pgErr.Message}}
}

func values(params []string) [][]byte {
	texts := make([][]byte, len(params))
	for i, p := range params {
		texts[i] = []byte(p)
	}
	return texts
}

// copy sends COPY text. The server's patience is measured from one piece of text to the next, so
// that a large batch on a slow line is not mistaken for silence.
func (s *session) copy(ctx context.Context, sql string, text []byte) (int, error) {
	ctx, watch := s.watch(ctx)
	defer watch.stop()
	watched := &watchedText{rest: text, watch: watch}
	defer watched.end()
	tag, err := s.conn.CopyFrom(ctx, watched, sql)
	return int(tag.RowsAffected()), watch.explain(err)
}

// watchedText is what a COPY sends. Where a connection is lost the client may go on reading when the call is over, and the
// text is that of another batch by then.
type watchedText struct {
	mu    sync.Mutex
	rest  []byte
	ended bool
	watch *watchdog
}

// end takes the text away.
func (t *watchedText) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rest, t.ended = nil, true
}

func (t *watchedText) Read(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ended {
		t.watch.progress()
	}
	if len(t.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, t.rest)
	t.rest = t.rest[n:]
	return n, nil
}

// watchdog cancels a call when nothing happened for too long.
type watchdog struct {
	patience time.Duration
	timer    *time.Timer
	cancel   context.CancelFunc
	fired    atomic.Bool
}

func (s *session) watch(ctx context.Context) (context.Context, *watchdog) {
	ctx, cancel := context.WithCancel(ctx)
	w := &watchdog{patience: s.patience, cancel: cancel}
	w.timer = time.AfterFunc(s.patience, func() {
		w.fired.Store(true)
		cancel()
	})
	return ctx, w
}

func (w *watchdog) progress() { w.timer.Reset(w.patience) }

func (w *watchdog) stop() {
	w.timer.Stop()
	w.cancel()
}

func (w *watchdog) explain(err error) error {
	if err != nil && w.fired.Load() {
		return silence(w.patience)
	}
	return err
}

func silence(patience time.Duration) error {
	return &obstacle{classTimeout, fmt.Sprintf("no answer within %s", patience)}
}

// stage is the temporary table through which rows go that may be in the table already.
const stage = "ddpm_stage"

// savepoint is where a transaction returns to when a piece of the batch is refused.
const savepoint = "ddpm_piece"

// statements are the SQL texts of one table.
type statements struct {
	// names are the columns of a line.
	names []string
	// begin starts a transaction, beginLocked one in which the table stays as it is, beginSteady one in which all
	// else does too: whatever a trigger reads is the same for each row.
	begin, beginLocked, beginSteady string

	copyTable    string
	copyTolerant string
	createStage  string
	copyStage    string
	insert       string
	emptyStage   string
	// ensureKey is asked before each commit.
	ensureKey string
	// target is the table, and itself is what holds its own rows without those of tables that inherit from it.
	target, itself string
}

// ensureKey divides by zero, which keeps what stands behind it from being done, unless the table still has the key,
// the types and the triggers that were seen. What the transaction has written keeps them as they are until its end.
const ensureKey = `SELECT 1 / pg_catalog.count(*) FROM pg_catalog.pg_index
WHERE indexrelid = %s AND indrelid = %s AND indisunique AND indisvalid AND indimmediate
	AND %s = ` + fingerprint + `
	AND %d = (SELECT pg_catalog.count(*) FROM pg_catalog.pg_trigger WHERE ` + insertTriggers + ` AND %s)`

const divisionByZero = "22012"

func statementsFor(t *table, c *config) statements {
	names := identity(c.indexed)
	for _, col := range c.columns {
		names = append(names, col.name)
	}
	list, key := quotedList(names), quotedList(c.key())
	target := quote(t.schema, t.name)
	// A constant of the type regclass would be the table of that name at the time when a statement is prepared.
	now := "pg_catalog.to_regclass(" + literal(target) + ")"
	itself, holders := target, fmt.Sprintf(isOrParts, "tgrelid", now)
	if t.plain {
		itself, holders = "ONLY "+target, "tgrelid = "+now
	}
	temporary := quote("pg_temp", stage)
	settings := "SET CONSTRAINTS ALL IMMEDIATE; " + otherSettings(c.connection)
	return statements{
		names: names,
		begin: "BEGIN ISOLATION LEVEL READ COMMITTED; " + settings,
		// LOCK would need a right on the whole table; a plan takes the lock of what it is for, and does nothing.
		beginLocked: fmt.Sprintf("BEGIN ISOLATION LEVEL READ COMMITTED; EXPLAIN INSERT INTO %s (%s) VALUES (NULL); %s",
			target, quote(names[0]), settings),
		// LOCK is the one that comes before the transaction's view of the database.
		beginSteady: fmt.Sprintf("BEGIN ISOLATION LEVEL REPEATABLE READ; LOCK TABLE ONLY %s IN ROW EXCLUSIVE MODE; %s",
			target, settings),
		copyTable:    fmt.Sprintf("COPY %s (%s) FROM STDIN", target, list),
		copyTolerant: fmt.Sprintf("COPY %s (%s) FROM STDIN (ON_ERROR ignore, LOG_VERBOSITY verbose)", target, list),
		createStage: fmt.Sprintf("CREATE TEMPORARY TABLE %s ON COMMIT DROP AS SELECT %s FROM %s WITH NO DATA",
			quote(stage), list, target),
		copyStage: fmt.Sprintf("COPY %s (%s) FROM STDIN", temporary, list),
		insert: fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s ON CONFLICT (%s) DO NOTHING",
			target, list, list, temporary, key),
		emptyStage: "TRUNCATE " + temporary,
		ensureKey:  fmt.Sprintf(ensureKey, t.key, now, literal(t.types), now, len(t.triggers), holders),
		target:     target,
		itself:     itself,
	}
}

// literal quotes a text as a value.
func literal(text string) string {
	return "E'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(text) + "'"
}

func quotedList(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = quote(name)
	}
	return strings.Join(quoted, ", ")
}

func quote(parts ...string) string { return pgx.Identifier(parts).Sanitize() }
