package sink

import (
	"testing"

	"ddpm/engine/audit"
)

func TestDuplicatesAreUnexpectedWhereTooFewRecordsAreOld(t *testing.T) {
	for name, test := range map[string]struct {
		left            audit.Settled
		messages, fresh int
		want            audit.Settled
	}{
		"all rows":                {audit.Settled{Rows: 10}, 10, 10, audit.Settled{Rows: 10}},
		"old records":             {audit.Settled{Rows: 4, Redelivered: 6}, 10, 0, audit.Settled{Rows: 4, Redelivered: 6}},
		"some may be old":         {audit.Settled{Rows: 4, Redelivered: 6}, 10, 4, audit.Settled{Rows: 4, Redelivered: 6}},
		"more than are old":       {audit.Settled{Rows: 4, Redelivered: 6}, 10, 7, audit.Settled{Rows: 4, Redelivered: 3, Unexpected: 3}},
		"none is old":             {audit.Settled{Redelivered: 10}, 10, 10, audit.Settled{Unexpected: 10}},
		"missing ones stay open":  {audit.Settled{Rows: 7}, 10, 10, audit.Settled{Rows: 7}},
		"another partition's too": {audit.Settled{Rows: 3, Redelivered: 12}, 10, 0, audit.Settled{Redelivered: 10}},
	} {
		t.Run(name, func(t *testing.T) {
			left := test.left
			if got := share(&left, test.messages, test.fresh); got != test.want {
				t.Fatalf("%+v instead of %+v", got, test.want)
			}
		})
	}
}
