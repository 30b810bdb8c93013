package postgrescopy

import (
	"encoding/json"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/contract"
)

// After so many rows a column that was in none of their documents is reported; sooner, when the documents have a key
// that is written almost like it.
const (
	neverFoundAfter     = 1000
	almostFoundAfter    = 100
	shortestMisspelling = 4
)

// finds knows the columns for which no document had a value so far: a path that is written wrongly gives
// NULL in every row. A null in a document is a value.
type finds struct {
	columns []column
	// report is called under the lock, when columns have been without a value for too long and when one has one after all.
	report func(missing []int, rows int, document []byte)

	mu       sync.Mutex
	missing  []int
	rows     int
	reported bool
}

func newFinds(columns []column) *finds {
	f := &finds{columns: columns, report: func([]int, int, []byte) {}}
	for i, col := range columns {
		if col.from == fromField {
			f.missing = append(f.missing, i)
		}
	}
	return f
}

// unseen copies the columns without a value into s and returns how many there are.
func (f *finds) unseen(s *scratch) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.unseen = append(s.unseen[:0], f.missing...)
	return len(s.unseen)
}

// found takes the nth of the columns without a value off the list.
func (s *scratch) found(nth int) {
	last := len(s.unseen) - 1
	s.unseen[nth] = s.unseen[last]
	s.unseen = s.unseen[:last]
}

// note takes in what is still without a value behind a batch, and the last document of it.
func (f *finds) note(s *scratch, before, rows int, document []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rows += rows
	changed := len(s.unseen) < before
	if changed {
		f.missing = slices.DeleteFunc(f.missing, func(i int) bool { return !slices.Contains(s.unseen, i) })
	}
	if (f.reported && changed) || (!f.reported && f.suspicious(document)) {
		f.reported = true
		f.report(f.missing, f.rows, document)
	}
}

func (f *finds) suspicious(document []byte) bool {
	if f.rows < almostFoundAfter || len(f.missing) == 0 {
		return false
	}
	return f.rows >= neverFoundAfter || slices.ContainsFunc(f.missing, func(i int) bool {
		_, close := keysLike(f.columns[i].path[0], document)
		return close != ""
	})
}

// reportMissing makes the log and a metric say which columns stay NULL.
func reportMissing(columns []column, mgr *service.Resources) func([]int, int, []byte) {
	gauge := mgr.Metrics().NewGauge(contract.NeverFound, "column")
	log := mgr.Logger()
	shown := map[int]bool{}
	return func(missing []int, rows int, document []byte) {
		for i := range shown {
			if !slices.Contains(missing, i) {
				delete(shown, i)
				gauge.Set(0, columns[i].name)
				log.Infof("The column %q has a value now.", columns[i].name)
			}
		}
		for _, i := range missing {
			if !shown[i] {
				shown[i] = true
				gauge.Set(1, columns[i].name)
				log.Warnf("The column %q is NULL in every row: none of the first %d documents has %s%s.",
					columns[i].name, rows, strconv.Quote(strings.Join(columns[i].path, ".")), hint(columns[i].path[0], document))
			}
		}
	}
}

// hint names a key of the document that is written almost like the first one of a path, or the keys that there are.
func hint(key string, document []byte) string {
	names, close := keysLike(key, document)
	switch {
	case close != "":
		return "; it has " + strconv.Quote(close)
	case len(names) == 0 || slices.Contains(names, key):
		return ""
	}
	const most = 10
	if len(names) > most {
		names = append(names[:most], "…")
	}
	return "; its keys are " + strings.Join(names, ", ")
}

// keysLike returns the keys of a document, and the one that is written almost like key if key is none of them.
func keysLike(key string, document []byte) (names []string, close string) {
	var keys map[string]json.RawMessage
	if json.Unmarshal(document, &keys) != nil {
		return nil, ""
	}
	for name := range keys {
		names = append(names, name)
	}
	sort.Strings(names)
	if _, there := keys[key]; there {
		return names, ""
	}
	for _, name := range names {
		if sameLetters(name, key) {
			return names, name
		}
	}
	for _, name := range names {
		if len(key) >= shortestMisspelling && oneSlip([]rune(name), []rune(key)) {
			return names, name
		}
	}
	return names, ""
}

// sameLetters reports whether two names differ in case or underscores alone.
func sameLetters(a, b string) bool {
	return strings.EqualFold(strings.ReplaceAll(a, "_", ""), strings.ReplaceAll(b, "_", ""))
}

// oneSlip reports whether one letter is missing, too many, wrong, or swapped with its neighbour.
func oneSlip(a, b []rune) bool {
	at := 0
	for at < len(a) && at < len(b) && a[at] == b[at] {
		at++
	}
	a, b = a[at:], b[at:]
	switch {
	case len(a) == len(b)+1:
		return slices.Equal(a[1:], b)
	case len(b) == len(a)+1:
		return slices.Equal(a, b[1:])
	case len(a) != len(b) || len(a) == 0:
		return false
	}
	swapped := len(a) > 1 && a[0] == b[1] && a[1] == b[0] && slices.Equal(a[2:], b[2:])
	return swapped || slices.Equal(a[1:], b[1:])
}
