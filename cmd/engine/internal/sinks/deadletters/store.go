package deadletters

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"ddpm/engine/internal/contract"
	"ddpm/engine/internal/sinks/pgaddress"
)

// table is where letters are kept that are too large for the topic. It is made when the first one comes.
const table = "ddpm_dead_letters"

const patience = 30 * time.Second

const undefinedTable = "42P01"

// store keeps letters in Postgres. They are rare: it connects again for each.
type store struct {
	connection *pgconn.Config
	target     string
	pipeline   string
}

func newStore(dsn, schema, pipeline string) (*store, error) {
	connection, err := pgaddress.Parse(dsn)
	if err != nil {
		return nil, err
	}
	if connection.ConnectTimeout == 0 {
		connection.ConnectTimeout = pgaddress.ConnectTimeout
	}
	name := pgx.Identifier{table}
	if schema != "" {
		name = pgx.Identifier{schema, table}
	}
	return &store{connection, name.Sanitize(), pipeline}, nil
}

func (s *store) keep(ctx context.Context, l *letter) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	connection, unconfirmed := s.connection.Copy(), false
	connection.OnNotice = func(_ *pgconn.PgConn, notice *pgconn.Notice) {
		unconfirmed = unconfirmed || pgaddress.Unconfirmed(notice)
	}
	conn, err := pgconn.ConnectConfig(ctx, connection)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	err = s.insert(ctx, conn, l)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == undefinedTable {
		if _, err = conn.Exec(ctx, s.create()).ReadAll(); err == nil {
			err = s.insert(ctx, conn, l)
		}
	}
	if err == nil && unconfirmed {
		// There it is known by its origin: the same once more is the same letter.
		return errors.New("the synchronous standby has not confirmed the commit, and the wait for it was called off")
	}
	return err
}

func (s *store) create() string {
	return `CREATE TABLE IF NOT EXISTS ` + s.target + ` (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kept_at timestamptz NOT NULL DEFAULT now(),
  pipeline text NOT NULL,
  topic text,
  partition integer,
  "offset" bigint,
  code text,
  message text,
  headers json NOT NULL,
  key bytea,
  value bytea
)`
}

func (s *store) insert(ctx context.Context, conn *pgconn.PgConn, l *letter) error {
	header := func(name string) []byte {
		text, ok := l.msg.MetaGet(name)
		if !ok {
			return nil
		}
		return []byte(plain(text))
	}
	headers, err := encodeHeaders(l)
	if err != nil {
		return err
	}
	values := [][]byte{
		[]byte(s.pipeline), header(contract.HeaderTopic), header(contract.HeaderPartition), header(contract.HeaderOffset),
		header(contract.HeaderCode), header(contract.HeaderMessage), headers, l.key, l.value,
	}
	formats := []int16{0, 0, 0, 0, 0, 0, 0, 1, 1}
	sql := `INSERT INTO ` + s.target + ` (pipeline, topic, partition, "offset", code, message, headers, key, value)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`
	return conn.ExecParams(ctx, sql, values, nil, formats, nil).Read().Err
}

// encodeHeaders gives [[name, base64 of the value], …], as the header ddpm.errors.headers has it.
func encodeHeaders(l *letter) ([]byte, error) {
	pairs := make([][2]string, len(l.headers))
	for i, h := range l.headers {
		pairs[i] = [2]string{plain(h.Key), base64.StdEncoding.EncodeToString(h.Value)}
	}
	return json.Marshal(pairs)
}

// plain makes a text that every Postgres takes.
func plain(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}
