package producer

import (
	"testing"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/records/origin"
)

func TestAnEmptyKeyIsNotAMissingOne(t *testing.T) {
	for name, each := range map[string]struct {
		metadata map[string]string
		key      []byte
	}{
		"a key":  {map[string]string{origin.KeyMetadata: "k"}, []byte("k")},
		"empty":  {map[string]string{origin.KeyMetadata: "", origin.EmptyKeyMetadata: "true"}, []byte{}},
		"no key": {map[string]string{origin.KeyMetadata: ""}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			msg := service.NewMessage(nil)
			for key, text := range each.metadata {
				msg.MetaSetMut(key, text)
			}
			r, err := Record(msg, []byte("v"))
			if err != nil {
				t.Fatal(err)
			}
			if (r.Key == nil) != (each.key == nil) || string(r.Key) != string(each.key) || len(r.Headers) > 0 {
				t.Errorf("the record is %+v, not one with the key %#v", r, each.key)
			}
		})
	}
}
