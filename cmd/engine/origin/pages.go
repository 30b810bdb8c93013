package origin

import (
	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/audit"
)

// EachPage calls do for the messages of a batch that stand in a row and on the same page of the books: from, up to but
// not including, to. Messages without a page are left out.
func EachPage(batch service.MessageBatch, do func(page *audit.Page, from, to int)) {
	var page *audit.Page
	begun := 0
	for i, msg := range batch {
		var its *audit.Page
		if o, ok := From(msg); ok {
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
		do(page, begun, len(batch))
	}
}
