package sink

import (
	"ddpm/engine/internal/records/origin"
	"ddpm/engine/internal/runtime/audit"
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
	if result.Committed == rows.Len() {
		eachPage(rows, func(page *audit.Page, from, to int) { page.Settle(audit.Settled{Rows: to - from}) })
		return
	}
	out := make([]bool, rows.Len())
	for _, f := range result.Failures {
		out[f.Index] = true
	}
	for _, i := range result.Missing {
		out[i] = true
	}
	var pages []*audit.Page
	var stretches []stretch
	eachPage(rows, func(page *audit.Page, from, to int) {
		var s stretch
		for i := from; i < to; i++ {
			if out[i] {
				continue
			}
			if o, ok := rows.Origin(i); ok && page.New(o.Offset) && !result.Again {
				s.fresh++
			} else {
				s.old++
			}
		}
		pages, stretches = append(pages, page), append(stretches, s)
	})
	for i, settled := range share(stretches, result.Committed, result.Duplicates) {
		pages[i].Settle(settled)
	}
}

func eachPage(rows Rows, do func(page *audit.Page, from, to int)) {
	origin.Pages(rows.Len(), func(i int) *origin.Origin {
		o, _ := rows.Origin(i)
		return o
	}, do)
}

// stretch are rows of one page that the destination took or had. Nobody can have written the fresh ones before.
type stretch struct{ old, fresh int }

// share says which rows and duplicates of a batch belong to which stretch of it. In a batch of several partitions it is
// not known which of them the duplicates are of; their number is. They are a surprise only if there are more of them than
// old rows in all.
func share(stretches []stretch, rows, duplicates int) []audit.Settled {
	settled := make([]audit.Settled, len(stretches))
	take := func(left *int, most int) int {
		n := min(*left, most)
		*left -= n
		return n
	}
	for i, s := range stretches {
		settled[i].Redelivered = take(&duplicates, s.old)
	}
	for i, s := range stretches {
		settled[i].Unexpected = take(&duplicates, s.fresh)
		settled[i].Rows = take(&rows, s.old+s.fresh-settled[i].Redelivered-settled[i].Unexpected)
	}
	return settled
}
