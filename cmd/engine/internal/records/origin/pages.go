package origin

import (
	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/runtime/audit"
)

// EachPage calls do for the documents of a batch that stand in a row and on the same page of the books: from, up to but
// not including, to. Documents without a page are left out.
func EachPage(batch service.MessageBatch, do func(page *audit.Page, from, to int)) {
	if chunk, ok := ChunkOf(batch); ok {
		Pages(len(chunk.Records), func(i int) *Origin { return &chunk.Records[i].Origin }, do)
		return
	}
	Pages(len(batch), func(i int) *Origin {
		o, _ := From(batch[i])
		return o
	}, do)
}

// Pages does what EachPage does for count documents; at returns the record of one, nil if it is not known.
func Pages(count int, at func(i int) *Origin, do func(page *audit.Page, from, to int)) {
	var page *audit.Page
	begun := 0
	for i := range count {
		var its *audit.Page
		if o := at(i); o != nil {
			its = o.Page
		}
		if its == page {
			continue
		}
		if page != nil {
			do(page, begun, i)
		}
		page, begun = its, i
	}
	if page != nil {
		do(page, begun, count)
	}
}
