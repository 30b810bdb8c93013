package postgrescopy

import (
	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/audit"
	"ddpm/engine/origin"
)

// settle writes into the books what became of a batch. What the server neither took, nor had, nor refused is left open:
// it is missing. repeated tells that an earlier attempt may have brought in rows, which are no surprise then.
func settle(batch service.MessageBatch, o outcome, failures []failure, repeated bool) {
	failed := make(map[int]struct{}, len(failures))
	for _, f := range failures {
		failed[f.index] = struct{}{}
	}
	left := audit.Settled{Rows: o.committed, Redelivered: o.duplicates}
	origin.EachPage(batch, func(page *audit.Page, from, to int) {
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
			if o, ok := origin.From(batch[i]); ok && page.New(o.Offset) {
				fresh++
			}
		}
		if repeated {
			fresh = 0
		}
		page.Settle(share(&left, taken, fresh))
	})
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
