package postgrescopy

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// timeSettings decide what a text without a zone, or in numbers of unclear order, means. Without them it would
// be the role's, the database's or the server's settings that do.
var timeSettings = map[string]string{"TimeZone": "UTC", "DateStyle": "ISO, MDY"}

// readTimesAlike sets them, as a client's settings that poolers of connections know, too, unless the connection
// string has its own.
func readTimesAlike(conf *pgconn.Config) {
	given := strings.ToLower(conf.RuntimeParams["options"])
	for name, value := range timeSettings {
		lower := strings.ToLower(name)
		own := strings.Contains(given, lower+"=")
		for other := range maps.Keys(conf.RuntimeParams) {
			own = own || strings.ToLower(other) == lower
		}
		if !own {
			conf.RuntimeParams[name] = value
		}
	}
}

// Settings that change what is stored for a text, besides those of times; only what differs is set, since poolers
// of connections do not know them.
const setOthers = `
SELECT pg_catalog.set_config(wanted.name, wanted.value, false)
FROM (VALUES ('intervalstyle', 'postgres'), ('array_nulls', 'on'), ('xmloption', 'content')) AS wanted(name, value)
WHERE pg_catalog.current_setting(wanted.name) <> wanted.value AND pg_catalog.strpos($1, wanted.name || '=') = 0`

// readValuesAlike makes the server read the text of values as every other one does.
func (s *session) readValuesAlike(ctx context.Context) error {
	params := s.pool.conf.connection.RuntimeParams
	given := strings.ToLower(params["options"])
	for _, name := range slices.Sorted(maps.Keys(params)) {
		given += " " + strings.ToLower(name) + "="
	}
	_, err := s.query(ctx, setOthers, given)
	return err
}
