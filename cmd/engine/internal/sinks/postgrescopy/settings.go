package postgrescopy

import (
	"fmt"
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

// setOthers sets what else decides on what is stored for a text, and makes a commit wait for the disk where a role or
// database has it otherwise, but leaves alone whatever waits for a standby too. That the wait for one was called off is a
// warning, so warnings have to be heard. It lasts as long as its transaction, since a pooler may lend the connection to
// others, and another one to this session. %s are texts of settings to leave alone.
const setOthers = `SELECT pg_catalog.set_config(wanted.name, wanted.value, true)
FROM (VALUES ('synchronous_commit', 'on', '{off,local}'::pg_catalog.text[]), ('client_min_messages', 'warning', '{error}'), ('array_nulls', 'on', '{off}'), ('xmloption', 'content', '{document}'),
	('intervalstyle', 'postgres', '{postgres_verbose,sql_standard,iso_8601}')) AS wanted(name, value, others)
WHERE pg_catalog.current_setting(wanted.name) = ANY (wanted.others)
	AND (wanted.name IN ('synchronous_commit', 'client_min_messages') OR pg_catalog.strpos(%s, wanted.name || '=') = 0)`

// otherSettings returns the statement for a connection: what its address sets stays.
func otherSettings(conf *pgconn.Config) string {
	given := strings.ToLower(conf.RuntimeParams["options"])
	for _, name := range slices.Sorted(maps.Keys(conf.RuntimeParams)) {
		given += " " + strings.ToLower(name) + "="
	}
	return fmt.Sprintf(setOthers, literal(given))
}
