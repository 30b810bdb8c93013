package postgrescopy

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/warpstreamlabs/bento/public/service"
)

func TestTheEndOfTheContextIsReportedAsNotConnected(t *testing.T) {
	c := &config{sources: map[string]int64{"events": 1}, writeTimeout: time.Second, firstPause: time.Hour, longestPause: time.Hour}
	var err error
	if c.connection, err = pgconn.ParseConfig("postgresql://u:p@127.0.0.1:1/db?sslmode=disable"); err != nil {
		t.Fatal(err)
	}
	o := newOutput(c, service.MockResources())
	for name, call := range map[string]func(context.Context) error{
		"WriteBatch": func(ctx context.Context) error { return o.WriteBatch(ctx, service.MessageBatch{message("{}")}) },
		"Connect":    o.Connect,
	} {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		if err := call(ctx); !errors.Is(err, service.ErrNotConnected) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}
