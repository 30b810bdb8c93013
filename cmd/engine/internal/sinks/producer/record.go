package producer

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/records/origin"
)

// Size is how many bytes a record has, its headers included.
func Size(r *kgo.Record) int {
	size := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		size += len(h.Key) + len(h.Value)
	}
	return size
}

// Record returns a message as a record: the key from its metadata origin.KeyMetadata, all other metadata as headers.
func Record(msg *service.Message, value []byte) (*kgo.Record, error) {
	r := &kgo.Record{Value: value}
	err := msg.MetaWalk(func(name, text string) error {
		if name == origin.EmptyKeyMetadata {
			r.Key = []byte{}
		} else if name == origin.KeyMetadata {
			if text != "" {
				r.Key = []byte(text)
			}
		} else if !strings.HasPrefix(name, origin.KeyMetadata) {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(text)})
		}
		return nil
	})
	return r, err
}
