package postgrescopy

import (
	"encoding/json"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"

	"github.com/warpstreamlabs/bento/public/service"
)

// neverFoundAfter is how many rows may go by before a column that was in none of their documents is told.
const neverFoundAfter = 1000

// finds knows the columns for which no document had a value so far: a path that is written wrongly gives
// NULL in every row. A null in a document is a value.
type finds struct {
	columns []column
	// tell is called under the lock, when columns have been without a value for too long and when one has one after all.
	tell func(missing []int, document []byte)

	mu      sync.Mutex
	missing []int
	rows    int
	told    bool
}

func newFinds(columns []column) *finds {
	f := &finds{columns: columns, tell: func([]int, []byte) {}}
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

// note takes in what is still without a value behind a batch.
func (f *finds) note(s *scratch, before, rows int, batch service.MessageBatch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rows += rows
	changed := len(s.unseen) < before
	if changed {
		f.missing = slices.DeleteFunc(f.missing, func(i int) bool { return !slices.Contains(s.unseen, i) })
	}
	if (f.told && changed) || (!f.told && f.rows >= neverFoundAfter && len(f.missing) > 0) {
		f.told = true
		document, _ := batch[len(batch)-1].AsBytes()
		f.tell(f.missing, document)
	}
}

// tellMissing makes the log and a metric say which columns stay NULL.
func tellMissing(columns []column, mgr *service.Resources) func([]int, []byte) {
	gauge := mgr.Metrics().NewGauge("postgres_copy_column_never_found", "column")
	log := mgr.Logger()
	shown := map[int]bool{}
	return func(missing []int, document []byte) {
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
					columns[i].name, neverFoundAfter, strconv.Quote(strings.Join(columns[i].path, ".")), hint(columns[i].path[0], document))
			}
		}
	}
}

// hint names a key of the document that is written almost like the first one of a path, or the keys that there are.
func hint(key string, document []byte) string {
	var keys map[string]json.RawMessage
	if json.Unmarshal(document, &keys) != nil || len(keys) == 0 {
		return ""
	}
	names := make([]string, 0, len(keys))
	for name := range keys {
		if name != key && sameLetters(name, key) {
			return "; it has " + strconv.Quote(name)
		}
		names = append(names, name)
	}
	if _, there := keys[key]; there {
		return ""
	}
	const most = 10
	sort.Strings(names)
	if len(names) > most {
		names = append(names[:most], "…")
	}
	return "; its keys are " + strings.Join(names, ", ")
}
