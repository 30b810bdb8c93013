package postgrescopy

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestAPreviewKnowsTheTypesAsTheServerDoes compares what is known of types by their names with what is known of columns.
func TestAPreviewKnowsTheTypesAsTheServerDoes(t *testing.T) {
	dsn := os.Getenv("DDPM_TEST_POSTGRES_DSN")
	if dsn == "" {
		t.Skip("DDPM_TEST_POSTGRES_DSN is not set: it names the Postgres server for these tests")
	}
	types := strings.Split("json;jsonb;JSONB[];pg_catalog.json;\"jsonb\";_jsonb;bool;boolean[];bytea;text;_text;varchar(3)[];\"char\";char(3);"+
		"timestamptz(3);timestamp(3) with time zone;timestamp without time zone[];date;time;time(3) with time zone;timetz;interval day to second(3);"+
		"int[3];int array;numeric(12,2);double precision;box[];point;int4range;int4multirange;int2vector;bit varying(8);tsvector;inet[]", ";")
	ctx := context.Background()
	conn, err := pgconn.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	c := &config{}
	var columns []string
	for i, typeName := range types {
		name := fmt.Sprintf("c%d", i)
		c.columns = append(c.columns, column{name: name})
		columns = append(columns, name+" "+typeName)
	}
	created, err := conn.Exec(ctx, "CREATE TEMPORARY TABLE shapes ("+strings.Join(columns, ", ")+
		"); SELECT nspname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE c.oid = 'shapes'::regclass").ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	s := &session{conn: conn, pool: newSessions(c, newEncoder(c)), patience: time.Minute}
	shapes, err := s.describeShapes(ctx, &table{schema: string(created[1].Rows[0][0]), name: "shapes"})
	if err != nil {
		t.Fatal(err)
	}
	for i, typeName := range types {
		if known := shapeOf(typeName); known != shapes[i] {
			t.Errorf("%s: %+v, the server says %+v", typeName, known, shapes[i])
		}
	}
}
