package postgrescopy_test

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"

	"ddpm/engine/internal/sink/conformance"
)

func TestConformance(t *testing.T) {
	conformance.Run(t, conformance.Target{
		Waiting:    "postgres_copy_waiting",
		Says:       "Postgres does not take rows",
		Idempotent: true,
		InSilence:  true,
		Audited:    true,
		New: func(t testing.TB) conformance.Destination {
			db := newDatabase(t)
			db.exec(plainTable)
			return conformance.Destination{
				Server: db.dsn.Host,
				Config: func(address string) string { return postgresOutput(t, db.dsn, address) },
				Good:   func(n int) string { return fmt.Sprintf(`{"id": %d, "name": "name %d"}`, n, n) },
				Bad:    func(n int) string { return fmt.Sprintf(`{"id": "%d is a text", "name": "bad"}`, n) },
				Stored: func() []int64 {
					var offsets []int64
					for _, text := range strings.Fields(db.offsets("t")) {
						offset, err := strconv.ParseInt(text, 10, 64)
						must(t, err)
						offsets = append(offsets, offset)
					}
					return offsets
				},
				Refuse: func() func() {
					db.exec("ALTER TABLE t RENAME TO away")
					return func() { db.exec("ALTER TABLE away RENAME TO t") }
				},
			}
		},
	})
}

func postgresOutput(t testing.TB, dsn *url.URL, address string) string {
	u := *dsn
	u.Host = address
	dsnEnv := fmt.Sprintf("DSN_%08x", rand.Uint32())
	os.Setenv(dsnEnv, u.String())
	os.Setenv("DDPM_SOURCES", `{"events": 1}`)
	t.Cleanup(func() { os.Unsetenv(dsnEnv) })
	return `postgres_copy:
  dsn_env: ` + dsnEnv + `
  table: t
  columns: ` + typedColumns + `
  write_timeout: 1s
  backoff: {initial_interval: 20ms, max_interval: 100ms}`
}
