package deadletters

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"ddpm/engine/internal/contract"
	"ddpm/engine/internal/records/origin"
	"ddpm/engine/internal/sinks/producer"
)

// mostOfAHeader is how much of a header's value stays when headers are cut, and mostNames how many names of those that
// were cut the mark holds.
const (
	mostOfAHeader = 1000
	mostNames     = 50
)

func (l *letter) size() int { return producer.Size(l.record()) }

// shortened returns a letter with fewer and fewer of the record's headers: without all values of those that are
// repeated, with the beginning of long ones, with none. Key and bytes are never cut, nor what says where the record
// came from and why it is dead. The header ddpm.errors.headers_cut names what is missing.
func (l *letter) shortened() []*letter {
	withoutCopies := func(h kgo.RecordHeader) ([]byte, bool) {
		return h.Value, h.Key != contract.HeaderHeaders
	}
	withBeginnings := func(h kgo.RecordHeader) ([]byte, bool) {
		if !origin.IsOurs(h.Key) && len(h.Value) > mostOfAHeader {
			return h.Value[:mostOfAHeader], true
		}
		return withoutCopies(h)
	}
	withNone := func(h kgo.RecordHeader) ([]byte, bool) {
		_, keep := withoutCopies(h)
		return h.Value, keep && origin.IsOurs(h.Key)
	}
	return []*letter{l.shorten(withoutCopies), l.shorten(withBeginnings), l.shorten(withNone)}
}

func (l *letter) shorten(cut func(kgo.RecordHeader) (value []byte, keep bool)) *letter {
	shorter := &letter{key: l.key, value: l.value, msg: l.msg}
	var names []string
	for _, h := range l.headers {
		value, keep := cut(h)
		if keep {
			shorter.headers = append(shorter.headers, kgo.RecordHeader{Key: h.Key, Value: value})
		}
		if !keep || len(value) < len(h.Value) {
			names = append(names, strings.ToValidUTF8(h.Key, "\uFFFD"))
		}
	}
	slices.Sort(names)
	mark, _ := json.Marshal(names[:min(len(names), mostNames)])
	shorter.headers = append(shorter.headers, kgo.RecordHeader{Key: contract.HeaderCut, Value: mark})
	return shorter
}
