package sink

import (
	"ddpm/engine/audit"
	"ddpm/engine/origin"
)

// settle writes into the books what became of rows. What the destination neither took, nor had, nor refused is left
// open: it is missing. Rows that failed before the sink are for the dead letters to settle, as those that it refused.
func settle(books Books, rows Rows, result Result) {
	switch books {
	case AsDeadLetters:
		eachPage(rows, func(page *audit.Page, from, to int) { page.Settle(audit.Settled{Dead: to - from}) })
	case AsRows:
		settleRows(rows, result)
	}
}

func settleRows(rows Rows, result Result) {
	failed := make(map[int]struct{}, len(result.Failures))
	for _, f := range result.Failures {
		failed[f.Index] = struct{}{}
	}
	left := audit.Settled{Rows: result.Committed, Redelivered: result.Duplicates}
	eachPage(rows, func(page *audit.Page, from, to int) {
		if len(failed) == 0 && left.Redelivered == 0 {
			page.Settle(share(&left, to-from, 0))
			return
		}
		taken, fresh := 0, 0
		for i := from; i < to; i++ {
			if _, dead := failed[i]; dead {
				continue
			}
			taken++
			if o, ok := rows.Origin(i); ok && page.New(o.Offset) {
				fresh++
			}
		}
		if result.Again {
			fresh = 0
		}
		page.Settle(share(&left, taken, fresh))
	})
}

func eachPage(rows Rows, do func(page *audit.Page, from, to int)) {
	origin.Pages(rows.Len(), func(i int) *origin.Origin {
		o, _ := rows.Origin(i)
		return o
	}, do)
}

// share takes from what is left of a batch's outcome what belongs to so many of its messages, fresh of which nobody can
// have read before. In a batch of several partitions it is not known which of them the duplicates are of; their number is.
func share(left *audit.Settled, messages, fresh int) audit.Settled {
	var s audit.Settled
	duplicates := min(left.Redelivered, messages)
	s.Rows = min(left.Rows, messages-duplicates)
	s.Unexpected = max(0, min(duplicates-(messages-fresh), duplicates))
	s.Redelivered = duplicates - s.Unexpected
	left.Redelivered -= duplicates
	left.Rows -= s.Rows
	return s
}
