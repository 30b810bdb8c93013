package sink

import (
	"slices"
	"testing"

	"ddpm/engine/internal/runtime/audit"
)

func TestDuplicatesAreUnexpectedWhereTooFewRecordsAreOld(t *testing.T) {
	for name, test := range map[string]struct {
		rows, duplicates int
		stretches        []stretch
		want             []audit.Settled
	}{
		"all rows":               {10, 0, []stretch{{0, 10}}, []audit.Settled{{Rows: 10}}},
		"old records":            {4, 6, []stretch{{10, 0}}, []audit.Settled{{Rows: 4, Redelivered: 6}}},
		"some may be old":        {4, 6, []stretch{{6, 4}}, []audit.Settled{{Rows: 4, Redelivered: 6}}},
		"more than are old":      {4, 6, []stretch{{3, 7}}, []audit.Settled{{Rows: 4, Redelivered: 3, Unexpected: 3}}},
		"none is old":            {0, 10, []stretch{{0, 10}}, []audit.Settled{{Unexpected: 10}}},
		"missing ones stay open": {7, 0, []stretch{{0, 10}}, []audit.Settled{{Rows: 7}}},
		"one partition is read again and another is not": {
			5, 10, []stretch{{0, 5}, {10, 0}}, []audit.Settled{{Rows: 5}, {Redelivered: 10}},
		},
		"there are more than that": {
			4, 11, []stretch{{0, 5}, {10, 0}}, []audit.Settled{{Rows: 4, Unexpected: 1}, {Redelivered: 10}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := share(test.stretches, test.rows, test.duplicates); !slices.Equal(got, test.want) {
				t.Fatalf("%+v instead of %+v", got, test.want)
			}
		})
	}
}
